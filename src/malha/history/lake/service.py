"""The doors of the lake: compact hot rows, load history in bulk, undo a load, tidy files. Django-free."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import duckdb
import pyarrow as pa

from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.history.engines import coarse
from malha.history.engines import service as engines
from malha.history.engines.coarse import Coarse
from malha.history.engines.service import Connection
from malha.history.lake import catalogue, committing, given, loading, moving
from malha.history.lake.contracts import Compacted
from malha.history.lake.given import Given
from malha.history.rollups import kept
from malha.history.rollups import service as rollups

#: tenants that share a commit, and how long the lake is held while others wait
TENANTS_A_COMMIT, HOLD_SECONDS = 10, 60

#: one lake transaction, for rooms that keep tables of their own there
commit = committing.commit


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
            turn, until = moving.Turn.of(lake, waiting, failed), time.monotonic() + HOLD_SECONDS
            while waiting and (time.monotonic() < until or len(waiting) == 1):
                some, waiting = waiting[:TENANTS_A_COMMIT], waiting[TENANTS_A_COMMIT:]
                done, again = moving.move_some(turn, some)
                moved, waiting = moved + done, again + waiting
                moving.remove_undone(lake, [tenant for tenant in some if tenant not in again])
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
    return loading.load(tenant_id, run_id, 0, lambda lake: Given.of_tables(loading.with_ids(lake, tenant_id, parts)), given.attributes(parts))


def bulk_load_files(tenant_id: int, files: Sequence[Path], run_id: int, part: int) -> int:
    """Load streams of Arrow, checked before: the columns of `BULK_SCHEMA` with `entity_id` in place of `uri`, and `kind`; months in folders, in order.

    Once per run and part, in one lake commit; returns the rows loaded, 0 when the part was loaded before.
    """
    found = Given.of_files(files)
    return loading.load(tenant_id, run_id, part, lambda _lake: found, given.attributes([found.series]))


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
        return moving.remove_run(lake, tenant_id, run_id) if catalogue.has_schema(lake, schema) else 0


def remove_before(tenant_id: int, entity_type: str, before: datetime) -> int:
    """Take out every value of a type that was observed before an instant, hot ones too; its sums stay. Returns the rows taken out of the lake."""
    schema = engines.tenant_schema(tenant_id)
    with catalogue.writing() as lake:
        engines.attach_hot(lake)
        catalogue.ensure_tenant(lake, tenant_id)
        moving.move_all(lake, tenant_id)  # hot rows first: their sums are to stay

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
