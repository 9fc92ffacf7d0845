"""Addresses of the territory page."""

from django.urls import include, path

from malha.vocabulary.territory import views

pages = [
    path("", views.index, name="index"),
    path("mapa.json", views.spec, name="spec"),
    path("ruas.json", views.streets, name="streets"),
    path("limites/importar/", views.import_boundaries, name="import_boundaries"),
    path("ruas/importar/", views.import_streets, name="import_streets"),
    path("limites/<str:level>.geojson", views.boundaries, name="boundaries"),
]
urlpatterns = [path("dados/territorio/", include((pages, "territory")))]
