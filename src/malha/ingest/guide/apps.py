"""Django's name for this room."""

from django.apps import AppConfig
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from malha.ui import navigation


def _may_load(request: HttpRequest) -> bool:
    from malha.foundation.access import service as access  # noqa: PLC0415 -- apps are loaded before models
    from malha.foundation.access.contracts import Capability  # noqa: PLC0415

    return getattr(request, "tenant", None) is not None and access.principal(request).may(Capability.DATA_LOAD)


class GuideConfig(AppConfig):
    """The guided load, loads, quarantine and sources as pages."""

    name = "malha.ingest.guide"
    label = "ingest_guide"

    def ready(self) -> None:
        """Show the pages in the room *Dados*."""
        register = navigation.register
        register("dados", _("Carregar um ficheiro"), "guide:upload", _may_load, text=_("CSV, Excel, mapas: uma pergunta de cada vez."), icon="upload", order=10)
        register("dados", _("Fontes"), "desk:sources", _may_load, text=_("O que fala sozinho: tempo, avisos, sensores."), icon="globe", order=20)
        register("dados", _("Cargas"), "desk:runs", _may_load, text=_("O que entrou, quando, e como se desfaz."), icon="table", order=30)
        register("dados", _("Quarentena"), "desk:quarantine", _may_load, text=_("Linhas que esperam por uma decisão."), icon="act", order=40)
