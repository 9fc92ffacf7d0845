"""The addresses of tables."""

from __future__ import annotations

from django.urls import path

from malha.ingest.tables import views

app_name = "tables"
urlpatterns = [
    path("dados/tabelas/", views.index, name="index"),
    path("dados/tabelas/<int:set_id>/", views.table, name="table"),
    path("dados/tabelas/<int:set_id>/diferencas/", views.differences, name="differences"),
    path("dados/tabelas/<int:set_id>/exportar/", views.export, name="export"),
    path("dados/tabelas/<int:set_id>/nova-versao/", views.bring, name="bring"),
    path("dados/tabelas/<int:set_id>/apagar/", views.remove, name="remove"),
]
