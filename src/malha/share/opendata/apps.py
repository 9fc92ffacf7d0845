"""Django's name for this room."""

from __future__ import annotations

from django.apps import AppConfig
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from malha.foundation.access.contracts import Capability
from malha.ui import navigation


def _may_prepare(request: HttpRequest) -> bool:
    from malha.foundation.access import service as access  # noqa: PLC0415 -- models load after the apps

    return access.principal(request).may(Capability.DATASETS_PREPARE)


class OpenDataConfig(AppConfig):
    """The open data portal of each tenant."""

    name = "malha.share.opendata"
    label = "opendata"

    def ready(self) -> None:
        navigation.register(
            "dados",
            _("Publicar"),
            "opendata_publish:index",
            _may_prepare,
            text=_("Abrir dados a toda a gente, com licença e contacto."),
            icon="share",
            order=80,
        )
