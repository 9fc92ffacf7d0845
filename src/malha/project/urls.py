"""Every page of the apps, room by room."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

from malha.foundation.identity.urls import ALLAUTH
from malha.project.home import home

urlpatterns: list[URLPattern | URLResolver] = [
    path("", home, name="home"),
    path("", include("malha.foundation.identity.urls")),
    path("", include("malha.foundation.mail.urls")),
    *ALLAUTH,
    path("", include("malha.foundation.administration.urls")),
    path("", include("malha.history.backups.urls")),
    path("", include("malha.history.erasure.urls")),
    path("", include("malha.history.retention.urls")),
    path("", include("malha.context.subscriptions.urls")),
    path("", include("malha.context.federation.urls")),
    path("", include("malha.insight.today.urls")),
    path("", include("malha.insight.metrics.urls")),
    path("", include("malha.insight.maps.urls")),
    path("", include("malha.insight.records.urls")),
    path("", include("malha.insight.alerts.urls")),
    path("", include("malha.packs.registry.urls")),
    path("", include("malha.vocabulary.models.urls")),
    path("", include("malha.vocabulary.territory.urls")),
    path("", include("malha.insight.exports.urls")),
    path("", include("malha.share.datahub.urls")),
    path("", include("malha.share.connections.urls")),
    path("", include("malha.share.opendata.urls")),
    path("", include("malha.share.received.urls")),
    path("", include("malha.ingest.guide.urls")),
    path("", include("malha.ingest.bulk.urls")),
    path("", include("malha.ingest.devices.urls")),
    path("", include("malha.ingest.tables.urls")),
    path("", include("malha.ui.urls")),  # last: the index of a room stands in only where the room has no page of its own
]

handler400 = "malha.ui.views.bad_request"
handler403 = "malha.ui.views.forbidden"
handler404 = "malha.ui.views.not_found"
handler500 = "malha.ui.views.server_error"
