"""Django's name for this room."""

from django.apps import AppConfig
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _


class RetentionConfig(AppConfig):
    """How long values are kept."""

    name = "malha.history.retention"
    label = "retention"

    def ready(self) -> None:
        """Offer the page to whoever answers for the service."""
        from malha.foundation.access import service as access  # noqa: PLC0415 -- models are loaded only now
        from malha.foundation.access.contracts import Capability  # noqa: PLC0415
        from malha.ui import navigation  # noqa: PLC0415

        def visible(request: HttpRequest) -> bool:
            return access.principal(request).may(Capability.TENANT_MANAGE)

        navigation.register(
            "gestao", _("Quanto tempo se guarda"), "retention:index", visible, text=_("Por tipo de dado; o que sairia, e o que a lei retém."), order=65
        )
