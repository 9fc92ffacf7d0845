"""*Hoje*: the home of a signed-in person."""

from __future__ import annotations

from collections.abc import Sequence

from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from malha.context.store import service as store
from malha.foundation.access import reach
from malha.foundation.access import service as access_service
from malha.foundation.access import views as access
from malha.foundation.access.contracts import Capability, RoleName
from malha.foundation.database import django as database
from malha.foundation.tenancy.contracts import Tenant
from malha.insight.alerts import service as alerts
from malha.insight.alerts.contracts import Rule
from malha.insight.maps import views as maps
from malha.insight.metrics import cards as metric_cards
from malha.insight.metrics import presentation
from malha.insight.metrics import service as metrics
from malha.insight.metrics import views as metric_views
from malha.insight.metrics.contracts import Metric
from malha.insight.past import views as past
from malha.insight.past.views import Seen
from malha.insight.today import service
from malha.insight.today.contracts import Health, Step

HEALTH_SECONDS = 30
WAITS_SECONDS = 900
CHART_DAYS = 7


def tenant_of(request: HttpRequest) -> Tenant:
    """The tenant of a page that `requires` has let through."""
    tenant = request.tenant  # type: ignore[attr-defined]  # set by the tenancy middleware
    assert isinstance(tenant, Tenant)
    return tenant


@access.requires(Capability.DATA_READ, limited=True)
def home(request: HttpRequest) -> HttpResponseBase:
    """The board; for a tenant without one, the first five steps."""
    conn, tenant = database.current(), tenant_of(request)
    principal = access_service.principal(request)
    declared = metrics.all_metrics(conn, tenant.id)
    cards = [one for one in declared if one.on_home]
    if not cards and principal.may(Capability.TENANT_MANAGE):
        return first_day(request)
    language = get_language() or "pt-pt"
    chosen = next((one for one in cards if one.key == request.GET.get("indicador")), cards[0] if cards else None)
    seen = past.seen(request, tenant)
    if seen.moment is not None:
        return _home_then(request, tenant, cards, chosen, seen)
    if principal.reach is None:
        metric_cards.saw(tenant)
    rules = alerts.list_rules(conn, tenant.id)
    ready, points = metric_cards.in_memory(tenant, cards, charted=chosen, days=CHART_DAYS)
    values = {
        "tenant": tenant, "past": seen, "cards": metric_views.shown(tenant, cards, ready), "waiting": len(ready) < len(cards), "chosen": chosen,
        "chart_spec": presentation.chart(chosen, points, tenant, language) if chosen and points is not None else None,
        "map_spec": maps.spec_of(request, declared_only=True, with_things=True), "alarms": alerts.alarms(conn, tenant.id, limit=6), "rules": len(rules),
        "may_handle": principal.may(Capability.ALERTS_HANDLE), "latest": service.latest(conn, tenant, language), "health": _health(tenant, language),
        "steps_left": sum(not step.done for step in _steps(request, declared, rules)) if principal.may(Capability.TENANT_MANAGE) and not tenant.is_demo else 0,
    }  # fmt: skip
    values["late"] = [one for one in values["health"] if one.late]  # type: ignore[attr-defined]  # a list of Health
    return render(request, "today/home.html", values)


def _home_then(request: HttpRequest, tenant: Tenant, cards: Sequence[Metric], chosen: Metric | None, seen: Seen) -> HttpResponse:
    """The board as it was: indicators come when the page is there, since history is asked for each; nothing of it is live."""
    assert seen.at is not None
    conn = database.current()
    values = {
        "tenant": tenant, "past": seen, "cards": metric_views.shown(tenant, cards, {}, seen), "waiting": True, "chosen": chosen,
        "map_spec": maps.spec_of(request, declared_only=True, seen=seen), "alarms": alerts.running_at(conn, tenant.id, seen.at, limit=6), "rules": 1,
    }  # fmt: skip
    return render(request, "today/home.html", values)


def _health(tenant: Tenant, language: str) -> list[Health]:
    if tenant.clock:  # a recording: no source of it speaks today
        return []
    key = f"today-health:{tenant.id}{reach.mark(reach.current())}:{language}"
    found: list[Health] | None = cache.get(key)
    if found is None:
        waits: dict[str, float] | None = cache.get(f"today-waits:{tenant.id}")
        if waits is None:
            waits = service.usual_waits(database.current(), tenant)
            cache.set(f"today-waits:{tenant.id}", waits, WAITS_SECONDS)
        found = service.health(database.current(), tenant, metrics.moment(tenant), language, waits)
        cache.set(key, found, HEALTH_SECONDS)
    return found


@access.requires(Capability.DATA_READ, limited=True)
def alarms(request: HttpRequest) -> HttpResponse:
    """The alarms above the fold, by themselves, for whoever stays on the page."""
    conn, tenant = database.current(), tenant_of(request)
    may_handle = access_service.principal(request).may(Capability.ALERTS_HANDLE)
    values = {"tenant": tenant, "alarms": alerts.alarms(conn, tenant.id, limit=6), "rules": len(alerts.list_rules(conn, tenant.id)), "may_handle": may_handle}
    return render(request, "today/alarms.html", values)


@access.requires(Capability.DATA_READ, limited=True)
def latest(request: HttpRequest) -> HttpResponse:
    """The latest records, by themselves."""
    tenant = tenant_of(request)
    return render(request, "today/latest.html", {"tenant": tenant, "latest": service.latest(database.current(), tenant, get_language() or "pt-pt")})


@access.requires(Capability.TENANT_MANAGE)
def first_day(request: HttpRequest) -> HttpResponse:
    """The five steps, each with its state and the minutes it takes; one may leave and come back."""
    conn, tenant = database.current(), tenant_of(request)
    steps = _steps(request, metrics.all_metrics(conn, tenant.id), alerts.list_rules(conn, tenant.id))
    current = next((step for step in steps if not step.done), None)
    shown = [
        {
            "title": step.title,
            "text": step.text,
            "href": step.href,
            "minutes": step.minutes,
            "state": "done" if step.done else "current" if step is current else "todo",
        }
        for step in steps
    ]
    values = {"tenant": tenant, "steps": shown, "current": current, "done": sum(step.done for step in steps), "total": len(steps)}
    return render(request, "today/first_day.html", values)


def _steps(request: HttpRequest, declared: Sequence[Metric], rules: Sequence[Rule]) -> list[Step]:
    conn, tenant = database.current(), tenant_of(request)
    managers = {one.person_id for one in access_service.members(tenant.id) if one.role == RoleName.TENANT_MANAGER}
    return [
        Step("arms", _("Nome e brasão"), _("Como o município aparece no topo de cada página."), reverse("administration:identity"), 3, bool((tenant.theme or {}).get("arms"))),
        Step(
            "file", _("Um primeiro ficheiro"), _("Uma folha de cálculo que já tenha: contentores, escolas, sensores. Se não tiver nenhuma à mão, há um exemplo pronto."),
            reverse("guide:upload"), 10, store.holds_anything(conn, tenant.id), reverse("guide:example"), _("Usar o exemplo"),
        ),
        Step("pack", _("Um pacote"), _("Indicadores, mapa e alarmes prontos sobre um assunto. Liga-se com um clique."), reverse("packs:list"), 2, any(one.pack for one in declared)),
        Step("people", _("Um segundo gestor e os colegas"), _("Quem perder o telemóvel entra pela mão do outro gestor."), reverse("identity:people"), 5, len(managers) > 1),
        Step("alarm", _("Um alarme"), _("O que vigiar, o que fazer, a quem ligar."), reverse("alerts:rule_new"), 5, any(one.enabled and not one.pack for one in rules)),
    ]  # fmt: skip
