"""What may be asked of an engine: a typed question, never text.

A question names a table and columns that are listed here, and values; the compiler (`dialects`) writes the SQL. So nobody
can name another's table, call a function that reads a file, or hide a table behind a name of the query.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from malha.history.engines.contracts import EngineError
from malha.kernel.errors import BadInput


class UnusableQuestion(EngineError, BadInput):
    """The question names what there is not, or says too little."""

    slug = "unusable-question"


class NotImplementedThere(EngineError, BadInput):
    """This engine cannot answer that."""

    slug = "not-implemented-there"


class Table(StrEnum):
    """What can be asked of."""

    OBSERVATION = "observation"
    HOUR = "rollup_hour"
    DAY = "rollup_day"
    MONTH = "rollup_month"
    ENTITY = "entity_dim"


_SERIES = frozenset({"type", "attribute", "entity_id", "dataset_id", "unit"})
_SUMS = _SERIES | {"bucket", "count", "sum", "minimum", "maximum", "first", "last"}
#: the columns of each table
COLUMNS = {
    Table.OBSERVATION: _SERIES | {"observed_at", "num", "txt", "kind", "quality", "run_id"},
    Table.HOUR: _SUMS, Table.DAY: _SUMS, Table.MONTH: _SUMS,
    Table.ENTITY: frozenset({"entity_id", "uri", "type", "name", "parish"}),
}  # fmt: skip
#: the column that says when
TIME = {Table.OBSERVATION: "observed_at", Table.HOUR: "bucket", Table.DAY: "bucket", Table.MONTH: "bucket"}


class Width(StrEnum):
    """How wide a bucket is: parts of an hour and hours of UTC, days and months of the tenant's zone."""

    QUARTER = "15min"
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


class Function(StrEnum):
    """How values are put together. First and last are by time; a quantile lies between values, as `percentile_cont`."""

    COUNT = "count"
    SUM = "sum"
    AVERAGE = "average"
    MINIMUM = "minimum"
    MAXIMUM = "maximum"
    FIRST = "first"
    LAST = "last"
    DISTINCT = "distinct"
    DEVIATION = "deviation"
    QUANTILE = "quantile"


class Comparison(StrEnum):
    """How a column is held against values."""

    EQUAL = "="
    DIFFERENT = "<>"
    LESS = "<"
    AT_MOST = "<="
    MORE = ">"
    AT_LEAST = ">="
    AMONG = "in"
    CONTAINS = "contains"
    MISSING = "missing"
    PRESENT = "present"


type Value = str | int | float | bool | datetime


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition; AMONG takes many values, MISSING and PRESENT none, the others one."""

    column: str
    comparison: Comparison
    values: tuple[Value, ...] = ()


@dataclass(frozen=True, slots=True)
class Measure:
    """One number of the answer, called `name`; only of rows for which `where` holds (a column of a pivot)."""

    function: Function
    column: str = ""
    name: str = ""
    quantile: float = 0.5
    where: tuple[Filter, ...] = ()

    @property
    def title(self) -> str:
        """What the column of the answer is called."""
        return self.name or (f"{self.function.value}_{self.column}" if self.column else self.function.value)


@dataclass(frozen=True, slots=True)
class Pivot:
    """A column of the answer for each of these values of a dimension, for each measure."""

    column: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. The period is [start, end), aware; without measures the answer is the rows themselves.

    `by` are columns to group by, `bucket` a piece of time (called `bucket` in the answer; a local date for days and months).
    `entities` are those that a search found (of a place, a name): None is all. What was deleted, and loads undone but not
    yet taken out, are `without_entities` and `without_runs`.
    """

    table: Table
    by: tuple[str, ...] = ()
    measures: tuple[Measure, ...] = ()
    bucket: Width | None = None
    zone: str = "UTC"
    start: datetime | None = None
    end: datetime | None = None
    filters: tuple[Filter, ...] = ()
    pivot: Pivot | None = None
    entities: tuple[int, ...] | None = None
    without_entities: tuple[int, ...] = ()
    without_runs: tuple[int, ...] = ()
    columns: tuple[str, ...] = field(default=())
    order: tuple[str, ...] = ()
    descending: bool = False
    limit: int = 10_000

    @property
    def tells_time(self) -> bool:
        """Whether the answer depends on instants otherwise than by the period."""
        measured = any(
            each.function in {Function.FIRST, Function.LAST} or self._is_time(each.column, *(one.column for one in each.where)) for each in self.measures
        )
        return (
            self.bucket is not None
            or measured
            or self._is_time(*self.by, *self.columns, *(each.column for each in self.filters), self.pivot.column if self.pivot else "")
        )

    def _is_time(self, *columns: str) -> bool:
        return TIME.get(self.table) in columns
