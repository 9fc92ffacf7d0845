"""What the top bar's search finds in rooms that have no pages of their own: things of the town, streets."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from malha.context.store import service as store
from malha.context.store.contracts import EntityQuery
from malha.foundation.access import service as access
from malha.foundation.access.contracts import Capability
from malha.foundation.database import django as database
from malha.insight.records import rules as records
from malha.ui import search
from malha.vocabulary.models import service as models
from malha.vocabulary.territory import service as territory


def find_things(request: HttpRequest, text: str, limit: int) -> Sequence[search.Hit]:
    """Entities whose name holds `text`, without accents, of the types within the reader's reach."""
    tenant, principal = getattr(request, "tenant", None), access.principal(request)
    if tenant is None or not principal.may(Capability.DATA_READ):
        return []
    types = tuple(sorted(principal.types)) if principal.types is not None else ()
    page = store.query(database.current(), [tenant.id], EntityQuery(text=text, types=types, limit=limit))
    language = get_language() or "pt-pt"
    labels = {model.type: model.label.in_language(language) for model in models.all_models(tenant.id)}
    return [
        search.Hit(records.name_of(one), f"{reverse('records:record', args=[one.types[0]])}?id={quote(one.uri)}", labels.get(one.types[0], one.types[0]))
        for one in page.entities
    ]


def find_streets(request: HttpRequest, text: str, limit: int) -> Sequence[search.Hit]:
    """Streets that the tenant imported, each where the map shows it."""
    tenant = getattr(request, "tenant", None)
    if tenant is None or not access.principal(request).may(Capability.DATA_READ):
        return []
    found = territory.suggest_streets(database.current(), tenant.id, text, limit=limit)
    return [
        search.Hit(
            street.name,
            f"{reverse('maps:page')}?lugar={street.longitude:.6f},{street.latitude:.6f}",
            ", ".join(part for part in (street.postal_code, street.locality or street.parish) if part),
        )
        for street in found
    ]


def register() -> None:
    """Let both answer; safe to repeat."""
    search.register("things", _("Coisas do município"), find_things, order=100)
    search.register("streets", _("Ruas"), find_streets, order=200)
