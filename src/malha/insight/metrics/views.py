"""One indicator: its chart, how it is worked out, its values as a table."""

from __future__ import annotations

from datetime import timedelta

from django.core.cache import cache
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import get_language

from malha.foundation.access import views as access
from malha.foundation.access.contracts import Capability
from malha.foundation.database import django as database
from malha.foundation.tenancy.contracts import Tenant
from malha.insight.metrics import cards, presentation, service
from malha.insight.metrics.contracts import Metric, UnknownMetric
from malha.vocabulary.models import service as models

PERIODS = (1, 7, 30, 365)
CHART_SECONDS = 60


def tenant_of(request: HttpRequest) -> Tenant:
    """The tenant of a page that `requires` has let through."""
    tenant = request.tenant  # type: ignore[attr-defined]  # set by the tenancy middleware
    assert isinstance(tenant, Tenant)
    return tenant


def _property_label(tenant: Tenant, metric: Metric, language: str) -> str:
    model = models.find(metric.type, tenant.id)
    found = model.find(metric.attribute) if model else None
    return found.label.in_language(language) if found else metric.attribute


@access.requires(Capability.DATA_READ)
def card(request: HttpRequest, key: str) -> HttpResponse:
    """One card of *Hoje*, by itself; empty where the indicator is gone."""
    tenant, language = tenant_of(request), get_language() or "pt-pt"
    try:
        metric = service.get(database.current(), tenant.id, key)
    except UnknownMetric:
        return HttpResponse("")
    values = presentation.card(cards.value_of(tenant, metric), tenant, language, reverse("metrics:page", args=[key]))
    return render(request, "ui/components/indicator.html", values)


@access.requires(Capability.DATA_READ)
def page(request: HttpRequest, key: str) -> HttpResponse:
    """One indicator."""
    tenant, language = tenant_of(request), get_language() or "pt-pt"
    metric = service.get(database.current(), tenant.id, key)
    days = days_of(request)
    values = {
        "tenant": tenant, "metric": metric, "label": metric.label.in_language(language), "description": metric.description.in_language(language),
        "how": presentation.explanation(metric, language, _property_label(tenant, metric, language)), "days": days, "periods": PERIODS,
        "card": presentation.card(cards.value_of(tenant, metric), tenant, language, ""), "value": cards.value_of(tenant, metric),
    }  # fmt: skip
    return render(request, "metrics/page.html", values)


def days_of(request: HttpRequest) -> int:
    """The period that was asked for, a week by default."""
    given = request.GET.get("dias", "7")
    return int(given) if given.isdigit() and int(given) in PERIODS else 7


@access.requires(Capability.DATA_READ)
def chart(request: HttpRequest, key: str) -> JsonResponse:
    """An indicator over time, as `<malha-chart>` draws it."""
    tenant, language = tenant_of(request), get_language() or "pt-pt"
    metric = service.get(database.current(), tenant.id, key)
    days = days_of(request)
    cached = f"metric-chart:{tenant.id}:{hash(metric)}:{days}:{language}"
    found = cache.get(cached)
    if found is None:
        now = service.moment(tenant)
        found = presentation.chart(metric, service.history(tenant, metric, now - timedelta(days=days), now), tenant, language)
        cache.set(cached, found, CHART_SECONDS)
    return JsonResponse(found)
