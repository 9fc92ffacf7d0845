"""The SQL of history: hot rows and lake as one. Every value is a parameter; names are ours.

Each statement reads the registered table `hot` (rows after the watermark) and the schema of one tenant.
"""

from __future__ import annotations

from collections.abc import Sequence

from malha.history.engines.coarse import NONE, Coarse
from malha.history.engines.layout import NO_ROWS
from malha.history.rollups import sketch
from malha.history.rollups.service import DENSE, bucket_of, hour_of
from malha.history.temporal.contracts import Grain, SeriesQuery
from malha.vocabulary.models.contracts import Aggregation

#: how the parts of a bucket (count, sum, minimum, maximum, first, last) become one number
FORMULA = {
    Aggregation.AVERAGE: "sum(sum) / nullif(sum(count), 0)",
    Aggregation.SUM: "sum(sum)",
    Aggregation.MINIMUM: "min(minimum)",
    Aggregation.MAXIMUM: "max(maximum)",
    Aggregation.COUNT: "sum(count)::DOUBLE",
    Aggregation.LAST: "arg_max(last, bucket)",
}
HOT = """SELECT o.entity_id, o.dataset_id, o.observed_at, o.num, o.txt, o.kind, u.name AS unit, o.op, o.seq, a.name AS attribute, o.received_at, o.run_id
FROM observations o JOIN attribute a ON a.id = o.attr_id LEFT JOIN unit u ON u.id = o.unit_id
WHERE o.tenant_id = %(tenant)s AND a.name = ANY(%(attributes)s) AND o.observed_at >= %(start)s AND o.observed_at < %(end)s
  AND o.xid >= %(xid)s::text::xid8 AND (o.xid, o.seq) > (%(xid)s::text::xid8, %(seq)s)"""
HOT_OF_ENTITIES = " AND o.entity_id = ANY(%(ids)s)"
HOT_KNOWN = " AND o.received_at <= %(known)s"
HOT_OF_TYPE = " AND o.type_id = (SELECT id FROM entity_type WHERE name = %(type)s)"

_NEWEST_HOT = (
    "newest AS MATERIALIZED (SELECT * FROM hot QUALIFY row_number() OVER (PARTITION BY entity_id, attribute, dataset_id, observed_at ORDER BY seq DESC) = 1)"
)
_PARTS = (
    """count(num) AS count, sum(num) AS sum, min(num) AS minimum, max(num) AS maximum, arg_min(num, observed_at) AS first, arg_max(num, observed_at) AS last"""
)
_MORE_PARTS = (
    "sum(h.count) AS count, sum(h.sum) AS sum, min(h.minimum) AS minimum, max(h.maximum) AS maximum, "
    "arg_min(h.first, h.bucket) AS first, arg_max(h.last, h.bucket) AS last"
)


_NO_HOT = """(SELECT NULL::BIGINT AS entity_id, 0 AS dataset_id, NULL::TIMESTAMPTZ AS observed_at, NULL::DOUBLE AS num, NULL::VARCHAR AS txt,
    NULL::SMALLINT AS kind, NULL::VARCHAR AS unit, 0 AS op, 0::BIGINT AS seq, NULL::VARCHAR AS attribute, NULL::TIMESTAMPTZ AS received_at, NULL::BIGINT AS run_id WHERE false)"""
_DAYS = "(SELECT unnest($day_starts::TIMESTAMPTZ[]) AS starts, unnest($day_ends::TIMESTAMPTZ[]) AS ends)"
_BUCKETS = "(SELECT unnest($bucket_starts::TIMESTAMPTZ[]) AS starts, unnest($bucket_ends::TIMESTAMPTZ[]) AS ends)"


OF_ENTITY = "x.entity_id = $id AND list_contains($attributes, x.attribute) AND x.observed_at >= $start AND x.observed_at < $end"


_OF_NEWEST = "        SELECT entity_id, dataset_id, observed_at, num, txt, unit FROM newest WHERE op = 0"
_BUT_NEWEST = "\n        ANTI JOIN newest AS n ON n.entity_id = x.entity_id AND n.dataset_id = x.dataset_id AND n.observed_at = x.observed_at"


def without_hot(statement: str) -> str:
    """The same statement where nothing is hot: values of the lake are all there is (registering an empty table costs more than asking)."""
    statement = statement.replace(f"{_OF_NEWEST}\n        UNION ALL\n", "").replace(_BUT_NEWEST, "")
    return statement.replace("FROM hot QUALIFY", f"FROM {_NO_HOT} QUALIFY", 1).replace("FROM hot AS", f"FROM {_NO_HOT} AS")


def table(schema: str, name: str) -> str:
    """A table of the tenant's lake; an empty one where the tenant has none yet."""
    return f"lake.{schema}.{name}" if schema else NO_ROWS


def wanted(time: str, entities: str, start: str = "start") -> str:
    """The condition on rows of the lake: type, attribute, period, and those of the entities that may be seen."""
    return f"x.type = $type AND x.attribute = $attribute AND x.{time} >= ${start} AND x.{time} < $end{entities}"


def only_entities(ids: Sequence[int] | None, deleted: Sequence[int]) -> str:
    """The condition on entities: these (None: all of the type but the deleted ones)."""
    if ids is None:
        return f" AND x.entity_id NOT IN ({_numbers(deleted)})" if deleted else ""
    return f" AND x.entity_id IN ({_numbers(ids)})"


def rows(schema: str, entities: str, start: str = "start") -> str:
    """Common table expressions that end in `observed`: every value of the query, the newest of each key."""
    return f"""WITH {_NEWEST_HOT},
    observed AS (
{_OF_NEWEST}
        UNION ALL
        SELECT x.entity_id, x.dataset_id, x.observed_at, x.num, x.txt, x.unit FROM {table(schema, "observation")} AS x{_BUT_NEWEST}
        WHERE {wanted("observed_at", entities, start)} AND x.op = 0 AND (x.run_id IS NULL OR NOT list_contains($undone, x.run_id))
    )"""


def raw(schema: str, entities: str) -> str:
    """Every value, the newest `limit`: (entity_id, instant, value, 1)."""
    return f"{rows(schema, entities)} SELECT entity_id, observed_at, num, txt, 1 FROM observed ORDER BY observed_at DESC, entity_id LIMIT $limit"


def from_rows(schema: str, query: SeriesQuery, entities: str) -> str:
    """Buckets summed from every value: while an undone load is still in the sums, and where sums are of an older version."""
    if query.grain in {Grain.QUARTER, Grain.HOUR}:
        bucket, source = bucket_of("observed_at", 900 if query.grain is Grain.QUARTER else 3600), "observed"
    else:
        bucket, source = "p.starts", f"observed JOIN {_BUCKETS} AS p ON observed_at >= p.starts AND observed_at < p.ends"
    parts = f"SELECT entity_id, {bucket} AS bucket, {_of_values(query)} FROM {source} WHERE num IS NOT NULL GROUP BY ALL"
    return f"{rows(schema, entities)}, parts AS ({parts}) {_answer(query)}"


def from_sums_alone(schema: str, query: SeriesQuery, entities: str, coarse: Coarse = NONE) -> str:
    """The same where nothing is hot: one table is read, where hot rows would make it four. `coarse` are months whose hours are read from values."""
    if query.grain is Grain.QUARTER or (query.grain is Grain.DAY and query.quantile is not None and coarse):
        return without_hot(from_sums(schema, query, entities, coarse))
    name = {Grain.HOUR: "rollup_hour", Grain.DAY: "rollup_day", Grain.MONTH: "rollup_month"}[query.grain]
    parts = f"SELECT {_columns(query)} FROM {table(schema, name)} AS x WHERE {wanted('bucket', entities)}"
    if query.grain is Grain.HOUR and coarse:
        entity = "x.entity_id, x.dataset_id" if query.group_by_entity else "NULL::BIGINT AS entity_id, 0 AS dataset_id"
        parts += f" UNION ALL {_of_coarse(schema, query, entities, coarse, f'{entity}, {hour_of("x.observed_at")} AS bucket')}"
    return f"WITH parts AS ({parts}) {_answer(query)}"


def _of_coarse(schema: str, query: SeriesQuery, entities: str, coarse: Coarse, columns: str, start: str = "start", less: str = "") -> str:
    """Parts of buckets, summed from the values of coarse months."""
    condition = f"{wanted('observed_at', entities, start)} AND x.num IS NOT NULL AND x.op = 0 AND {coarse.condition()}"
    return f"SELECT {columns}, {_of_values(query)} FROM {table(schema, 'observation')} AS x {less} WHERE {condition} GROUP BY ALL"


def from_sums(schema: str, query: SeriesQuery, entities: str, coarse: Coarse = NONE) -> str:
    """Buckets from the rollups, except those that a hot row touches, which are summed again from hot and lake.

    `$since` is the start of the day of the earliest hot row: nothing older is read finer than asked.
    """
    touched = f"""{rows(schema, entities, "since")},
    touched AS MATERIALIZED (SELECT DISTINCT entity_id, dataset_id, {hour_of("observed_at")} AS bucket FROM newest)"""
    if query.grain is Grain.QUARTER:
        return f"{touched}, {_quarters(schema, query, entities, coarse)} {_answer(query)}"
    known = f"{touched}, {_hours(schema, query, entities, coarse)}"
    if query.grain is Grain.HOUR:
        return f"{known}, parts AS (SELECT * FROM hours) {_answer(query)}"
    known += f", {_coarser(schema, query, entities, _DAYS, 'hours', 'day', lacking=bool(coarse))}"
    if query.grain is Grain.DAY:
        return f"{known}, parts AS (SELECT * FROM days) {_answer(query)}"
    return f"{known}, {_coarser(schema, query, entities, _BUCKETS, 'days', 'month')}, parts AS (SELECT * FROM months) {_answer(query)}"


_SAME = "t.entity_id = x.entity_id AND t.dataset_id = x.dataset_id AND t.bucket"


def _quarters(schema: str, query: SeriesQuery, entities: str, coarse: Coarse) -> str:
    """Quarters of dense hours are kept; those of sparse and of touched hours are summed from values."""
    quarter, hour, value_hour = bucket_of("x.observed_at", 900), hour_of("x.bucket"), hour_of("x.observed_at")
    whose = f"x.entity_id, x.dataset_id, {quarter} AS bucket"
    of_values, untouched = f"{whose}, {_of_values(query)}", f"ANTI JOIN touched AS t ON {_SAME} = {value_hour}"
    more = f"UNION ALL {_of_coarse(schema, query, entities, coarse, whose, less=untouched)}" if coarse else ""
    sketched = ""
    if query.quantile is not None:  # a quarter's sketch is only written when its values go
        quarters = f"{table(schema, 'rollup_quarter')} AS x"
        bare = f"SELECT x.entity_id, x.dataset_id, x.unit, x.bucket FROM {quarters} WHERE {wanted('bucket', entities)} AND x.sketch IS NULL AND x.count > {sketch.PLAIN}"
        sketched = f" AND (x.sketch IS NOT NULL OR x.count <= {sketch.PLAIN})"
        more += f""" UNION ALL SELECT {of_values} FROM {table(schema, "observation")} AS x {untouched}
            SEMI JOIN ({bare}) AS b ON b.entity_id = x.entity_id AND b.dataset_id = x.dataset_id AND b.unit IS NOT DISTINCT FROM x.unit AND b.bucket = {quarter}
            WHERE {wanted("observed_at", entities)} AND x.num IS NOT NULL GROUP BY ALL"""
    return f"""sparse AS MATERIALIZED (SELECT x.entity_id, x.dataset_id, x.unit, x.bucket FROM {table(schema, "rollup_hour")} AS x
        ANTI JOIN touched AS t ON {_SAME} = x.bucket WHERE {wanted("bucket", entities, "hour")} AND x.count < {DENSE}),
    parts AS (SELECT {_columns(query)} FROM {table(schema, "rollup_quarter")} AS x
        ANTI JOIN touched AS t ON {_SAME} = {hour} WHERE {wanted("bucket", entities)}{sketched}
        UNION ALL SELECT {of_values} FROM {table(schema, "observation")} AS x
        SEMI JOIN sparse AS t ON {_SAME} = {value_hour} AND t.unit IS NOT DISTINCT FROM x.unit WHERE {wanted("observed_at", entities)} AND x.num IS NOT NULL GROUP BY ALL {more}
        UNION ALL SELECT {of_values} FROM observed AS x SEMI JOIN touched AS t ON {_SAME} = {value_hour} WHERE x.num IS NOT NULL GROUP BY ALL)"""


def _hours(schema: str, query: SeriesQuery, entities: str, coarse: Coarse) -> str:
    hour, start = hour_of("x.observed_at"), "start" if query.grain is Grain.HOUR else "since"
    whose, untouched = f"x.entity_id, x.dataset_id, {hour} AS bucket", f"ANTI JOIN touched AS t ON {_SAME} = {hour}"
    more = f"UNION ALL {_of_coarse(schema, query, entities, coarse, whose, start, untouched)}" if coarse else ""
    return f"""hours AS (SELECT {_columns(query)} FROM {table(schema, "rollup_hour")} AS x
        ANTI JOIN touched AS t ON {_SAME} = x.bucket WHERE {wanted("bucket", entities, start)} {more}
        UNION ALL SELECT x.entity_id, x.dataset_id, {hour} AS bucket, {_of_values(query)} FROM observed AS x
        SEMI JOIN touched AS t ON {_SAME} = {hour} WHERE x.num IS NOT NULL GROUP BY ALL)"""


def _coarser(schema: str, query: SeriesQuery, entities: str, periods: str, fine: str, name: str, *, lacking: bool = False) -> str:
    """`days` from the sums of days but the touched ones, which come from `hours`; `months` from `days` likewise. Some days may be `lacking` their sketch."""
    merged, group, sketched, more = _MORE_PARTS, "GROUP BY ALL", "", ""
    if query.quantile is not None:
        merged, group = "h.sketch", ""
    if query.quantile is not None and lacking:
        bare = f"SELECT x.entity_id, x.dataset_id, x.unit, x.bucket FROM {table(schema, 'rollup_day')} AS x WHERE {wanted('bucket', entities)} AND x.sketch IS NULL AND x.count > {sketch.PLAIN}"
        sketched = f" AND (x.sketch IS NOT NULL OR x.count <= {sketch.PLAIN})"
        more = f"""UNION ALL SELECT x.entity_id, x.dataset_id, d.starts AS bucket, {_of_values(query)} FROM {table(schema, "observation")} AS x
            JOIN {periods} AS d ON x.observed_at >= d.starts AND x.observed_at < d.ends ANTI JOIN touched_{name} AS t ON {_SAME} = d.starts
            SEMI JOIN ({bare}) AS b ON b.entity_id = x.entity_id AND b.dataset_id = x.dataset_id AND b.unit IS NOT DISTINCT FROM x.unit AND b.bucket = d.starts
            WHERE {wanted("observed_at", entities)} AND x.num IS NOT NULL GROUP BY ALL"""
    return f"""touched_{name} AS MATERIALIZED (SELECT DISTINCT t.entity_id, t.dataset_id, d.starts AS bucket, d.ends FROM touched AS t JOIN {periods} AS d ON t.bucket >= d.starts AND t.bucket < d.ends),
    {name}s AS (SELECT {_columns(query)} FROM {table(schema, f"rollup_{name}")} AS x ANTI JOIN touched_{name} AS t ON {_SAME} = x.bucket WHERE {wanted("bucket", entities)}{sketched} {more}
        UNION ALL SELECT h.entity_id, h.dataset_id, t.bucket, {merged}
        FROM {fine} AS h JOIN touched_{name} AS t ON t.entity_id = h.entity_id AND t.dataset_id = h.dataset_id AND h.bucket >= t.bucket AND h.bucket < t.ends {group})"""


def _of_values(query: SeriesQuery) -> str:
    return f"{sketch.of_values('num')} AS sketch" if query.quantile is not None else _PARTS


def _columns(query: SeriesQuery) -> str:
    parts = f"{sketch.of_row('x')} AS sketch" if query.quantile is not None else "x.count, x.sum, x.minimum, x.maximum, x.first, x.last"
    return f"x.entity_id, x.dataset_id, x.bucket, {parts}"


def last(schema: str, entities: str) -> str:
    """The newest value of each entity within the period."""
    return f"""{rows(schema, entities)} SELECT entity_id, max(observed_at), arg_max(num, observed_at), arg_max(txt, observed_at), arg_max(unit, observed_at)
        FROM observed GROUP BY entity_id ORDER BY entity_id"""


def corrections(schema: str, whose: str) -> str:
    """Values that later ones replaced, of the series that `whose` (a condition on `x`) names: in the lake, hot, or in the lake by a hot one."""
    window = "PARTITION BY entity_id, attribute, dataset_id, observed_at ORDER BY seq DESC"
    differ = "num IS DISTINCT FROM new_num OR txt IS DISTINCT FROM new_txt"
    key = "h.entity_id = x.entity_id AND h.attribute = x.attribute AND h.dataset_id = x.dataset_id AND h.observed_at = x.observed_at"
    stands = f"""SELECT entity_id, attribute, dataset_id, observed_at, kind, num, txt, unit, seq, received_at, run_id FROM hot AS h WHERE op = 0
        UNION ALL SELECT x.entity_id, x.attribute, x.dataset_id, x.observed_at, x.kind, x.num, x.txt, x.unit, x.seq, x.received_at, x.run_id
        FROM {table(schema, "observation")} AS x WHERE {whose} AND EXISTS (SELECT 1 FROM hot AS h WHERE {key})"""
    stands = stands if schema else stands.split("UNION ALL", maxsplit=1)[0]
    return f"""SELECT attribute, observed_at, kind, num, txt, unit, replaced_at, by_run, entity_id, by_seq FROM (
        SELECT x.entity_id, x.attribute, x.observed_at, x.kind, x.num, x.txt, x.unit, x.replaced_at, x.by_run, x.by_seq FROM {table(schema, "superseded")} AS x WHERE {whose} AND x.replaced_at IS NOT NULL
        UNION ALL SELECT entity_id, attribute, observed_at, kind, num, txt, unit, replaced_at, by_run, by_seq FROM (
            SELECT *, lag(seq) OVER w AS by_seq, lag(num) OVER w AS new_num, lag(txt) OVER w AS new_txt, lag(received_at) OVER w AS replaced_at, lag(run_id) OVER w AS by_run
            FROM ({stands}) WINDOW w AS ({window})) WHERE replaced_at IS NOT NULL AND ({differ})
    ) ORDER BY replaced_at DESC, observed_at DESC LIMIT $limit"""


def _numbers(ids: Sequence[int]) -> str:
    return ", ".join(str(int(id_)) for id_ in ids)


def _answer(query: SeriesQuery) -> str:
    entity, group = ("entity_id", "entity_id, bucket") if query.group_by_entity else ("NULL::BIGINT", "bucket")
    if query.quantile is not None:
        return f"SELECT {entity}, bucket, value, NULL, count FROM ({sketch.quantile('parts', group, query.quantile)}) ORDER BY bucket DESC LIMIT $limit"
    return f"SELECT {entity}, bucket, {FORMULA[query.aggregation]}, NULL, sum(count)::BIGINT FROM parts GROUP BY {group} HAVING sum(count) > 0 ORDER BY bucket DESC LIMIT $limit"
