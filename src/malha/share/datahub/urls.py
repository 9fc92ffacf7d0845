"""Addresses of the data hub's pages."""

from django.urls import include, path

from malha.share.datahub import views

pages = [
    path("", views.index, name="index"),
    path("abrir.pbids", views.power_bi, name="power_bi"),
    path("chave/<int:key_id>/", views.revoke, name="revoke"),
    path("<slug:code>/", views.tool, name="tool"),
]
urlpatterns = [path("dados/ferramentas/", include((pages, "datahub")))]
