"""Rows of history: the lake's sums and values with what is still hot laid over them, as one relation for one type.

Entities deleted since and loads undone since are left out, and so are attributes about people; a corrected value
hides the one that it replaces, also before the compactor has moved it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from datetime import datetime
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
from malha.share.datahub import current, walking
from malha.share.datahub.contracts import Reader, Table, TableKind
from malha.share.datahub.walking import Series, Stretch
from malha.share.questions.compiling import Dialect, Statement
from malha.share.questions.contracts import Field
from malha.share.questions.expressions import Node

_HOT_SCHEMA = {
    "entity_id": pa.int64(), "dataset_id": pa.int32(), "observed_at": pa.timestamp("us", "UTC"), "num": pa.float64(), "txt": pa.string(),
    "unit": pa.string(), "op": pa.int16(), "seq": pa.int64(), "attribute": pa.string(),
}  # fmt: skip
_HOT = """SELECT o.entity_id, o.dataset_id, o.observed_at, o.num, o.txt, u.name, o.op, o.seq, a.name
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

    def some(cursor: Connection, parts: _Parts, most: int) -> list[Any]:
        statement = Statement(Dialect.DUCKDB, table, sql_of)
        wanted = [statement.condition(where)] if where is not None else []
        if after:
            wanted.append(statement.after(order, after))
        columns = ", ".join([*(sql_of(field) for field in shown), *(statement.column(name)[0] for name in beyond)])
        text = f"SELECT {columns} FROM wanted {_where(wanted)} ORDER BY {statement.order(order)} LIMIT {int(most)} OFFSET {int(skip)}"
        return cursor.execute(f"{_relation(parts)} {text}", statement.given).fetchall()

    def work(cursor: Connection, parts: _Parts) -> list[Any]:
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


def _series(cursor: Connection, parts: _Parts) -> Series | None:
    """The series of a table in the order of its key; None where its rows are read all at once: few of them, or files that only DuckLake can read."""
    if parts.files is None or parts.undone:
        return None
    name, noted = SOURCE[parts.table.kind], parts.files.noted
    mark = "|".join(["hub", name, parts.only])
    known = parts.beside.noted.get((parts.files.snapshot, mark))
    if known is None:
        if mark not in noted:
            text = f"SELECT x.attribute, x.entity_id, count(*) AS rows FROM {parts.source(name)} AS x WHERE {parts.only} GROUP BY ALL"
            noted[mark] = cursor.execute(text).to_arrow_table()
        hot = f"SELECT attribute, entity_id FROM hub_hot WHERE true{parts.seen('attribute')}"
        known = parts.beside.noted[parts.files.snapshot, mark] = walking.series(cursor, cast("pa.Table", noted[mark]), hot)
    return known


def each(
    conn: psycopg.Connection[Any], reader: Reader, table: Table, where: Node | None, order: Sequence[tuple[str, bool]], *, most: int, fields: Sequence[Field],
) -> list[tuple[str, int, list[object]]]:  # fmt: skip
    """(entity, how many rows it has in all, row) of the first `most` rows of each entity, in an order that ends with the table's key."""
    _checked(table, where)

    def work(cursor: Connection, parts: _Parts) -> list[Any]:
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
        return cursor.execute(f"{_relation(parts)} {text}", statement.given).fetchall()

    return [(str(row[0]), int(row[1]), list(row[2:])) for row in _ask(conn, reader, table, work)]


def count(conn: psycopg.Connection[Any], reader: Reader, table: Table, where: Node | None) -> int:
    """How many rows there are."""
    statement = Statement(Dialect.DUCKDB, table, sql_of)
    text = f"SELECT count(*) FROM wanted {_where([statement.condition(where)] if where is not None else [])}"
    return int(ask(conn, reader, table, lambda cursor, whole: cursor.execute(f"{whole} {text}", statement.given).fetchall())[0][0])


def stream(
    conn: psycopg.Connection[Any], reader: Reader, table: Table, start: datetime, end: datetime, use: Callable[[Iterator[pa.RecordBatch]], None]
) -> None:
    """Hand every row of [start, end) to `use`, in order of the key, as Arrow batches in constant memory."""
    when = _COLUMNS.get(table.kind, "start")
    shown, keys = (", ".join(f'"{name}"' for name in names) for names in ([field.name for field in table.fields], table.key))
    text = f'SELECT {shown} FROM wanted WHERE "{when}" >= $start AND "{when}" < $end ORDER BY {keys}'

    def work(cursor: Connection, whole: str) -> None:
        use(iter(cursor.execute(f"{whole} {text}", {"start": start, "end": end}).to_arrow_reader(100_000)))

    ask(conn, reader, table, work)


def months(conn: psycopg.Connection[Any], reader: Reader, table: Table) -> list[datetime]:
    """The first instant (UTC) of each month that has rows, in order."""
    when = _COLUMNS.get(table.kind, "start")
    text = f"""SELECT DISTINCT date_trunc('month', "{when}" AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS month FROM wanted ORDER BY 1"""
    return [row[0] for row in ask(conn, reader, table, lambda cursor, whole: cursor.execute(f"{whole} {text}").fetchall())]


def _where(parts: Sequence[str]) -> str:
    return f"WHERE {' AND '.join(parts)}" if parts else ""


def ask[T](conn: psycopg.Connection[Any], reader: Reader, table: Table, work: Callable[[Connection, str], T]) -> T:
    """What `work` returns, given a cursor and the common table expressions that end in `wanted`, the table's rows."""
    return _ask(conn, reader, table, lambda cursor, parts: work(cursor, _relation(parts)))


def _ask[T](conn: psycopg.Connection[Any], reader: Reader, table: Table, work: Callable[[Connection, _Parts], T]) -> T:
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
        return work(cursor, _Parts(there, table, undone, since, reader.zone, beside, thin, files if files is not None and _plain(files, table, thin) else None))

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


_NO_ROWS = """(SELECT NULL::VARCHAR AS type, NULL::VARCHAR AS attribute, NULL::BIGINT AS entity_id, 0 AS dataset_id, NULL::TIMESTAMPTZ AS observed_at,
    NULL::TIMESTAMPTZ AS bucket, NULL::DOUBLE AS num, NULL::VARCHAR AS txt, NULL::VARCHAR AS unit, 0 AS op, NULL::BIGINT AS run_id,
    0::BIGINT AS count, 0.0 AS sum, 0.0 AS minimum, 0.0 AS maximum, 0.0 AS first, 0.0 AS last WHERE false)"""
_SERIES_KEY = "n.entity_id = x.entity_id AND n.attribute = x.attribute AND n.dataset_id = x.dataset_id"
_PARTS = "count(num) AS count, sum(num) AS sum, min(num) AS minimum, max(num) AS maximum, arg_min(num, observed_at) AS first, arg_max(num, observed_at) AS last"
_MORE = "sum(count)::BIGINT AS count, sum(sum) AS sum, min(minimum) AS minimum, max(maximum) AS maximum, arg_min(first, bucket) AS first, arg_max(last, bucket) AS last"
_HOUR = "make_timestamptz(epoch_us(x.observed_at) // 3600000000 * 3600000000)"


@dataclass(frozen=True, slots=True)
class _Parts:
    """What the statements of one table are made of."""

    schema: str
    table: Table
    undone: Sequence[int]
    since: datetime | None  # start of the day of the earliest hot row; None where nothing is hot
    zone: str
    beside: _Beside
    thin: Coarse = NONE  # months of the type whose hours are read from values
    files: Layout | None = None  # where rows are read from files as they lie, which spares a dozen questions to the catalogue
    stretch: Stretch | None = None  # the series that are read at this moment: all of them where there is none

    def source(self, name: str) -> str:
        if self.files is not None:
            return self.files.relation(name, ids=self.stretch.ids if self.stretch else None)
        return f"lake.{self.schema}.{name}" if self.schema else _NO_ROWS

    def among(self, of: str = "") -> str:
        """What leaves out the series beyond the stretch, to be put after a condition."""
        if self.stretch is None:
            return ""
        of += "." if of else ""
        each = (
            f"{of}attribute = {_quoted(name)}" + ("" if ids is None else f" AND {of}entity_id IN ({', '.join(map(str, ids))})")
            for name, ids in self.stretch.parts
        )
        return f" AND {of}entity_id BETWEEN {self.stretch.ids[0]} AND {self.stretch.ids[-1]} AND ({' OR '.join(f'({one})' for one in each)})"

    def seen(self, column: str) -> str:
        """What leaves out the attributes that the reader does not get, to be put after a condition."""
        shown, hidden = self.table.within.attributes, self.table.hidden
        only = "" if shown is None else f" AND {column} IN ({_listed(shown)})"
        return only + (f" AND {column} NOT IN ({_listed(hidden)})" if hidden else "")

    @property
    def only(self) -> str:
        return f"x.type = {_quoted(self.table.entity_type)}{self.seen('x.attribute')}{self.among('x')}"

    @property
    def observed(self) -> str:
        """Every value: hot ones, then those of the lake that no hot one replaces. Sums read no further back than they must."""
        kept = f" AND (x.run_id IS NULL OR x.run_id NOT IN ({', '.join(str(int(run)) for run in self.undone)}))" if self.undone else ""
        if self.table.kind is not TableKind.SERIES and not self.undone and self.since is not None:
            kept += f" AND x.observed_at >= TIMESTAMPTZ '{self.since.isoformat()}'"
        if self.since is None:
            stored = f"SELECT x.entity_id, x.attribute, x.dataset_id, x.observed_at, x.num, x.txt, x.unit FROM {self.source('observation')} AS x"
            return f"WITH observed AS ({stored} WHERE {self.only} AND x.op = 0{kept})"
        return f"""WITH newest AS MATERIALIZED (SELECT * FROM hub_hot WHERE true{self.seen("attribute")}{self.among()}
            QUALIFY row_number() OVER (PARTITION BY entity_id, attribute, dataset_id, observed_at ORDER BY seq DESC) = 1),
        observed AS (SELECT entity_id, attribute, dataset_id, observed_at, num, txt, unit FROM newest WHERE op = 0
            UNION ALL SELECT x.entity_id, x.attribute, x.dataset_id, x.observed_at, x.num, x.txt, x.unit FROM {self.source("observation")} AS x
            ANTI JOIN newest AS n ON {_SERIES_KEY} AND n.observed_at = x.observed_at WHERE {self.only} AND x.op = 0{kept})"""

    def sums(self, name: str) -> str:
        """The rows of a rollup."""
        shown = "x.entity_id, x.attribute, x.dataset_id, x.unit, x.bucket, x.count, x.sum, x.minimum, x.maximum, x.first, x.last"
        return f"SELECT {shown} FROM {self.thin.hours(self.schema) if self.schema and name == 'rollup_hour' and self.thin else self.source(name)} AS x"


def _relation(parts: _Parts) -> str:
    """Common table expressions that end in `wanted`, with the table's fields."""
    names = "JOIN hub_entity AS e ON e.entity_id = r.entity_id LEFT JOIN hub_instance AS i ON i.dataset_id = r.dataset_id"
    whose = "e.uri AS entity, r.attribute AS attribute, coalesce(i.name, '') AS instance"
    if parts.table.kind is TableKind.SERIES:
        shown = f"""{whose}, r.observed_at AS "observedAt", r.num AS "value", r.txt AS "text", r.unit AS "unit" """
        return f"{parts.observed}, wanted AS (SELECT {shown} FROM observed AS r {names})"
    summed = f"""{whose}, r.bucket AS "start", coalesce(r.unit, '') AS "unit", r.count AS "count", r.sum AS "sum", r.sum / nullif(r.count, 0) AS "average",
        r.minimum AS "minimum", r.maximum AS "maximum", r.first AS "first", r.last AS "last" """
    buckets = _hours(parts) if parts.table.kind is TableKind.HOURLY else _days_of(parts)
    return f"{buckets}, wanted AS (SELECT {summed} FROM buckets AS r {names} WHERE r.count > 0)"


def _fresh(*, by: str = "") -> str:
    return f"SELECT x.entity_id, x.attribute, x.dataset_id, x.unit, {_HOUR} AS bucket, {_PARTS} FROM observed AS x {by} WHERE x.num IS NOT NULL GROUP BY ALL"


def _hours(parts: _Parts, name: str = "buckets") -> str:
    """Hours of the lake but those that a hot row touches, which are summed again; all of them while a load is being undone."""
    if parts.undone:
        return f"{parts.observed}, {name} AS ({_fresh()})"
    if parts.since is None:
        return f"WITH {name} AS ({parts.sums('rollup_hour')} WHERE {parts.only})"
    return f"""{parts.observed},
    touched AS MATERIALIZED (SELECT DISTINCT x.entity_id, x.attribute, x.dataset_id, {_HOUR} AS bucket FROM newest AS x),
    {name} AS ({parts.sums("rollup_hour")} ANTI JOIN touched AS n ON {_SERIES_KEY} AND n.bucket = x.bucket WHERE {parts.only}
        UNION ALL {_fresh(by=f"SEMI JOIN touched AS n ON {_SERIES_KEY} AND n.bucket = {_HOUR}")})"""


def _days_of(parts: _Parts) -> str:
    """Days in the same manner, summed from the hours."""
    if parts.undone:
        zone = _quoted(parts.zone)
        day = f"date_trunc('day', h.bucket AT TIME ZONE {zone}) AT TIME ZONE {zone}"
        more = _MORE.replace("bucket)", "h.bucket)")
        return f"{_hours(parts, 'hours')}, buckets AS (SELECT h.entity_id, h.attribute, h.dataset_id, h.unit, {day} AS bucket, {more} FROM hours AS h GROUP BY ALL)"
    if parts.since is None:
        return f"WITH buckets AS ({parts.sums('rollup_day')} WHERE {parts.only})"
    return f"""{_hours(parts, "hours")},
    touched_days AS MATERIALIZED (SELECT DISTINCT t.entity_id, t.attribute, t.dataset_id, d.starts AS bucket, d.ends FROM touched AS t JOIN hub_day AS d ON t.bucket >= d.starts AND t.bucket < d.ends),
    buckets AS ({parts.sums("rollup_day")} ANTI JOIN touched_days AS n ON {_SERIES_KEY} AND n.bucket = x.bucket WHERE {parts.only}
        UNION ALL SELECT x.entity_id, x.attribute, x.dataset_id, x.unit, n.bucket, {_MORE.replace("bucket)", "x.bucket)")} FROM hours AS x
        JOIN touched_days AS n ON {_SERIES_KEY} AND x.bucket >= n.bucket AND x.bucket < n.ends
        WHERE x.bucket >= TIMESTAMPTZ '{parts.since.isoformat()}' GROUP BY ALL)"""


def _listed(names: Iterable[str]) -> str:
    return ", ".join(_quoted(name) for name in sorted(names))


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
