"""Addresses of packs."""

from django.urls import path

from malha.packs.registry import views

app_name = "packs"
urlpatterns = [
    path("gestao/pacotes/", views.listing, name="list"),
    path("gestao/pacotes/<str:name>/", views.switch, name="switch"),
]
