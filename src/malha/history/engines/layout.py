"""Where the files of a tenant's tables lie at one snapshot of the lake, kept until the next. Django-free.

DuckLake asks its catalogue a dozen times for each question, which costs more than most answers. Files never change, so
a list of them holds as long as its snapshot is the newest: one short question says whether it is. What a list cannot
say alone (columns added since a file was written) is left to DuckLake.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache

import psycopg
from psycopg_pool import PoolTimeout

from malha.foundation.database import pools
from malha.foundation.database.contracts import Role
from malha.history.engines import storage

_LIVE = "{0}.begin_snapshot <= %(at)s AND ({0}.end_snapshot IS NULL OR {0}.end_snapshot > %(at)s)"
#: files of a tenant's tables with the least and greatest entity and instant of each; a table's `plain` says that its files say all
_FILES = f"""
WITH tables AS (
    SELECT t.table_id, t.table_name, s.path || t.path AS place, k.newest,
        (SELECT array_agg(c.column_name) FROM ducklake_column c WHERE c.table_id = t.table_id AND c.parent_column IS NULL AND {_LIVE.format("c")}) AS columns,
        (SELECT column_id FROM ducklake_column c WHERE c.table_id = t.table_id AND c.column_name = 'entity_id' AND {_LIVE.format("c")}) AS entity,
        (SELECT column_id FROM ducklake_column c WHERE c.table_id = t.table_id AND c.column_name IN ('observed_at', 'bucket') AND {_LIVE.format("c")}) AS instant,
        (SELECT column_id FROM ducklake_column c WHERE c.table_id = t.table_id AND c.column_name = 'num' AND {_LIVE.format("c")}) AS number
    FROM ducklake_table t JOIN ducklake_schema s USING (schema_id)
    CROSS JOIN LATERAL (SELECT max(begin_snapshot) AS newest FROM ducklake_column c WHERE c.table_id = t.table_id AND c.parent_column IS NULL) AS k
    WHERE s.schema_name = %(schema)s AND t.table_name = ANY(%(tables)s) AND {_LIVE.format("s")} AND {_LIVE.format("t")}
      AND NOT EXISTS (SELECT 1 FROM ducklake_inlined_data_tables i WHERE i.table_id = t.table_id)
      AND to_regclass('ducklake_inlined_delete_' || t.table_id) IS NULL
)
SELECT t.table_name, t.place || f.path, e.min_value::bigint, e.max_value::bigint, i.min_value, i.max_value,
    f.begin_snapshot >= t.newest AND f.path_is_relative AND (f.mapping_id IS NULL OR f.path LIKE '%%/{storage.OURS}%%') AND f.encryption_key IS NULL
    AND (d.path IS NULL OR d.path_is_relative AND d.format = 'parquet' AND d.encryption_key IS NULL) AS plain, t.place || d.path,
    (SELECT jsonb_object_agg(c.column_name, v.min_value) FROM ducklake_file_column_stats v JOIN ducklake_column c ON c.table_id = v.table_id AND c.column_id = v.column_id
        WHERE v.data_file_id = f.data_file_id AND v.table_id = t.table_id AND v.min_value = v.max_value AND v.null_count = 0 AND length(v.min_value) < 200
          AND c.column_name = ANY(%(same)s) AND {_LIVE.format("c")}), t.columns, f.record_count - n.null_count AS numbers
FROM tables t LEFT JOIN ducklake_data_file f ON f.table_id = t.table_id AND {_LIVE.format("f")}
LEFT JOIN ducklake_file_column_stats e ON e.data_file_id = f.data_file_id AND e.table_id = t.table_id AND e.column_id = t.entity
LEFT JOIN ducklake_file_column_stats i ON i.data_file_id = f.data_file_id AND i.table_id = t.table_id AND i.column_id = t.instant
LEFT JOIN ducklake_file_column_stats n ON n.data_file_id = f.data_file_id AND n.table_id = t.table_id AND n.column_id = t.number
LEFT JOIN ducklake_delete_file d ON d.data_file_id = f.data_file_id AND {_LIVE.format("d")}
ORDER BY 2"""
#: tables that are asked for this way
TABLES = ("observation", "superseded", "rollup_quarter", "rollup_hour", "rollup_day", "rollup_month")
#: columns that mostly say the same in a whole file: they are not read there, and conditions on them cost nothing
_SAME = {"tenant_id": "BIGINT", "type": "VARCHAR", "attribute": "VARCHAR", "dataset_id": "INTEGER", "op": "SMALLINT", "run_id": "BIGINT", "unit": "VARCHAR"}
#: a table of observations, of those that were replaced, or of sums that holds nothing
NO_ROWS = """(SELECT NULL::VARCHAR AS type, NULL::VARCHAR AS attribute, NULL::BIGINT AS entity_id, 0 AS dataset_id, NULL::TIMESTAMPTZ AS observed_at,
    NULL::TIMESTAMPTZ AS bucket, NULL::SMALLINT AS kind, NULL::DOUBLE AS num, NULL::VARCHAR AS txt, NULL::VARCHAR AS unit, 0 AS op, NULL::BIGINT AS run_id,
    NULL::BIGINT AS seq, 0::BIGINT AS count, 0.0 AS sum, 0.0 AS minimum, 0.0 AS maximum, 0.0 AS first, 0.0 AS last, NULL::INTEGER AS month,
    NULL::MAP(SMALLINT, INTEGER) AS sketch, NULL::TIMESTAMPTZ AS received_at,
    NULL::BIGINT AS by_run, NULL::BIGINT AS by_seq, NULL::TIMESTAMPTZ AS replaced_at WHERE false)"""
FIRST, LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_WORD = re.compile(r"\w+")
#: a statement that takes every column of a table
_ALL = re.compile(r"\bx\.\*|\* FROM lake\.")
#: with more files than this DuckLake's own pruning is the better
MOST_FILES = 400
#: and with more that rows were taken out of
MOST_TORN = 16
#: tenants whose files are known at a time
MOST_KEPT = 400
#: and older snapshots of theirs
MOST_OLDER = 100


@dataclass(frozen=True, slots=True)
class _File:
    place: str
    entities: tuple[int, int] | None  # least and greatest, where the catalogue knows
    instants: tuple[datetime, datetime] | None
    plain: bool
    gone: str  # the file that says which of its rows were taken out, or nothing
    same: frozenset[tuple[str, str]]  # columns that say one thing in all of its rows, and what
    numbers: int | None = None  # rows that have a number, of observations where the catalogue knows

    def may_hold(self, start: datetime, end: datetime, ids: Sequence[int] | None) -> bool:
        if self.instants and (self.instants[1] < start or self.instants[0] >= end):
            return False
        return ids is None or self.entities is None or any(self.entities[0] <= id_ <= self.entities[1] for id_ in ids)

    def lies_within(self, start: datetime, end: datetime) -> bool:
        """Whether all of its rows surely lie in [start, end)."""
        return self.instants is not None and self.instants[0] >= start and self.instants[1] < end

    def is_only_of_others(self, wanted: Mapping[str, str]) -> bool:
        """Whether a column that says one thing in all rows says something else than is wanted."""
        return any(value != wanted.get(column, value) for column, value in self.same)


@dataclass(frozen=True, slots=True)
class Layout:
    """The files of one tenant's tables at one snapshot. `noted` is what whoever reads them found out of the same snapshot."""

    snapshot: int
    schema: str
    files: Mapping[str, tuple[_File, ...]]
    columns: Mapping[str, frozenset[str]] = field(default_factory=dict)
    noted: dict[str, object] = field(default_factory=dict)

    def relation(
        self, table: str, start: datetime = FIRST, end: datetime = LAST, ids: Sequence[int] | None = None, *, timeless: bool = False, named: str = ""
    ) -> str:
        """What to read a table from, as SQL: its files that may hold the period [start, end) and the entities, or DuckLake's table where that is needed.

        With `timeless` instants are only held against the period: files that lie within it need not be read for them. `named` is the
        text of all that is asked of the relation: columns whose names are nowhere in it are left out, which takes a third off planning.
        """
        stored = f"lake.{self.schema}.{table}"
        files = self.files.get(table, ())
        wanted = [file for file in files if file.may_hold(start, end, ids)] or list(files[:1])
        torn = [file for file in wanted if file.gone]
        if not wanted or len(wanted) > MOST_FILES or len(torn) > MOST_TORN or not all(file.plain for file in wanted):
            return stored
        inside = [file for file in wanted if timeless and table == "observation" and not file.gone and file.lies_within(start, end)]
        rest = [file for file in wanted if file not in inside]
        shown = sorted(self.columns.get(table, frozenset()).intersection(_WORD.findall(named)))
        parts = [part for part in (_read(inside, {"observed_at": inside[0].instants} if inside else {}, shown), _read(rest, {}, shown)) if part]
        return f"(SELECT * FROM {parts[0]} UNION ALL BY NAME SELECT * FROM {parts[1]})" if len(parts) > 1 else parts[0]

    def is_empty(self, table: str) -> bool:
        """Whether it is certain that a table has no rows."""
        return table in self.files and not self.files[table]

    def beyond(self, other: Layout, table: str) -> Layout:
        """Of the files of one table, those that `other` has not, or has with other rows taken out."""
        theirs = set(other.files.get(table, ()))
        return Layout(self.snapshot, self.schema, {table: tuple(file for file in self.files.get(table, ()) if file not in theirs)})

    def last(self, table: str, **said: str) -> datetime | None:
        """An instant that no row of a table lies after, of those where these columns say this; None where there is none."""
        found = [file.instants[1] if file.instants else LAST for file in self.files.get(table, ()) if not file.is_only_of_others(said)]
        return max(found, default=None)

    def within(self, statement: str, start: datetime, end: datetime, ids: Sequence[int] | None) -> str:
        """A statement whose tables (`lake.… AS x`, which stands in no text of anybody's) are read from their files."""
        named = "" if _ALL.search(statement) else statement

        def read(found: re.Match[str]) -> str:
            return f"{NO_ROWS if self.is_empty(found[1]) else self.relation(found[1], start, end, ids, named=named)} AS x"

        return re.sub(rf"\blake\.{self.schema}\.(\w+) AS x\b", read, statement)


def kept(schema: str) -> Layout | None:
    """The files of a tenant's schema, if they are known and the lake has not changed since."""
    known = _kept.get(schema)
    try:
        return known if known is not None and known.snapshot == newest() else None
    except (psycopg.OperationalError, PoolTimeout):  # the catalogue is not there for a moment: the engine says so in its own way
        return None


def now(schema: str) -> Layout | None:
    """The files of a tenant's schema at this moment; None where there is no lake."""
    known = kept(schema)
    if known is None and (snapshot := newest()):
        known = keep(schema, snapshot)
    return known


def keep(schema: str, snapshot: int) -> Layout:
    """The files of a tenant's schema at a snapshot that still lives, known from now on."""
    if len(_kept) >= MOST_KEPT:
        _kept.clear()
    _kept[schema] = found = read(schema, snapshot)
    return found


def newest() -> int:
    """The number of the lake's newest snapshot; 0 where there is no lake."""
    try:
        with _pool().connection() as catalogue:
            row = catalogue.execute("SELECT max(snapshot_id) FROM ducklake_snapshot").fetchone()
    except psycopg.errors.UndefinedTable:
        return 0
    return int(row[0] or 0) if row else 0


def at(schema: str, snapshot: int) -> Layout:
    """The files of a tenant's schema at an older snapshot, which never change while it lives."""
    found = _older.get((schema, snapshot))
    if found is None:
        if len(_older) >= MOST_OLDER:
            _older.clear()
        found = _older[schema, snapshot] = read(schema, snapshot)
    return found


def snapshot_of(moment: datetime) -> tuple[int | None, int]:
    """The number of the newest snapshot at an instant, None where the lake's are all later; and of the oldest that lives, 0 where there is none."""
    with _pool().connection() as catalogue:
        asked = "SELECT max(snapshot_id) FILTER (WHERE snapshot_time <= %s), min(snapshot_id) FROM ducklake_snapshot"
        row = catalogue.execute(asked, [moment]).fetchone()
    found, oldest = row or (None, None)
    return found, int(oldest or 0)


def read(schema: str, snapshot: int) -> Layout:
    """The files of a tenant's schema at a snapshot that still lives."""
    found: dict[str, list[_File]] = {}
    columns: dict[str, frozenset[str]] = {}
    with _pool().connection() as catalogue:
        given = {"schema": schema, "at": snapshot, "tables": list(TABLES), "same": list(_SAME)}
        for table, path, least, greatest, first, last, plain, gone, same, names, numbers in catalogue.execute(_FILES, given).fetchall():
            files, columns[table] = found.setdefault(table, []), frozenset(names)
            if path is not None:
                files.append(
                    _File(
                        storage.address() + path,
                        _both(least, greatest),
                        _both(_instant(first), _instant(last)),
                        bool(plain),
                        storage.address() + gone if gone else "",
                        frozenset((same or {}).items()),
                        numbers,
                    )
                )
    return Layout(snapshot, schema, {name: tuple(files) for name, files in found.items()}, columns)


def forget() -> None:
    """Forget all files and close the connections (after a restore, and where a file was not there)."""
    _kept.clear()
    _older.clear()
    if _pool.cache_info().currsize:
        _pool().close()
        _pool.cache_clear()


_kept: dict[str, Layout] = {}
_older: dict[tuple[str, int], Layout] = {}


@cache
def _pool() -> pools.Pool:
    def settle(connection: psycopg.Connection) -> None:
        connection.autocommit = True

    return pools.make(Role.LAKE_READER, "lake", most=4, wait_seconds=5, idle_seconds=120, configure=settle, checked=True)


def _read(files: Sequence[_File], said: Mapping[str, tuple[datetime, datetime] | None], shown: Sequence[str]) -> str:
    """The rows of files, as SQL: the columns that are `shown` (none: all); what is one thing in all of them, and instants that are `said` to lie in a period, are not read."""
    if not files:
        return ""
    same = {name: f"{storage.quoted(value)}::{_SAME[name]}" for name, value in sorted(frozenset.intersection(*(file.same for file in files)))}
    same |= {name: f"TIMESTAMPTZ '{ends[0].isoformat()}'" for name, ends in said.items() if ends}
    chosen = ", ".join(f"{same[name]} AS {name}" if name in same else name for name in shown)
    replaced = f" REPLACE ({', '.join(f'{text} AS {name}' for name, text in same.items())})" if same else ""
    whole, torn = [file.place for file in files if not file.gone], [file for file in files if file.gone]
    parts = [f"SELECT {chosen or f'*{replaced}'} FROM read_parquet([{', '.join(map(storage.quoted, whole))}], hive_partitioning = false)"] if whole else []
    parts += [
        f"SELECT {chosen or f'* EXCLUDE (file_row_number){replaced}'} FROM read_parquet({storage.quoted(file.place)}, hive_partitioning = false, file_row_number = true) "
        f"ANTI JOIN (SELECT pos FROM read_parquet({storage.quoted(file.gone)})) ON pos = file_row_number"
        for file in torn
    ]
    return f"({' UNION ALL BY NAME '.join(parts)})"


def _both[T](least: T | None, greatest: T | None) -> tuple[T, T] | None:
    return None if least is None or greatest is None else (least, greatest)


def _instant(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:  # an instant of before the year 1, or after 9999
        return None
