"""Addresses of the map."""

from django.urls import path

from malha.insight.maps import views

app_name = "maps"
urlpatterns = [
    path("mapa/", views.page, name="page"),
    path("mapa/camadas.json", views.spec, name="spec"),
    path("mapa/camadas.geojson", views.together, name="together"),
    path("mapa/camadas/<str:key>.geojson", views.features, name="features"),
    path("mapa/limite.geojson", views.boundary, name="boundary"),
]
