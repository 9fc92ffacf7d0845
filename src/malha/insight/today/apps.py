"""Django's name for this room."""

from django.apps import AppConfig
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _


class TodayConfig(AppConfig):
    """The home of a signed-in person."""

    name = "malha.insight.today"
    label = "today"

    def ready(self) -> None:
        """Stand first in the rail of whoever may read data."""
        from malha.foundation.access import service as access  # noqa: PLC0415 -- models are loaded only now
        from malha.foundation.access.contracts import Capability  # noqa: PLC0415
        from malha.ui import navigation  # noqa: PLC0415

        def visible(request: HttpRequest) -> bool:
            return access.principal(request).may(Capability.DATA_READ)

        navigation.register("hoje", _("Hoje"), "home", visible)
