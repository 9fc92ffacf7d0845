"""Records of a type: a list that filters, and one record with its history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from malha.context.store import service as store
from malha.context.store.contracts import EntityNotFound, EntityQuery, StoredEntity, StoreError
from malha.foundation.access import service as access_service
from malha.foundation.access import views as access
from malha.foundation.access.contracts import Capability, Principal
from malha.foundation.administration import words
from malha.foundation.audit import service as audit
from malha.foundation.database import django as database
from malha.foundation.language import service as tongue
from malha.foundation.tenancy.contracts import Tenant
from malha.history.temporal import service as temporal
from malha.history.temporal.tracks import FOLLOWING, Track, feature
from malha.insight.alerts import service as alerts
from malha.insight.exports import series
from malha.insight.exports import views as exports
from malha.insight.metrics import service as metrics
from malha.insight.past import service as past
from malha.insight.past import views as past_views
from malha.insight.past.views import Seen
from malha.insight.records import elsewhere, rules, service
from malha.kernel import formats
from malha.kernel.text import whole_number
from malha.vocabulary.models import service as models
from malha.vocabulary.models.contracts import Aggregation, DataModel

PAGE = 50
PERIODS = (1, 7, 30, 365)


def _context(request: HttpRequest, entity_type: str = "") -> tuple[Tenant, Principal, str]:
    """The tenant, who reads, the language; 404 for a type beyond the reader's reach."""
    tenant = request.tenant  # type: ignore[attr-defined]  # set by the tenancy middleware
    assert isinstance(tenant, Tenant)
    principal = access_service.principal(request)
    if entity_type and principal.types is not None and entity_type not in principal.types:
        raise Http404
    return tenant, principal, get_language() or "pt-pt"


@access.requires(Capability.DATA_READ, limited=True)
def index(request: HttpRequest) -> HttpResponse:
    """The types that the tenant has records of."""
    tenant, principal, language = _context(request)
    rows = []
    for name, count, changed in store.types(database.current(), tenant.id):
        if principal.types is not None and name not in principal.types:
            continue
        model = models.find(name, tenant.id)
        rows.append({"type": name, "label": model.label.in_language(language) if model else name, "count": count, "changed": changed})
    return render(request, "records/index.html", {"tenant": tenant, "rows": rows, "linked": elsewhere.everything(request)})


@access.requires(Capability.DATA_READ, limited=True)
def listing(request: HttpRequest, entity_type: str) -> HttpResponse:
    """The records of a type, by name or by a filter, a page at a time."""
    tenant, principal, language = _context(request, entity_type)
    model = models.find(entity_type, tenant.id)
    text, filtered = request.GET.get("procurar", "").strip(), request.GET.get("filtro", "").strip()
    page = max(1, whole_number(request.GET.get("pagina", ""), 1))
    question = EntityQuery(types=(entity_type,), text=text, q=filtered, limit=PAGE, offset=(page - 1) * PAGE, count=True)
    error, seen = "", past_views.seen(request, tenant, entity_type=entity_type, but=("pagina",))
    try:
        entities, total, seen, exact = _listed(tenant, question, seen)
    except StoreError as reason:
        error = tongue.explain(reason, get_language() or "pt-pt")
        entities, total, seen, exact = _listed(tenant, EntityQuery(types=(entity_type,), limit=PAGE, count=True), seen)
    names = rules.columns(model, entities, personal=principal.may(Capability.PERSONAL_READ))
    rows = [_row(entity, names, model, tenant, language, seen) for entity in entities]
    heads = [{"label": _("Nome")}]
    for name in names:
        known = model.find(name) if model else None
        heads.append({"label": known.label.in_language(language) if known else name, "numeric": any(row[len(heads)].get("numeric") for row in rows)})  # type: ignore[dict-item]  # the table's own shape
    if seen.moment is None:
        heads.append({"label": _("Alterado")})
    values = {
        "tenant": tenant, "type": entity_type, "label": model.label.in_language(language) if model else entity_type, "columns": heads, "rows": rows, "total": total,
        "page": page, "pages": max(1, -(-total // PAGE)), "text": text, "filter": filtered, "error": error, "past": seen, "exact": exact, "places": [] if seen.moment else elsewhere.of_type(request, entity_type), "has_previous": page > 1, "has_next": page * PAGE < total,
    }  # fmt: skip
    return render(request, "records/list.html", values)


def _listed(tenant: Tenant, question: EntityQuery, seen: Seen) -> tuple[Sequence[StoredEntity], int, Seen, bool]:
    """The page now, or as it was; how many there are, by which knowledge, and whether the condition is of that instant too."""
    if seen.moment is None:
        found = store.query(database.current(), [tenant.id], question)
        return found.entities, found.total or 0, seen, True
    then = service.listed_then(database.current(), tenant, question, seen.moment)
    return then.entities, then.total, seen.by(then.moment), then.exact


def _row(entity: StoredEntity, names: list[str], model: DataModel | None, tenant: Tenant, language: str, seen: Seen) -> list[dict[str, Any]]:
    url = f"{reverse('records:record', args=[entity.types[0]])}?{urlencode({'id': entity.uri})}{'&' if seen.suffix else ''}{seen.suffix}"
    cells: list[dict[str, Any]] = [{"text": rules.name_of(entity), "href": url}]
    for name in names:
        line = rules.line(entity, name, model, tenant.zone, language) if name in entity.attributes else None
        cells.append({"text": line.text if line else "—", "numeric": bool(line and line.numeric)})
    if seen.moment is None:
        cells.append({"text": formats.instant(entity.modified_at, tenant.zone, language)})
    return cells


def _entity(request: HttpRequest, tenant: Tenant, entity_type: str) -> StoredEntity:
    try:
        found = store.retrieve(database.current(), tenant.id, request.GET.get("id", ""))
    except EntityNotFound as reason:
        raise Http404(tongue.explain(reason, get_language() or "pt-pt")) from reason
    if entity_type not in found.types:
        raise Http404
    return found


@access.requires(Capability.DATA_READ, limited=True)
def record(request: HttpRequest, entity_type: str) -> HttpResponse:
    """One record: what it is now, where, its history, its alarms."""
    tenant, principal, language = _context(request, entity_type)
    entity, model = _entity(request, tenant, entity_type), models.find(entity_type, tenant.id)
    personal = [prop.name for prop in model.properties if prop.personal and prop.name in entity.attributes] if model else []
    if personal and principal.may(Capability.PERSONAL_READ):
        audit.record(tenant.id, f"person:{principal.person_id}", "record.read", entity.uri, {"attributes": personal}, personal=True)
        personal = []
    shown, seen = _as_asked(tenant, entity, past_views.seen(request, tenant, entity_type=entity_type))
    apart = {"name", "location", *personal}
    lines = [rules.line(shown, name, model, tenant.zone, language) for name in shown.attributes if name not in apart]
    measures = [line for line in lines if line.measure]
    wanted = request.GET.get("medida", "")
    chosen = next((line for line in measures if line.name == wanted), measures[0] if measures else None)
    days = given if (given := whole_number(request.GET.get("dias", ""), 7)) in PERIODS else 7
    conn = database.current()
    known = {name: model.find(name) if model else None for name in entity.attributes if name not in apart}
    corrected = service.corrections(conn, tenant, entity.uri, known, metrics.moment(tenant), language)
    values = {
        "past": seen, "corrected": [(one, words.actor(one.actor) if one.actor else "") for one in corrected],
        "tenant": tenant, "type": entity_type, "label": model.label.in_language(language) if model else entity_type, "entity": entity, "name": rules.name_of(entity),
        "lines": lines, "hidden": len(personal), "measures": measures, "chosen": chosen, "days": days, "periods": PERIODS, "point": _point(shown),
        "alarms": alerts.alarms(conn, tenant.id, uri=entity.uri), "ended": alerts.past(conn, tenant.id, entity.uri),
        "moves": _moves(entity) and "location" not in personal,
        "may_alert": principal.may(Capability.ALERTS_MANAGE),
        "downloads": _downloads(entity_type, entity.uri, chosen.name, days) if chosen and seen.moment is None and principal.may(Capability.DATA_EXPORT) else [],
    }  # fmt: skip
    return render(request, "records/record.html", values)


def _downloads(entity_type: str, uri: str, attribute: str, days: int) -> list[dict[str, str]]:
    """The series that the page shows, in every format that a series has."""
    asked = urlencode({"type": entity_type, "attribute": attribute, "id": uri, "dias": days})
    return [{**one, "href": f"{reverse('exports:series', args=[one['format']])}?{asked}"} for one in exports.labels() if one["format"] in series.FORMATS]


def _as_asked(tenant: Tenant, entity: StoredEntity, seen: Seen) -> tuple[StoredEntity, Seen]:
    """The record now, or as it was at the instant that is asked for; and by which knowledge."""
    if seen.moment is None:
        return entity, seen
    then, moment = past.as_they_were(tenant, [entity], seen.moment)
    return then[0] if then else replace(entity, attributes={}), seen.by(moment)


def _point(entity: StoredEntity) -> str:
    if not entity.location or entity.location.get("type") != "Point":
        return ""
    coordinates = entity.location["coordinates"]
    assert isinstance(coordinates, (list, tuple))
    return f"{coordinates[0]},{coordinates[1]}"


@access.requires(Capability.DATA_READ, limited=True)
def chart(request: HttpRequest, entity_type: str) -> JsonResponse:
    """The history of one measure of one record, as `<malha-chart>` draws it."""
    tenant, principal, language = _context(request, entity_type)
    entity, model = _entity(request, tenant, entity_type), models.find(entity_type, tenant.id)
    attribute = request.GET.get("medida", "")
    found = model.find(attribute) if model else None
    if found and found.personal and not principal.may(Capability.PERSONAL_READ):
        raise Http404
    days = given if (given := whole_number(request.GET.get("dias", ""), 7)) in PERIODS else 7
    aggregation = found.aggregation if found and found.aggregation else Aggregation.AVERAGE
    moment = past_views.seen(request, tenant, entity_type=entity_type).moment
    end = moment.at if moment else metrics.moment(tenant)
    asked = service.series_query(entity_type, entity.uri, attribute, days, end, aggregation, moment.known_at if moment else None)
    points, marked = service.series(tenant, asked), service.marks(database.current(), tenant, asked, found, language)
    said = {"when": _("Quando"), "range": _("Escala:"), "none": _("sem valores"), "corrected": _("Corrigido")}
    title = f"{found.label.in_language(language) if found else attribute} — {rules.name_of(entity)}"
    return JsonResponse(service.chart(tenant, title, found, points, marked, said, language))


def _moves(entity: StoredEntity) -> bool:
    """Whether its place is one that is observed again and again."""
    place = entity.attributes.get("location")
    return isinstance(place, dict) and "observedAt" in place and bool(_point(entity))


def _track(request: HttpRequest, entity_type: str) -> tuple[Tenant, StoredEntity, Track, str]:
    """The track of the period that is asked for. 404 where the place is about people and the reader may not read that."""
    tenant, principal, language = _context(request, entity_type)
    entity, model = _entity(request, tenant, entity_type), models.find(entity_type, tenant.id)
    prop, personal = model.find("location") if model else None, principal.may(Capability.PERSONAL_READ)
    if not _moves(entity) or (prop is not None and prop.personal and not personal):
        raise Http404
    days = min(31, given if (given := whole_number(request.GET.get("dias", ""), 7)) in PERIODS else 7)
    if personal and set(FOLLOWING) & set(entity.types):
        audit.record(tenant.id, f"person:{principal.person_id}", "record.read", entity.uri, {"attributes": ["location"]}, personal=True)
    now = metrics.moment(tenant)
    return tenant, entity, temporal.track(tenant.id, entity, now - timedelta(days=days), now + timedelta(seconds=1), personal=personal), language


@access.requires(Capability.DATA_READ, limited=True)
def track(request: HttpRequest, entity_type: str) -> JsonResponse:
    """Where a thing that moves went: the line, each position, and those that are doubted."""
    tenant, entity, found, language = _track(request, entity_type)
    line = feature(entity.uri, found)
    points = [(one, _("posição")) for one in found.fixes] + [(one, _("duvidosa")) for one in found.outliers]
    jumped = {one.at for one in found.jumps}
    shown = [
        {
            "type": "Feature", "id": f"{entity.uri}#{n}", "geometry": {"type": "Point", "coordinates": [one.longitude, one.latitude]},
            "properties": {
                "name": formats.instant(one.at, tenant.zone, language), "kind": _("salto") if one.at in jumped else kind,
                "speed": round(one.speed_km_h, 1) if one.speed_km_h is not None else None,
            },
        }
        for n, (one, kind) in enumerate(points)
    ]  # fmt: skip
    whole = [{**line, "properties": {"name": _("Percurso"), "kind": _("percurso"), "speed": None}}] if line["geometry"] and len(found.fixes) > 1 else []
    part = request.GET.get("parte", "")
    return JsonResponse(
        {
            "type": "FeatureCollection",
            "features": whole if part == "linha" else shown if part == "pontos" else [*whole, *shown],
            "properties": line["properties"],
        }
    )


@access.requires(Capability.DATA_READ, limited=True)
def track_map(request: HttpRequest, entity_type: str) -> JsonResponse:
    """What `<malha-map>` draws of a track."""
    tenant, entity, found, _language = _track(request, entity_type)
    asked = urlencode({"id": entity.uri, "dias": request.GET.get("dias", "7")})
    data = f"{reverse('records:track', args=[entity_type])}?{asked}"
    lost = _("duvidosa")
    popup = [{"property": "kind", "label": _("O que é")}, {"property": "speed", "label": _("Velocidade"), "unit": "km/h"}]
    line = {
        "id": "linha",
        "label": _("Percurso"),
        "kind": "line",
        "data": f"{data}&parte=linha",
        "colour": {"property": "", "default": "--data-1"},
        "legend": [],
        "popup": [],
        "visible": True,
    }
    points = {
        "id": "pontos", "label": _("Posições"), "kind": "circle", "data": f"{data}&parte=pontos", "popup": popup, "visible": True,
        "colour": {"property": "kind", "default": "--data-1", "categories": {lost: "--severity-critical", _("salto"): "--severity-warning"}},
        "legend": [
            {"label": _("posição"), "colour": "--data-1", "shape": "circle", "value": _("posição")}, {"label": _("salto"), "colour": "--severity-warning", "shape": "circle", "value": _("salto")},
            {"label": lost, "colour": "--severity-critical", "shape": "circle", "value": lost},
        ],
    }  # fmt: skip
    words = {
        "map": _("Mapa"), "zoom_in": _("Aproximar"), "zoom_out": _("Afastar"), "close": _("Fechar"), "legend": _("Legenda"), "name": _("Nome"), "table": _("Posições"),
    }  # fmt: skip
    return JsonResponse({"extent": _extent(found, tenant), "layers": [line, points], "words": words})


def _extent(found: Track, tenant: Tenant) -> list[float]:
    """The box of the track with some room around it; the tenant's own where there is none."""
    fixes = (*found.fixes, *found.outliers) if len(found.fixes) < 2 else found.fixes
    if not fixes:
        return list(tenant.extent or (-9.6, 36.9, -6.1, 42.2))
    longitudes, latitudes = [one.longitude for one in fixes], [one.latitude for one in fixes]
    room = 0.002
    return [min(longitudes) - room, min(latitudes) - room, max(longitudes) + room, max(latitudes) + room]
