"""Django's name for this room."""

from django.apps import AppConfig
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _


class AlertsConfig(AppConfig):
    """Rules, alarms, notices."""

    name = "malha.insight.alerts"
    label = "alerts"

    def ready(self) -> None:
        """Offer alarms and rules, and ring the bell of the top bar."""
        from malha.foundation.access import service as access  # noqa: PLC0415 -- models are loaded only now
        from malha.foundation.access.contracts import Capability  # noqa: PLC0415
        from malha.insight.alerts import views  # noqa: PLC0415
        from malha.ui import navigation  # noqa: PLC0415

        def may(capability: Capability) -> navigation.Visible:
            def visible(request: HttpRequest) -> bool:
                return access.principal(request).may(capability)

            return visible

        read, manage = may(Capability.DATA_READ), may(Capability.ALERTS_MANAGE)
        navigation.register("agir", _("Alarmes"), "alerts:list", read, text=_("O que pede alguém, agora."), icon="bell", order=10)
        navigation.register("agir", _("Regras de alarme"), "alerts:rules", read, text=_("O que toca, quando e para quem."), order=20)
        navigation.register("agir", _("Canais de aviso"), "alerts:channels", manage, text=_("Correio e webhooks, com envio de teste."), order=30)
        navigation.register_bell(views.alarms_for_bell)
