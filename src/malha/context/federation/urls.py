"""Pages of *Federação*."""

from __future__ import annotations

from django.urls import path

from malha.context.federation import views

app_name = "federation"
urlpatterns = [
    path("dados/federacao/", views.index, name="index"),
    path("dados/federacao/convidar/", views.invite, name="invite"),
    path("dados/federacao/juntar/", views.join, name="join"),
    path("dados/federacao/broker/", views.broker, name="broker"),
    path("dados/federacao/<int:link_id>/terminar/", views.end, name="end"),
    path("dados/federacao/acordos/<int:agreement_id>/", views.show_agreement, name="agreement"),
]
