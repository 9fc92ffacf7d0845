"""The page of copies: the last good one, how long a return takes, and what nobody has checked."""

from __future__ import annotations

from datetime import timedelta

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET

from malha.foundation.access import service as access
from malha.foundation.access.contracts import Capability
from malha.foundation.access.views import requires
from malha.foundation.database import django as database
from malha.foundation.settings import service as settings
from malha.foundation.tenancy.contracts import Tenant
from malha.history.backups import service
from malha.history.backups.record import Record, State
from malha.kernel import formats
from malha.kernel.time import now

#: a copy older than this is said to be old
FRESH = timedelta(hours=36)


@requires(Capability.TENANT_MANAGE)
@require_GET
def index(request: HttpRequest) -> HttpResponse:
    """What there is to come back to."""
    tenant, principal = getattr(request, "tenant", None), access.principal(request)
    if not isinstance(tenant, Tenant):
        raise Http404
    state, language = service.state(database.current()), get_language() or "pt-pt"
    newest = state.records[0] if state.records else None
    checked = next((one for one in state.records if one.checked_at), None)
    values = {
        "newest": newest, "checked": checked, "failed_at": state.failed_at, "automatic": bool(settings.current().backup_to),
        "old": newest is not None and now() - newest.made_at > FRESH, "reaches": newest.reaches if newest else None,
        "operator": principal.may(Capability.PLATFORM_OPERATE), "reason": state.reason,
        "took": formats.duration(checked.check_seconds, language) if checked else "",
        "columns": [{"label": _("Feita")}, {"label": _("Tamanho"), "numeric": True}, {"label": _("Novo"), "numeric": True}, {"label": _("Demorou"), "numeric": True}, {"label": _("Cifrada")}, {"label": _("Ensaio do regresso")}],
        "rows": _rows(state, tenant, language),
    }  # fmt: skip
    return render(request, "backups/index.html", values)


def _rows(state: State, tenant: Tenant, language: str) -> list[list[dict[str, object]]]:
    return [
        [
            {"text": formats.instant(one.made_at, tenant.zone, language)},
            {"text": formats.size(one.bytes, language), "numeric": True},
            {"text": formats.size(one.new_bytes, language), "numeric": True},
            {"text": formats.duration(one.seconds, language), "numeric": True},
            {"text": _("Sim") if one.encrypted else _("Não")},
            _rehearsal(one, language),
        ]
        for one in state.records
    ]


def _rehearsal(one: Record, language: str) -> dict[str, object]:
    if one.check_ok is None:
        return {"text": _("Ninguém verificou")}
    if one.check_ok:
        return {"text": _("Voltou inteira em {time}").format(time=formats.duration(one.check_seconds, language)), "severity": "success"}
    return {"text": _("Não serve"), "severity": "danger"}
