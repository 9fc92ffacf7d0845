"""Addresses of indicators."""

from django.urls import path

from malha.insight.metrics import views

app_name = "metrics"
urlpatterns = [
    path("indicadores/cartoes/", views.board, name="cards"),
    path("indicadores/<str:key>/", views.page, name="page"),
    path("indicadores/<str:key>/cartao/", views.card, name="card"),
    path("indicadores/<str:key>/grafico.json", views.chart, name="chart"),
]
