"""Records of a type that lie at a linked source: asked for when somebody looks, a page at a time, with a map of the page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from malha.context.federation.partners import viewing
from malha.context.federation.partners.viewing import Place, View
from malha.context.store import service as store
from malha.context.store.contracts import EntityQuery, StoredEntity, StoreError
from malha.foundation.access import service as access_service
from malha.foundation.access import views as access
from malha.foundation.access.contracts import Capability, Principal
from malha.foundation.database import django as database
from malha.foundation.language import service as tongue
from malha.foundation.tenancy.contracts import Tenant
from malha.insight.records import rules
from malha.kernel import formats
from malha.vocabulary.models import service as models

PAGE = 50
#: how far one may turn pages: a source is asked for all before the page
MOST = 2_000


def of_type(request: HttpRequest, entity_type: str) -> list[Place]:
    """The sources that have something of a type, for readers who are not held to places or attributes: those limits are not known there."""
    return [one for one in _places(request) if entity_type in _types(request, one)]


def everything(request: HttpRequest) -> list[dict[str, Any]]:
    """Each source that may be looked at, with its types as people call them."""
    tenant, language = request.tenant, get_language() or "pt-pt"  # type: ignore[attr-defined]  # set by the tenancy middleware
    found = []
    for place in _places(request):
        known = {name: models.find(name, tenant.id) for name in _types(request, place)}
        types = sorted((model.label.in_language(language) if model else name, name) for name, model in known.items())
        found.append({"place": place, "types": [{"label": label, "type": name} for label, name in types]})
    return [one for one in found if one["types"]]


def _places(request: HttpRequest) -> list[Place]:
    tenant, principal = request.tenant, access_service.principal(request)  # type: ignore[attr-defined]  # set by the tenancy middleware
    return [] if principal.reach is not None else viewing.places(database.current(), tenant.id)


def _types(request: HttpRequest, place: Place) -> frozenset[str]:
    allowed = access_service.principal(request).types
    return place.types if allowed is None else place.types & frozenset(allowed)


@access.requires(Capability.DATA_READ)
def listing(request: HttpRequest, entity_type: str, place_id: int) -> HttpResponse:
    """What one source has of a type now."""
    tenant = request.tenant  # type: ignore[attr-defined]  # set by the tenancy middleware
    assert isinstance(tenant, Tenant)
    language, principal = get_language() or "pt-pt", access_service.principal(request)
    place = next((one for one in of_type(request, entity_type) if one.id == place_id), None)
    if place is None:
        raise Http404
    filtered = request.GET.get("filtro", "").strip()
    page = min(MOST // PAGE, max(1, int(number))) if (number := request.GET.get("pagina", "1")).isdigit() else 1
    found, error = _found(tenant, principal, place, EntityQuery(types=(entity_type,), q=filtered, limit=PAGE, offset=(page - 1) * PAGE, count=True), language)
    model = models.find(entity_type, tenant.id)
    names = rules.columns(model, found.entities, personal=principal.may(Capability.PERSONAL_READ))
    lines = [[rules.line(one, name, model, tenant.zone, language) if name in one.attributes else None for name in names] for one in found.entities]
    rows = [
        [{"text": rules.name_of(one)}, *({"text": line.text if line else "—", "numeric": bool(line and line.numeric)} for line in each)]
        for one, each in zip(found.entities, lines, strict=True)
    ]
    known = {name: model.find(name) if model else None for name in names}
    heads = [{"label": _("Nome")}, *({"label": each.label.in_language(language) if each else name} for name, each in known.items())]
    last = min(MOST, found.total if found.total is not None else (page - 1) * PAGE + len(rows) + (len(rows) == PAGE))
    values = {
        "tenant": tenant, "type": entity_type, "label": model.label.in_language(language) if model else entity_type, "place": place, "columns": heads, "rows": rows,
        "total": found.total, "amiss": [tongue.word(one, language) for one in found.amiss], "error": error, "filter": filtered, "page": page,
        "pages": max(1, -(-last // PAGE)), "has_previous": page > 1, "has_next": page * PAGE < last, "map": _map(found.entities, place),
        "cut": found.total is not None and found.total > MOST, "most": formats.number(MOST, 0, language),
    }  # fmt: skip
    return render(request, "records/elsewhere.html", values)


def _found(tenant: Tenant, principal: Principal, place: Place, question: EntityQuery, language: str) -> tuple[View, str]:
    """What the source has, and what is wrong with the question."""
    try:
        if question.q:
            store.names_in_question(question.q)  # what cannot be read is said here, in our words
        return viewing.look(tenant, principal, place, question, language), ""
    except StoreError as reason:
        return View((), None, ()), tongue.explain(reason, language)


def _map(entities: Sequence[StoredEntity], place: Place) -> dict[str, Any] | None:
    """What `<malha-map>` draws of the page, with its points in it; None where nothing has a place."""
    found = [(one, one.value("location")) for one in entities]
    features: list[dict[str, Any]] = [
        {"type": "Feature", "id": one.uri, "geometry": place_, "properties": {"name": rules.name_of(one)}}
        for one, place_ in found
        if isinstance(place_, dict) and place_.get("type") == "Point"
    ]
    if not features:
        return None
    longitudes, latitudes = zip(*(one["geometry"]["coordinates"][:2] for one in features), strict=True)
    room = 0.005
    layer = {
        "id": "fonte", "label": place.name, "kind": "circle", "colour": {"property": "", "default": "--data-1"}, "popup": [], "visible": True,
        "legend": [{"label": place.name, "colour": "--data-1", "shape": "circle"}],
    }  # fmt: skip
    words = {
        "map": _("Mapa"), "zoom_in": _("Aproximar"), "zoom_out": _("Afastar"), "close": _("Fechar"), "legend": _("Legenda"), "name": _("Nome"), "table": _("Posições"),
    }  # fmt: skip
    return {
        "extent": [min(longitudes) - room, min(latitudes) - room, max(longitudes) + room, max(latitudes) + room],
        "layers": [layer], "words": words, "first": {"at": "-", "whole": True, "layers": {"fonte": features}},
    }  # fmt: skip
