"""What a table of history is made of, as SQL: the lake's sums and values with what is still hot laid over them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from malha.history.engines.coarse import NONE, Coarse
from malha.history.engines.layout import Layout
from malha.history.engines.service import Connection
from malha.history.engines.storage import quoted
from malha.share.datahub import corrections
from malha.share.datahub.contracts import Table, TableKind
from malha.share.datahub.walking import Series, Stretch

_NO_ROWS = """(SELECT NULL::VARCHAR AS type, NULL::VARCHAR AS attribute, NULL::BIGINT AS entity_id, 0 AS dataset_id, NULL::TIMESTAMPTZ AS observed_at,
    NULL::TIMESTAMPTZ AS bucket, NULL::DOUBLE AS num, NULL::VARCHAR AS txt, NULL::VARCHAR AS unit, 0 AS op, NULL::BIGINT AS run_id,
    0::BIGINT AS count, 0.0 AS sum, 0.0 AS minimum, 0.0 AS maximum, 0.0 AS first, 0.0 AS last WHERE false)"""
_SERIES_KEY = "n.entity_id = x.entity_id AND n.attribute = x.attribute AND n.dataset_id = x.dataset_id"
_PARTS = "count(num) AS count, sum(num) AS sum, min(num) AS minimum, max(num) AS maximum, arg_min(num, observed_at) AS first, arg_max(num, observed_at) AS last"
_MORE = "sum(count)::BIGINT AS count, sum(sum) AS sum, min(minimum) AS minimum, max(maximum) AS maximum, arg_min(first, bucket) AS first, arg_max(last, bucket) AS last"
_HOUR = "make_timestamptz(epoch_us(x.observed_at) // 3600000000 * 3600000000)"


#: a condition spells out so many numbers; to plan one with a thousand takes DuckDB seconds
SPELT = 20


@dataclass(frozen=True, slots=True)
class Parts:
    """What the statements of one table are made of."""

    schema: str
    table: Table
    undone: Sequence[int]
    since: datetime | None  # start of the day of the earliest hot row; None where nothing is hot
    zone: str
    noted: dict[tuple[int, str], Series]  # series in order, by snapshot of the lake and table: kept as long as the hot rows are
    thin: Coarse = NONE  # months of the type whose hours are read from values
    files: Layout | None = None  # where rows are read from files as they lie, which spares a dozen questions to the catalogue
    stretch: Stretch | None = None  # the series that are read at this moment: all of them where there is none
    replaced: Callable[[Connection, Parts], str] | None = None  # `corrections.expressions`, for values one by one

    def source(self, name: str) -> str:
        if self.files is not None:
            return self.files.relation(name, ids=self.stretch.ids if self.stretch else None)
        return f"lake.{self.schema}.{name}" if self.schema else _NO_ROWS

    def among(self, of: str = "") -> str:
        """What leaves out the series beyond the stretch, to be put after a condition."""
        if self.stretch is None:
            return ""
        of += "." if of else ""
        whole = [name for name, ids in self.stretch.parts if ids is None]
        some = {name: ids for name, ids in self.stretch.parts if ids is not None}
        either = [f"{of}attribute IN ({listed(whole)})"] if whole else []
        if sum(map(len, some.values())) <= SPELT:
            either += [f"({of}attribute = {quoted(name)} AND {of}entity_id IN ({_numbers(ids)}))" for name, ids in some.items()]
        else:
            rows = " UNION ALL ".join(f"SELECT {quoted(name)}, unnest([{_numbers(ids)}]::BIGINT[])" for name, ids in some.items())
            either.append(f"({of}attribute, {of}entity_id) IN ({rows})")
        among = f"{of}entity_id BETWEEN {self.stretch.ids[0]} AND {self.stretch.ids[-1]} AND {of}attribute IN ({listed([*whole, *some])})"
        return f" AND {among} AND ({' OR '.join(either)})"

    def seen(self, column: str) -> str:
        """What leaves out the attributes that the reader does not get, to be put after a condition."""
        shown, hidden = self.table.within.attributes, self.table.hidden
        only = "" if shown is None else f" AND {column} IN ({listed(shown)})"
        return only + (f" AND {column} NOT IN ({listed(hidden)})" if hidden else "")

    @property
    def only(self) -> str:
        return f"x.type = {quoted(self.table.entity_type)}{self.seen('x.attribute')}{self.among('x')}"

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


def relation(parts: Parts, replaced: str = "") -> str:
    """Common table expressions that end in `wanted`, with the table's fields; `replaced` are those of `corrections.expressions`, where what was corrected is asked for."""
    names = "JOIN hub_entity AS e ON e.entity_id = r.entity_id LEFT JOIN hub_instance AS i ON i.dataset_id = r.dataset_id"
    whose = "e.uri AS entity, r.attribute AS attribute, coalesce(i.name, '') AS instance"
    if parts.table.kind is TableKind.SERIES:
        shown = f"""{whose}, r.observed_at AS "observedAt", r.num AS "value", r.txt AS "text", r.unit AS "unit", {corrections.shown(parts.table, there=bool(replaced))}"""
        beside = corrections.JOINED if replaced else ""
        return f"{parts.observed}{replaced}, wanted AS (SELECT {shown} FROM observed AS r {names} {beside})"
    summed = f"""{whose}, r.bucket AS "start", coalesce(r.unit, '') AS "unit", r.count AS "count", r.sum AS "sum", r.sum / nullif(r.count, 0) AS "average",
        r.minimum AS "minimum", r.maximum AS "maximum", r.first AS "first", r.last AS "last" """
    buckets = _hours(parts) if parts.table.kind is TableKind.HOURLY else _days_of(parts)
    return f"{buckets}, wanted AS (SELECT {summed} FROM buckets AS r {names} WHERE r.count > 0)"


def _fresh(*, by: str = "") -> str:
    return f"SELECT x.entity_id, x.attribute, x.dataset_id, x.unit, {_HOUR} AS bucket, {_PARTS} FROM observed AS x {by} WHERE x.num IS NOT NULL GROUP BY ALL"


def _hours(parts: Parts, name: str = "buckets") -> str:
    """Hours of the lake but those that a hot row touches, which are summed again; all of them while a load is being undone."""
    if parts.undone:
        return f"{parts.observed}, {name} AS ({_fresh()})"
    if parts.since is None:
        return f"WITH {name} AS ({parts.sums('rollup_hour')} WHERE {parts.only})"
    return f"""{parts.observed},
    touched AS MATERIALIZED (SELECT DISTINCT x.entity_id, x.attribute, x.dataset_id, {_HOUR} AS bucket FROM newest AS x),
    {name} AS ({parts.sums("rollup_hour")} ANTI JOIN touched AS n ON {_SERIES_KEY} AND n.bucket = x.bucket WHERE {parts.only}
        UNION ALL {_fresh(by=f"SEMI JOIN touched AS n ON {_SERIES_KEY} AND n.bucket = {_HOUR}")})"""


def _days_of(parts: Parts) -> str:
    """Days in the same manner, summed from the hours."""
    if parts.undone:
        zone = quoted(parts.zone)
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


def _numbers(ids: Iterable[int]) -> str:
    return ", ".join(map(str, ids))


def listed(names: Iterable[str]) -> str:
    """Names as SQL has them in a list."""
    return ", ".join(quoted(name) for name in sorted(names))
