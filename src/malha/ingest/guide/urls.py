"""Addresses of the guided load, of loads, of quarantine and of sources."""

from django.urls import include, path

from malha.ingest.guide import placing, quarantine, runs, sources, views

guide = [
    path("", views.upload, name="upload"),
    path("exemplo/", views.example, name="example"),
    path("<uuid:draft_id>/mapa.json", views.map_spec, name="map"),
    path("<uuid:draft_id>/lugares.geojson", views.places, name="places"),
    path("<uuid:draft_id>/outra-vez/", views.again, name="again"),
    path("<uuid:draft_id>/<slug:step>/", views.step, name="step"),
]
desk = [
    path("cargas/", runs.index, name="runs"),
    path("cargas/<int:run_id>/", runs.page, name="run"),
    path("cargas/<int:run_id>/parar/", runs.stop, name="stop"),
    path("cargas/<int:run_id>/continuar/", runs.go_on, name="go_on"),
    path("cargas/<int:run_id>/desfazer/", runs.undo, name="undo"),
    path("quarentena/", quarantine.index, name="quarantine"),
    path("quarentena/<int:run_id>/", quarantine.page, name="waiting"),
    path("quarentena/<int:run_id>/resolver/", quarantine.mend, name="mend"),
    path("quarentena/<int:run_id>/linhas.xlsx", quarantine.workbook, name="workbook"),
    path("quarentena/<int:run_id>/lugar/<int:row_id>/", placing.page, name="place"),
    path("quarentena/<int:run_id>/lugar.json", placing.map_spec, name="place_map"),
    path("quarentena/<int:run_id>/trazer/", quarantine.bring_back, name="bring_back"),
    path("fontes/", sources.index, name="sources"),
    path("fontes/<slug:name>/", sources.page, name="source"),
    path("fontes/<slug:name>/agora/", sources.now, name="fetch_now"),
    path("fontes/<slug:name>/ligar/", sources.switch, name="switch"),
]
urlpatterns = [path("dados/carregar/", include((guide, "guide"))), path("dados/", include((desk, "desk")))]
