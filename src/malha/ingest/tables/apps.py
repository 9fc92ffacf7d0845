"""Django's name for this room."""

from django.apps import AppConfig
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _


class TablesConfig(AppConfig):
    """Tables that are kept as tables, with their versions."""

    name = "malha.ingest.tables"
    label = "ingest_tables"

    def ready(self) -> None:
        """Offer the tables to whoever may read data."""
        from malha.foundation.access import service as access  # noqa: PLC0415 -- models are loaded only now
        from malha.foundation.access.contracts import Capability  # noqa: PLC0415
        from malha.ui import navigation  # noqa: PLC0415

        def visible(request: HttpRequest) -> bool:
            return access.principal(request).may(Capability.DATA_READ)

        navigation.register("dados", _("Tabelas"), "tables:index", visible, text=_("Tabelas guardadas como vêm, com todas as versões."), order=40)
