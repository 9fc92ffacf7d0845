"""Addresses of the manager's pages."""

from __future__ import annotations

from django.urls import path

from malha.foundation.administration import views

app_name = "administration"

urlpatterns = [
    path("armas/<slug:digest>", views.arms, name="arms"),
    path("gestao/identidade/", views.identity, name="identity"),
    path("gestao/delegacao/", views.delegation, name="delegation"),
    path("gestao/delegacao/<int:delegate_id>/retirar/", views.take_back, name="take_back"),
    path("gestao/acordos/", views.agreements, name="agreements"),
    path("gestao/acordos/novo/", views.sign_agreement, name="sign_agreement"),
    path("gestao/acordos/<int:agreement_id>/", views.agreement, name="agreement"),
    path("gestao/acordos/<int:agreement_id>/terminar/", views.end_agreement, name="end_agreement"),
    path("gestao/auditoria/", views.trail, name="trail"),
]
