"""Records of a type: a list that filters, and one record with its history."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
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
from malha.foundation.tenancy.contracts import Tenant
from malha.insight.alerts import service as alerts
from malha.insight.exports import series
from malha.insight.exports import views as exports
from malha.insight.metrics import service as metrics
from malha.insight.records import rules, service
from malha.kernel import formats
from malha.kernel.time import parse_instant
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
    return render(request, "records/index.html", {"tenant": tenant, "rows": rows})


@access.requires(Capability.DATA_READ, limited=True)
def listing(request: HttpRequest, entity_type: str) -> HttpResponse:
    """The records of a type, by name or by a filter, a page at a time."""
    tenant, principal, language = _context(request, entity_type)
    conn, model = database.current(), models.find(entity_type, tenant.id)
    text, filtered = request.GET.get("procurar", "").strip(), request.GET.get("filtro", "").strip()
    page = max(1, int(number)) if (number := request.GET.get("pagina", "1")).isdigit() else 1
    question = EntityQuery(types=(entity_type,), text=text, q=filtered, limit=PAGE, offset=(page - 1) * PAGE, count=True)
    error = ""
    try:
        found = store.query(conn, [tenant.id], question)
    except StoreError as reason:
        error, found = str(reason), store.query(conn, [tenant.id], EntityQuery(types=(entity_type,), limit=PAGE, count=True))
    names = rules.columns(model, found.entities, personal=principal.may(Capability.PERSONAL_READ))
    rows = [_row(entity, names, model, tenant, language) for entity in found.entities]
    heads = [{"label": _("Nome")}]
    for name in names:
        known = model.find(name) if model else None
        heads.append({"label": known.label.in_language(language) if known else name, "numeric": any(row[len(heads)].get("numeric") for row in rows)})  # type: ignore[dict-item]  # the table's own shape
    heads.append({"label": _("Alterado")})
    total = found.total or 0
    values = {
        "tenant": tenant, "type": entity_type, "label": model.label.in_language(language) if model else entity_type, "columns": heads, "rows": rows, "total": total,
        "page": page, "pages": max(1, -(-total // PAGE)), "text": text, "filter": filtered, "error": error, "has_previous": page > 1, "has_next": page * PAGE < total,
    }  # fmt: skip
    return render(request, "records/list.html", values)


def _row(entity: StoredEntity, names: list[str], model: DataModel | None, tenant: Tenant, language: str) -> list[dict[str, Any]]:
    url = f"{reverse('records:record', args=[entity.types[0]])}?id={entity.uri}"
    cells: list[dict[str, Any]] = [{"text": rules.name_of(entity), "href": url}]
    for name in names:
        line = rules.line(entity, name, model, tenant.zone, language) if name in entity.attributes else None
        cells.append({"text": line.text if line else "—", "numeric": bool(line and line.numeric)})
    cells.append({"text": formats.instant(entity.modified_at, tenant.zone, language)})
    return cells


def _entity(request: HttpRequest, tenant: Tenant, entity_type: str) -> StoredEntity:
    try:
        found = store.retrieve(database.current(), tenant.id, request.GET.get("id", ""))
    except EntityNotFound as reason:
        raise Http404(str(reason)) from reason
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
    shown, at, as_known = _as_asked(request, tenant, entity)
    apart = {"name", "location", *personal}
    lines = [rules.line(shown, name, model, tenant.zone, language) for name in shown.attributes if name not in apart]
    measures = [line for line in lines if line.measure]
    wanted = request.GET.get("medida", "")
    chosen = next((line for line in measures if line.name == wanted), measures[0] if measures else None)
    days = int(given) if (given := request.GET.get("dias", "7")).isdigit() and int(given) in PERIODS else 7
    conn = database.current()
    known = {name: model.find(name) if model else None for name in entity.attributes if name not in apart}
    corrected = service.corrections(conn, tenant, entity.uri, known, metrics.moment(tenant), language)
    values = {
        "at": at, "as_known": as_known, "at_text": request.GET.get("em", ""), "corrected": [(one, words.actor(one.actor) if one.actor else "") for one in corrected],
        "tenant": tenant, "type": entity_type, "label": model.label.in_language(language) if model else entity_type, "entity": entity, "name": rules.name_of(entity),
        "lines": lines, "hidden": len(personal), "measures": measures, "chosen": chosen, "days": days, "periods": PERIODS, "point": _point(entity),
        "alarms": alerts.alarms(conn, tenant.id, uri=entity.uri), "past": alerts.past(conn, tenant.id, entity.uri),
        "may_alert": principal.may(Capability.ALERTS_MANAGE),
        "downloads": _downloads(entity_type, entity.uri, chosen.name, days) if chosen and principal.may(Capability.DATA_EXPORT) else [],
    }  # fmt: skip
    return render(request, "records/record.html", values)


def _downloads(entity_type: str, uri: str, attribute: str, days: int) -> list[dict[str, str]]:
    """The series that the page shows, in every format that a series has."""
    asked = urlencode({"type": entity_type, "attribute": attribute, "id": uri, "dias": days})
    return [{**one, "href": f"{reverse('exports:series', args=[one['format']])}?{asked}"} for one in exports.labels() if one["format"] in series.FORMATS]


def _as_asked(request: HttpRequest, tenant: Tenant, entity: StoredEntity) -> tuple[StoredEntity, datetime | None, bool]:
    """The record now, or as it was at the instant `em`; that instant, and whether it is as it was known then."""
    text = request.GET.get("em", "").strip()
    if not text:
        return entity, None, True
    try:
        at = parse_instant(text, zone=tenant.zone)
    except ValueError:
        messages.error(request, _("“{text}” não é um dia e uma hora.").format(text=text[:40]))
        return entity, None, True
    then, known = service.as_it_was(tenant, entity, at)
    return then, at, known


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
    days = int(given) if (given := request.GET.get("dias", "7")).isdigit() and int(given) in PERIODS else 7
    aggregation = found.aggregation if found and found.aggregation else Aggregation.AVERAGE
    points = service.series(tenant, entity_type, entity.uri, attribute, days, metrics.moment(tenant), aggregation)
    said = {"when": _("Quando"), "range": _("Escala:"), "none": _("sem valores")}
    title = f"{found.label.in_language(language) if found else attribute} — {rules.name_of(entity)}"
    return JsonResponse(service.chart(tenant, title, found, points, said, language))
