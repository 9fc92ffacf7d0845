"""Django's name for this room."""

from django.apps import AppConfig
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _


class RegistryConfig(AppConfig):
    """Packs and what they switch on."""

    name = "malha.packs.registry"
    label = "packs"

    def ready(self) -> None:
        """Offer the packs to whoever manages them."""
        from malha.foundation.access import service as access  # noqa: PLC0415 -- models are loaded only now
        from malha.foundation.access.contracts import Capability  # noqa: PLC0415
        from malha.ui import navigation  # noqa: PLC0415

        def visible(request: HttpRequest) -> bool:
            return access.principal(request).may(Capability.PACKS_MANAGE)

        navigation.register("gestao", _("Pacotes"), "packs:list", visible, text=_("Casos de uso prontos: ligam-se com um clique."))
