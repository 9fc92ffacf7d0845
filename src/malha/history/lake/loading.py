"""The bulk road into the lake: years of history, checked before, in one commit for each part of a load."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from malha.context.store.contracts import ObservationKind
from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.history.engines import coarse
from malha.history.engines import service as engines
from malha.history.engines.coarse import Coarse
from malha.history.engines.service import Connection
from malha.history.lake import adding, catalogue, compaction, moving, tail
from malha.history.lake.committing import commit
from malha.history.lake.contracts import BULK_SCHEMA, UnknownEntities
from malha.history.lake.given import Given
from malha.history.rollups import ordering
from malha.history.rollups import service as rollups
from malha.history.rollups.arriving import Arriving
from malha.history.rollups.ordering import Ordered
from malha.kernel.text import msg

#: rows that are put in order at a time, and of those that may replace others
SHARE_ROWS, REPLACED_ROWS = 2_000_000, 500_000


def load(tenant_id: int, run_id: int, part: int, make: Callable[[Connection], Given], attributes: set[str]) -> int:
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
            moving.move_all(lake, tenant_id)  # older values of the same keys first, so that the newest wins
        moving.remove_undone(lake, [tenant_id])  # a value that will go is none that is there already
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


def with_ids(lake: Connection, tenant_id: int, tables: Sequence[pa.Table]) -> list[pa.Table]:
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
