"""The door of the room: which indicators a tenant has, and what they say. Connections are inside a tenant transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg

from malha.context.store import service as store
from malha.context.store.contracts import EntityQuery
from malha.foundation.access import reach
from malha.foundation.access.contracts import BeyondReach
from malha.foundation.access.contracts import Grain as Finest
from malha.foundation.tenancy.contracts import Tenant
from malha.history.temporal import service as temporal
from malha.history.temporal.contracts import Grain, Series, SeriesQuery
from malha.insight.metrics import queries, rules
from malha.insight.metrics.contracts import HOURS, Metric, MetricValue, UnknownMetric, Window
from malha.insight.past.contracts import Moment
from malha.kernel import time
from malha.kernel.text import msg
from malha.vocabulary.models.contracts import Aggregation

#: a window of more days than this shows a trend by day
TREND_BY_DAY = timedelta(days=3)
#: things read at a time where the newest of an area is looked for
CHUNK = 2_000


def moment(tenant: Tenant) -> datetime:
    """The present of a tenant: the wall's clock, or the recording's own where the tenant shows one."""
    return tenant.clock or time.now()


def all_metrics(conn: psycopg.Connection, tenant_id: int, *, home_only: bool = False) -> list[Metric]:
    """The indicators of a tenant, in order: those of which the reader may see the values."""
    return [one for one in queries.metrics(conn, tenant_id) if (one.on_home or not home_only) and _within_reach(one)]


def get(conn: psycopg.Connection, tenant_id: int, key: str) -> Metric:
    """One indicator. Raises UnknownMetric, also where the reader may not see its values."""
    found = queries.metrics(conn, tenant_id, key)
    if not found or not _within_reach(found[0]):
        raise UnknownMetric(msg("Não há nenhum indicador “{key}” neste município."), key=key)
    return found[0]


def _within_reach(metric: Metric) -> bool:
    return reach.allows(metric.type, metric.attribute)


def add(conn: psycopg.Connection, tenant_id: int, given: Sequence[Metric]) -> int:
    """Give a tenant indicators; those that it has stay as it adapted them."""
    return queries.add(conn, tenant_id, given)


def show(conn: psycopg.Connection, tenant_id: int, key: str, *, on_home: bool) -> None:
    """Put an indicator on *Hoje*, or take it off."""
    queries.show(conn, tenant_id, key, on_home=on_home)


def remove_pack(conn: psycopg.Connection, tenant_id: int, pack: str) -> None:
    """Take away the indicators that a pack brought."""
    queries.remove_pack(conn, tenant_id, pack)


def evaluate(conn: psycopg.Connection, tenant: Tenant, metric: Metric, at: datetime | None = None, *, past: Moment | None = None) -> MetricValue:
    """What an indicator says at `at` (default: the tenant's present), or said at a moment of the past: nothing of after it counts.

    A window of n hours is the clock hour (UTC) of `at` and the n-1 before it; the comparison is with the n before
    those. NOW takes the newest value of each thing that spoke in the last 24 clock hours, and compares with the
    same a day before.
    """
    now = past.at if past else at or moment(tenant)
    freshest = _freshest(conn, tenant.id, metric)
    evaluator = _now if metric.window is Window.NOW else _window
    found = evaluator(tenant, metric, now, freshest, past)
    if past is None or (freshest is not None and freshest <= now):
        return found
    return replace(found, freshest=max((hour for hour, value in found.trend if value is not None), default=None))


def _freshest(conn: psycopg.Connection, tenant_id: int, metric: Metric) -> datetime | None:
    """The newest observation that the reader may know of: of an area, the newest inside it; by hours, the hour alone."""
    parts = reach.parts((metric.type,), grain=Finest.HOUR) or ()
    if not any(part.area for part in parts):
        return queries.freshest(conn, tenant_id, metric.type, metric.attribute)
    newest: datetime | None = None
    with reach.limited(tuple(replace(part, grain=Finest.RAW, attributes=None, agreement_id=None) for part in parts)):
        question = EntityQuery(types=(metric.type,), attrs=(metric.attribute,), limit=CHUNK)
        while page := store.query(conn, [tenant_id], question).entities:
            told = [at for entity in page if (at := queries.observed_at(entity.attributes.get(metric.attribute))) is not None]
            newest = max([*told, *([newest] if newest else [])], default=None)
            question = replace(question, after_id=page[-1].id)
    fine = any(part.allows(Finest.RAW) for part in parts)
    return newest if newest is None or fine else rules.floor_hour(newest)


def _series(
    tenant: Tenant,
    metric: Metric,
    start: datetime,
    end: datetime,
    grain: Grain,
    aggregation: Aggregation,
    *,
    by_thing: bool = False,
    past: Moment | None = None,
) -> list[Series]:
    known_at = past.known_at if past else None
    query = SeriesQuery(
        metric.type, metric.attribute, start, end, grain=grain, aggregation=aggregation, group_by_entity=by_thing, limit=500_000, known_at=known_at
    )
    if past is None or grain is Grain.RAW:
        return temporal.series(tenant.id, query)
    last = rules.floor_hour(end) if grain is Grain.HOUR else end.astimezone(tenant.zone).replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)
    whole = temporal.series(tenant.id, replace(query, end=last)) if start < last else []
    begun = _begun(tenant, replace(query, start=last, end=end)) if last < end else []
    return rules.joined(whole, begun, aggregation, by_thing=by_thing)


def _begun(tenant: Tenant, query: SeriesQuery) -> list[Series]:
    """The bucket from `query.start` on that `query.end` cuts, by thing, of nothing after it; nothing for somebody who may not see each value."""
    try:
        found = temporal.series(tenant.id, replace(query, grain=Grain.RAW, group_by_entity=True))
    except BeyondReach:
        return []
    counted = query.aggregation is Aggregation.COUNT
    return [
        Series(one.uri, [(query.start, *rules.combine([(at, 1.0, 1) if counted else (at, value, count) for at, value, count in one.points], query.aggregation))])
        for one in found
    ]  # fmt: skip


def _window(tenant: Tenant, metric: Metric, now: datetime, freshest: datetime | None, past: Moment | None = None) -> MetricValue:
    hours = HOURS[metric.window]
    start = rules.floor_hour(now) - timedelta(hours=hours - 1)
    before = start - timedelta(hours=hours)
    found = _series(tenant, metric, before, now + timedelta(microseconds=1), Grain.HOUR, metric.aggregation, past=past)
    points = [point for one in found for point in one.points if point[0] <= now]
    recent = [point for point in points if point[0] >= start]
    value, count = rules.combine(recent, metric.aggregation)
    previous, known = rules.combine([point for point in points if point[0] < start], metric.aggregation)
    by_hour = {point[0]: point[1] for point in recent}
    trend = _by_hour(by_hour, start, now) if hours <= TREND_BY_DAY / rules.HOUR else _by_day(recent, metric, start, now)
    return _scaled(metric, value, now, count, previous if known else None, trend, freshest, start)


def _by_hour(values: dict[datetime, float | str | None], start: datetime, now: datetime) -> list[tuple[datetime, float | None]]:
    return [(hour, float(value) if isinstance(value := values.get(hour), (int, float)) else None) for hour in rules.hours_between(start, now)]


def _by_day(points: Sequence[tuple[datetime, float | str | None, int]], metric: Metric, start: datetime, now: datetime) -> list[tuple[datetime, float | None]]:
    days = [start + timedelta(days=index) for index in range(int((now - start) / timedelta(days=1)) + 1)]
    return [(day, rules.combine([point for point in points if day <= point[0] < day + timedelta(days=1)], metric.aggregation)[0]) for day in days]


def _now(tenant: Tenant, metric: Metric, now: datetime, freshest: datetime | None, past: Moment | None = None) -> MetricValue:
    start = rules.floor_hour(now) - timedelta(hours=47)
    found = _series(tenant, metric, start, now + timedelta(microseconds=1), Grain.HOUR, Aggregation.LAST, by_thing=True, past=past)
    hours = rules.hours_between(start + timedelta(hours=23), now)
    values = [rules.gather(column, metric) for column in rules.held(found, hours, timedelta(hours=24))]
    value, count = values[-1]
    trend = [(hour, one[0]) for hour, one in zip(hours[1:], values[1:], strict=True)]
    return _scaled(metric, value, now, count, values[0][0], trend, freshest, hours[1])


def _scaled(
    metric: Metric, value: float | None, at: datetime, count: int, previous: float | None, trend: Sequence[tuple[datetime, float | None]],
    freshest: datetime | None, start: datetime,
) -> MetricValue:  # fmt: skip
    scale = 1.0 if metric.count_if is not None else metric.scale
    return MetricValue(
        metric, None if value is None else value * scale, at, count, None if previous is None else previous * scale,
        tuple((moment, None if one is None else one * scale) for moment, one in trend), freshest, start,
    )  # fmt: skip


def history(tenant: Tenant, metric: Metric, start: datetime, end: datetime, *, past: Moment | None = None) -> list[tuple[datetime, float | None, int]]:
    """The values of an indicator over a longer period, by hour up to 14 days, else by day: for its chart and its table.

    With a moment of the `past`, by the knowledge that it names.
    """
    grain = Grain.HOUR if end - start <= timedelta(days=14) else Grain.DAY
    if metric.count_if is None:
        found = _series(tenant, metric, start, end, grain, metric.aggregation, past=past)
        return [(at, value * metric.scale, count) for one in found for at, value, count in one.points if isinstance(value, (int, float))]
    found = _series(tenant, metric, start, end, grain, Aggregation.LAST, by_thing=True, past=past)
    moments = sorted({at for one in found for at, _, _ in one.points})
    gathered = [rules.gather(column, metric) for column in rules.held(found, moments)]
    return [(at, value, count) for at, (value, count) in zip(moments, gathered, strict=True)]
