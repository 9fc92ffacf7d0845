"""Put rows into the lake: one row per key, the newest wins, sums and watermark in the same commit.

Every function here works inside a lake transaction that `service` began, on the temporary table `batch`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pyarrow as pa

from malha.history.engines.service import Connection
from malha.history.lake import catalogue
from malha.history.lake.contracts import Watermark
from malha.history.rollups import ordering
from malha.history.rollups import service as rollups

COLUMNS = "tenant_id, type, attribute, entity_id, dataset_id, observed_at, kind, num, txt, unit, quality, op, received_at, run_id, row_no, seq"
_BY = "by_run, by_seq, replaced_at"
#: hot rows come as numbers, and get their names here: texts would cross the wire once a row. Both are of one snapshot of PostgreSQL
_NAMED = """SELECT {tenant_id}::BIGINT AS tenant_id, t.name AS type, a.name AS attribute, o.entity_id, o.dataset_id, o.observed_at, o.kind, o.num, o.txt,
    u.name AS unit, o.quality, o.op, o.received_at, o.run_id, o.row_no, o.seq, o.xid FROM postgres_query('hot', ?) AS o
    JOIN hot_name AS t ON t.what = 't' AND t.id = o.type_id JOIN hot_name AS a ON a.what = 'a' AND a.id = o.attr_id
    LEFT JOIN hot_name AS u ON u.what = 'u' AND u.id = o.unit_id"""
_KEY = "o.entity_id = b.entity_id AND o.attribute = b.attribute AND o.dataset_id = b.dataset_id AND o.observed_at = b.observed_at"


def read_hot_tail(lake: Connection, tenant_id: int, after: Watermark, limit: int) -> tuple[int, Watermark]:
    """Read hot rows into the temporary table `tail`. Returns how many, and the last pair (xid, seq)."""
    given: dict[str, object] = {"tenant_id": int(tenant_id), "xid": after.xid, "seq": after.seq, "limit": limit}
    found = lake.execute("SELECT until, rows FROM postgres_query('hot', ?)", [_sql("hot_until", given)]).fetchone()
    until, rows = found if found and found[0] is not None else (after.xid, 0)
    given |= {"until": until, "order": f"ORDER BY o.xid, o.seq LIMIT {limit}" if rows > limit else ""}
    lake.execute("CREATE OR REPLACE TEMP TABLE hot_name AS SELECT * FROM postgres_query('hot', ?)", [_sql("hot_names", {})])
    lake.execute(f"CREATE OR REPLACE TEMP TABLE tail AS {_NAMED.format(tenant_id=int(tenant_id))}", [_sql("hot_tail", given)])
    count, last = lake.execute("SELECT count(*), max(xid) FROM tail").fetchone() or (0, None)
    seq = lake.execute("SELECT max(seq) FROM tail WHERE xid = ?", [last]).fetchone()
    return (count, Watermark(last, seq[0])) if count and seq else (0, after)


def _sql(name: str, given: Mapping[str, object]) -> str:
    return (catalogue.SQL / f"{name}.sql").read_text(encoding="utf-8").format(**given)


def keep_newest(lake: Connection, source: str) -> bool:
    """Make the temporary relation `batch` from `source`: one row per key, the one with the highest seq. Returns whether any was left out."""
    unique = lake.execute(f"SELECT count(*) = count(DISTINCT hash(entity_id, attribute, dataset_id, observed_at)) FROM {source}").fetchone()
    newest = (
        ""
        if unique and unique[0]
        else "QUALIFY row_number() OVER (PARTITION BY entity_id, attribute, dataset_id, observed_at ORDER BY seq DESC, row_no DESC) = 1"
    )
    lake.execute("DROP VIEW IF EXISTS batch")
    lake.execute("DROP TABLE IF EXISTS batch_rows")
    lake.execute(f"CREATE TEMP TABLE batch_rows AS SELECT {COLUMNS} FROM {source} {newest}")
    lake.execute("CREATE TEMP VIEW batch AS SELECT * FROM batch_rows")
    # what the lake holds was replaced by the first of several versions, not by the one that stays
    first = newest.replace("seq DESC, row_no DESC", "seq, row_no")
    lake.execute(f"CREATE OR REPLACE TEMP TABLE earliest AS SELECT {COLUMNS} FROM {source if newest else 'batch_rows WHERE false'} {first}")
    return bool(newest)


def note_replaced(lake: Connection, schema: str, source: str) -> None:
    """Keep the versions in `source` that `keep_newest` left out, with what replaced each; those noted before stay noted once."""
    window = "PARTITION BY entity_id, attribute, dataset_id, observed_at ORDER BY seq DESC"
    lake.execute(
        f"""INSERT INTO lake.{schema}.superseded ({COLUMNS}, {_BY}) SELECT {COLUMNS}, {_BY} FROM (
                SELECT *, lag(run_id) OVER w AS by_run, lag(seq) OVER w AS by_seq, lag(received_at) OVER w AS replaced_at,
                    lag(num) OVER w IS DISTINCT FROM num OR lag(txt) OVER w IS DISTINCT FROM txt OR lag(run_id) OVER w IS DISTINCT FROM run_id AS changed
                FROM {source} WINDOW w AS ({window})) AS o
            WHERE by_seq IS NOT NULL AND changed AND NOT EXISTS (SELECT 1 FROM lake.{schema}.superseded AS b WHERE {_KEY} AND b.seq = o.seq)"""
    )


def overlaps(lake: Connection, schema: str, series: str, first: datetime, last: datetime) -> bool:
    """Whether the lake holds any value of the relation `series` (attribute, entity_id) in the hours from the first to the last instant."""
    found = lake.execute(
        f"""SELECT 1 FROM lake.{schema}.observation AS o SEMI JOIN {series} AS s ON s.attribute = o.attribute AND s.entity_id = o.entity_id
            WHERE o.observed_at >= date_trunc('hour', ?::TIMESTAMPTZ) AND o.observed_at < date_trunc('hour', ?::TIMESTAMPTZ) + INTERVAL 1 HOUR LIMIT 1""",
        [first, last],
    )
    return bool(found.fetchone())


def insert_new(lake: Connection, schema: str, source: str) -> int | None:
    """Put `source` into observations and hourly sums, where the lake holds nothing of the kind yet. Returns its rows.

    None, with nothing written, when two of its rows have one key.
    """
    rows = ordering.sort(lake.execute(f"SELECT {COLUMNS} FROM {source}").to_arrow_table())
    if not ordering.is_unique(rows):
        return None
    _put(lake, schema, rows)
    rollups.add_hours(lake, schema, rows)
    return int(rows.num_rows)


def count_batch(lake: Connection) -> int:
    """How many rows `batch` has."""
    row = lake.execute("SELECT count(*) FROM batch").fetchone()
    return int(row[0]) if row else 0


def write_batch(lake: Connection, schema: str, zone: ZoneInfo, held: Mapping[str, int] | None = None, newest: datetime | None = None) -> int:
    """Put `batch` into observations and sums, in place of what it corrects. Returns how many rows that were.

    `held` says how many rows each table had before (`catalogue.held`): those that had none are not looked at. `newest` is
    the latest instant that the lake holds: hours after it are summed as they come, and nothing is looked for in them.
    """
    if held is not None and not held.get("observation"):
        _append(lake, schema, zone, held)
        return 0
    if newest is None:
        return _write_over(lake, schema, zone, held)
    edge = f"TIMESTAMPTZ '{(newest.astimezone(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)).isoformat()}'"
    corrected = 0
    lake.execute(f"CREATE OR REPLACE TEMP VIEW batch AS SELECT * FROM batch_rows WHERE observed_at < {edge}")
    if count_batch(lake):
        corrected = _write_over(lake, schema, zone, held)
    lake.execute(f"CREATE OR REPLACE TEMP VIEW batch AS SELECT * FROM batch_rows WHERE observed_at >= {edge}")
    if count_batch(lake):
        _append(lake, schema, zone, None)
    lake.execute("CREATE OR REPLACE TEMP VIEW batch AS SELECT * FROM batch_rows")
    return corrected


def _write_over(lake: Connection, schema: str, zone: ZoneInfo, held: Mapping[str, int] | None) -> int:
    corrected = _replace_older(lake, schema)
    _insert(lake, schema)
    rollups.refresh(lake, schema, zone, "batch", None if held is None else {name: rows + count_batch(lake) for name, rows in held.items()})
    return corrected


def _append(lake: Connection, schema: str, zone: ZoneInfo, held: Mapping[str, int] | None) -> None:
    """Put `batch` where the lake holds nothing of its hours: they are summed from the rows at hand, not read back."""
    rows = ordering.sort(lake.execute(f"SELECT {COLUMNS} FROM batch").to_arrow_table())
    _put(lake, schema, rows)
    rollups.add_hours(lake, schema, rows)
    rollups.refresh(lake, schema, zone, "batch", None if held is None else {name: count + rows.num_rows for name, count in held.items()}, hours=False)


def _insert(lake: Connection, schema: str, source: str = "batch", where: str = "") -> None:
    _put(lake, schema, ordering.sort(lake.execute(f"SELECT {COLUMNS} FROM {source} {where}").to_arrow_table()))


def _put(lake: Connection, schema: str, rows: pa.Table) -> None:
    """Write rows in the order of the table: sorted as arrays, in a fifth of the time that the engine takes for rows so wide."""
    if rows.num_rows:
        lake.register("sorted_rows", rows)
        lake.execute(f"INSERT INTO lake.{schema}.observation ({COLUMNS}, month) SELECT {COLUMNS}, {rollups.month_of('observed_at')} FROM sorted_rows")
        lake.unregister("sorted_rows")


def remove_run(lake: Connection, schema: str, zone: ZoneInfo, run_id: int) -> int:
    """Take the rows of a run out, bring back what they replaced, and sum the touched buckets again."""
    lake.execute(
        f"CREATE OR REPLACE TEMP TABLE gone AS SELECT attribute, entity_id, dataset_id, observed_at FROM lake.{schema}.observation WHERE run_id = ?", [run_id]
    )
    row = lake.execute("SELECT count(*), min(observed_at), max(observed_at) FROM gone").fetchone()
    count, first, last = row or (0, None, None)
    if count:
        lake.execute(f"DELETE FROM lake.{schema}.observation WHERE run_id = ? AND observed_at BETWEEN ? AND ?", [run_id, first, last])
        still_theirs = f"WHERE o.by_run = {int(run_id)} AND EXISTS (SELECT 1 FROM gone AS b WHERE {_KEY})"  # others have written some since
        _insert(lake, schema, f"lake.{schema}.superseded AS o", still_theirs)
        rollups.refresh(lake, schema, zone, "gone")
    lake.execute(f"DELETE FROM lake.{schema}.superseded WHERE by_run = ? OR run_id = ?", [run_id, run_id])
    return int(count)


def name_entities(lake: Connection, schema: str, tenant_id: int, source: str) -> None:
    """Let `entity_dim` name every entity that the relation `source` speaks of, so that the lake can be read alone."""
    lake.execute(
        f"CREATE OR REPLACE TEMP TABLE unnamed AS SELECT DISTINCT entity_id FROM {source} WHERE entity_id NOT IN (SELECT entity_id FROM lake.{schema}.entity_dim)"
    )
    ids = [row[0] for row in lake.execute("SELECT entity_id FROM unnamed").fetchall()]
    if not ids:
        return
    query = f"""SELECT e.tenant_id, e.id, e.uri, t.name AS type, e.doc->'name'->>'value' AS name
        FROM entity e JOIN entity_type t ON t.id = e.type_id WHERE e.tenant_id = {int(tenant_id)} AND e.id BETWEEN {min(ids)} AND {max(ids)}"""
    lake.execute(
        f"INSERT INTO lake.{schema}.entity_dim SELECT tenant_id, id, uri, type, name, NULL FROM postgres_query('hot', ?) WHERE id IN (SELECT entity_id FROM unnamed)",
        [query],
    )


def _replace_older(lake: Connection, schema: str) -> int:
    """Delete what the batch corrects, and drop from the batch what the lake knows better."""
    corrected = 0
    for first, last in _months(lake):
        lake.execute(
            f"""CREATE OR REPLACE TEMP TABLE existing AS SELECT o.*, n.run_id AS by_run, n.seq AS by_seq, n.received_at AS replaced_at, b.seq > o.seq AS older,
                    n.num IS NOT DISTINCT FROM o.num AND n.txt IS NOT DISTINCT FROM o.txt AND n.run_id IS NOT DISTINCT FROM o.run_id AS same
                FROM lake.{schema}.observation AS o JOIN batch AS b ON {_KEY}
                LEFT JOIN earliest AS e ON {_KEY.replace("b.", "e.")} AND e.seq > o.seq
                , LATERAL (SELECT CASE WHEN e.seq IS NULL THEN b.run_id ELSE e.run_id END AS run_id, coalesce(e.seq, b.seq) AS seq,
                    CASE WHEN e.seq IS NULL THEN b.received_at ELSE e.received_at END AS received_at,
                    CASE WHEN e.seq IS NULL THEN b.num ELSE e.num END AS num, CASE WHEN e.seq IS NULL THEN b.txt ELSE e.txt END AS txt) AS n
                WHERE o.observed_at BETWEEN ? AND ?""",
            [first, last],
        )
        row = lake.execute("SELECT count(*) FILTER (older), count(*) FILTER (NOT older) FROM existing").fetchone()
        older, newer = row or (0, 0)
        if newer:
            lake.execute(f"DELETE FROM batch_rows AS b WHERE EXISTS (SELECT 1 FROM existing AS o WHERE NOT o.older AND {_KEY})")
        if older:
            lake.execute(f"INSERT INTO lake.{schema}.superseded ({COLUMNS}, {_BY}) SELECT {COLUMNS}, {_BY} FROM existing WHERE older AND NOT same")
            lake.execute(
                f"DELETE FROM lake.{schema}.observation AS o WHERE o.observed_at BETWEEN ? AND ? AND EXISTS (SELECT 1 FROM existing AS b WHERE b.older AND {_KEY})",
                [first, last],
            )
            corrected += older
    return corrected


def _months(lake: Connection) -> list[tuple[datetime, datetime]]:
    return lake.execute(f"SELECT min(observed_at), max(observed_at) FROM batch GROUP BY {rollups.month_of('observed_at')} ORDER BY 1").fetchall()
