"""Django's name for this room."""

from __future__ import annotations

from django.apps import AppConfig
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from malha.ui import navigation


def _has_some(request: HttpRequest) -> bool:
    from malha.share.received import views  # noqa: PLC0415 -- models load after the apps

    return views.has_some(request)


class ReceivedConfig(AppConfig):
    """Data of others, by agreement."""

    name = "malha.share.received"
    label = "received"

    def ready(self) -> None:
        navigation.register("dados", _("Partilhados connosco"), "received:index", _has_some, text=_("O que outros nos deixam ler, e até quando."), order=80)
