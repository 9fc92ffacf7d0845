"""Every instance that attributes of entities had, hot rows and lake as one (GS CIM 009 §5.7.3, §5.7.4). Django-free.

A hot row hides the row of the lake with the same key; a row that hides (`Operation.HIDDEN`) hides and says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext, suppress
from datetime import datetime
from typing import Any

import psycopg
import pyarrow as pa

from malha.context.broker import pool
from malha.context.store.contracts import ENDED_AS_OBSERVED, Operation
from malha.foundation.database import service as database
from malha.history.engines import layout
from malha.history.engines import service as engines
from malha.history.engines.contracts import LakeMissing
from malha.history.engines.layout import FIRST, LAST, Layout
from malha.history.engines.service import Connection
from malha.history.lake import catalogue
from malha.history.lake.contracts import Watermark
from malha.history.temporal import knowing
from malha.history.temporal.contracts import Bucket, Duration, Evolution, EvolutionQuery, Instance, TimeProperty
from malha.history.temporal.periods import bucket_bounds

#: who answers over observations: the lake, or its files
type Reading = Connection | knowing.Known | knowing.Filed
#: values of one attribute of one entity in an answer; more are cut (206)
MOST_VALUES = 10_000
#: rows of one answer, whatever its entities and attributes are
MOST_ROWS = 200_000
_HOT = """SELECT o.entity_id, a.name, o.dataset_id, o.observed_at, o.received_at, o.kind, o.num, o.txt, u.name, o.op, o.seq
FROM observations o JOIN attribute a ON a.id = o.attr_id LEFT JOIN unit u ON u.id = o.unit_id
WHERE o.tenant_id = %(tenant)s AND o.entity_id = ANY (%(ids)s) AND o.xid >= %(xid)s::text::xid8 AND (o.xid, o.seq) > (%(xid)s::text::xid8, %(seq)s)"""
_KNOWN = " AND o.received_at <= %(known)s"
_NAMED = " AND a.name = ANY (%(attributes)s)"
_COLUMNS = {
    "entity_id": pa.int64(), "attribute": pa.string(), "dataset_id": pa.int32(), "observed_at": pa.timestamp("us", "UTC"), "received_at": pa.timestamp("us", "UTC"),
    "kind": pa.int16(), "num": pa.float64(), "txt": pa.string(), "unit": pa.string(), "op": pa.int16(), "seq": pa.int64(),
}  # fmt: skip
_LIST = ", ".join(_COLUMNS)
_KEY = "n.entity_id = x.entity_id AND n.attribute = x.attribute AND n.dataset_id = x.dataset_id AND n.observed_at = x.observed_at"
#: sum, mean and the like of lists are those of their lengths, as §4.5.19.1 has it
_NUMBER = "CASE WHEN kind IN (5, 10, 11) AND txt LIKE '[%' THEN json_array_length(txt)::DOUBLE ELSE num END"
AGGREGATES = {
    "totalCount": "count(*)",
    "distinctCount": "count(DISTINCT coalesce(num::VARCHAR, txt))",
    "sum": "sum(number)",
    "avg": "avg(number)",
    "stddev": "stddev_pop(number)",
    "sumsq": "sum(number * number)",
    "min": "min(number)",
    "max": "max(number)",
}


def read(tenant_id: int, query: EvolutionQuery) -> Evolution:
    """The instances that `query` asks for. Raises the engines' Busy and TooSlow."""
    order = "DESC" if query.last_n is not None else "ASC"
    most = query.last_n if query.last_n is not None else query.most + 1

    def statement(schema: str) -> str:
        return f"""{_found(schema, query)}
        SELECT {_LIST}, told_at FROM found QUALIFY row_number() OVER (PARTITION BY entity_id, attribute ORDER BY told_at {order}, dataset_id) <= {int(most)}
        ORDER BY entity_id, attribute, told_at, dataset_id LIMIT {MOST_ROWS + 1}"""

    rows = _ask(tenant_id, query, lambda reader, schema, given: reader.execute(statement(schema), given).fetchall())
    return _whole(rows, query)


def present(tenant_id: int, query: EvolutionQuery) -> set[int]:
    """Those of the entities that have an instance which `query` asks for."""
    rows = _ask(
        tenant_id, query, lambda reader, schema, given: reader.execute(f"{_found(schema, query)} SELECT DISTINCT entity_id FROM found", given).fetchall()
    )
    return {row[0] for row in rows}


def through(
    conn: psycopg.Connection[Any], tenant_id: int, query: EvolutionQuery, work: Callable[[Reading, str, dict[str, object]], list[Any]]
) -> list[Any]:  # fmt: skip
    """What `work` finds, given a reader, common table expressions that end in `found` (the instances of `query`), and their parameters."""
    return _ask(tenant_id, query, lambda reader, schema, given: work(reader, _found(schema, query), given), conn)


def aggregate(
    tenant_id: int, query: EvolutionQuery, methods: tuple[str, ...], duration: Duration, origin: datetime | None, end: datetime | None
) -> dict[int, dict[str, list[Bucket]]]:  # fmt: skip
    """Aggregates by entity and attribute. Buckets begin at `origin`, or at the first instance of all; those that are empty are not given.

    The zero duration makes one bucket of the whole period. Source: GS CIM 009 §4.5.19; the standard deviation is that of the population.
    """

    def work(reader: Reading, schema: str, given: dict[str, object]) -> list[Any]:
        return reader.execute(summed(_found(schema, query), methods, duration, query.last_n), {**given, "origin": origin}).fetchall()

    return buckets_of(_ask(tenant_id, query, work), methods, duration, end)


def summed(found: str, methods: Sequence[str], duration: Duration, last_n: int | None = None) -> str:
    """The statement that aggregates what common table expressions find, which end in `found`; `$origin` is where buckets begin."""
    wanted = ", ".join(AGGREGATES[method] for method in methods)
    texts = "min(CASE WHEN number IS NULL THEN txt END), max(CASE WHEN number IS NULL THEN txt END)"
    limit = f"QUALIFY row_number() OVER (PARTITION BY entity_id, attribute ORDER BY n DESC) <= {int(last_n)}" if last_n is not None else ""
    return f"""{found},
        origin AS MATERIALIZED (SELECT coalesce($origin::TIMESTAMPTZ, min(told_at)) AS begins, max(told_at) AS ends FROM found),
        numbered AS (SELECT found.*, {_NUMBER} AS number, {_ordinal(duration)} AS n FROM found, origin)
        SELECT entity_id, attribute, n, (SELECT begins FROM origin), (SELECT ends FROM origin), {texts}, {wanted}
        FROM numbered GROUP BY entity_id, attribute, n {limit} ORDER BY entity_id, attribute, n LIMIT {MOST_ROWS}"""


def buckets_of(rows: Sequence[Any], methods: Sequence[str], duration: Duration, end: datetime | None) -> dict[int, dict[str, list[Bucket]]]:
    """The rows of a statement of `summed`, by entity and attribute."""
    out: dict[int, dict[str, list[Bucket]]] = {}
    for entity_id, attribute, n, begins, ends, least, greatest, *values in rows:
        given = dict(zip(methods, values, strict=True))
        if least is not None:
            given |= {name: text for name, text in (("min", least), ("max", greatest)) if name in given and given[name] is None}
        start, until = bucket_bounds(begins, n, duration, end or ends)
        results = {name: value for name, value in given.items() if value is not None}
        out.setdefault(entity_id, {}).setdefault(attribute, []).append(Bucket(start, until, results))
    return out


def _ordinal(duration: Duration) -> str:
    if duration.months:
        return f"(date_sub('month', begins, told_at) // {int(duration.months)})"
    if duration.microseconds:
        return f"((epoch_us(told_at) - epoch_us(begins)) // {int(duration.microseconds)})"
    return "0::BIGINT"


def _found(schema: str, query: EvolutionQuery) -> str:
    """Common table expressions that end in `found`: every instance of the question, with `told_at` by its temporal property."""
    lake = f"lake.{schema}.observation" if schema else f"(SELECT {', '.join(f'NULL AS {name}' for name in _COLUMNS)}, NULL::BIGINT AS run_id WHERE false)"
    at = "observed_at" if query.by in {TimeProperty.OBSERVED, TimeProperty.DELETED} else "received_at"
    told = f"op = {int(Operation.DELETED if query.by is TimeProperty.DELETED else Operation.VALUE)}"
    if query.ended and query.by is TimeProperty.OBSERVED:
        told = f"({told} OR (op = {int(Operation.DELETED)} AND txt = '{ENDED_AS_OBSERVED}'))"
    wanted = ", ".join(f"$attribute{n}" for n in range(len(query.attributes)))  # a list of values lets files be left out; a list as one value does not
    named = f" AND x.attribute IN ({wanted})" if query.attributes else " AND NOT list_contains($without, x.attribute)" if query.without else ""
    period = " AND x.observed_at >= $start AND x.observed_at < $end" if at == "observed_at" else ""
    datasets = f" AND dataset_id IN ({', '.join(str(int(id_)) for id_ in query.datasets)})" if query.datasets is not None else ""
    undone = " AND (x.run_id IS NULL OR NOT list_contains($undone, x.run_id))" if schema else ""
    ids = ", ".join(str(int(id_)) for id_ in query.entity_ids)
    of_type = " AND x.type = $type" if query.type and schema else ""
    within = " AND EXISTS (SELECT 1 FROM stretches AS s WHERE s.entity_id = every.entity_id AND told_at >= s.begins AND told_at < s.ends)"
    bounds = "stretches AS (SELECT unnest($owners::BIGINT[]) AS entity_id, unnest($begins::TIMESTAMPTZ[]) AS begins, unnest($ends::TIMESTAMPTZ[]) AS ends),"
    return f"""WITH {"" if query.within is None else bounds} newest AS MATERIALIZED (
        SELECT * FROM hot QUALIFY row_number() OVER (PARTITION BY entity_id, attribute, dataset_id, observed_at ORDER BY seq DESC) = 1),
    every AS (
        SELECT {_LIST} FROM newest AS x WHERE true{named}
        UNION ALL
        SELECT {", ".join(f"x.{name}" for name in _COLUMNS)} FROM {lake} AS x ANTI JOIN newest AS n ON {_KEY}
        WHERE x.entity_id IN ({ids}){of_type}{named}{period}{undone}),
    found AS (SELECT {_LIST}, {at} AS told_at FROM every WHERE {told} AND {at} >= $start AND {at} < $end{datasets}{"" if query.within is None else within.replace("told_at", at)})"""


def _parameters(query: EvolutionQuery, *, lake: bool) -> dict[str, object]:
    named: dict[str, object] = (
        {f"attribute{n}": name for n, name in enumerate(query.attributes)} if query.attributes else {"without": list(query.without)} if query.without else {}
    )
    owners, begins, ends = zip(*query.within, strict=True) if query.within else ((), (), ())
    stretches: dict[str, object] = {} if query.within is None else {"owners": list(owners), "begins": list(begins), "ends": list(ends)}
    return {"start": query.start, "end": query.end, **named, **stretches, **({"type": query.type} if query.type and lake else {})}


def _ask(
    tenant_id: int, query: EvolutionQuery, work: Callable[[Reading, str, dict[str, object]], list[Any]], conn: psycopg.Connection[Any] | None = None
) -> list[Any]:  # fmt: skip
    """The rows of `work`, given the lake's schema of the tenant, the hot rows after its watermark as `hot`, and the parameters.

    `conn` is in the tenant's transaction; without one, a connection of its own is used.
    """
    if not query.entity_ids:
        return []
    if query.held is not None:
        rows = query.held(query.entity_ids, query.attributes)
        with closing(engines.without_lake()) as reader:
            reader.register("hot", _table(rows))
            return work(reader, "", _parameters(query, lake=False))
    if query.known_at is not None:
        with _scoped(tenant_id) as known_in:
            knowing.require(known_in, tenant_id, query.known_at)

    def answer(reader: Connection, schema: str, after: Watermark, files: Layout | None) -> list[Any]:
        hot, undone = _hot(tenant_id, query, after, conn)
        reader.register("hot", hot)
        given = _parameters(query, lake=bool(schema)) | ({"undone": undone} if schema else {})
        if files is None:
            return work(knowing.Known(reader, schema, query.known_at) if query.known_at else reader, schema, given)
        span = (query.start, query.end) if query.by in {TimeProperty.OBSERVED, TimeProperty.DELETED} else (FIRST, LAST)
        return work(knowing.Filed(reader, files, query.known_at, *span, query.entity_ids), schema, given)

    def inside(reader: Connection) -> list[Any]:
        schema = engines.tenant_schema(tenant_id)
        files = layout.kept(schema)
        if files is not None and "watermark" in files.noted:
            with suppress(knowing.NotInFiles):
                return answer(reader, schema, catalogue.noted(files), files)
        reader.execute("BEGIN")  # the watermark and the rows are of the same snapshot
        try:
            files = catalogue.standing(reader, tenant_id)
            return answer(reader, schema if files else "", catalogue.noted(files) if files else Watermark(), None)
        finally:
            reader.execute("ROLLBACK")

    try:
        return engines.run([tenant_id], inside)
    except LakeMissing:
        with closing(engines.without_lake()) as reader:
            return answer(reader, "", Watermark(), None)


def _hot(tenant_id: int, query: EvolutionQuery, after: Watermark, held: psycopg.Connection[Any] | None = None) -> tuple[pa.Table, list[int]]:
    """Hot rows of the entities, and the runs that were undone."""
    given = {
        "tenant": tenant_id,
        "ids": list(query.entity_ids),
        "attributes": list(query.attributes),
        "xid": after.xid,
        "seq": after.seq,
        "known": query.known_at,
    }
    with nullcontext(held) if held is not None else _scoped(tenant_id) as conn:
        undone = [row[0] for row in conn.execute("SELECT run_id FROM undone_run WHERE tenant_id = %s", [tenant_id])]
        rows = conn.execute((_HOT + (_NAMED if query.attributes else "") + (_KNOWN if query.known_at else "")).encode(), given).fetchall()
    return _table(rows), undone


def _table(rows: Sequence[Sequence[Any]]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) if rows else [() for _ in _COLUMNS]
    return pa.table({name: pa.array(column, kind) for (name, kind), column in zip(_COLUMNS.items(), columns, strict=True)})


@contextmanager
def _scoped(tenant_id: int) -> Iterator[psycopg.Connection[Any]]:
    with pool.connection() as conn, database.tenant_transaction(conn, [tenant_id]):
        yield conn


def _whole(rows: list[Any], query: EvolutionQuery) -> Evolution:
    """The rows as instances, cut at one instant for all attributes where any of them had too many."""
    by_entity: dict[int, dict[str, list[Instance]]] = {}
    ends: list[datetime] = []
    if len(rows) > MOST_ROWS:
        rows = sorted(rows, key=lambda row: row[-1])[:MOST_ROWS]
        ends.append(rows[-1][-1])
        rows.sort(key=lambda row: (row[0], row[1], row[-1]))
    for row in rows:
        entity_id, attribute, dataset_id, at, received, kind, num, txt, unit, op = row[:10]
        one = Instance(entity_id, attribute, at, received, kind, num, txt, unit or "", dataset_id, op)
        by_entity.setdefault(entity_id, {}).setdefault(attribute, []).append(one)
    if query.last_n is None:
        ends += [told(found[query.most - 1], query.by) for entity in by_entity.values() for found in entity.values() if len(found) > query.most]
    if not ends:
        return Evolution(by_entity)
    last = min(ends)
    cut = {
        id_: {name: kept for name, found in entity.items() if (kept := [one for one in found if told(one, query.by) <= last])}
        for id_, entity in by_entity.items()
    }
    return Evolution({id_: entity for id_, entity in cut.items() if entity}, last)


def told(instance: Instance, by: TimeProperty) -> datetime:
    """The instant of an instance by one of its temporal properties."""
    return instance.at if by in {TimeProperty.OBSERVED, TimeProperty.DELETED} else instance.received_at
