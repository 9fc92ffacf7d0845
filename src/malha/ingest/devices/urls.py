"""Addresses of *Sensores*."""

from django.urls import path

from malha.ingest.devices import views

app_name = "devices"
urlpatterns = [
    path("dados/sensores/", views.index, name="index"),
    path("dados/sensores/porta/nova/", views.open_door, name="open_door"),
    path("dados/sensores/porta/<int:door_id>/", views.door, name="door"),
    path("dados/sensores/porta/<int:door_id>/juntar/", views.add, name="add"),
    path("dados/sensores/<int:device_id>/", views.device, name="device"),
    path("dados/sensores/<int:device_id>/perfil/", views.profile, name="profile"),
    path("dados/sensores/<int:device_id>/trocar/", views.replace, name="replace"),
]
