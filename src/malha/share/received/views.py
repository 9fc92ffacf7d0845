"""Pages of what others let us read."""

from __future__ import annotations

from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import get_language
from django.views.decorators.http import require_GET

from malha.foundation.access import service as access
from malha.foundation.access.contracts import Capability
from malha.foundation.access.views import requires
from malha.foundation.agreements import service as agreements
from malha.foundation.agreements.contracts import NoAgreement
from malha.foundation.database import django as database
from malha.foundation.language import service as words
from malha.foundation.tenancy import service as tenancy
from malha.foundation.tenancy.contracts import Tenant
from malha.insight.exports import service as writing
from malha.insight.exports import views as exports
from malha.insight.exports.contracts import MEDIA_TYPES, ExportFormat
from malha.kernel import formats, text
from malha.share.received import service, taking
from malha.share.received.service import Extract
from malha.vocabulary.models import service as models

#: places do not leave by agreements, so neither do the formats of maps
FORMATS = (ExportFormat.XLSX, ExportFormat.CSV_EXCEL_PT, ExportFormat.CSV, ExportFormat.JSON, ExportFormat.PARQUET, ExportFormat.PDF)


def _tenant(request: HttpRequest) -> Tenant:
    tenant = getattr(request, "tenant", None)
    if not isinstance(tenant, Tenant):
        raise Http404
    return tenant


def has_some(request: HttpRequest) -> bool:
    """Whether somebody lets this tenant read something, and the reader may read at all."""
    tenant = getattr(request, "tenant", None)
    return isinstance(tenant, Tenant) and access.principal(request).may(Capability.DATA_READ) and bool(agreements.granted(database.current(), tenant.id))


@requires(Capability.DATA_READ, limited=True)
@require_GET
def index(request: HttpRequest) -> HttpResponseBase:
    """The agreements in force that name this tenant."""
    return render(request, "received/index.html", {"agreements": agreements.granted(database.current(), _tenant(request).id)})


@requires(Capability.DATA_READ, limited=True)
@require_GET
def extract(request: HttpRequest, giver_id: int, agreement_id: int) -> HttpResponseBase:
    """What one agreement lets us see now."""
    tenant, principal = _tenant(request), access.principal(request)
    wanted = _type_wanted(request, tenant, giver_id, agreement_id)
    offset = int(given) if (given := request.GET.get("desde", "0")).isdecimal() else 0
    try:
        with tenancy.scope(giver_id):
            seen = service.read(
                database.current(), agreement_id, giver_id=giver_id, grantee_id=tenant.id, reader=f"person:{principal.person_id}", type=wanted, offset=offset
            )
    except NoAgreement as reason:
        raise Http404(words.explain(reason, get_language() or "pt-pt")) from reason
    downloads = _downloads(giver_id, agreement_id, wanted) if principal.may(Capability.DATA_EXPORT) else []
    return render(request, "received/extract.html", _page(seen, tenant, giver_id, offset) | {"downloads": downloads})


def _type_wanted(request: HttpRequest, tenant: Tenant, giver_id: int, agreement_id: int) -> str:
    """The type asked for, or the first that the agreement names."""
    wanted = request.GET.get("tipo", "")
    if not wanted:
        found = [one for one in agreements.granted(database.current(), tenant.id, tenant_id=giver_id) if one.id == agreement_id]
        wanted = found[0].types[0] if found else ""
    types = access.principal(request).types
    if types is not None and wanted not in types:
        raise Http404
    return wanted


def _downloads(giver_id: int, agreement_id: int, wanted: str) -> list[dict[str, str]]:
    asked = urlencode({"tipo": wanted})
    return [
        {**one, "href": f"{reverse('received:file', args=[giver_id, agreement_id, one['format']])}?{asked}"}
        for one in exports.labels()
        if one["format"] in FORMATS
    ]


@requires(Capability.DATA_READ, Capability.DATA_EXPORT, limited=True)
@require_GET
def file(request: HttpRequest, giver_id: int, agreement_id: int, ending: str) -> HttpResponseBase:
    """All that one agreement lets us see of a type, as a file; the giver sees that it was read."""
    tenant, principal = _tenant(request), access.principal(request)
    if ending not in FORMATS:
        raise Http404
    wanted = taking.Wanted(giver_id, agreement_id, f"person:{principal.person_id}", _type_wanted(request, tenant, giver_id, agreement_id))
    try:
        made = taking.export(tenant, wanted, get_language() or "pt-pt")
    except NoAgreement as reason:
        raise Http404(words.explain(reason, get_language() or "pt-pt")) from reason
    response = StreamingHttpResponse(writing.stream(made, ExportFormat(ending)), content_type=MEDIA_TYPES[ExportFormat(ending)])
    response["Content-Disposition"] = f'attachment; filename="{text.slug(made.statement.title)}.{ending}"'
    return response


def _page(seen: Extract, tenant: Tenant, giver_id: int, offset: int) -> dict[str, object]:
    language, model = get_language() or "pt-pt", models.find(seen.type, giver_id)
    heads = []
    for name in seen.columns:
        known = model.find(name) if model else None
        heads.append({"label": known.label.in_language(language) if known else name})
    rows = [[{"text": _cell(value, tenant, language)} for value in row] for row in seen.rows]
    following = offset + len(seen.rows) if seen.truncated else None
    return {"seen": seen, "heads": heads, "rows": rows, "following": following, "by_time": bool(seen.rows and not isinstance(seen.rows[0][0], str))}


def _cell(value: object, tenant: Tenant, language: str) -> str:
    if value is None:
        return "—"
    if isinstance(value, bool | str):
        return str(value)
    if isinstance(value, int | float):
        return formats.number(value, language=language)
    return formats.instant(value, tenant.zone, language)  # type: ignore[arg-type]  # the first cell of a step is its instant
