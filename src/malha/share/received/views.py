"""Pages of what others let us read."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponseBase
from django.shortcuts import render
from django.utils.translation import get_language
from django.views.decorators.http import require_GET

from malha.foundation.access import service as access
from malha.foundation.access.contracts import Capability
from malha.foundation.access.views import requires
from malha.foundation.agreements import service as agreements
from malha.foundation.agreements.contracts import NoAgreement
from malha.foundation.database import django as database
from malha.foundation.tenancy import service as tenancy
from malha.foundation.tenancy.contracts import Tenant
from malha.kernel import formats
from malha.share.received import service
from malha.share.received.service import Extract
from malha.vocabulary.models import service as models


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
    wanted = request.GET.get("tipo", "")
    if not wanted:
        found = [one for one in agreements.granted(database.current(), tenant.id, tenant_id=giver_id) if one.id == agreement_id]
        wanted = found[0].types[0] if found else ""
    if principal.types is not None and wanted not in principal.types:
        raise Http404
    offset = int(text) if (text := request.GET.get("desde", "0")).isdecimal() else 0
    try:
        with tenancy.scope(giver_id):
            seen = service.read(
                database.current(), agreement_id, giver_id=giver_id, grantee_id=tenant.id, reader=f"person:{principal.person_id}", type=wanted, offset=offset
            )
    except NoAgreement as reason:
        raise Http404(str(reason)) from reason
    return render(request, "received/extract.html", _page(seen, tenant, giver_id, offset))


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
