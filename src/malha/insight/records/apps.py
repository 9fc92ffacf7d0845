"""Django's name for this room."""

from django.apps import AppConfig
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _


class RecordsConfig(AppConfig):
    """Records of a type: list, filter, one record with its history."""

    name = "malha.insight.records"
    label = "records"

    def ready(self) -> None:
        """Offer the records to whoever may read data."""
        from malha.foundation.access import service as access  # noqa: PLC0415 -- models are loaded only now
        from malha.foundation.access.contracts import Capability  # noqa: PLC0415
        from malha.ui import navigation  # noqa: PLC0415

        def visible(request: HttpRequest) -> bool:
            return access.principal(request).may(Capability.DATA_READ)

        navigation.register("dados", _("Registos"), "records:index", visible, text=_("O que há de cada tipo, registo a registo."), order=20)
