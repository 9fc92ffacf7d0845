"""Django's name for this room, and its page among those of *Dados*."""

from django.apps import AppConfig
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _


class FederationConfig(AppConfig):
    """Other sources of context information, and joining with other installations."""

    name = "malha.context.federation"
    label = "context_federation"

    def ready(self) -> None:
        from malha.foundation.access import service as access  # noqa: PLC0415 -- models are there only now
        from malha.foundation.access.contracts import Capability  # noqa: PLC0415
        from malha.ui import navigation  # noqa: PLC0415

        def visible(request: HttpRequest) -> bool:
            return access.principal(request).may(Capability.CLIENTS_MANAGE)

        navigation.register(
            "dados", _("Federação"), "federation:index", visible, text=_("Juntar dados com outra instalação, nos dois sentidos."), icon="link", order=72
        )
