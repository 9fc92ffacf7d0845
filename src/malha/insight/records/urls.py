"""Addresses of records."""

from django.urls import path

from malha.insight.records import elsewhere, views

app_name = "records"
urlpatterns = [
    path("dados/entidades/", views.index, name="index"),
    path("dados/entidades/<str:entity_type>/", views.listing, name="list"),
    path("dados/entidades/<str:entity_type>/de/todas/", elsewhere.listing, name="everywhere"),
    path("dados/entidades/<str:entity_type>/de/<int:place_id>/", elsewhere.listing, name="elsewhere"),
    path("dados/entidades/<str:entity_type>/registo/", views.record, name="record"),
    path("dados/entidades/<str:entity_type>/grafico.json", views.chart, name="chart"),
    path("dados/entidades/<str:entity_type>/percurso.json", views.track_map, name="track_map"),
    path("dados/entidades/<str:entity_type>/percurso.geojson", views.track, name="track"),
]
