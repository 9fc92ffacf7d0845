"""Addresses of the frame's own pages."""

from __future__ import annotations

from django.urls import path

from malha.ui import views

app_name = "ui"
urlpatterns = [
    path("procurar/", views.find, name="search"),
    path("ajuda/", views.help_page, name="help"),
    path("preferencias/", views.preferences, name="preferences"),
    path("lingua/", views.language, name="language"),
    path("icone.svg", views.favicon, name="icon"),
    path("plataforma/componentes/", views.components, name="components"),
    # the index of each room that has no page of its own there; rooms come before in project.urls
    path("dados/", views.room_index("dados"), name="data"),
    path("paineis/", views.room_index("paineis"), name="dashboards"),
    path("agir/", views.room_index("agir"), name="act"),
    path("gestao/", views.room_index("gestao"), name="manage"),
]
