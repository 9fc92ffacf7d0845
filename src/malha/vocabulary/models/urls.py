"""Addresses of the catalogue of data models."""

from django.urls import include, path

from malha.vocabulary.models import rules, views

pages = [
    path("", views.index, name="index"),
    path("validar/", views.validate, name="validate"),
    path("regras/", rules.rules, name="rules"),
    path("<str:entity_type>/", views.page, name="page"),
    path("<str:entity_type>/esquema.json", views.schema, name="schema"),
    path("<str:entity_type>/contexto.jsonld", views.context, name="context"),
    path("<str:entity_type>/exemplo.json", views.example, name="example"),
]
urlpatterns = [path("dados/modelos/", include((pages, "models")))]
