"""Addresses of what others let us read."""

from __future__ import annotations

from django.urls import path

from malha.share.received import views

app_name = "received"

urlpatterns = [
    path("dados/partilhados/", views.index, name="index"),
    path("dados/partilhados/<int:giver_id>/<int:agreement_id>/", views.extract, name="extract"),
    path("dados/partilhados/<int:giver_id>/<int:agreement_id>/ficheiro.<path:ending>", views.file, name="file"),
]
