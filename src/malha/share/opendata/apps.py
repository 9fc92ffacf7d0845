"""Django's name for this room."""

from __future__ import annotations

from collections.abc import Sequence

from django.apps import AppConfig
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from malha.foundation.access.contracts import Capability
from malha.ui import navigation, search


class OpenDataConfig(AppConfig):
    """The open data portal of each tenant."""

    name = "malha.share.opendata"
    label = "opendata"

    def ready(self) -> None:
        """Offer publishing to those who prepare datasets, and the published ones to every search."""
        from malha.foundation.access import service as access  # noqa: PLC0415 -- models are loaded only now
        from malha.share.opendata import service  # noqa: PLC0415

        def may_prepare(request: HttpRequest) -> bool:
            return access.principal(request).may(Capability.DATASETS_PREPARE)

        def find(request: HttpRequest, text: str, limit: int) -> Sequence[search.Hit]:
            tenant = getattr(request, "tenant", None)
            rows = service.published(tenant, search=text)[:limit] if tenant else []
            return [search.Hit(row.title_pt, reverse("opendata:dataset", args=[row.slug]), row.description_pt[:120]) for row in rows]

        navigation.register(
            "dados", _("Publicar"), "opendata_publish:index", may_prepare, text=_("Abrir dados a toda a gente, com licença e contacto."), icon="share", order=80
        )
        search.register("opendata", _("Dados abertos"), find, order=300)
