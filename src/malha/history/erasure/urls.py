"""The address of the page of erasing."""

from __future__ import annotations

from django.urls import path

from malha.history.erasure import views

app_name = "erasure"
urlpatterns = [path("gestao/apagar-pessoa/", views.index, name="index")]
