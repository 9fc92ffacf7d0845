"""Values for boards, from memory where they are young: whoever looks at a board asks history as little as possible.

Memory is shared by all processes. `keeper` works values out again behind the boards that somebody looks at.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import psycopg
from django.core.cache import cache

from malha.foundation.access import reach
from malha.foundation.database import django as database
from malha.foundation.tenancy.contracts import Tenant
from malha.insight.metrics import service
from malha.insight.metrics.contracts import Metric, MetricValue
from malha.insight.past.contracts import Moment

#: a value of up to that age is shown; every value says of which moment it is
OLDEST_SECONDS = 90
#: boards that somebody looked at so recently are kept
FOLLOWED_SECONDS = 12 * 3600
SEEN = "boards-seen"

type History = list[tuple[datetime, float | None, int]]


def values(
    conn: psycopg.Connection, tenant: Tenant, metrics: Sequence[Metric], *, older_than: float = OLDEST_SECONDS, past: Moment | None = None
) -> list[MetricValue]:
    """What indicators say now, or said then; what was worked out less than `older_than` seconds ago comes from memory."""
    asked = [(_key(f"value{_of(past)}", tenant, one), lambda one=one: service.evaluate(conn, tenant, one, past=past)) for one in metrics]
    return _kept(asked, older_than)


def value(tenant: Tenant, metric: Metric, past: Moment | None = None) -> MetricValue:
    """What one indicator says now, or said then, on the request's connection."""
    return values(database.current(), tenant, [metric], past=past)[0]


def history(tenant: Tenant, metric: Metric, days: int, *, older_than: float = OLDEST_SECONDS, past: Moment | None = None) -> History:
    """The values of an indicator over the last days, or those before then, for its chart."""

    def ask() -> History:
        now = past.at if past else service.moment(tenant)
        return service.history(tenant, metric, now - timedelta(days=days), now, past=past)

    found: History = _kept([(_key(f"history-{days}{_of(past)}", tenant, metric), ask)], older_than)[0]
    return found


def _of(past: Moment | None) -> str:
    return f"@{past.at.isoformat()}:{past.knowledge}" if past else ""


def in_memory(tenant: Tenant, metrics: Sequence[Metric], *, charted: Metric | None = None, days: int = 7) -> tuple[dict[str, MetricValue], History | None]:
    """What memory has of these indicators, by key, and of one of them over time: nothing is asked of history."""
    keys = {_key("value", tenant, one): one.key for one in metrics}
    over_time = _key(f"history-{days}", tenant, charted) if charted else ""
    found = cache.get_many([*keys, *([over_time] if over_time else [])])
    young = {key: kept[1] for key, kept in found.items() if time.time() - kept[0] <= OLDEST_SECONDS}
    return {keys[key]: one for key, one in young.items() if key in keys}, young.get(over_time)


def saw(tenant: Tenant) -> None:
    """Note that somebody looks at the board of a tenant, so that it is kept."""
    seen = followed()
    if time.time() - seen.get(tenant.id, 0.0) > FOLLOWED_SECONDS / 100:
        cache.set(SEEN, {**seen, tenant.id: time.time()}, FOLLOWED_SECONDS)


def followed() -> dict[int, float]:
    """The tenants whose board somebody looked at lately, and when."""
    found: dict[int, float] = cache.get(SEEN) or {}
    return {tenant_id: at for tenant_id, at in found.items() if time.time() - at < FOLLOWED_SECONDS}


def _kept(wanted: Sequence[tuple[str, Callable[[], Any]]], older_than: float) -> list[Any]:
    """The values of these keys; what memory has not, or has of longer ago, is asked for and kept."""
    found = cache.get_many([key for key, _ in wanted])
    asked = {key: (time.time(), ask()) for key, ask in wanted if key not in found or time.time() - found[key][0] > older_than}
    if asked:
        cache.set_many(asked, OLDEST_SECONDS * 2)
    return [asked[key][1] if key in asked else found[key][1] for key, _ in wanted]


def _key(what: str, tenant: Tenant, metric: Metric) -> str:
    """The same in every process: an indicator that somebody adapts is another, and so is what somebody else may see of it."""
    return f"metric:{tenant.id}{reach.mark(reach.current())}:{what}:{hashlib.blake2b(repr(metric).encode(), digest_size=12).hexdigest()}"
