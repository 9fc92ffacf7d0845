"""Django's name for this room."""

from django.apps import AppConfig
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _


class BackupsConfig(AppConfig):
    """Copies of the whole installation, and their return."""

    name = "malha.history.backups"
    label = "backups"

    def ready(self) -> None:
        """Offer the page to whoever answers for the service."""
        from malha.foundation.access import service as access  # noqa: PLC0415 -- models are loaded only now
        from malha.foundation.access.contracts import Capability  # noqa: PLC0415
        from malha.ui import navigation  # noqa: PLC0415

        def visible(request: HttpRequest) -> bool:
            return access.principal(request).may(Capability.TENANT_MANAGE)

        navigation.register("gestao", _("Cópias de segurança"), "backups:index", visible, text=_("A última boa, e quanto demora um regresso."), order=60)
