"""Django's name for this room; only its migrations and pages need Django."""

from __future__ import annotations

from django.apps import AppConfig
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _


class TerritoryConfig(AppConfig):
    """Boundaries, streets and door numbers."""

    name = "malha.vocabulary.territory"
    label = "territory"

    def ready(self) -> None:
        """Offer the page to whoever may read data."""
        from malha.foundation.access import service as access  # noqa: PLC0415 -- tables are known only now
        from malha.foundation.access.contracts import Capability  # noqa: PLC0415
        from malha.ui import navigation  # noqa: PLC0415

        def visible(request: HttpRequest) -> bool:
            return access.principal(request).may(Capability.DATA_READ)

        navigation.register("dados", _("Território"), "territory:index", visible, text=_("Limites, ruas e portas; procurar uma morada."), icon="map", order=60)
