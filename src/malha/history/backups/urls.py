"""The address of the page of copies."""

from __future__ import annotations

from django.urls import path

from malha.history.backups import views

app_name = "backups"
urlpatterns = [path("gestao/copias/", views.index, name="index")]
