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
from malha.kernel.text import normalise
from malha.vocabulary.models import service as models

PAGE = 50
#: how far one may turn pages: a source is asked for all before the page
MOST = 2_000


def of_type(request: HttpRequest, entity_type: str) -> list[Place]:
    """The sources that have something of a type, for readers who are not held to places or attributes: those limits are not known there."""
    return [one for one in _places(request) if entity_type in _types(request, one)]


def everything(request: HttpRequest) -> list[dict[str, Any]]:
    """Each type that linked sources have something of, as people call it, with those sources."""
    tenant, language = request.tenant, get_language() or "pt-pt"  # type: ignore[attr-defined]  # set by the tenancy middleware
    found: dict[str, list[Place]] = {}
    for place in _places(request):
        for name in _types(request, place):
            found.setdefault(name, []).append(place)
    known = {name: models.find(name, tenant.id) for name in found}
    labels = {name: model.label.in_language(language) if model else name for name, model in known.items()}
    return [{"type": name, "label": labels[name], "places": found[name]} for name in sorted(found, key=lambda one: normalise(labels[one]))]


def _places(request: HttpRequest) -> list[Place]:
    tenant, principal = request.tenant, access_service.principal(request)  # type: ignore[attr-defined]  # set by the tenancy middleware
    return [] if principal.reach is not None else viewing.places(database.current(), tenant.id)


def _types(request: HttpRequest, place: Place) -> frozenset[str]:
    allowed = access_service.principal(request).types
    return place.types if allowed is None else place.types & frozenset(allowed)


@access.requires(Capability.DATA_READ)
def listing(request: HttpRequest, entity_type: str, place_id: int | None = None) -> HttpResponse:
    """What one source has of a type now, or all of them together."""
    tenant = request.tenant  # type: ignore[attr-defined]  # set by the tenancy middleware
    assert isinstance(tenant, Tenant)
    language, principal = get_language() or "pt-pt", access_service.principal(request)
    places = [one for one in of_type(request, entity_type) if place_id is None or one.id == place_id]
    if not places:
        raise Http404
    together = place_id is None
    name = _("todas as instalações ligadas") if together else places[0].name
    filtered = request.GET.get("filtro", "").strip()
    page = min(MOST // PAGE, max(1, int(number))) if (number := request.GET.get("pagina", "1")).isdigit() else 1
    found, error = _found(tenant, principal, places, EntityQuery(types=(entity_type,), q=filtered, limit=PAGE, offset=(page - 1) * PAGE, count=True), language)
    model = models.find(entity_type, tenant.id)
    names = rules.columns(model, found.entities, personal=principal.may(Capability.PERSONAL_READ))
    lines = [[rules.line(one, column, model, tenant.zone, language) if column in one.attributes else None for column in names] for one in found.entities]
    origin = [[{"text": ", ".join(dict.fromkeys(found.found_at.get(one.uri, ())))}] if together else [] for one in found.entities]
    rows = [
        [{"text": rules.name_of(one)}, *of, *({"text": line.text if line else "—", "numeric": bool(line and line.numeric)} for line in each)]
        for one, of, each in zip(found.entities, origin, lines, strict=True)
    ]
    known = {column: model.find(column) if model else None for column in names}
    heads = [
        {"label": _("Nome")}, *([{"label": _("De onde")}] if together else []),
        *({"label": each.label.in_language(language) if each else column} for column, each in known.items()),
    ]  # fmt: skip
    last = min(MOST, found.total if found.total is not None else (page - 1) * PAGE + len(rows) + (len(rows) == PAGE))
    values = {
        "tenant": tenant, "type": entity_type, "label": model.label.in_language(language) if model else entity_type, "name": name, "place_id": place_id, "columns": heads, "rows": rows,
        "total": found.total, "amiss": [(who, tongue.word(why, language)) for who, why in found.amiss], "error": error, "filter": filtered, "page": page,
        "pages": max(1, -(-last // PAGE)), "has_previous": page > 1, "has_next": page * PAGE < last, "map": _map(found.entities, name),
        "cut": found.total is not None and found.total > MOST, "most": formats.number(MOST, 0, language),
    }  # fmt: skip
    return render(request, "records/elsewhere.html", values)


def _found(tenant: Tenant, principal: Principal, places: Sequence[Place], question: EntityQuery, language: str) -> tuple[View, str]:
    """What the sources have, and what is wrong with the question."""
    try:
        if question.q:
            store.names_in_question(question.q)  # what cannot be read is said here, in our words
        return viewing.look(tenant, principal, places, question, language), ""
    except StoreError as reason:
        return View((), {}, None, ()), tongue.explain(reason, language)


def _map(entities: Sequence[StoredEntity], name: str) -> dict[str, Any] | None:
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
        "id": "fonte", "label": name, "kind": "circle", "colour": {"property": "", "default": "--data-1"}, "popup": [], "visible": True,
        "legend": [{"label": name, "colour": "--data-1", "shape": "circle"}],
    }  # fmt: skip
    words = {
        "map": _("Mapa"), "zoom_in": _("Aproximar"), "zoom_out": _("Afastar"), "close": _("Fechar"), "legend": _("Legenda"), "name": _("Nome"), "table": _("Posições"),
    }  # fmt: skip
    return {
        "extent": [min(longitudes) - room, min(latitudes) - room, max(longitudes) + room, max(latitudes) + room],
        "layers": [layer], "words": words, "first": {"at": "-", "whole": True, "layers": {"fonte": features}},
    }  # fmt: skip
