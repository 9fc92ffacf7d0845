"""One indicator: its chart, how it is worked out, its values as a table."""

from __future__ import annotations

import logging
from datetime import timedelta
from threading import Thread
from time import monotonic

import psycopg
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import get_language

from malha.foundation.access import views as access
from malha.foundation.access.contracts import Capability
from malha.foundation.database import django as database
from malha.foundation.database import service as connections
from malha.foundation.tenancy.contracts import Tenant
from malha.insight.metrics import presentation, service
from malha.insight.metrics.contracts import Metric, MetricValue, UnknownMetric
from malha.kernel.errors import MalhaError
from malha.vocabulary.models import service as models

logger = logging.getLogger(__name__)
PERIODS = (1, 7, 30, 365)
#: five people who look at the same board ask history once
FRESH_SECONDS = 10
#: a value of that age is shown at once while a newer one is worked out behind it
OLDEST_SECONDS = 45
CHART_SECONDS = 60


def tenant_of(request: HttpRequest) -> Tenant:
    """The tenant of a page that `requires` has let through."""
    tenant = request.tenant  # type: ignore[attr-defined]  # set by the tenancy middleware
    assert isinstance(tenant, Tenant)
    return tenant


def value_of(tenant: Tenant, metric: Metric) -> MetricValue:
    """What an indicator says now; what was asked in the last seconds is answered from memory."""
    key = f"metric:{tenant.id}:{hash(metric)}"
    kept: tuple[float, MetricValue] | None = cache.get(key)
    if kept is not None:
        if monotonic() - kept[0] > FRESH_SECONDS and cache.add(f"{key}:asked", 1, FRESH_SECONDS):
            Thread(target=_refresh, args=[tenant, metric, key], daemon=True).start()
        return kept[1]
    found = service.evaluate(database.current(), tenant, metric)
    cache.set(key, (monotonic(), found), OLDEST_SECONDS)
    return found


def _refresh(tenant: Tenant, metric: Metric, key: str) -> None:
    """Work a value out behind the one that is shown, on a connection of its own."""
    try:
        with connections.connect() as conn, connections.tenant_transaction(conn, [tenant.id]):
            cache.set(key, (monotonic(), service.evaluate(conn, tenant, metric)), OLDEST_SECONDS)
    except (MalhaError, psycopg.Error):
        logger.warning("indicator %s of tenant %s could not be refreshed", metric.key, tenant.slug, exc_info=True)


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
    values = presentation.card(value_of(tenant, metric), tenant, language, reverse("metrics:page", args=[key]))
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
        "card": presentation.card(value_of(tenant, metric), tenant, language, ""), "value": value_of(tenant, metric),
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
