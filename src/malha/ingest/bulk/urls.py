"""Addresses of loads straight into history."""

from django.urls import include, path

from malha.ingest.bulk import views

history_load = [
    path("", views.index, name="index"),
    path("novo/", views.begin, name="begin"),
    path("<uuid:draft_id>/", views.page, name="draft"),
    path("<uuid:draft_id>/peca/", views.piece, name="piece"),
    path("<uuid:draft_id>/inteiro/", views.whole, name="whole"),
    path("<uuid:draft_id>/largar/", views.drop, name="drop"),
    path("carga/<int:run_id>/", views.run, name="run"),
    path("carga/<int:run_id>/parar/", views.stop, name="stop"),
    path("carga/<int:run_id>/continuar/", views.go_on, name="go_on"),
    path("carga/<int:run_id>/recusadas.csv", views.refused, name="refused"),
]
urlpatterns = [path("dados/historia/", include((history_load, "history_load")))]
