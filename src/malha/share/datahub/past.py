"""Rows of history: the lake's sums and values with what is still hot laid over them, as one relation for one type.

Entities deleted since and loads undone since are left out, and so are attributes about people; a corrected value
hides the one that it replaces, also before the compactor has moved it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any, cast
from zoneinfo import ZoneInfo

import psycopg
import pyarrow as pa
import pyarrow.compute as pc

from malha.history.engines import layout
from malha.history.engines import service as engines
from malha.history.engines.coarse import NONE, Coarse
from malha.history.engines.contracts import LakeMissing
from malha.history.engines.layout import Layout
from malha.history.engines.service import Connection
from malha.history.lake import catalogue
from malha.history.lake.contracts import Watermark
from malha.history.rollups import rules
from malha.share.datahub import corrections, current, walking
from malha.share.datahub.contracts import Reader, Table, TableKind
from malha.share.datahub.relation import Parts, relation
from malha.share.datahub.walking import Series
from malha.share.questions.compiling import Dialect, Statement
from malha.share.questions.contracts import Field
from malha.share.questions.expressions import Node

_HOT_SCHEMA = {
    "entity_id": pa.int64(), "dataset_id": pa.int32(), "observed_at": pa.timestamp("us", "UTC"), "num": pa.float64(), "txt": pa.string(),
    "unit": pa.string(), "op": pa.int16(), "seq": pa.int64(), "attribute": pa.string(), "received_at": pa.timestamp("us", "UTC"), "run_id": pa.int64(),
}  # fmt: skip
_HOT = """SELECT o.entity_id, o.dataset_id, o.observed_at, o.num, o.txt, u.name, o.op, o.seq, a.name, o.received_at, o.run_id
FROM observations o JOIN attribute a ON a.id = o.attr_id LEFT JOIN unit u ON u.id = o.unit_id
WHERE o.tenant_id = %(tenant)s AND o.type_id = (SELECT id FROM entity_type WHERE name = %(type)s) AND o.xid >= %(xid)s::text::xid8 AND (o.xid, o.seq) > (%(xid)s::text::xid8, %(seq)s)"""
_NEWEST = """SELECT coalesce((SELECT xid::text || '/' || seq FROM (
    (SELECT xid, seq FROM observation_hot WHERE tenant_id = %(tenant)s ORDER BY xid DESC, seq DESC LIMIT 1)
    UNION ALL (SELECT xid, seq FROM observation_packed WHERE tenant_id = %(tenant)s ORDER BY xid DESC, seq DESC LIMIT 1)) AS o ORDER BY xid DESC, seq DESC LIMIT 1), '')"""
_UNDONE = "SELECT coalesce(array_agg(run_id ORDER BY run_id), '{}') FROM undone_run WHERE tenant_id = %(tenant)s"
_ENTITIES = """SELECT e.id, e.uri FROM entities e
WHERE e.tenant_id = %(tenant)s AND (e.type_id = t.id OR (cardinality(e.types) > 1 AND t.id = ANY (e.types)))"""
_EXISTING = f"SELECT count(*) || ':' || coalesce(sum(e.id %% 1000003), 0) FROM entity_type t, LATERAL ({_ENTITIES}) e WHERE t.name = %(type)s"
_COLUMNS = {TableKind.SERIES: "observedAt"}
#: the lake's table whose rows a table's are, and all that they may be made of
SOURCE = {TableKind.SERIES: "observation", TableKind.HOURLY: "rollup_hour", TableKind.DAILY: "rollup_day"}
_SOURCES = {
    TableKind.SERIES: ("observation",), TableKind.HOURLY: ("observation", "rollup_hour"), TableKind.DAILY: ("observation", "rollup_hour", "rollup_day"),
}  # fmt: skip
#: hot rows and names of entities that one process keeps between the pages of one walk
_KEPT = 12
_kept: OrderedDict[tuple[object, ...], _Beside] = OrderedDict()


@dataclass(frozen=True, slots=True)
class _Beside:
    """What PostgreSQL knows that the lake does not: hot rows, names of entities that exist, names of instances."""

    hot: pa.Table
    entities: pa.Table
    instances: pa.Table
    noted: dict[tuple[int, str], Series] = field(default_factory=dict, compare=False)  # series in order, by snapshot of the lake and table


def sql_of(field: Field) -> str:
    """The column of a field in the relation."""
    return f'"{field.name}"'


def page(
    conn: psycopg.Connection[Any], reader: Reader, table: Table, where: Node | None, order: Sequence[tuple[str, bool]], *,
    after: Sequence[object] = (), skip: int = 0, limit: int = 1000, fields: Sequence[Field] | None = None,
    one_more: bool = False,
) -> tuple[list[list[object]], list[object]]:  # fmt: skip
    """(rows, where the last stands, or with `one_more` the last but one) in an order that ends with the table's key."""
    shown = tuple(fields if fields is not None else table.fields)
    names = [field.name for field in shown]
    beyond = [name for name, _ in order if name not in names]  # where the last row stands is mostly told by the row itself

    _checked(table, where)

    def some(cursor: Connection, parts: Parts, most: int) -> list[Any]:
        statement = Statement(Dialect.DUCKDB, table, sql_of)
        wanted = [statement.condition(where)] if where is not None else []
        if after:
            wanted.append(statement.after(order, after))
        columns = ", ".join([*(sql_of(field) for field in shown), *(statement.column(name)[0] for name in beyond)])
        text = f"SELECT {columns} FROM wanted {_where(wanted)} ORDER BY {statement.order(order)} LIMIT {int(most)} OFFSET {int(skip)}"
        return cursor.execute(said(cursor, parts, text), statement.given).fetchall()

    def work(cursor: Connection, parts: Parts) -> list[Any]:
        series = _series(cursor, parts) if not skip and list(order) == [(name, False) for name in table.key] else None
        if series is None:
            return some(cursor, parts, limit)
        found: list[Any] = []
        for stretch in walking.stretches(series, where, after, limit):
            found += some(cursor, replace(parts, stretch=stretch), limit - len(found))
            if len(found) >= limit:
                break
        return found

    rows = _ask(conn, reader, table, work)
    stands = rows[-2:-1] if one_more and len(rows) == limit else rows[-1:]
    places = [(names + beyond).index(name) for name, _ in order]
    return [list(row[: len(names)]) for row in rows], [stands[0][place] for place in places] if stands else []


def _checked(table: Table, where: Node | None) -> None:
    """Raise BadFilter for a condition that cannot be, also where no series is left to ask it of."""
    if where is not None:
        Statement(Dialect.DUCKDB, table, sql_of).condition(where)


def _series(cursor: Connection, parts: Parts) -> Series | None:
    """The series of a table in the order of its key; None where its rows are read all at once: few of them, or files that only DuckLake can read."""
    if parts.files is None or parts.undone:
        return None
    name, noted = SOURCE[parts.table.kind], parts.files.noted
    mark = "|".join(["hub", name, parts.only])
    known = parts.noted.get((parts.files.snapshot, mark))
    if known is None:
        if mark not in noted:
            text = f"SELECT x.attribute, x.entity_id, count(*) AS rows FROM {parts.source(name)} AS x WHERE {parts.only} GROUP BY ALL"
            noted[mark] = cursor.execute(text).to_arrow_table()
        hot = f"SELECT attribute, entity_id FROM hub_hot WHERE true{parts.seen('attribute')}"
        known = parts.noted[parts.files.snapshot, mark] = walking.series(cursor, cast("pa.Table", noted[mark]), hot)
    return known


def each(
    conn: psycopg.Connection[Any], reader: Reader, table: Table, where: Node | None, order: Sequence[tuple[str, bool]], *, most: int, fields: Sequence[Field],
) -> list[tuple[str, int, list[object]]]:  # fmt: skip
    """(entity, how many rows it has in all, row) of the first `most` rows of each entity, in an order that ends with the table's key."""
    _checked(table, where)

    def work(cursor: Connection, parts: Parts) -> list[Any]:
        series = _series(cursor, parts)
        if series is not None:  # all that may answer is one stretch
            stretch = next(walking.stretches(series, where, (), sum(series.rows) + 1), None)
            if stretch is None:
                return []
            parts = replace(parts, stretch=stretch)
        statement = Statement(Dialect.DUCKDB, table, sql_of)
        condition = _where([statement.condition(where)] if where is not None else [])
        ordered, columns = statement.order(order), ", ".join(sql_of(field) for field in fields)
        numbered = f"row_number() OVER (PARTITION BY entity ORDER BY {ordered})"
        text = f"SELECT entity, count(*) OVER (PARTITION BY entity), {columns} FROM wanted {condition} QUALIFY {numbered} <= {int(most)} ORDER BY entity, {numbered}"
        return cursor.execute(said(cursor, parts, text), statement.given).fetchall()

    return [(str(row[0]), int(row[1]), list(row[2:])) for row in _ask(conn, reader, table, work)]


def count(conn: psycopg.Connection[Any], reader: Reader, table: Table, where: Node | None) -> int:
    """How many rows there are."""
    statement = Statement(Dialect.DUCKDB, table, sql_of)
    text = f"SELECT count(*) FROM wanted {_where([statement.condition(where)] if where is not None else [])}"
    return int(ask(conn, reader, table, text, statement.given)[0][0])


def stream(
    conn: psycopg.Connection[Any], reader: Reader, table: Table, start: datetime, end: datetime, use: Callable[[Iterator[pa.RecordBatch]], None]
) -> None:
    """Hand every row of [start, end) to `use`, in order of the key, as Arrow batches in constant memory."""
    when = _COLUMNS.get(table.kind, "start")
    shown, keys = (", ".join(f'"{name}"' for name in names) for names in ([field.name for field in table.fields], table.key))
    text = f'SELECT {shown} FROM wanted WHERE "{when}" >= $start AND "{when}" < $end ORDER BY {keys}'

    def work(cursor: Connection, parts: Parts) -> None:
        use(iter(cursor.execute(said(cursor, parts, text), {"start": start, "end": end}).to_arrow_reader(100_000)))

    _ask(conn, reader, table, work)


def months(conn: psycopg.Connection[Any], reader: Reader, table: Table) -> list[datetime]:
    """The first instant (UTC) of each month that has rows, in order."""
    when = _COLUMNS.get(table.kind, "start")
    text = f"""SELECT DISTINCT date_trunc('month', "{when}" AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS month FROM wanted ORDER BY 1"""
    return [row[0] for row in ask(conn, reader, table, text)]


def _where(parts: Sequence[str]) -> str:
    return f"WHERE {' AND '.join(parts)}" if parts else ""


def ask(conn: psycopg.Connection[Any], reader: Reader, table: Table, text: str, given: dict[str, Any] | None = None) -> list[Any]:
    """The answer to a statement about `wanted`, the table's rows."""
    return _ask(conn, reader, table, lambda cursor, parts: cursor.execute(said(cursor, parts, text), given or {}).fetchall())


def said(cursor: Connection, parts: Parts, text: str) -> str:
    """A statement about `wanted` with what that is; what was corrected is looked for only where the statement names it."""
    replaced = parts.replaced(cursor, parts) if parts.replaced is not None and corrections.named(text) else ""
    return f"{relation(parts, replaced)} {text}"


def _ask[T](conn: psycopg.Connection[Any], reader: Reader, table: Table, work: Callable[[Connection, Parts], T]) -> T:
    tenant_id = reader.tenant_id
    schema = engines.tenant_schema(tenant_id)

    def inside(cursor: Connection) -> T:
        files = layout.kept(schema)
        if files is not None and "watermark" in files.noted and _plain(files, table, _thin(files, table)):
            return answer(cursor, schema, catalogue.noted(files), files)
        cursor.execute("BEGIN")  # the watermark and the rows are of the same snapshot
        try:
            files = catalogue.standing(cursor, tenant_id)
            if files is None:
                return answer(cursor, "", Watermark(), None)
            return answer(cursor, schema, catalogue.noted(files), files)
        finally:
            cursor.execute("ROLLBACK")

    def answer(cursor: Connection, there: str, after: Watermark, files: Layout | None) -> T:
        undone, beside = _beside(conn, tenant_id, table, after)
        cursor.register("hub_hot", beside.hot)
        cursor.register("hub_entity", beside.entities)
        cursor.register("hub_instance", beside.instances)
        days = _days(beside.hot, ZoneInfo(reader.zone))
        cursor.register("hub_day", days)
        since = days.column("starts")[0].as_py() if days.num_rows else None
        thin = _thin(files, table) if files is not None else NONE
        plain = files if files is not None and _plain(files, table, thin) else None
        replaced = partial(corrections.expressions, conn, reader, files, beside.hot) if table.kind is TableKind.SERIES else None
        return work(cursor, Parts(there, table, undone, since, reader.zone, beside.noted, thin, plain, replaced=replaced))

    try:
        return engines.run([tenant_id], inside)
    except LakeMissing:
        with closing(engines.without_lake()) as cursor:
            return answer(cursor, "", Watermark(), None)


def _thin(files: Layout, table: Table) -> Coarse:
    """The months of the table's type whose hours are in no table of sums."""
    return Coarse(frozenset(one for one in catalogue.coarse_of(files).months if one[0] == table.entity_type))


def _plain(files: Layout, table: Table, thin: Coarse) -> bool:
    """Whether everything that a table's rows come from can be read from its files, without asking DuckLake's catalogue."""
    return not (thin and table.kind is not TableKind.SERIES) and not any(files.relation(name).startswith("lake.") for name in _SOURCES[table.kind])


def fingerprint(conn: psycopg.Connection[Any], reader: Reader, table: Table) -> str:
    """A text that changes when anything of the table does: the lake's files, hot rows, undone loads, entities that exist."""

    def files(cursor: Connection) -> str:
        schema = engines.tenant_schema(reader.tenant_id)
        if not catalogue.has_schema(cursor, schema):
            return ""
        mark = catalogue.watermark(cursor, reader.tenant_id)
        row = cursor.execute(
            "SELECT md5(string_agg(data_file || coalesce(delete_file, ''), '' ORDER BY data_file)) FROM ducklake_list_files('lake', 'observation', schema => ?)",
            [schema],
        ).fetchone()
        return f"{row[0] if row else ''}:{mark.xid}:{mark.seq}"

    try:
        lake = engines.run([reader.tenant_id], files)
    except LakeMissing:
        lake = ""
    given = {"tenant": reader.tenant_id, "type": table.entity_type}
    row = conn.execute(f"SELECT ({_NEWEST}), ({_UNDONE})::text, ({_EXISTING})", given).fetchone()
    return "|".join(
        [lake, *(str(part) for part in row or ()), ",".join(sorted(table.hidden)), table.within.mark, str(hash(_inside(conn, reader.tenant_id, table)))]
    )


def _beside(conn: psycopg.Connection[Any], tenant_id: int, table: Table, after: Watermark) -> tuple[list[int], _Beside]:
    given = {"tenant": tenant_id, "type": table.entity_type, "xid": after.xid, "seq": after.seq}
    row = conn.execute(f"SELECT ({_NEWEST}), ({_UNDONE}), ({_EXISTING})", given).fetchone()
    newest, undone, names = row or ("", [], "")
    inside = _inside(conn, tenant_id, table)
    key = (conn.info.dbname, tenant_id, table.entity_type, after, newest, tuple(undone), names, inside)
    found = _kept.get(key)
    if found is None:
        found = _kept[key] = _read_beside(conn, given, inside)
        while len(_kept) > _KEPT:
            _kept.popitem(last=False)
    return list(undone), found


def _inside(conn: psycopg.Connection[Any], tenant_id: int, table: Table) -> tuple[int, ...] | None:
    """The entities that lie in the table's area; None where it has none."""
    return tuple(current.inside(conn, tenant_id, table)) if table.within.area else None


def _read_beside(conn: psycopg.Connection[Any], given: dict[str, Any], inside: tuple[int, ...] | None) -> _Beside:
    with conn.cursor(binary=True) as cursor:
        rows = cursor.execute(_HOT, given).fetchall()
        entities = cursor.execute(f"SELECT e.id, e.uri FROM entity_type t, LATERAL ({_ENTITIES}) e WHERE t.name = %(type)s", given).fetchall()
        there = set(inside or ())
        entities = entities if inside is None else [row for row in entities if row[0] in there]
        instances = cursor.execute("SELECT id, name FROM attribute_dataset ORDER BY id LIMIT 100000").fetchall()
    columns = list(zip(*rows, strict=True)) if rows else [() for _ in _HOT_SCHEMA]
    hot = pa.table({name: pa.array(column, kind) for (name, kind), column in zip(_HOT_SCHEMA.items(), columns, strict=True)})
    return _Beside(hot, _pairs(entities, pa.int64(), "entity_id", "uri"), _pairs(instances, pa.int32(), "dataset_id", "name"))


def _pairs(rows: Sequence[Any], kind: pa.DataType, number: str, name: str) -> pa.Table:
    return pa.table({number: pa.array([row[0] for row in rows], kind), name: pa.array([row[1] for row in rows], pa.string())})


def _days(hot: pa.Table, zone: ZoneInfo) -> pa.Table:
    """Start and end of every day of the zone that a hot row lies in."""
    span: dict[str, datetime | None] = pc.min_max(hot.column("observed_at")).as_py() if hot.num_rows else {"min": None, "max": None}
    days = rules.local_days(span["min"], span["max"], zone) if span["min"] and span["max"] else []
    kind = pa.timestamp("us", "UTC")
    return pa.table({"starts": pa.array([day[0] for day in days], kind), "ends": pa.array([day[1] for day in days], kind)})
