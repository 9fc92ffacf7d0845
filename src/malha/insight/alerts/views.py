"""Alarms: the list, one alarm with its story, what people do with it, the bell."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from malha.foundation.access import service as access_service
from malha.foundation.access import views as access
from malha.foundation.access.contracts import Capability
from malha.foundation.database import django as database
from malha.foundation.language import service as words
from malha.foundation.tenancy.contracts import Tenant
from malha.insight.alerts import notices, queries, service
from malha.insight.alerts.contracts import Actor, Alarm, AlarmConflict, Entry, Status
from malha.kernel import time
from malha.ui import navigation

VIEWS = {"": queries.ACTIVE, "terminados": (Status.ENDED,), "teria-disparado": (Status.WOULD_HAVE,)}


def tenant_of(request: HttpRequest) -> Tenant:
    """The tenant of a page that `requires` has let through."""
    tenant = request.tenant  # type: ignore[attr-defined]  # set by the tenancy middleware
    assert isinstance(tenant, Tenant)
    return tenant


def actor_of(request: HttpRequest) -> Actor:
    """Who acts on this page."""
    principal = access_service.principal(request)
    return Actor(principal.name, principal.person_id)


def described(request: HttpRequest, alarm: Alarm) -> dict[str, Any]:
    """An alarm with the sentences that a page shows."""
    language, tenant = get_language() or "pt-pt", tenant_of(request)
    return {"alarm": alarm, "figures": notices.comparison(alarm, language), "since": notices.since(alarm, tenant.zone, time.now(), language)}


@access.requires(Capability.DATA_READ, limited=True)
def listing(request: HttpRequest) -> HttpResponse:
    """Alarms that run; those that ended; those that would have rung."""
    conn, tenant = database.current(), tenant_of(request)
    wanted = request.GET.get("vista", "")
    statuses = VIEWS.get(wanted, queries.ACTIVE)
    found = service.alarms(conn, tenant.id, statuses=statuses, severity=request.GET.get("gravidade", ""))
    counts = service.counts(conn, tenant.id)
    base = reverse("alerts:list")
    tabs = [
        {"label": _("A decorrer"), "href": base, "current": statuses == queries.ACTIVE, "count": counts.get("open", 0) + counts.get("taken", 0)},
        {"label": _("Terminados"), "href": f"{base}?vista=terminados", "current": wanted == "terminados", "count": counts.get("ended", 0)},
        {"label": _("Teria disparado"), "href": f"{base}?vista=teria-disparado", "current": wanted == "teria-disparado", "count": counts.get("would_have", 0)},
    ]
    principal = access_service.principal(request)
    values = {
        "tenant": tenant, "found": found, "tabs": tabs, "view": wanted, "rules": len(service.list_rules(conn, tenant.id)),
        "may_handle": principal.may(Capability.ALERTS_HANDLE), "may_manage": principal.may(Capability.ALERTS_MANAGE),
    }  # fmt: skip
    return render(request, "alerts/list.html", values)


@access.requires(Capability.DATA_READ, limited=True)
def alarm(request: HttpRequest, alarm_id: int) -> HttpResponse:
    """One alarm: what, since when, what to do, whom to call, who has it, its story."""
    conn, tenant = database.current(), tenant_of(request)
    found = service.get(conn, tenant.id, alarm_id)
    may_handle = access_service.principal(request).may(Capability.ALERTS_HANDLE)
    values = {
        "tenant": tenant, "story": [_told(entry) for entry in service.story(conn, tenant.id, alarm_id)],
        "deliveries": queries.deliveries(conn, tenant.id, alarm_id=alarm_id), "may_handle": may_handle, "running": found.status in queries.ACTIVE,
        "mine": found.taken_by == access_service.principal(request).name, **described(request, found),
    }  # fmt: skip
    return render(request, "alerts/alarm.html", values)


def _told(entry: Entry) -> dict[str, Any]:
    """One line of a story as people read it."""
    said = {
        "raised": _("Começou"), "taken": _("ficou com isto"), "released": _("deixou de o ter"), "note": _("escreveu"), "notified": _("Aviso enviado"),
        "not_notified": _("Aviso não chegou"), "would_have": _("Teria disparado; chegou tarde ou por uma carga, por isso não tocou"),
        "ended": _("deu-o por terminado") if entry.actor else _("Terminou: o valor voltou ao normal"),
    }  # fmt: skip
    return {
        "at": entry.at,
        "actor": entry.actor,
        "what": said.get(entry.kind, entry.kind),
        "text": entry.text or entry.params.get("error", ""),
        "kind": entry.kind,
    }


def _back(alarm_id: int) -> HttpResponseRedirect:
    return HttpResponseRedirect(reverse("alerts:alarm", args=[alarm_id]))


@require_POST
@access.requires(Capability.ALERTS_HANDLE, limited=True)
def act(request: HttpRequest, alarm_id: int) -> HttpResponse:
    """*Fico com isto*, give back, end, note."""
    conn, tenant, actor = database.current(), tenant_of(request), actor_of(request)
    verb, text = request.POST.get("fazer", ""), request.POST.get("texto", "").strip()
    try:
        if verb == "ficar":
            service.take(conn, tenant.id, alarm_id, actor=actor)
            messages.success(request, _("O alarme é seu. Os colegas veem que ficou com ele."))
        elif verb == "largar":
            service.release(conn, tenant.id, alarm_id, actor=actor)
        elif verb == "terminar":
            service.end(conn, tenant.id, alarm_id, actor=actor, text=text)
            messages.success(request, _("Alarme terminado. Fica registado."))
        elif verb == "nota" and text:
            service.note(conn, tenant.id, alarm_id, actor=actor, text=text)
    except AlarmConflict as reason:
        messages.warning(request, words.explain(reason, get_language() or "pt-pt"))
    return _back(alarm_id)


@access.requires(Capability.DATA_READ, limited=True)
def bell(request: HttpRequest) -> JsonResponse:
    """What the bell says: how many alarms ask for somebody, the newest one, and what else waits for this person."""
    conn, tenant = database.current(), tenant_of(request)
    alarms, waiting = alarms_for_bell(request), navigation.notices(request)
    newest = service.get(conn, tenant.id, alarms.newest) if alarms.newest else None
    text = f"{newest.rule_name}: {notices.comparison(newest, get_language() or 'pt')} — {newest.thing}" if newest else ""
    lines = [{"text": navigation.bell_label(alarms.count, 0), "url": alarms.url}, *({"text": one.text, "url": one.url} for one in waiting)]
    count, label = alarms.count + len(waiting), navigation.bell_label(alarms.count, len(waiting))
    return JsonResponse({"count": count, "alarms": alarms.count, "newest": alarms.newest, "label": label, "text": text, "lines": lines})


def alarms_for_bell(request: HttpRequest) -> navigation.Alarms:
    """The number in the top bar, and where it leads."""
    principal, url = access_service.principal(request), reverse("alerts:list")
    if principal.tenant_id is None or not principal.may(Capability.DATA_READ):
        return navigation.Alarms(0, 0, url)
    return navigation.Alarms(*service.open_now(database.current(), principal.tenant_id, principal.reach), url)
