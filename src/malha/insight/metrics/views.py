"""One indicator: its chart, how it is worked out, its values as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import get_language

from malha.foundation.access import reach
from malha.foundation.access import views as access
from malha.foundation.access.contracts import Capability
from malha.foundation.database import django as database
from malha.foundation.tenancy.contracts import Tenant
from malha.insight.metrics import cards, presentation, service
from malha.insight.metrics.contracts import Metric, MetricValue, UnknownMetric
from malha.insight.past import views as past
from malha.insight.past.views import Seen
from malha.kernel.text import whole_number
from malha.vocabulary.models import service as models

PERIODS = (1, 7, 30, 365)
#: whoever stays on a page and hears of a change is shown values of at most this age
CARD_SECONDS, CHART_SECONDS = 20, 60


def tenant_of(request: HttpRequest) -> Tenant:
    """The tenant of a page that `requires` has let through."""
    tenant = request.tenant  # type: ignore[attr-defined]  # set by the tenancy middleware
    assert isinstance(tenant, Tenant)
    return tenant


def _property_label(tenant: Tenant, metric: Metric, language: str) -> str:
    model = models.find(metric.type, tenant.id)
    found = model.find(metric.attribute) if model else None
    return found.label.in_language(language) if found else metric.attribute


@access.requires(Capability.DATA_READ, limited=True)
def board(request: HttpRequest) -> HttpResponse:
    """The cards of *Hoje*, all of them, for whoever stays on the page."""
    conn, tenant = database.current(), tenant_of(request)
    found = service.all_metrics(conn, tenant.id, home_only=True)
    seen = past.seen(request, tenant)
    if seen.moment is not None:
        then = {one.metric.key: one for one in cards.values(conn, tenant, found, past=seen.moment)}
        return render(request, "metrics/cards.html", {"tenant": seen.standing(tenant), "cards": shown(tenant, found, then, seen)})
    if reach.current() is None:
        cards.saw(tenant)
    values = {one.metric.key: one for one in cards.values(conn, tenant, found, older_than=CARD_SECONDS)}
    return render(request, "metrics/cards.html", {"tenant": tenant, "cards": shown(tenant, found, values)})


def shown(tenant: Tenant, found: Sequence[Metric], values: Mapping[str, MetricValue], seen: Seen | None = None) -> list[dict[str, Any]]:
    """What `metrics/cards.html` shows; a card without its value yet has no `ready`. What is `seen` of the past is what the cards lead to."""
    language, more = get_language() or "pt-pt", f"?{seen.suffix}" if seen and seen.suffix else ""
    return [
        {
            "metric": one, "label": one.label.in_language(language), "link_id": f"indicador-{one.key}",
            "ready": presentation.card(values[one.key], tenant, language, reverse("metrics:page", args=[one.key]) + more) if one.key in values else None,
        }
        for one in found
    ]  # fmt: skip


@access.requires(Capability.DATA_READ, limited=True)
def card(request: HttpRequest, key: str) -> HttpResponse:
    """One card of *Hoje*, by itself; empty where the indicator is gone."""
    tenant, language = tenant_of(request), get_language() or "pt-pt"
    try:
        metric = service.get(database.current(), tenant.id, key)
    except UnknownMetric:
        return HttpResponse("")
    values = presentation.card(cards.value(tenant, metric), tenant, language, reverse("metrics:page", args=[key]))
    return render(request, "ui/components/indicator.html", values)


@access.requires(Capability.DATA_READ, limited=True)
def page(request: HttpRequest, key: str) -> HttpResponse:
    """One indicator."""
    tenant, language = tenant_of(request), get_language() or "pt-pt"
    metric = service.get(database.current(), tenant.id, key)
    seen = past.seen(request, tenant, entity_type=metric.type)
    days, found = days_of(request), cards.value(tenant, metric, seen.moment)
    values = {
        "tenant": tenant, "past": seen, "standing": seen.standing(tenant), "metric": metric, "label": metric.label.in_language(language), "description": metric.description.in_language(language),
        "how": presentation.explanation(metric, language, _property_label(tenant, metric, language)), "days": days, "periods": PERIODS,
        "card": presentation.card(found, tenant, language, ""), "value": found,
    }  # fmt: skip
    return render(request, "metrics/page.html", values)


def days_of(request: HttpRequest) -> int:
    """The period that was asked for, a week by default."""
    given = whole_number(request.GET.get("dias", ""), 7)
    return given if given in PERIODS else 7


@access.requires(Capability.DATA_READ, limited=True)
def chart(request: HttpRequest, key: str) -> JsonResponse:
    """An indicator over time, as `<malha-chart>` draws it."""
    tenant, language = tenant_of(request), get_language() or "pt-pt"
    metric = service.get(database.current(), tenant.id, key)
    days = days_of(request)
    then = past.seen(request, tenant, entity_type=metric.type).moment
    found = cards.history(tenant, metric, days, older_than=CHART_SECONDS, past=then)
    return JsonResponse(presentation.chart(metric, found, tenant, language))
