"""Signing in, the person's own pages, people and machines of a tenant, and the platform's pages."""

from __future__ import annotations

from django.urls import include, path

from malha.foundation.identity import views

app_name = "identity"

urlpatterns = [
    path("conta/entrou/", views.entered, name="entered"),
]

#: allauth's own addresses, without a namespace because it reverses them by bare names
ALLAUTH = [
    path("conta/", include("allauth.urls")),
    path("", include("allauth.idp.urls")),
]
