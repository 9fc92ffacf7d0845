"""Django's name for this room."""

from django.apps import AppConfig
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _


class MapsConfig(AppConfig):
    """Map layers and the page of the map."""

    name = "malha.insight.maps"
    label = "maps"

    def ready(self) -> None:
        """Offer the map to whoever may read data, once something lies on it."""
        from malha.foundation.access import service as access  # noqa: PLC0415 -- models are loaded only now
        from malha.foundation.access.contracts import Capability  # noqa: PLC0415
        from malha.foundation.database import django as database  # noqa: PLC0415
        from malha.insight.maps import queries  # noqa: PLC0415
        from malha.ui import navigation  # noqa: PLC0415

        def visible(request: HttpRequest) -> bool:
            principal = access.principal(request)
            if principal.tenant_id is None or not principal.may(Capability.DATA_READ):
                return False
            return queries.anything_placed(database.current(), principal.tenant_id)

        navigation.register("mapa", _("Mapa"), "maps:page", visible, text=_("Tudo o que tem lugar, ao vivo."))
