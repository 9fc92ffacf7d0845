"""The doors of the lake: compact hot rows, load history in bulk, undo a load, tidy files. Django-free."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from malha.context.store.contracts import ObservationKind
from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.history.engines import coarse
from malha.history.engines import service as engines
from malha.history.engines.coarse import NONE, Coarse
from malha.history.engines.service import Connection
from malha.history.lake import adding, catalogue, compaction, files, given, tail
from malha.history.lake.contracts import BULK_SCHEMA, Compacted, Held, UnknownEntities, Watermark
from malha.history.lake.given import Given
from malha.history.rollups import kept, ordering
from malha.history.rollups import service as rollups
from malha.history.rollups.arriving import Arriving
from malha.history.rollups.ordering import Ordered
from malha.kernel.text import msg

#: hot rows that are moved at a time (`tail.LEAN` times as many where most columns say the same): with more the process would hold over 500 MB
BATCH_ROWS = 300_000
#: and those that share a lake commit: it takes some seconds
COMMIT_ROWS = 2_000_000
#: rows of the bulk road that are put in order at a time, and of those that may replace others
SHARE_ROWS, REPLACED_ROWS = 2_000_000, 500_000
ATTEMPTS = 5
#: tenants that share a commit, and how long the lake is held while others wait
TENANTS_A_COMMIT, HOLD_SECONDS = 10, 60


def compact(tenant_id: int) -> Compacted:
    """Move every hot row of the tenant that is committed for good to the lake, exactly once.

    The watermark is written by the same lake commit as the rows, so a process killed at any point neither loses
    nor doubles any. Rows of transactions still open, and all that began after them, wait for the next time.
    Runs undone since are taken out. Raises LakeBusy when another process holds the lake for two minutes.
    """
    return compact_many([tenant_id])


def compact_many(tenant_ids: Sequence[int]) -> Compacted:
    """The same for many tenants: small ones share a commit, and the lake is given to whoever waits once a minute.

    What goes wrong with one tenant holds up no other; it is raised at the end.
    """
    started, moved, waiting = time.monotonic(), Compacted(), list(tenant_ids)
    failed: list[duckdb.Error] = []
    while waiting:
        with catalogue.writing() as lake:
            engines.attach_hot(lake)
            lake.execute("SET threads = 1")  # many small steps: a second thread waits more than it helps, and others have the core
            lake.execute("SET partitioned_write_flush_threshold = 122880")  # memory, for files that the night puts together
            catalogue.ensure_tenants(lake, waiting)
            turn, until = _Turn.of(lake, waiting, failed), time.monotonic() + HOLD_SECONDS
            while waiting and (time.monotonic() < until or len(waiting) == 1):
                some, waiting = waiting[:TENANTS_A_COMMIT], waiting[TENANTS_A_COMMIT:]
                done, again = _compact_some(turn, some)
                moved, waiting = moved + done, again + waiting
                _remove_undone(lake, [tenant for tenant in some if tenant not in again])
    if failed:
        raise failed[0]
    return replace(moved, seconds=time.monotonic() - started)


def bulk_load(tenant_id: int, table: pa.Table, run_id: int) -> int:
    """Load history straight into the lake (the bulk road), once per run. Returns the rows loaded; 0 when the run was loaded before.

    `table` has the columns of `BULK_SCHEMA`, in any order and with dictionaries at will; its entities exist.
    Values of the same series and instant replace those that the lake has; those that say the same leave them as they are.
    Raises UnknownEntities, and then nothing is kept.
    """
    parts = given.slices(table)
    return _load(tenant_id, run_id, 0, lambda lake: Given.of_tables(_with_ids(lake, tenant_id, parts)), given.attributes(parts))


def bulk_load_files(tenant_id: int, files: Sequence[Path], run_id: int, part: int) -> int:
    """Load streams of Arrow, checked before: the columns of `BULK_SCHEMA` with `entity_id` in place of `uri`, and `kind`; months in folders, in order.

    Once per run and part, in one lake commit; returns the rows loaded, 0 when the part was loaded before.
    """
    found = Given.of_files(files)
    return _load(tenant_id, run_id, part, lambda _lake: found, given.attributes([found.series]))


def bulk_loaded(tenant_id: int, run_id: int) -> tuple[int, int]:
    """How many values a load on the bulk road brought that the lake did not hold yet as they are, and how many of them replaced others."""
    schema = engines.tenant_schema(tenant_id)
    with catalogue.writing() as lake:
        if not catalogue.has_schema(lake, schema):
            return 0, 0
        brought = lake.execute("SELECT coalesce(sum(rows), 0) FROM lake.main.bulk_run WHERE tenant_id = ? AND run_id = ?", [tenant_id, run_id]).fetchone()
        replaced = lake.execute(f"SELECT count(*) FROM lake.{schema}.superseded WHERE by_run = ?", [run_id]).fetchone()
    return int((brought or (0,))[0]), int((replaced or (0,))[0])


def remove_run(tenant_id: int, run_id: int) -> int:
    """Undo a load in the lake: its rows go, what they had replaced comes back. Returns the rows taken out."""
    with catalogue.writing() as lake:
        schema = engines.tenant_schema(tenant_id)
        return _remove_run(lake, tenant_id, run_id) if catalogue.has_schema(lake, schema) else 0


def remove_before(tenant_id: int, entity_type: str, before: datetime) -> int:
    """Take out every value of a type that was observed before an instant, hot ones too; its sums stay. Returns the rows taken out of the lake."""
    schema = engines.tenant_schema(tenant_id)
    with catalogue.writing() as lake:
        engines.attach_hot(lake)
        catalogue.ensure_tenant(lake, tenant_id)
        _compact(lake, tenant_id)  # hot rows first: their sums are to stay

        def write() -> int:
            thin = coarse.of_tenant(lake, tenant_id)
            going = Coarse(frozenset(one for one in thin.months if one[0] == entity_type and one[2] <= before.year * 100 + before.month))
            rollups.keep_all(lake, schema, catalogue.zone_of(tenant_id), going)  # what is summed from values stays when they go
            rollups.keep_quarters(lake, schema, entity_type, before)
            coarse.unmark(lake, tenant_id, going)
            row = lake.execute(f"DELETE FROM lake.{schema}.observation WHERE type = ? AND observed_at < ?", [entity_type, before]).fetchone()
            lake.execute(f"DELETE FROM lake.{schema}.superseded WHERE type = ? AND observed_at < ?", [entity_type, before])
            return int(row[0]) if row else 0

        gone = commit(lake, [schema], write)
    with database.connect(Role.COMPACTOR, autocommit=True) as hot:
        hot.execute(
            "DELETE FROM observation_hot WHERE tenant_id = %s AND observed_at < %s AND type_id = (SELECT id FROM entity_type WHERE name = %s)",
            [tenant_id, before, entity_type],
        )
        hot.execute(
            "DELETE FROM observation_packed WHERE tenant_id = %s AND last_at < %s AND type_id = (SELECT id FROM entity_type WHERE name = %s)",
            [tenant_id, before, entity_type],
        )
    return gone


def sum_again(lake: Connection, tenant_id: int, first: datetime, last: datetime) -> None:
    """Make the sums of all values of a period anew, where files of sums were lost. Hours whose values were let go keep what they have."""
    schema, zone = engines.tenant_schema(tenant_id), catalogue.zone_of(tenant_id)
    touched = f"(SELECT attribute, entity_id, dataset_id, observed_at FROM lake.{schema}.observation WHERE observed_at BETWEEN TIMESTAMPTZ '{first.isoformat()}' AND TIMESTAMPTZ '{last.isoformat()}') AS given"

    def write() -> None:
        kept.put_by(lake, schema, touched)
        rollups.refresh(lake, schema, zone, touched, coarse.of_tenant(lake, tenant_id), lambda: kept.add_back(lake, schema))

    commit(lake, [schema], write)


def drop_tenant(tenant_id: int) -> None:
    """Forget everything of a tenant; its files go at the next clean-up."""
    with catalogue.writing() as lake:
        if catalogue.has_schema(lake, engines.tenant_schema(tenant_id)):
            lake.execute("BEGIN")
            for name in ("watermark", "bulk_run", "coarse_month"):
                lake.execute(f"DELETE FROM lake.main.{name} WHERE tenant_id = ?", [tenant_id])
            lake.execute(f"DROP SCHEMA lake.{engines.tenant_schema(tenant_id)} CASCADE")
            lake.execute("COMMIT")


def _compact(lake: Connection, tenant_id: int) -> None:
    """All hot rows of one tenant, within a writing that somebody else began and in which its tables are there."""
    turn, waiting = _Turn.of(lake, [tenant_id], []), [tenant_id]
    while waiting:
        _, waiting = _compact_some(turn, waiting)
    if turn.failed:
        raise turn.failed[0]


@dataclass(slots=True)
class _Turn:
    """What is known while the lake is held, and what went wrong."""

    lake: Connection
    zones: Mapping[int, ZoneInfo]
    thin: Mapping[int, Coarse]  # nobody else changes them meanwhile
    failed: list[duckdb.Error]
    names: tail.Names = field(default_factory=tail.Names)

    @classmethod
    def of(cls, lake: Connection, tenants: Sequence[int], failed: list[duckdb.Error]) -> _Turn:
        return cls(lake, catalogue.zones_of(tenants), coarse.known(lake, tenants), failed)


def _compact_some(turn: _Turn, tenants: Sequence[int]) -> tuple[Compacted, list[int]]:
    """One lake commit of these tenants, up to about `COMMIT_ROWS`. Returns what moved, and who has more; where it fails each is tried alone."""
    lake = turn.lake

    def write() -> tuple[Compacted, list[int]]:
        moved, reached, again = Compacted(), dict[int, tuple[Watermark, int]](), list[int]()
        marks, held = catalogue.watermarks(lake, tenants), catalogue.held([engines.tenant_schema(tenant) for tenant in tenants])
        for at, tenant in enumerate(tenants):
            mark, there, more, rows = marks.get(tenant, Watermark()), held[engines.tenant_schema(tenant)], True, 0
            while more and moved.rows < COMMIT_ROWS:
                one, mark, more, there = _move(turn, tenant, mark, there)
                moved, rows = moved + one, rows + one.rows
                engines.give_back()
            if rows:
                reached[tenant] = (mark, rows)
            if more:
                again.append(tenant)
            if moved.rows >= COMMIT_ROWS:
                again += tenants[at + 1 :]
                break
        if reached:
            catalogue.set_watermark(lake, reached)
        return moved, again

    try:
        moved, again = commit(lake, [engines.tenant_schema(tenant) for tenant in tenants], write)
    except duckdb.Error as reason:
        if len(tenants) == 1:
            turn.failed.append(reason)
            return Compacted(), []
        moved, again = Compacted(), []
        for tenant in tenants:
            one, more = _compact_some(turn, [tenant])
            moved, again = moved + one, again + more
        return moved, again
    return replace(moved, commits=1 if moved.rows else 0), again


def _move(turn: _Turn, tenant_id: int, after: Watermark, held: Held) -> tuple[Compacted, Watermark, bool, Held]:
    """Up to `BATCH_ROWS` hot rows of a tenant, inside a lake transaction, how far that is, whether there are more, and what is held then."""
    lake, schema = turn.lake, engines.tenant_schema(tenant_id)
    found = tail.read(lake, tenant_id, after, BATCH_ROWS, turn.names)
    if found is None:
        return Compacted(), after, False, held
    count, spoken = found.rows.num_rows, pa.table({"entity_id": pc.unique(found.rows.column("entity_id"))})
    then = held.after(pc.max(found.rows.column("observed_at")).as_py())
    changed = compaction.add(lake, schema, turn.zones[tenant_id], found, held, turn.thin.get(tenant_id, NONE))
    lake.register("spoken", spoken)
    compaction.name_entities(lake, schema, tenant_id, "spoken", named=bool(held.rows.get("entity_dim")))
    lake.unregister("spoken")
    return Compacted(count, changed), found.reached, found.more, then


def commit[T](lake: Connection, schemas: Sequence[str], write: Callable[[], T]) -> T:
    """Do `write` in one lake transaction, its files on disk before the commit; again when somebody else's commit came between."""
    for attempt in range(ATTEMPTS):
        since = time.time()
        lake.execute("BEGIN")
        try:
            done = write()
            for schema in schemas:
                files.settle(schema, since)
            lake.execute("COMMIT")
            return done
        except duckdb.TransactionException as conflict:
            _rollback(lake)
            if attempt == ATTEMPTS - 1 or "conflict" not in str(conflict).lower():
                raise
            time.sleep(0.1 * 2**attempt)
        except BaseException:
            _rollback(lake)
            raise
    raise AssertionError


def _rollback(lake: Connection) -> None:
    try:
        lake.execute("ROLLBACK")
    except duckdb.TransactionException:
        return  # a failed commit has rolled back already


def _remove_undone(lake: Connection, tenant_ids: Sequence[int]) -> None:
    with database.connect(Role.COMPACTOR, autocommit=True) as hot:
        for tenant_id, run_id in hot.execute("SELECT tenant_id, run_id FROM undone_run WHERE tenant_id = ANY(%s)", [list(tenant_ids)]).fetchall():
            _remove_run(lake, tenant_id, run_id)
            hot.execute("DELETE FROM undone_run WHERE tenant_id = %s AND run_id = %s", [tenant_id, run_id])


def _remove_run(lake: Connection, tenant_id: int, run_id: int) -> int:
    zone, schema = catalogue.zone_of(tenant_id), engines.tenant_schema(tenant_id)

    def write() -> int:
        lake.execute("DELETE FROM lake.main.bulk_run WHERE tenant_id = ? AND run_id = ?", [tenant_id, run_id])
        return compaction.remove_run(lake, schema, zone, run_id, coarse.of_tenant(lake, tenant_id))

    return commit(lake, [schema], write)


def _with_ids(lake: Connection, tenant_id: int, tables: Sequence[pa.Table]) -> list[pa.Table]:
    """Tables with the numbers of their entities in place of their URIs. Raises UnknownEntities."""
    entities = f"SELECT uri, id FROM entity WHERE tenant_id = {int(tenant_id)}"
    known = dict(lake.execute("SELECT uri, id FROM postgres_query('hot', ?)", [entities]).fetchall())
    found = list[pa.Table]()
    for table in tables:
        uris = table.column("uri").combine_chunks()
        named = uris if isinstance(uris, pa.DictionaryArray) else uris.dictionary_encode()
        names = named.dictionary.to_pylist()
        unknown = [i for i, name in enumerate(names) if name not in known]
        if unknown and (used := set(pc.unique(named.indices).to_pylist()) & set(unknown)):
            said = ", ".join(names[i] for i in sorted(used)[:3])
            raise UnknownEntities(msg("Há valores de entidades que não existem: {uris}. Crie-as primeiro."), uris=said)
        ids = pa.array([known.get(name) for name in names], pa.int64())
        found.append(table.drop_columns("uri").append_column("entity_id", ids.take(named.indices)))
    return found


def _load(tenant_id: int, run_id: int, part: int, make: Callable[[Connection], Given], attributes: set[str]) -> int:
    """Load what is given in one lake commit, unless that part of the run is in the lake already."""
    zone = catalogue.zone_of(tenant_id)
    with catalogue.writing() as lake:
        engines.attach_hot(lake)
        lake.execute("SET threads = 1")  # a second one would buffer ten times as much and take twice the processor's time for the same file
        schema = catalogue.ensure_tenant(lake, tenant_id)
        known = "SELECT 1 FROM lake.main.bulk_run WHERE tenant_id = ? AND run_id = ? AND coalesce(part, 0) = ?"
        if lake.execute(known, [tenant_id, run_id, part]).fetchone():
            return 0
        if tail.waits(tenant_id, attributes):
            _compact(lake, tenant_id)  # older values of the same keys first, so that the newest wins
        _remove_undone(lake, [tenant_id])  # a value that will go is none that is there already
        found = make(lake)
        engines.give_back()  # what reading and checking needed

        def write() -> int:
            lake.register("bulk_series", found.series)
            work = _Writing(lake, tenant_id, run_id, zone)
            rows = work.write(found)
            compaction.name_entities(lake, schema, tenant_id, "bulk_series")
            noted = [tenant_id, run_id, rows - work.known, part]
            lake.execute("INSERT INTO lake.main.bulk_run (tenant_id, run_id, rows, written_at, part) VALUES (?, ?, ?, now(), ?)", noted)
            return rows

        return commit(lake, [schema], write)


class _Writing:
    """Rows of a load on their way into the lake, inside its transaction."""

    def __init__(self, lake: Connection, tenant_id: int, run_id: int, zone: ZoneInfo) -> None:
        self.lake, self.tenant_id, self.run_id, self.zone, self.seq = lake, tenant_id, run_id, zone, _next_seq()
        self.schema, self.coarse = engines.tenant_schema(tenant_id), coarse.of_tenant(lake, tenant_id)
        self._few: list[pa.Table] = []  # months too small for a file each
        self.known = 0  # values that the lake holds already, as they are

    def write(self, found: Given) -> int:
        """Write what was given, in order of time. Where the lake has nothing of those series and hours nothing is looked for; where it has nothing later, sums are only added to."""
        if found.ends is None:
            return 0
        first, last = found.ends
        held = catalogue.held([self.schema])[self.schema]
        later = not compaction.overlaps(self.lake, self.schema, held, "bulk_series", first)
        if not later and compaction.overlaps(self.lake, self.schema, held, "bulk_series", first, last):
            return sum(self._replace(self._whole(share), self.coarse) for share in found.shares(REPLACED_ROWS))
        before = first.replace(minute=0, second=0, microsecond=0) - timedelta(hours=1) if held.rows else None
        rows, arriving = 0, Arriving(self.lake, self.schema, self.zone, before, self.coarse, held.rows)
        for share in found.shares(SHARE_ROWS):
            for month in ordering.in_order(share):
                rows += self._add(month, arriving, later=later)
            engines.give_back()
        self._put_few()
        arriving.end()
        if not later:
            rollups.add_days(self.lake, self.schema, self.zone, first, last, "bulk_series", self.coarse)
        return rows

    def _add(self, month: Ordered, arriving: Arriving, *, later: bool) -> int:
        """Rows of a month of which the lake holds nothing; where some of them say the same instant twice, the last of those counts."""
        whole = self._whole(month.rows)
        if not month.is_unique:
            self._put_few()
            arriving.end(others_write=True)
            return self._replace(whole, arriving.coarse)
        if whole.num_rows < compaction.MANY_ROWS:
            self._few.append(whole)
        else:
            adding.give(self.lake, self.schema, [adding.write(self.lake, self.schema, whole, month.month)])
        values = rollups.summed_in_order(Ordered(month.month, whole, month.times, month.series))
        if later:
            arriving.add(values)
        else:
            rollups.add_hours(self.lake, self.schema, values.rows, self.coarse)
        return int(whole.num_rows)

    def _put_few(self) -> None:
        if self._few:
            compaction.put(self.lake, self.schema, pa.concat_tables(self._few, promote_options="permissive").unify_dictionaries())
            self._few = []

    def _whole(self, rows: pa.Table) -> pa.Table:
        return _rows(self.tenant_id, rows, self.run_id, self.seq)

    def _replace(self, rows: pa.Table, thin: Coarse) -> int:
        self.lake.register("bulk_rows", rows)
        compaction.keep_newest(self.lake, "bulk_rows")
        self.lake.unregister("bulk_rows")
        known = compaction.leave_out_known(self.lake, self.schema)
        if there := compaction.count_batch(self.lake):
            compaction.write_batch(self.lake, self.schema, self.zone, thin)
        engines.give_back()
        self.known += known
        return there + known


def _rows(tenant_id: int, table: pa.Table, run_id: int, seq: int) -> pa.Table:
    """What was given, as rows of the lake."""
    count = table.num_rows
    columns = dict(zip(table.column_names, table.columns, strict=True))
    if "kind" not in columns:
        number, text = (pa.scalar(int(kind), pa.int16()) for kind in (ObservationKind.NUMBER, ObservationKind.TEXT))
        columns["kind"] = pc.if_else(pc.is_valid(columns["num"]), number, text)
    for name in ("txt", "unit", "row_no"):
        columns.setdefault(name, pa.nulls(count, BULK_SCHEMA.field(name).type))
    columns |= {
        "tenant_id": ordering.same(tenant_id, pa.int64(), count),
        "dataset_id": ordering.same(0, pa.int32(), count),
        "quality": pa.nulls(count, pa.int16()),
        "op": ordering.same(0, pa.int16(), count),
        "received_at": ordering.same(int(time.time() * 1_000_000), pa.timestamp("us", "UTC"), count),
        "run_id": ordering.same(run_id, pa.int64(), count),
        "seq": ordering.same(seq, pa.int64(), count),
        "num": columns["num"].cast(pa.float64()),
        "observed_at": columns["observed_at"].cast(pa.timestamp("us", "UTC")),
    }
    return pa.table({name: columns[name] for name in compaction.COLUMNS.split(", ")})


def _next_seq() -> int:
    with database.connect(Role.APP, autocommit=True) as connection:
        row = connection.execute("SELECT nextval(pg_get_serial_sequence('observation_hot', 'seq'))").fetchone()
    assert row is not None
    return int(row[0])
