"""Addresses of exports."""

from django.urls import include, path

from malha.insight.exports import views

pages = [
    path("", views.index, name="index"),
    path("ficheiro.<path:ending>", views.file, name="file"),
    path("serie.<path:ending>", views.values, name="series"),
    path("feito/<int:job_id>/", views.fetch, name="fetch"),
]
urlpatterns = [path("dados/exportar/", include((pages, "exports")))]
