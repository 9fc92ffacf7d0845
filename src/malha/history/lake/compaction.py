"""Put rows into the lake: one row per key, the newest wins, sums and watermark in the same commit.

Every function here works inside a lake transaction that `service` began, on the temporary table `batch`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from malha.history.engines.coarse import Coarse
from malha.history.engines.service import Connection
from malha.history.lake import adding
from malha.history.lake.contracts import Held
from malha.history.lake.tail import Tail
from malha.history.rollups import kept, ordering
from malha.history.rollups import service as rollups

COLUMNS = "tenant_id, type, attribute, entity_id, dataset_id, observed_at, kind, num, txt, unit, quality, op, received_at, run_id, row_no, seq"
#: rows of a month from which they are written apart
MANY_ROWS = 30_000
#: sources lag so far behind each other and are still looked at series by series
RECENT = timedelta(hours=6)
_BY = "by_run, by_seq, replaced_at"
#: places of rows later than all of their series; not where sums say other than the values do, as after a power cut: those are summed again
_FRESH = """WITH held AS (
        SELECT attribute, entity_id, {hour} AS bucket, max(observed_at) AS newest, count(num) AS n FROM lake.{schema}.observation WHERE observed_at >= $hour GROUP BY ALL
    ), sums AS (SELECT attribute, entity_id, bucket, sum(count) AS n FROM {hours} WHERE bucket >= $hour GROUP BY ALL),
    known AS (
        SELECT attribute, entity_id, held.newest, coalesce(held.n, 0) <> coalesce(sums.n, 0) AS doubtful FROM held FULL JOIN sums USING (attribute, entity_id, bucket)
    )
    SELECT place FROM maybe_fresh AS m
    ANTI JOIN known AS k ON k.attribute = m.attribute AND k.entity_id = m.entity_id AND (k.doubtful OR k.newest >= m.observed_at)"""
_KEY = "o.entity_id = b.entity_id AND o.attribute = b.attribute AND o.dataset_id = b.dataset_id AND o.observed_at = b.observed_at"


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


def overlaps(lake: Connection, schema: str, held: Held, series: str, first: datetime, last: datetime | None = None) -> bool:
    """Whether the lake holds anything of the relation `series` (attribute, entity_id) in the hours from the first to the last instant, or after the first.

    Sums count too: those of values that were let go stay, and the same values loaded again must not be added to them.
    """
    given = [first] if last is None else [first, last]
    for table, time in (("observation", "observed_at"), ("rollup_hour", "bucket")):
        if not held.rows.get(table):
            continue
        until = "" if last is None else f"AND o.{time} < date_trunc('hour', ?::TIMESTAMPTZ) + INTERVAL 1 HOUR"
        found = lake.execute(
            f"""SELECT 1 FROM lake.{schema}.{table} AS o SEMI JOIN {series} AS s ON s.attribute = o.attribute AND s.entity_id = o.entity_id
                WHERE o.{time} >= date_trunc('hour', ?::TIMESTAMPTZ) {until} LIMIT 1""",
            given,
        )
        if found.fetchone():
            return True
    return False


def leave_out_known(lake: Connection, schema: str) -> int:
    """Take out of `batch` what the lake holds already, said the same: it stays what it is, and of whom. Returns how many rows that were."""
    count = 0
    for first, last in _months(lake):
        row = lake.execute(
            f"""DELETE FROM batch_rows AS b WHERE EXISTS (SELECT 1 FROM lake.{schema}.observation AS o WHERE {_KEY} AND o.observed_at BETWEEN ? AND ?
                AND o.num IS NOT DISTINCT FROM b.num AND o.txt IS NOT DISTINCT FROM b.txt AND o.unit IS NOT DISTINCT FROM b.unit AND o.kind = b.kind)""",
            [first, last],
        ).fetchone()
        count += int(row[0]) if row else 0
    return count


def count_batch(lake: Connection) -> int:
    """How many rows `batch` has."""
    row = lake.execute("SELECT count(*) FROM batch").fetchone()
    return int(row[0]) if row else 0


def add(lake: Connection, schema: str, zone: ZoneInfo, found: Tail, held: Held, coarse: Coarse, waiting: rollups.Waiting) -> int:
    """Put hot rows into observations and sums, in place of what they correct. Returns how many they corrected.

    Values after the latest that the lake holds are added to its sums as they come, and nothing is looked for; their days and months are left `waiting`.
    """
    rows = ordering.sort(found.take())
    fresh = _after(lake, schema, rows, held, coarse)
    late, corrected = rows if not fresh.any() else rows.filter(pa.array(~fresh)), 0
    if late.num_rows:
        waiting.write(lake, schema, zone, coarse)  # what is summed again below is summed from hours, which are there already
        _newest_of(lake, schema, late)
        corrected = write_batch(lake, schema, zone, coarse)
    if fresh.any():
        rows = rows if fresh.all() else rows.filter(pa.array(fresh))
        if not ordering.is_unique(rows):
            _newest_of(lake, schema, rows)
            rows = ordering.sort(lake.execute(f"SELECT {COLUMNS} FROM batch").to_arrow_table())
        put(lake, schema, rows)
        rows = rollups.summed(rows)  # the other columns are let go
        rollups.add_after(lake, schema, zone, rows, held.newest if held.rows else None, coarse, waiting)
    return corrected


def _after(lake: Connection, schema: str, rows: pa.Table, held: Held, coarse: Coarse) -> npt.NDArray[np.bool_]:
    """Which rows are later than all that the lake holds, or recent and later than all of their series (a forecast is ahead of what is measured)."""
    if not held.rows.get("observation") and not held.rows.get("rollup_hour"):
        return np.ones(rows.num_rows, bool)
    if held.newest is None:  # values that were let go have left their sums
        return np.zeros(rows.num_rows, bool)
    newest = held.newest.astimezone(UTC)
    hour, times = min(newest, datetime.now(UTC) - RECENT).replace(minute=0, second=0, microsecond=0), ordering.numbers(rows, "observed_at")
    fresh = times > _micros(newest)
    maybe = np.flatnonzero(~fresh & (times >= _micros(hour)))
    if len(maybe):
        some = rows.take(pa.array(maybe)).select(["attribute", "entity_id", "observed_at"]).append_column("place", pa.array(maybe))
        lake.register("maybe_fresh", some)
        hours = coarse.within(hour, datetime.max.replace(tzinfo=UTC)).hours(schema, " AND x.observed_at >= $hour")
        found = lake.execute(_FRESH.format(schema=schema, hour=rollups.hour_of("observed_at"), hours=hours), {"hour": hour})
        fresh[found.to_arrow_table().column(0).to_numpy()] = True
        lake.unregister("maybe_fresh")
    return fresh


def _micros(instant: datetime) -> int:
    return int(pa.scalar(instant, pa.timestamp("us", "UTC")).value)


def _newest_of(lake: Connection, schema: str, rows: pa.Table) -> None:
    """`keep_newest` of rows at hand, what it leaves out noted."""
    lake.register("given_rows", rows)
    if keep_newest(lake, "given_rows"):
        note_replaced(lake, schema, "given_rows")
    lake.unregister("given_rows")


def write_batch(lake: Connection, schema: str, zone: ZoneInfo, coarse: Coarse) -> int:
    """Put `batch` into observations and sums, in place of what it corrects. Returns how many rows that were."""
    kept.put_by(lake, schema, "batch")
    corrected = _replace_older(lake, schema)
    _insert(lake, schema)
    rollups.refresh(lake, schema, zone, "batch", coarse, lambda: kept.add_back(lake, schema))
    return corrected


def _insert(lake: Connection, schema: str, source: str = "batch", where: str = "") -> None:
    put(lake, schema, ordering.sort(lake.execute(f"SELECT {COLUMNS} FROM {source} {where}").to_arrow_table()))


def put(lake: Connection, schema: str, rows: pa.Table) -> None:
    """Write rows in the order of the table: sorted as arrays, in a fifth of the time that the engine takes for rows so wide.

    Many rows of few months go as a file of each, which the engine need not part.
    """
    if not rows.num_rows:
        return
    parts = list(ordering.by_month(rows))
    if rows.num_rows < MANY_ROWS * len(parts):
        lake.register("sorted_rows", rows)
        lake.execute(f"INSERT INTO lake.{schema}.observation ({COLUMNS}, month) SELECT {COLUMNS}, {rollups.month_of('observed_at')} FROM sorted_rows")
        lake.unregister("sorted_rows")
    else:
        adding.give(lake, schema, [adding.write(lake, schema, part, month) for month, part in parts])


def remove_run(lake: Connection, schema: str, zone: ZoneInfo, run_id: int, coarse: Coarse) -> int:
    """Take the rows of a run out, bring back what they replaced, and sum the touched buckets again."""
    lake.execute(
        f"CREATE OR REPLACE TEMP TABLE gone AS SELECT attribute, entity_id, dataset_id, observed_at FROM lake.{schema}.observation WHERE run_id = ?", [run_id]
    )
    row = lake.execute("SELECT count(*), min(observed_at), max(observed_at) FROM gone").fetchone()
    count, first, last = row or (0, None, None)
    if count:
        kept.put_by(lake, schema, "gone")
        lake.execute(f"DELETE FROM lake.{schema}.observation WHERE run_id = ? AND observed_at BETWEEN ? AND ?", [run_id, first, last])
        still_theirs = f"WHERE o.by_run = {int(run_id)} AND EXISTS (SELECT 1 FROM gone AS b WHERE {_KEY})"  # others have written some since
        _insert(lake, schema, f"lake.{schema}.superseded AS o", still_theirs)
        rollups.refresh(lake, schema, zone, "gone", coarse, lambda: kept.add_back(lake, schema))
    lake.execute(f"DELETE FROM lake.{schema}.superseded WHERE by_run = ? OR run_id = ?", [run_id, run_id])
    return int(count)


def name_entities(lake: Connection, schema: str, tenant_id: int, source: str, *, named: bool = True) -> None:
    """Let `entity_dim` name every entity that the relation `source` speaks of, so that the lake can be read alone; not `named`: it names none yet."""
    known = f" WHERE entity_id NOT IN (SELECT entity_id FROM lake.{schema}.entity_dim)" if named else ""
    ids = [row[0] for row in lake.execute(f"SELECT DISTINCT entity_id FROM {source}{known}").fetchall()]
    if not ids:
        return
    query = f"""SELECT e.tenant_id, e.id, e.uri, t.name AS type, e.doc->'name'->>'value' AS name
        FROM entity e JOIN entity_type t ON t.id = e.type_id WHERE e.tenant_id = {int(tenant_id)} AND e.id = ANY('{{{",".join(map(str, ids))}}}')"""
    lake.execute(f"INSERT INTO lake.{schema}.entity_dim SELECT tenant_id, id, uri, type, name, NULL FROM postgres_query('hot', ?)", [query])


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
