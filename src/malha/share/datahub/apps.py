"""Django's name for this room."""

from __future__ import annotations

from django.apps import AppConfig
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from malha.foundation.access.contracts import Capability
from malha.ui import navigation


class DataHubConfig(AppConfig):
    """Data for the tools that people know."""

    name = "malha.share.datahub"
    label = "datahub"

    def ready(self) -> None:
        """Offer the page of tools to those who may take data away."""
        from malha.foundation.access import service as access  # noqa: PLC0415 -- models are loaded only now

        def may_export(request: HttpRequest) -> bool:
            return access.principal(request).may(Capability.DATA_EXPORT)

        navigation.register(
            "dados", _("Ligar as suas ferramentas"), "datahub:index", may_export,
            text=_("Power BI, Excel, Tableau, QGIS, Python, R ou SQL, sempre com dados atuais."), icon="link", order=75,
        )  # fmt: skip
