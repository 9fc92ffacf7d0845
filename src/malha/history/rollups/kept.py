"""Sums of values that are no longer there: retention lets values go and keeps what they summed to.

Before values of an hour change, what its sums have more than its values is put by (`put_by`); after its values were summed again it is added
to them (`add_back`). Where the values say all that was let go, as when the same file is loaded again, they stand for themselves.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from malha.history.engines.service import Connection
from malha.history.rollups import sketch, summing, tables, writing

#: no rule lets go of younger values: what is later is not looked at
LEAST_AGE = timedelta(days=7)
#: tables whose sums are made of values, and how wide their buckets are (µs)
_MADE = {"rollup_hour": tables.HOUR_US, "rollup_quarter": tables.HOUR_US // 4}
_SERIES = "{0}.attribute = {1}.attribute AND {0}.entity_id = {1}.entity_id AND {0}.dataset_id = {1}.dataset_id"
_BUCKET = _SERIES + " AND {0}.bucket = {1}.bucket AND {0}.unit IS NOT DISTINCT FROM {1}.unit"
#: sums less those of the values that are there; the least that was let go is told from the sketch where the least of all is there still
_LESS = f"""WITH s AS (SELECT s.*, {sketch.of_row("s")} AS whole FROM stored_sums AS s), b AS (SELECT b.*, {sketch.of_row("b")} AS whole FROM there_sums AS b),
    gone AS (
        SELECT s.*, coalesce(b.count, 0) AS there, coalesce(b.sum, 0) AS their_sum, b.minimum AS least, b.maximum AS most, map_from_entries(
            [{{'k': e.key, 'v': (e.value - coalesce(b.whole[e.key], 0))::INTEGER}} FOR e IN map_entries(s.whole) IF e.value > coalesce(b.whole[e.key], 0)]
        )::{sketch.COLUMN_TYPE} AS rest
        FROM s LEFT JOIN b ON {_BUCKET.format("s", "b")} WHERE s.count > coalesce(b.count, 0)
    )
    SELECT tenant_id, type, attribute, entity_id, dataset_id, unit, bucket, count - there AS count, sum - their_sum AS sum,
        CASE WHEN minimum = least AND NOT map_contains(rest, {sketch.key_of("minimum")}) THEN {sketch.middle_of("list_min(map_keys(rest))")} ELSE minimum END AS minimum,
        CASE WHEN maximum = most AND NOT map_contains(rest, {sketch.key_of("maximum")}) THEN {sketch.middle_of("list_max(map_keys(rest))")} ELSE maximum END AS maximum,
        first, last, rest AS sketch FROM gone"""
#: hours of which the values that are there now do not say all that was let go: a sketch holds each key of the other as often
_APART = f"""WITH r AS (
        SELECT r.*, {sketch.of_row("r")} AS whole FROM lake.{{schema}}.rollup_hour AS r SEMI JOIN kept_rollup_hour AS k ON {_BUCKET.format("r", "k")}
    )
    SELECT DISTINCT k.attribute, k.entity_id, k.dataset_id, k.bucket FROM kept_rollup_hour AS k
    SEMI JOIN touched_hours AS t ON {_SERIES.format("k", "t")} AND k.bucket = t.bucket
    LEFT JOIN r ON {_BUCKET.format("k", "r")}
    WHERE r.count IS NULL OR len([e.key FOR e IN map_entries(k.sketch) IF e.value > coalesce(r.whole[e.key], 0)]) > 0"""


def put_by(lake: Connection, schema: str, touched: str) -> None:
    """Put by the sums of values that are not there, of the hours in which rows of the relation `touched` lie; before these change anything."""
    for table in _MADE:
        lake.execute(f"DROP TABLE IF EXISTS temp.kept_{table}")
    row = lake.execute(f"SELECT min(observed_at), max(observed_at) FROM {touched} WHERE observed_at < $1", [datetime.now(UTC) - LEAST_AGE]).fetchone()
    if row is None or row[0] is None:
        return
    given = {"first": row[0], "last": row[1]}
    hour = tables.hour_of("observed_at")
    lake.execute(
        f"CREATE OR REPLACE TEMP TABLE old_hours AS SELECT DISTINCT attribute, entity_id, dataset_id, {hour} AS bucket FROM {touched} WHERE observed_at BETWEEN $first AND $last",
        given,
    )
    span = {"start": tables.hour_start(row[0]), "end": tables.hour_start(row[1]) + tables.HOUR}
    theirs = _SERIES.format("x", "t")
    if not lake.execute(
        f"SELECT 1 FROM lake.{schema}.rollup_hour AS x SEMI JOIN old_hours AS t ON {theirs} AND x.bucket = t.bucket WHERE x.bucket >= $start AND x.bucket < $end LIMIT 1",
        span,
    ).fetchone():
        return
    values = lake.execute(
        f"""SELECT {summing.VALUES} FROM lake.{schema}.observation AS x SEMI JOIN old_hours AS t ON {theirs} AND {tables.hour_of("x.observed_at")} = t.bucket
            WHERE x.num IS NOT NULL AND x.observed_at >= $start AND x.observed_at < $end""",
        span,
    ).to_arrow_table()
    for table, width in _MADE.items():
        lake.register("there_sums", summing.of_values(values, width))
        lake.execute(
            f"""CREATE OR REPLACE TEMP TABLE stored_sums AS SELECT {summing.SUMS} FROM lake.{schema}.{table} AS x
                SEMI JOIN old_hours AS t ON {theirs} AND {tables.hour_of("x.bucket")} = t.bucket WHERE x.bucket >= $start AND x.bucket < $end""",
            span,
        )
        lake.execute(f"CREATE TEMP TABLE kept_{table} AS {_LESS}")
        lake.unregister("there_sums")


def add_back(lake: Connection, schema: str) -> None:
    """Add what was put by to the sums of `touched_hours`, which were made of the values that are there now."""
    known = {row[0] for row in lake.execute("SELECT table_name FROM duckdb_tables() WHERE temporary AND starts_with(table_name, 'kept_rollup')").fetchall()}
    if "kept_rollup_hour" not in known:
        return
    lake.execute(f"CREATE OR REPLACE TEMP TABLE kept_apart AS {_APART.format(schema=schema)}")
    for table in _MADE:
        _join(lake, schema, table)


def _join(lake: Connection, schema: str, table: str) -> None:
    """Hours apart: what was let go and what their values sum to, as one. Quarters only where what was let go has them."""
    mine = lake.execute(
        f"SELECT {summing.SUMS} FROM kept_{table} AS k SEMI JOIN kept_apart AS t ON {_SERIES.format('k', 't')} AND {tables.hour_of('k.bucket')} = t.bucket"
    ).to_arrow_table()
    if not mine.num_rows:
        return
    lake.register("kept_sums", mine)
    lake.execute(
        f"CREATE OR REPLACE TEMP TABLE kept_hours AS SELECT DISTINCT attribute, entity_id, dataset_id, {tables.hour_of('bucket')} AS bucket FROM kept_sums"
    )
    first, last = lake.execute("SELECT min(bucket), max(bucket) FROM kept_hours").fetchone() or (None, None)
    given = {"start": first, "end": last + tables.HOUR}
    theirs = f"{_SERIES.format('x', 't')} AND {{}} = t.bucket"
    values = lake.execute(
        f"""SELECT {summing.VALUES} FROM lake.{schema}.observation AS x SEMI JOIN kept_hours AS t ON {theirs.format(tables.hour_of("x.observed_at"))}
            WHERE x.num IS NOT NULL AND x.observed_at >= $start AND x.observed_at < $end""",
        given,
    ).to_arrow_table()
    lake.execute(
        f"DELETE FROM lake.{schema}.{table} AS x WHERE x.bucket >= $start AND x.bucket < $end AND EXISTS (SELECT 1 FROM kept_hours AS t WHERE {theirs.format(tables.hour_of('x.bucket'))})",
        given,
    )
    lake.register("joined_sums", summing.merged([mine, summing.of_values(values, _MADE[table])] if values.num_rows else [mine]))
    # which came first within a bucket is not known any more: what was let go says
    both = f"FROM joined_sums AS j LEFT JOIN kept_sums AS k ON {_BUCKET.format('j', 'k')}"
    said = "CASE WHEN k.count IS NULL THEN j.first ELSE k.first END AS first, CASE WHEN k.count IS NULL THEN j.last ELSE k.last END AS last"
    writing.keep(lake, schema, table, lake.execute(f"SELECT j.* REPLACE ({said}) {both} ORDER BY j.type, j.attribute, j.entity_id, j.bucket").to_arrow_table())
    lake.unregister("joined_sums")
    lake.unregister("kept_sums")
