"""Django's name for this room."""

from __future__ import annotations

from django.apps import AppConfig
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from malha.foundation.access.contracts import Capability
from malha.ui import navigation


def _may_export(request: HttpRequest) -> bool:
    from malha.foundation.access import service as access  # noqa: PLC0415 -- models are loaded only now

    return access.principal(request).may(Capability.DATA_EXPORT)


def _finished(request: HttpRequest) -> list[navigation.Notice]:
    from malha.insight.exports import views  # noqa: PLC0415 -- models are loaded only now

    return views.notices(request)


class ExportsConfig(AppConfig):
    """Data out, in the formats that people use."""

    name = "malha.insight.exports"
    label = "exports"

    def ready(self) -> None:
        navigation.register_notices(_finished)
        navigation.register(
            "dados", _("Exportar"), "exports:index", _may_export, text=_("Levar dados em CSV, Excel, JSON, GeoJSON, Parquet ou PDF."), icon="download", order=70
        )
