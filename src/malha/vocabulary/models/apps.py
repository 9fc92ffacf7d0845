"""Django's name for this room; only its migrations and pages need Django."""

from __future__ import annotations

from django.apps import AppConfig
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _


class DataModelsConfig(AppConfig):
    """Data models: what entities of each type are."""

    name = "malha.vocabulary.models"
    label = "data_models"

    def ready(self) -> None:
        """Offer the catalogue to whoever may read data."""
        from malha.foundation.access import service as access  # noqa: PLC0415 -- tables are known only now
        from malha.foundation.access.contracts import Capability  # noqa: PLC0415
        from malha.ui import navigation  # noqa: PLC0415

        def visible(request: HttpRequest) -> bool:
            return access.principal(request).may(Capability.DATA_READ)

        navigation.register("dados", _("Modelos"), "models:index", visible, text=_("O que cada tipo de dado é: propriedades, unidades, valores."), order=50)
