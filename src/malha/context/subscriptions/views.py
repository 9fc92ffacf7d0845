"""*Ligações → Subscrições*: who is told of what, how that fares, and pausing, resuming, renewing and ending it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from malha.context.subscriptions import failures, service
from malha.context.subscriptions.contracts import State, Subscription
from malha.foundation.access.contracts import Capability
from malha.foundation.access.views import requires
from malha.foundation.audit import service as audit
from malha.foundation.database import django as database
from malha.foundation.identity import service as identity
from malha.kernel.text import whole_number
from malha.kernel.time import now, parse_instant

RENEWED_FOR = timedelta(days=365)
#: a receiver that has not taken anything for so long deserves a look
LONG = timedelta(hours=1)
PAGE = 100


@dataclass(frozen=True, slots=True)
class Row:
    """A subscription as the pages show it."""

    id: int
    uri: str
    name: str
    client: str
    what: str
    address: str
    status: str
    long: bool
    error: str
    kept: Subscription
    state: State


@requires(Capability.CLIENTS_MANAGE)
def subscriptions(request: HttpRequest) -> HttpResponse:
    """Every subscription of the tenant, those that fail first."""
    rows = _rows(_tenant_id(request))
    rows.sort(key=lambda row: (row.state.failing_since is None, row.status != "active", row.id))
    first = whole_number(request.GET.get("desde", ""), 0)
    context = {
        "rows": rows[first : first + PAGE], "total": len(rows), "failing": sum(row.long for row in rows),
        "before": max(0, first - PAGE) if first else None, "after": first + PAGE if first + PAGE < len(rows) else None,
    }  # fmt: skip
    return render(request, "subscriptions/list.html", context)


@requires(Capability.CLIENTS_MANAGE)
def subscription(request: HttpRequest, subscription_id: int) -> HttpResponse:
    """One subscription: what it asks for, its counters, its last deliveries."""
    row = _row(request, subscription_id)
    recent = [
        {
            "at": parse_instant(str(one["at"])),
            "ok": one["ok"],
            "ms": one.get("ms"),
            "entities": one.get("entities"),
            "error": failures.words(str(one.get("error", ""))),
        }
        for one in row.state.recent
    ]
    return render(request, "subscriptions/one.html", {"row": row, "recent": recent, "conditions": _conditions(row.kept.document)})


@requires(Capability.CLIENTS_MANAGE)
@require_POST
def change(request: HttpRequest, subscription_id: int) -> HttpResponse:
    """Pause, resume, renew or end a subscription."""
    row, conn, action = _row(request, subscription_id), database.current(), request.POST.get("action", "")
    tenant_id = _tenant_id(request)
    if action == "end":
        service.delete(conn, tenant_id, row.uri)
        messages.success(request, _("“{name}” terminou; o que esperava por entregar saiu com ela.").format(name=row.name))
    elif action == "pause":
        service.set_active(conn, tenant_id, row.uri, active=False)
        messages.success(request, _("“{name}” está em pausa: não recebe nada até a retomar.").format(name=row.name))
    elif action == "resume":
        service.set_active(conn, tenant_id, row.uri, active=True)
        messages.success(request, _("“{name}” volta a receber o que mudar a partir de agora.").format(name=row.name))
    elif action == "renew":
        service.set_active(conn, tenant_id, row.uri, active=True, expires_at=now() + RENEWED_FOR)
        messages.success(request, _("“{name}” serve por mais um ano.").format(name=row.name))
    else:
        raise Http404
    audit.record(tenant_id, f"person:{request.user.pk}", f"subscription.{action}", row.uri, {})
    address = reverse("subscriptions:list") if action == "end" else reverse("subscriptions:one", args=[subscription_id])
    return HttpResponseRedirect(address)


def _tenant_id(request: HttpRequest) -> int:
    tenant = getattr(request, "tenant", None)
    assert tenant is not None  # `requires` refuses the platform's own address
    return int(tenant.id)


def _row(request: HttpRequest, subscription_id: int) -> Row:
    for row in _rows(_tenant_id(request)):
        if row.id == subscription_id:
            return row
    raise Http404


def _rows(tenant_id: int) -> list[Row]:
    machines = {f"client:{one.client_id}": one.name for one in identity.machines_of(tenant_id)}
    return [_shown(kept, state, machines) for kept, state in service.page(database.current(), tenant_id)]


def _shown(kept: Subscription, state: State, machines: Mapping[str, str]) -> Row:
    said = kept.document
    address = re.sub(r"//[^/@]*@", "//", str(said["notification"]["endpoint"]["uri"]))  # no password on a page
    name = said.get("subscriptionName") or said.get("description") or kept.uri
    return Row(
        id=kept.id, uri=kept.uri, name=str(name), client=machines.get(kept.subject) or _("uma pessoa"), what=_what(said), address=address,
        status=service.status(kept), long=state.failing_since is not None and state.failing_since < now() - LONG, error=failures.words(state.error), kept=kept, state=state,
    )  # fmt: skip


def _what(said: Mapping[str, Any]) -> str:
    types = ", ".join(dict.fromkeys(str(one.get("type", "*")) for one in said.get("entities", ())))
    watched = ", ".join(said.get("watchedAttributes", ()))
    return f"{types} ({watched})" if types and watched else types or watched


def _conditions(said: Mapping[str, Any]) -> list[tuple[str, str]]:
    ids = [uri for one in said.get("entities", ()) for uri in one.get("id", ())]
    found = [
        (_("Entidades"), ", ".join(ids[:5]) + (" …" if len(ids) > 5 else "")), (_("Condição"), str(said.get("q", ""))), (_("Âmbito"), str(said.get("scopeQ", ""))),
        (_("Lugar"), str(said["geoQ"]["georel"]) if said.get("geoQ") else ""), (_("De quantos em quantos segundos"), str(said.get("timeInterval", ""))),
        (_("No máximo uma em cada (segundos)"), str(said.get("throttling", ""))),
    ]  # fmt: skip
    return [(label, text) for label, text in found if text]
