"""Addresses of the open data portal."""

from django.urls import include, path

from malha.share.opendata import publishing, views

portal = [
    path("", views.index, name="index"),
    path("<slug:slug>/", views.dataset, name="dataset"),
    path("<slug:slug>/dados.<path:ending>", views.download, name="download"),
    path("<slug:slug>/mapa.json", views.map_spec, name="map"),
    path("<slug:slug>/api", views.api, name="api"),
    path("<slug:slug>/api/openapi.json", views.openapi, name="openapi"),
    path("<slug:slug>/dcat.jsonld", views.record, name="record"),
    path("<slug:slug>/erro/", views.report, name="report"),
]
publish = [
    path("", publishing.index, name="index"),
    path("novo/", publishing.begin, name="begin"),
    path("<int:dataset_id>/conteudo/", publishing.content, name="content"),
    path("<int:dataset_id>/licenca/", publishing.licence, name="licence"),
    path("<int:dataset_id>/aprovacao/", publishing.approval, name="approval"),
    path("<int:dataset_id>/retirar/", publishing.withdraw, name="withdraw"),
]
urlpatterns = [
    path("catalog.jsonld", views.catalogue, name="catalogue"),
    path("dados-abertos/", include((portal, "opendata"))),
    path("dados/publicar/", include((publish, "opendata_publish"))),
    path("acessibilidade/", views.accessibility, name="accessibility"),
    path("privacidade/", views.privacy, name="privacy"),
]
