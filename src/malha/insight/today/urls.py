"""Addresses of *Hoje*; `/` itself is the composition root's."""

from django.urls import path

from malha.insight.today import views

app_name = "today"
urlpatterns = [
    path("hoje/alarmes/", views.alarms, name="alarms"),
    path("hoje/registos/", views.latest, name="latest"),
    path("primeiro-dia/", views.first_day, name="first_day"),
]
