"""Addresses of the mail pages, on the platform's own address."""

from __future__ import annotations

from django.urls import path

from malha.foundation.mail import views

app_name = "mail"
urlpatterns = [
    path("correio/", views.demo, name="demo"),
    path("plataforma/correio/", views.trial, name="trial"),
]
