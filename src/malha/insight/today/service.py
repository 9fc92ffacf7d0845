"""What *Hoje* answers: is anything wrong, where, since when, who has it; and for a new tenant, the first five steps."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import psycopg

from malha.context.store import service as store
from malha.context.store.contracts import EntityQuery, Ordering, StoredEntity
from malha.foundation.access import reach
from malha.foundation.tenancy.contracts import Tenant
from malha.insight.today import queries
from malha.insight.today.contracts import Health, Latest
from malha.kernel.time import parse_instant
from malha.vocabulary.models import service as models

#: late is: longer ago than three times the usual wait, and never less than this
LEAST_WAIT = timedelta(minutes=15)
#: what has no rhythm of its own is not called late
RHYTHM = timedelta(hours=12)
#: an observation whose rhythm is not known is late after this, for a week; then it is not expected any more
UNKNOWN_WAIT, FORGOTTEN = timedelta(hours=3), timedelta(days=7)


def usual_waits(conn: psycopg.Connection, tenant: Tenant) -> dict[str, float]:
    """The usual time in seconds between two deliveries of each type; to be asked now and then, not with each page."""
    return queries.usual_wait_seconds(conn, tenant.id)


def health(conn: psycopg.Connection, tenant: Tenant, now: datetime, language: str, usual: Mapping[str, float]) -> list[Health]:
    """When each kind of thing last spoke; those that are late first."""
    found = []
    for name, count, changed in store.types(conn, tenant.id):
        model = models.find(name, tenant.id)
        observed = bool(model and model.time_property and model.measures)
        late = is_late(now - changed, usual.get(name), observed=observed and bool(usual))
        found.append(Health(name, model.label.in_language(language) if model else name, count, changed, late))
    return sorted(found, key=lambda one: (not one.late, one.label))


def is_late(silent: timedelta, usual_seconds: float | None, *, observed: bool) -> bool:
    """Whether a silence is longer than one may expect."""
    if usual_seconds is None:
        return observed and UNKNOWN_WAIT < silent < FORGOTTEN
    usual = timedelta(seconds=usual_seconds)
    return usual < RHYTHM and silent > max(LEAST_WAIT, 3 * usual)


def latest(conn: psycopg.Connection, tenant: Tenant, language: str, limit: int = 8) -> list[Latest]:
    """The records that changed last, of those that the reader may see; in a recording, those that spoke last by its clock."""
    found = []
    if tenant.clock:
        rows = _latest_recorded(conn, tenant, tenant.clock, limit)
    else:
        rows = queries.latest(conn, tenant.id, limit) if reach.current() is None else _latest_within_reach(conn, tenant.id, limit)
    for uri, name, said, at in rows:
        model = models.find(name, tenant.id)
        found.append(Latest(uri, name, said or uri.rsplit(":", 1)[-1], at, model.label.in_language(language) if model else name))
    return found


def _latest_recorded(conn: psycopg.Connection, tenant: Tenant, clock: datetime, limit: int) -> list[tuple[str, str, str | None, datetime]]:
    """What each kind of thing that is observed said last, up to the instant at which the clock stands."""
    found: list[tuple[str, str, str | None, datetime]] = []
    for name, _count, _changed in store.types(conn, tenant.id):
        model = models.find(name, tenant.id)
        if model is None or not model.time_property or not model.measures:
            continue
        question = EntityQuery(types=(name,), order=(Ordering((model.time_property,), descending=True),), limit=limit)
        for one in store.query(conn, [tenant.id], question).entities:
            at = _instant(one.value(model.time_property))
            if at and at <= clock:
                found.append((one.uri, name, _name(one), at))
    return sorted(found, key=lambda row: row[3], reverse=True)[:limit]


def _instant(value: object) -> datetime | None:
    said = value.get("@value") if isinstance(value, dict) else value
    try:
        return parse_instant(said) if isinstance(said, str) else None
    except ValueError:
        return None


def _latest_within_reach(conn: psycopg.Connection, tenant_id: int, limit: int) -> list[tuple[str, str, str | None, datetime]]:
    """As `queries.latest`, asked of the store, which keeps to what the reader may see."""
    question = EntityQuery(order=(Ordering(("modifiedAt",), descending=True),), limit=limit)
    return [(one.uri, one.types[0], _name(one), one.modified_at) for one in store.query(conn, [tenant_id], question).entities]


def _name(entity: StoredEntity) -> str | None:
    name = entity.value("name")
    said = name.get("pt") or next(iter(name.values()), None) if isinstance(name, dict) else name
    return str(said) if said else None
