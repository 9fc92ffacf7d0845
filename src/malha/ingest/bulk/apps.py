"""Django's name for this room."""

from django.apps import AppConfig
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from malha.ui import navigation


def _may_load(request: HttpRequest) -> bool:
    from malha.foundation.access import service as access  # noqa: PLC0415 -- apps are loaded before models
    from malha.foundation.access.contracts import Capability  # noqa: PLC0415 -- as above

    return getattr(request, "tenant", None) is not None and access.principal(request).may(Capability.DATA_LOAD)


class BulkConfig(AppConfig):
    """Years of measures straight into history, as pages and as a job."""

    name = "malha.ingest.bulk"
    label = "ingest_bulk"

    def ready(self) -> None:
        """Show the page in the room *Dados*."""
        text = _("Anos de medidas de uma vez: CSV, Parquet ou Arrow de qualquer tamanho.")
        navigation.register("dados", _("Carregar história"), "history_load:index", _may_load, text=text, icon="upload", order=15)
