"""The addresses of retention."""

from __future__ import annotations

from django.urls import path

from malha.history.retention import views

app_name = "retention"
urlpatterns = [
    path("gestao/retencao/", views.index, name="index"),
    path("gestao/retencao/<str:entity_type>/", views.rule, name="rule"),
]
