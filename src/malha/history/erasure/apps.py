"""Django's name for this room."""

from django.apps import AppConfig
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _


class ErasureConfig(AppConfig):
    """Data of a person, taken out for good."""

    name = "malha.history.erasure"
    label = "erasure"

    def ready(self) -> None:
        """Offer the page to whoever answers for data on people."""
        from malha.foundation.access import service as access  # noqa: PLC0415 -- models are loaded only now
        from malha.foundation.access.contracts import Capability  # noqa: PLC0415
        from malha.ui import navigation  # noqa: PLC0415

        def visible(request: HttpRequest) -> bool:
            return access.principal(request).may(Capability.PERSONAL_READ)

        navigation.register(
            "gestao", _("Apagar dados de uma pessoa"), "erasure:index", visible, text=_("Retirar tudo o que há sobre alguém, com prova."), order=70
        )
