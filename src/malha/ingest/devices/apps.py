"""Django's name for this room."""

from django.apps import AppConfig
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _


class DevicesConfig(AppConfig):
    """Sensors that speak by themselves, and what their messages become."""

    name = "malha.ingest.devices"
    label = "ingest_devices"

    def ready(self) -> None:
        """Offer the page to whoever may load data."""
        from malha.foundation.access import service as access  # noqa: PLC0415 -- models are loaded only now
        from malha.foundation.access.contracts import Capability  # noqa: PLC0415
        from malha.ui import navigation  # noqa: PLC0415

        def visible(request: HttpRequest) -> bool:
            return access.principal(request).may(Capability.DATA_WRITE)

        navigation.register("dados", _("Sensores"), "devices:index", visible, text=_("Ligar sensores, ver as mensagens chegar, trocar um avariado."), order=35)
