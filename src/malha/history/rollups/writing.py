"""Write sums into the lake, alone or put together with what it holds of the same buckets."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from zoneinfo import ZoneInfo

import pyarrow as pa
from pyarrow import parquet

from malha.foundation.settings import service as settings
from malha.history.engines.coarse import Coarse
from malha.history.engines.service import Connection
from malha.history.rollups import rules, sketch, summing, tables, thin

#: rows that are summed at a time: more would not fit beside the engine; sums of many values carry a sketch of a hundred steps
SUMMED_ROWS = 1_000_000
SUMMED_SUMS = {"rollup_hour": 200_000, "rollup_day": 20_000}


def keep(lake: Connection, schema: str, table: str, sums: pa.Table) -> None:
    """Write sums, which come in the table's order."""
    if sums.num_rows:
        plain = summing.SUMS.removesuffix(", sketch")
        month = f", {tables.month_of('bucket')}" if "month" in tables.TABLES[table][1] else ""
        with _readable(lake, sums) as relation:
            lake.execute(f"INSERT INTO lake.{schema}.{table} SELECT {plain}{month}, sketch FROM {relation}")


@contextmanager
def _readable(lake: Connection, sums: pa.Table) -> Iterator[str]:
    """Sums as something to select from.

    A map that comes as Arrow is looked through key by key, at ten times the cost of all the rest; one that comes from a file is not.
    """
    if sums.column("sketch").null_count == sums.num_rows:
        lake.register("fresh_sums", sums.drop_columns("sketch"))
        yield "(SELECT *, NULL AS sketch FROM fresh_sums)"
        lake.unregister("fresh_sums")
        return
    with tempfile.NamedTemporaryFile(dir=settings.current().data / "tmp", suffix=".parquet") as file:
        parquet.write_table(sums, file, compression="none", use_dictionary=["type", "attribute", "unit"], write_statistics=False)
        file.flush()
        yield f"read_parquet('{str(file.name).replace("'", "''")}')"


def touch(lake: Connection, sums: pa.Table) -> None:
    """Make `touched_sums` of the series and buckets of sums."""
    lake.register("given_sums", sums.select(["attribute", "entity_id", "dataset_id", "bucket"]))
    lake.execute("CREATE OR REPLACE TEMP TABLE touched_sums AS SELECT DISTINCT * FROM given_sums")
    lake.unregister("given_sums")


def with_known(lake: Connection, schema: str, zone: ZoneInfo, name: str, sums: pa.Table, coarse: Coarse) -> pa.Table:
    """Sums of a table with what it holds of the same buckets, which is taken out of it; within a bucket all of the new values came after those."""
    touch(lake, sums)
    table = f"lake.{schema}.{name}"
    first, last = thin.ends(sums, "bucket")
    given = {"first": first, "last": last}
    theirs = f"{tables.SERIES} AND x.bucket = t.bucket"
    within = "x.bucket >= $first AND x.bucket <= $last"
    shown = ", ".join(f"x.{name}" for name in summing.SUMS.split(", "))
    known = lake.execute(f"SELECT {shown} FROM {table} AS x SEMI JOIN touched_sums AS t ON {theirs} WHERE {within}", given).to_arrow_table()
    if not known.num_rows:
        return sums
    lake.execute(f"DELETE FROM {table} AS x WHERE {within} AND EXISTS (SELECT 1 FROM touched_sums AS t WHERE {theirs})", given)
    return summing.merged([complete(lake, schema, zone, known) if name == "rollup_day" and coarse else known, sums])


def complete(lake: Connection, schema: str, zone: ZoneInfo, days: pa.Table) -> pa.Table:
    """Days of which some lack their sketch (those of coarse months do), with sketches made of their values."""
    lacking = summing.lacking(days)
    if not lacking.any():
        return days
    periods = rules.local_days(*thin.ends(days.filter(pa.array(lacking)), "bucket"), zone)
    return sketched(lake, schema, days, summing.edges([start for start, _ in periods]), periods[-1][1])


def sketched(lake: Connection, schema: str, sums: pa.Table, width: int | summing.Whole, end: datetime) -> pa.Table:
    """Sums of values before an instant, those that lack their sketch with one made of their values."""
    some = sums.filter(pa.array(summing.lacking(sums)))
    lake.register("given_sums", sums)
    lake.register("lacking_sums", some.select(["attribute", "entity_id", "dataset_id", "bucket"]))
    source = f"lake.{schema}.observation AS x SEMI JOIN (SELECT DISTINCT attribute, entity_id, dataset_id FROM lacking_sums) AS t ON {tables.SERIES}"
    given = {"first": thin.ends(some, "bucket")[0], "last": end}
    values = lake.execute(f"SELECT {summing.VALUES} FROM {source} {tables.WITHIN}", given).to_arrow_table()
    lake.register("made_sums", summing.of_values(values, width))
    same = (
        "m.attribute = d.attribute AND m.entity_id = d.entity_id AND m.dataset_id = d.dataset_id AND m.bucket = d.bucket AND m.unit IS NOT DISTINCT FROM d.unit"
    )
    found = lake.execute(
        f"SELECT d.* REPLACE (coalesce(d.sketch, CASE WHEN d.count > {sketch.PLAIN} THEN m.sketch END)::{sketch.COLUMN_TYPE} AS sketch) FROM given_sums AS d LEFT JOIN made_sums AS m ON {same}"
    ).to_arrow_table()
    for name in ("given_sums", "lacking_sums", "made_sums"):
        lake.unregister(name)
    return found


def slices(lake: Connection, source: str, given: Mapping[str, object], alias: str, rows: int) -> list[str]:
    """Conditions to add, each of at most about so many rows of whole series."""
    row = lake.execute(f"SELECT count(*) FROM {source}", given).fetchone()
    parts = -(-row[0] // rows) if row else 0
    return [f" AND hash({alias}.entity_id) % {parts} = {part}" if parts > 1 else "" for part in range(parts)]
