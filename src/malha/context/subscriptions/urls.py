"""Pages of *Ligações* about subscriptions."""

from __future__ import annotations

from django.urls import path

from malha.context.subscriptions import views

app_name = "subscriptions"
urlpatterns = [
    path("dados/ligacoes/subscricoes/", views.subscriptions, name="list"),
    path("dados/ligacoes/subscricoes/<int:subscription_id>/", views.subscription, name="one"),
    path("dados/ligacoes/subscricoes/<int:subscription_id>/mudar/", views.change, name="change"),
]
