"""Series and last values, from hot rows and the lake as one. Django-free.

All functions take the tenant's id and answer for that tenant alone: the SQL names its schema, the engine is
locked to its folder, and the hot rows come through row-level security.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pyarrow as pa
import pyarrow.compute as pc

from malha.context.store import service as store
from malha.context.store.contracts import StoredEntity
from malha.foundation.access.contracts import BeyondReach
from malha.foundation.access.contracts import Grain as Finest
from malha.foundation.database import pools
from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.history.engines import layout
from malha.history.engines import service as engines
from malha.history.engines.coarse import NONE, Coarse
from malha.history.engines.contracts import LakeMissing
from malha.history.engines.layout import Layout
from malha.history.engines.service import Connection
from malha.history.lake import catalogue
from malha.history.lake.contracts import Watermark
from malha.history.rollups import rules
from malha.history.rollups import service as rollups
from malha.history.temporal import evolution, fetching, knowing, newest, queries, reaching, standing, tracks
from malha.history.temporal.contracts import Correction, EvolutionQuery, Grain, LastValue, Point, Series, SeriesQuery, UnusablePeriod
from malha.history.temporal.tracks import Track
from malha.kernel.text import msg

#: `last_values` looks back this far
LOOK_BACK = timedelta(days=30)
_LOOKS = (timedelta(hours=1), timedelta(days=1), LOOK_BACK)
#: so many entities are sooner asked for by their type than by name
_MANY = 500
_HOT_TYPES = {
    "entity_id": pa.int64(), "dataset_id": pa.int32(), "observed_at": pa.timestamp("us", "UTC"), "num": pa.float64(), "txt": pa.string(),
    "kind": pa.int16(), "unit": pa.string(), "op": pa.int16(), "seq": pa.int64(), "attribute": pa.string(),
    "received_at": pa.timestamp("us", "UTC"), "run_id": pa.int64(),
}  # fmt: skip
_PARAMETER = re.compile(r"\$(\w+)")


@dataclass(frozen=True, slots=True)
class _Frame:
    """What PostgreSQL knows that the lake does not. `ids` is None for all entities of the type."""

    zone: ZoneInfo
    ids: list[int] | None
    uris: dict[int, str]
    deleted: list[int]
    undone: list[int]

    @property
    def entities(self) -> str:
        return queries.only_entities(self.ids, self.deleted)


def series(tenant_id: int, query: SeriesQuery) -> list[Series]:
    """The points of one attribute over time; one series, or one per entity with `group_by_entity`.

    Raw values are always per entity and keep texts as texts; other grains take numbers only. Entities deleted
    since, and loads undone since, are left out. Raises UnusablePeriod, and the engines' Busy and TooSlow.
    """
    if query.start >= query.end:
        raise UnusablePeriod(msg("O período começa em {start} e acaba em {end}: o fim tem de vir depois."), start=query.start, end=query.end)
    per_entity = query.group_by_entity or query.grain is Grain.RAW
    with _pool().connection() as connection:
        query = reaching.within(connection, tenant_id, query)
        frame = _frame(connection, tenant_id, query.type, query.uris)
        if frame.ids == []:
            return []
        query = _whole_buckets(query, frame.zone)
        rows = _ask(
            connection, tenant_id, query, frame, lambda schema, current, hot, thin: _statement(schema, query, frame, current, hot, thin), [query.attribute]
        )
        names = _names(connection, tenant_id, frame, {row[0] for row in rows}) if per_entity else {}
    points: dict[str, list[Point]] = {}
    for entity_id, at, number, text, count in reversed(rows):
        uri = names.get(entity_id, "") if per_entity else ""
        if uri or not per_entity:
            points.setdefault(uri, []).append((at, number if number is not None else text, count))
    return [Series(uri, found) for uri, found in sorted(points.items())]


def last_values(tenant_id: int, type: str, attribute: str, uris: Sequence[str] = (), *, at: datetime | None = None) -> list[LastValue]:  # noqa: A002 -- NGSI-LD's word
    """The newest value of each entity, as seen at `at` (default now), at most thirty days old.

    Looks back an hour, then a day, then thirty, and each time only for those that said nothing since: most said something lately.
    Starts where most were found the last time. Of many entities, what the lake says is kept until its files change (`newest`).
    """
    end, now = at or datetime.now(UTC) + timedelta(days=1), at or datetime.now(UTC)
    query = SeriesQuery(type, attribute, now - LOOK_BACK, end, tuple(uris), Grain.RAW)
    with _pool().connection() as connection:
        query = reaching.within(connection, tenant_id, query)
        frame = _frame(connection, tenant_id, type, query.uris)
        if frame.ids == []:
            return []
        missing = set(frame.ids) if frame.ids is not None else _of_type(connection, tenant_id, type)
        whose = (tenant_id, type, attribute)
        known = _kept_newest(connection, tenant_id, query, frame) if len(missing) > _MANY else None
        found: dict[int, Any] = {id_: row for id_, row in (known or {}).items() if id_ in missing}
        missing = set() if known is not None else missing
        looks = _LOOKS[_first_looks.get(whose, 0) :] if len(missing) > _MANY else _LOOKS
        for back in looks if missing else ():
            asked = frame if len(missing) > _MANY else replace(frame, ids=sorted(missing))
            part = replace(query, start=now - back)
            rows = _ask(connection, tenant_id, part, asked, partial(_last_of, asked.entities), [attribute])
            found |= {row[0]: row for row in rows if row[0] not in found}
            missing -= found.keys()
            if not missing:
                break
        if len(found) > _MANY and known is None:
            _note_look(whose, [now - row[1] for row in found.values()])
        names = _names(connection, tenant_id, frame, set(found))
    return [LastValue(names[id_], row[1], row[2] if row[2] is not None else row[3], row[4] or "") for id_, row in sorted(found.items()) if id_ in names]


def _kept_newest(connection: psycopg.Connection, tenant_id: int, query: SeriesQuery, frame: _Frame) -> dict[int, newest.Row] | None:
    """The newest row of each entity of the type by what is known of the lake's files; None where that does not say all."""
    schema = engines.tenant_schema(tenant_id)
    files = layout.kept(schema) if not frame.undone else None
    if files is None or "watermark" not in files.noted or not newest.covers(files, query.type, query.attribute, query.end):
        return None
    hot = _hot(connection, tenant_id, query, frame, catalogue.noted(files), [query.attribute])
    if newest.has_deleted(hot):
        return None
    statement = queries.without_hot(queries.last(schema, ""))
    statement = files.within(statement, query.start, query.end, None)
    if f"lake.{schema}." in statement:
        return None
    given = {"type": query.type, "attribute": query.attribute, "start": query.start, "end": query.end, "undone": []}
    rows = newest.of_lake(
        files, query.type, query.attribute, query.start, lambda: engines.run([tenant_id], lambda reader: fetching.rows(reader.execute(statement, given)))
    )
    return newest.with_hot(rows, hot)


#: by tenant, type and attribute, which of `_LOOKS` is the first worth asking
_first_looks: dict[tuple[int, str, str], int] = {}
_MOST_LOOKS = 10_000


def _note_look(whose: tuple[int, str, str], ages: Sequence[timedelta]) -> None:
    """Begin the next time with the first look that would have found nearly all of these."""
    if len(_first_looks) >= _MOST_LOOKS:
        _first_looks.clear()
    _first_looks[whose] = next(at for at, back in enumerate(_LOOKS) if back is LOOK_BACK or sum(age <= back for age in ages) >= 0.98 * len(ages))


def _of_type(connection: psycopg.Connection, tenant_id: int, type_: str) -> set[int]:
    """The entities that there are of a type."""
    with database.tenant_transaction(connection, [tenant_id]):
        query = "SELECT id FROM entities WHERE tenant_id = %s AND type_id = (SELECT id FROM entity_type WHERE name = %s)"
        return {row[0] for row in connection.execute(query, [tenant_id, type_]).fetchall()}


states = standing.states
grid = tracks.grid
on_grid = tracks.on_grid
known_since = knowing.since


def track(
    tenant_id: int, entity: StoredEntity, start: datetime, end: datetime, *, personal: bool, fastest_km_h: float = tracks.FASTEST_KM_H
) -> Track:  # fmt: skip
    """Where an entity was over [start, end), by its `location`; coarser for whoever may not read what is about people, where it follows one.

    Raises BeyondReach for somebody who may not see each position.
    """
    seen, shown = reaching.cut(tenant_id, [entity], Finest.RAW)
    if not seen or (shown is not None and "location" not in shown):
        raise BeyondReach(msg("O seu acesso não abrange {attribute} com este pormenor."), attribute="location")
    found = evolution.read(tenant_id, EvolutionQuery((entity.id,), start, end, attributes=("location",)))
    instances = found.by_entity.get(entity.id, {}).get("location", [])
    grid_m = tracks.grid(entity.types, personal=personal)
    return tracks.track(instances, fastest_km_h=fastest_km_h, grid_m=grid_m, more=found.cut_at is not None)


def corrections(tenant_id: int, uri: str, attributes: Sequence[str], start: datetime, end: datetime, limit: int = 100) -> list[Correction]:
    """Values of an entity over [start, end) that later ones replaced, the latest replaced first."""
    query = SeriesQuery("", "", start, end, (uri,), Grain.RAW, limit=limit)
    with _pool().connection() as connection:
        frame = _frame(connection, tenant_id, "", query.uris)
        if not frame.ids:
            return []
        rows = _ask(connection, tenant_id, query, frame, lambda schema, *_: queries.corrections(schema, queries.OF_ENTITY), attributes)
        authors = _authors(connection, tenant_id, rows)
    return [_correction(row, uri, authors) for row in rows]


def corrected(tenant_id: int, query: SeriesQuery) -> dict[tuple[str, datetime], Correction]:
    """Of the values that `series` answers, each by itself (`Grain.RAW`), those that took the place of another: the last one that each replaced.

    By the thing and the instant. With `known_at`, corrections that had been made by then. Nothing for sums.
    """
    if query.grain is not Grain.RAW:
        return {}
    with _pool().connection() as connection:
        query = reaching.within(connection, tenant_id, query)
        frame = _frame(connection, tenant_id, query.type, query.uris)
        if frame.ids == []:
            return {}
        whose = queries.wanted("observed_at", frame.entities)
        asked = replace(query, known_at=None)  # what was replaced since is told by when it was
        rows = _ask(connection, tenant_id, asked, frame, lambda schema, *_: queries.corrections(schema, whose), [query.attribute])
        names, authors = _names(connection, tenant_id, frame, {row[8] for row in rows}), _authors(connection, tenant_id, rows)
    found: dict[tuple[str, datetime], Correction] = {}
    for row in rows:  # the latest replaced first
        if row[8] in names and (query.known_at is None or row[6] <= query.known_at):
            found.setdefault((names[row[8]], row[1]), _correction(row, names[row[8]], authors))
    return found


def _authors(connection: psycopg.Connection, tenant_id: int, rows: Sequence[Sequence[Any]]) -> dict[int, tuple[str, str]]:
    """Who wrote what replaced these values and why, where no load did."""
    numbers = [row[9] for row in rows if row[7] is None]
    if not numbers:
        return {}
    with database.tenant_transaction(connection, [tenant_id]):
        return store.authors(connection, tenant_id, numbers)


def _correction(row: Sequence[Any], uri: str, authors: Mapping[int, tuple[str, str]]) -> Correction:
    return Correction(row[0], row[1], row[2], row[3], row[4], row[5] or "", row[6], row[7], uri, *authors.get(row[9], ("", "")))


def _last_of(entities: str, schema: str, *_: object) -> str:
    return queries.last(schema, entities)


def through(
    conn: psycopg.Connection[Any], tenant_id: int, query: EvolutionQuery, work: Callable[[evolution.Reading, str, dict[str, object]], list[Any]]
) -> list[Any]:  # fmt: skip
    """What `work` finds among the instances of `query`, hot rows and lake as one.

    It is given a reader, common table expressions that end in `found` (entity_id, attribute, dataset_id, observed_at,
    received_at, kind, num, txt, unit), and the parameters that those need. `conn` is in the tenant's transaction. Raises the engines' Busy and TooSlow.
    """
    return evolution.through(conn, tenant_id, query, work)


def forget_connections() -> None:
    """Close the pool (before a fork, and at the end of a command)."""
    if _pool.cache_info().currsize:
        _pool().close()
        _pool.cache_clear()


@cache
def _pool() -> pools.Pool:
    return pools.make(Role.APP, "history", most=4, idle_seconds=120)


def _is_current(reader: Connection, schema: str) -> bool:
    """Whether the tenant's sums are of today's make: once they are, they stay so."""
    if schema not in _known_current and rollups.is_current(reader, schema):
        _known_current.add(schema)
    return schema in _known_current


_known_current: set[str] = set()


def _statement(schema: str, query: SeriesQuery, frame: _Frame, current: bool, hot: bool, thin: Coarse) -> str:
    if query.grain is Grain.RAW:
        return queries.raw(schema, frame.entities)
    if frame.undone or not current or query.known_at:
        return queries.from_rows(schema, query, frame.entities)
    return (queries.from_sums if hot else queries.from_sums_alone)(schema, query, frame.entities, thin.of(query.type, query.attribute, query.start, query.end))


def _ask(
    connection: psycopg.Connection,
    tenant_id: int,
    query: SeriesQuery,
    frame: _Frame,
    statement: Callable[[str, bool, bool, Coarse], str],
    attributes: Sequence[str],
) -> list[Any]:
    """The rows of `statement` (given the schema, whether its sums are of today's make, whether anything is hot, and its coarse months) in one lake transaction, with the hot rows after that snapshot's watermark known as `hot`."""
    hour = query.start.replace(minute=0, second=0, microsecond=0)

    def work(reader: Connection) -> list[Any]:
        schema = engines.tenant_schema(tenant_id)
        files = layout.kept(schema) if query.known_at is not None or schema in _known_current else None
        if files is not None and "watermark" in files.noted:
            text, given = say(reader, schema, catalogue.noted(files), True, catalogue.coarse_of(files), partial(of_files, files))
            if f"lake.{schema}." not in text:
                return fetching.rows(reader.execute(text, given))
        reader.execute("BEGIN")  # the watermark and the rows are of the same snapshot
        try:
            files = catalogue.standing(reader, tenant_id)
            known = schema if files is not None else ""
            after = catalogue.noted(files) if files is not None else Watermark()
            current = not known or _is_current(reader, known)
            thin = catalogue.coarse_of(files) if files is not None else NONE
            return fetching.rows(reader.execute(*say(reader, known, after, current, thin, partial(of_lake, known))))
        finally:
            reader.execute("ROLLBACK")

    def of_files(files: Layout, text: str) -> str:
        if query.known_at is None:
            return files.within(text, hour, query.end, frame.ids)
        return knowing.of_files(text, files, knowing.then(files.schema, query.known_at), hour, query.end, frame.ids) or text

    def of_lake(schema: str, text: str) -> str:
        if query.known_at is None or not schema:
            return text
        return knowing.as_known(text, schema, knowing.then(schema, query.known_at))

    def say(
        reader: Connection, schema: str, after: Watermark, current: bool, thin: Coarse, stored: Callable[[str], str]
    ) -> tuple[str, dict[str, object]]:  # fmt: skip
        hot = _hot(connection, tenant_id, query, frame, after, attributes)
        if hot.num_rows:
            reader.register("hot", hot)
        text = statement(schema, current, hot.num_rows > 0, thin)
        text = stored(text if hot.num_rows else queries.without_hot(text))
        given: dict[str, object] = {
            "type": query.type, "attribute": query.attribute, "start": query.start, "end": query.end, "limit": query.limit, "undone": frame.undone,
            "since": _since(hot, query, frame.zone), "id": frame.ids[0] if frame.ids else 0, "attributes": list(attributes), "known": query.known_at, "hour": hour,
        }  # fmt: skip
        used = set(_PARAMETER.findall(text))
        given |= _periods(query, frame.zone) if not used <= given.keys() else {}
        return text, {name: value for name, value in given.items() if name in used}

    if query.known_at is not None:
        with database.tenant_transaction(connection, [tenant_id]):
            knowing.require(connection, tenant_id, query.known_at)
    try:
        return engines.run([tenant_id], work)
    except LakeMissing:
        with closing(engines.without_lake()) as reader:
            return fetching.rows(reader.execute(*say(reader, "", Watermark(), True, NONE, lambda text: text)))


def _hot(connection: psycopg.Connection, tenant_id: int, query: SeriesQuery, frame: _Frame, after: Watermark, attributes: Sequence[str]) -> pa.Table:
    statement = queries.HOT + (queries.HOT_OF_TYPE if frame.ids is None else queries.HOT_OF_ENTITIES)
    given = {
        "tenant": tenant_id, "type": query.type, "ids": frame.ids, "attributes": list(attributes),
        "start": query.start, "end": query.end, "xid": after.xid, "seq": after.seq, "known": query.known_at,
    }  # fmt: skip
    statement += queries.HOT_KNOWN if query.known_at else ""
    with database.tenant_transaction(connection, [tenant_id]), connection.cursor(binary=True) as cursor:
        rows = cursor.execute(statement, given).fetchall()
    columns = list(zip(*rows, strict=True)) if rows else [() for _ in _HOT_TYPES]
    return pa.table({name: pa.array(column, kind) for (name, kind), column in zip(_HOT_TYPES.items(), columns, strict=True)})


def _since(hot: pa.Table, query: SeriesQuery, zone: ZoneInfo) -> datetime:
    earliest = pc.min(hot.column("observed_at")).as_py()
    return max(query.start, rules.day_start(earliest.astimezone(zone).date(), zone)) if earliest else query.end


def _frame(connection: psycopg.Connection, tenant_id: int, type_: str, uris: Sequence[str]) -> _Frame:
    """All of it in one statement: each more waits for the server once more."""
    with database.tenant_transaction(connection, [tenant_id]):
        row = connection.execute(_FRAME.format(_NAMED if uris else _DELETED), {"tenant": tenant_id, "type": type_, "uris": list(uris)}).fetchone()
    zone, undone, found = row or (None, [], None)
    where = ZoneInfo(zone or "Europe/Lisbon")
    if not uris:
        return _Frame(where, None, {}, found or [], undone)
    named = {int(id_): uri for id_, uri in (found or {}).items()}
    return _Frame(where, list(named), named, [], undone)


_FRAME = """SELECT (SELECT time_zone FROM organisation WHERE id = %(tenant)s), ARRAY(SELECT run_id FROM undone_run WHERE tenant_id = %(tenant)s), ({})"""
_NAMED = "SELECT json_object_agg(id, uri) FROM entities WHERE tenant_id = %(tenant)s AND uri = ANY(%(uris)s)"
_DELETED = "SELECT array_agg(entity_id) FROM entity_deleted WHERE tenant_id = %(tenant)s AND type_id = (SELECT id FROM entity_type WHERE name = %(type)s)"


def _names(connection: psycopg.Connection, tenant_id: int, frame: _Frame, ids: set[int]) -> dict[int, str]:
    """The URIs of these entities; those deleted in between have none."""
    if frame.ids is not None:
        return frame.uris
    with database.tenant_transaction(connection, [tenant_id]):
        return dict(connection.execute("SELECT id, uri FROM entities WHERE tenant_id = %s AND id = ANY(%s)", [tenant_id, list(ids)]).fetchall())


def _periods(query: SeriesQuery, zone: ZoneInfo) -> dict[str, list[datetime]]:
    """Starts and ends of the days, and of the buckets, of a question by day or month."""
    if query.grain not in {Grain.DAY, Grain.MONTH}:
        return {}
    last = query.end - timedelta(microseconds=1)
    days = rules.local_days(query.start, last, zone)
    buckets = rules.local_months(query.start, last, zone) if query.grain is Grain.MONTH else days
    return {
        "day_starts": [start for start, _ in days], "day_ends": [end for _, end in days],
        "bucket_starts": [start for start, _ in buckets], "bucket_ends": [end for _, end in buckets],
    }  # fmt: skip


def _whole_buckets(query: SeriesQuery, zone: ZoneInfo) -> SeriesQuery:
    """The period widened to whole buckets."""
    if query.grain is Grain.RAW:
        return query
    last = query.end - timedelta(microseconds=1)
    if query.grain in {Grain.QUARTER, Grain.HOUR}:
        width = timedelta(minutes=15) if query.grain is Grain.QUARTER else timedelta(hours=1)
        epoch = datetime(1970, 1, 1, tzinfo=UTC)
        return replace(query, start=epoch + (query.start - epoch) // width * width, end=epoch + ((last - epoch) // width + 1) * width)
    periods = rules.local_days if query.grain is Grain.DAY else rules.local_months
    return replace(query, start=periods(query.start, query.start, zone)[0][0], end=periods(last, last, zone)[0][1])
