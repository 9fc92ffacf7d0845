"""Values for cards, from memory where they are young: five people who look at the same board ask history once."""

from __future__ import annotations

import logging
from threading import Thread
from time import monotonic
from typing import Any

import psycopg
from django.core.cache import cache

from malha.foundation.database import django as database
from malha.foundation.database import service as connections
from malha.foundation.tenancy.contracts import Tenant
from malha.insight.metrics import presentation, service
from malha.insight.metrics.contracts import Metric, MetricValue
from malha.kernel.errors import MalhaError

logger = logging.getLogger(__name__)
#: a value of that age is worked out again when somebody asks
FRESH_SECONDS = 10
#: a value of up to that age is shown at once while a newer one is worked out behind it
OLDEST_SECONDS = 45


def value_of(tenant: Tenant, metric: Metric) -> MetricValue:
    """What an indicator says now; what was asked in the last seconds is answered from memory."""
    found = _kept(tenant, metric)
    if found is None:
        found = service.evaluate(database.current(), tenant, metric)
        cache.set(_key(tenant, metric), (monotonic(), found), OLDEST_SECONDS)
    return found


def at_once(tenant: Tenant, metric: Metric, language: str, href: str) -> dict[str, Any] | None:
    """What a card shows, where memory has it; None where history would have to be asked."""
    found = _kept(tenant, metric)
    return presentation.card(found, tenant, language, href) if found is not None else None


def _key(tenant: Tenant, metric: Metric) -> str:
    return f"metric:{tenant.id}:{hash(metric)}"


def _kept(tenant: Tenant, metric: Metric) -> MetricValue | None:
    """The value in memory; one that is no longer fresh is worked out behind it."""
    key = _key(tenant, metric)
    kept: tuple[float, MetricValue] | None = cache.get(key)
    if kept is None:
        return None
    if monotonic() - kept[0] > FRESH_SECONDS and cache.add(f"{key}:asked", 1, FRESH_SECONDS):
        Thread(target=_refresh, args=[tenant, metric, key], daemon=True).start()
    return kept[1]


def _refresh(tenant: Tenant, metric: Metric, key: str) -> None:
    """Work a value out behind the one that is shown, on a connection of its own."""
    try:
        with connections.connect() as conn, connections.tenant_transaction(conn, [tenant.id]):
            cache.set(key, (monotonic(), service.evaluate(conn, tenant, metric)), OLDEST_SECONDS)
    except (MalhaError, psycopg.Error):
        logger.warning("indicator %s of tenant %s could not be refreshed", metric.key, tenant.slug, exc_info=True)
