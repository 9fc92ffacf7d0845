"""Keep what is read of the past within the reach of whoever reads (`foundation.access.reach`).

An area is read as the things that lie in it now: where something stood before does not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from malha.context.broker import pool
from malha.context.store import service as store
from malha.context.store.contracts import EntityQuery, StoredEntity
from malha.foundation.access import reach
from malha.foundation.access.contracts import BeyondReach
from malha.foundation.access.contracts import Grain as Finest
from malha.foundation.database import service as database
from malha.history.temporal.contracts import Duration, Grain, SeriesQuery
from malha.kernel.text import msg
from malha.vocabulary.models.contracts import Aggregation

#: what tells nothing of a single value
_SUMS = frozenset({"avg", "sum", "totalCount"})
_LENGTHS = {
    Finest.RAW: timedelta(0), Finest.QUARTER: timedelta(minutes=15), Finest.HOUR: timedelta(hours=1), Finest.DAY: timedelta(days=1), Finest.MONTH: timedelta(days=28),
}  # fmt: skip
_CHUNK = 2_000
_FINE = msg("O seu acesso não abrange cada valor de {attribute}. Peça médias.")
_OTHER = msg("O seu acesso não abrange {attribute} com este pormenor.")
_GATHERED = frozenset({Aggregation.AVERAGE, Aggregation.SUM, Aggregation.COUNT})
_NOBODY = "urn:malha:nothing-within-reach"


def within(conn: psycopg.Connection[Any], tenant_id: int, query: SeriesQuery) -> SeriesQuery:
    """The question cut to the things that the reader may see. Raises BeyondReach for a type, an attribute or a grain that is not theirs."""
    whole = reach.current()
    if whole is None:
        return query
    gathered = query.aggregation in _GATHERED and query.quantile is None  # a quantile may be the value of one
    grain = Finest(query.grain.value) if gathered else Finest.RAW
    found = tuple(
        part
        for part in whole
        if part.allows(grain) and (part.types is None or query.type in part.types) and (part.attributes is None or query.attribute in part.attributes)
    )
    if not found:
        raise BeyondReach(_FINE if query.grain is Grain.RAW else _OTHER, attribute=query.attribute)
    reach.note(found, (query.type,))
    if any(part.area is None for part in found):
        return query
    with reach.limited(tuple(replace(part, grain=Finest.RAW, attributes=None, agreement_id=None) for part in found)):
        uris = _inside(conn, tenant_id, query)
    return replace(query, uris=uris or (_NOBODY,))


def cut(tenant_id: int, found: Sequence[StoredEntity], grain: Finest) -> tuple[Sequence[StoredEntity], frozenset[str] | None]:
    """Those of the things whose past the reader may see with that grain, and the attributes shown of all of them (None: all).

    Raises BeyondReach when nothing as fine as that is theirs.
    """
    whole_reach = reach.current()
    if whole_reach is None or not found:
        return found, None
    fine = tuple(part for part in whole_reach if part.allows(grain))
    if not fine:
        raise BeyondReach(msg("O seu acesso só abrange médias. Peça valores agregados (aggrMethods e aggrPeriodDuration)."))
    bare = tuple(replace(part, grain=Finest.RAW, attributes=None, agreement_id=None) for part in fine)
    with reach.limited(bare), pool.connection() as conn, database.tenant_transaction(conn, [tenant_id]):
        seen = store.by_uris(conn, tenant_id, [one.uri for one in found])
    kept = [one for one in found if one.uri in seen]
    types = {name for one in kept for name in one.types}
    concerned = [part for part in fine if part.types is None or not part.types.isdisjoint(types)]
    reach.note(concerned, types)
    shown = [part.attributes for part in concerned if part.attributes is not None]
    return kept, frozenset.intersection(*shown) if shown else None


def grain_of(duration: Duration, start: datetime, end: datetime, methods: Sequence[str]) -> Finest:
    """The grain of an answer in buckets; extremes are single values, however long the bucket is."""
    if reach.current() is None or not _SUMS.issuperset(methods):
        return Finest.RAW
    length = timedelta(days=28) * duration.months + timedelta(microseconds=duration.microseconds) or end - start
    return max((grain for grain, least in _LENGTHS.items() if length >= least), key=list(Finest).index)


def whole(start: datetime, end: datetime, grain: Finest) -> tuple[datetime, datetime]:
    """The period from and to whole steps (UTC): two periods that differ by little would tell a single value. Without a limit, as it is."""
    if reach.current() is None or grain is Finest.RAW:
        return start, end
    return _floor(start, grain), _floor(end, grain)


def _floor(at: datetime, grain: Finest) -> datetime:
    at = at.astimezone(UTC)
    if grain is Finest.QUARTER:
        return at.replace(minute=at.minute // 15 * 15, second=0, microsecond=0)
    at = at.replace(minute=0, second=0, microsecond=0)
    return at if grain is Finest.HOUR else at.replace(hour=0) if grain is Finest.DAY else at.replace(hour=0, day=1)


def _inside(conn: psycopg.Connection[Any], tenant_id: int, query: SeriesQuery) -> tuple[str, ...]:
    found: list[str] = []
    question = EntityQuery(types=(query.type,), uris=query.uris, limit=_CHUNK)
    with database.tenant_transaction(conn, [tenant_id]):
        while page := store.query(conn, [tenant_id], question).entities:
            found += [entity.uri for entity in page]
            question = replace(question, after_id=page[-1].id)
    return tuple(found)
