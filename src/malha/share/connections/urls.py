"""The page *Ligações*."""

from django.urls import path

from malha.share.connections import views

app_name = "connections"
urlpatterns = [
    path("dados/ligacoes/todas/", views.index, name="index"),
    path("dados/ligacoes/chave/<int:key_id>/terminar/", views.end_key, name="end_key"),
    path("dados/ligacoes/fonte/<int:source_id>/terminar/", views.end_source, name="end_source"),
]
