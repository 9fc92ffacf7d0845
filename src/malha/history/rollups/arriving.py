"""Sums of a load that comes after all that the lake holds of its series, some values at a time.

Hours go in as they come; days and months are put together here and written once. Months of the past that have less than
`THIN` values a day of each series keep no hours: the lake notes them as coarse (`history.engines.coarse`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa

from malha.history.engines import coarse as coarse_months
from malha.history.engines.coarse import Coarse
from malha.history.engines.service import Connection
from malha.history.rollups import ordering, rules, service, summing, tables, thin
from malha.history.rollups.ordering import Ordered

#: values a day of a series below which its hours are sooner read from the values: two an hour
THIN = 48
#: months of a type and attribute with fewer values than this keep their hours whatever they are
LEAST_VALUES = 10_000
#: values that are summed at a time: they stay in the processor's own memory; by the hour more, as each time makes a file
SUMMED_ROWS, HOURLY_ROWS = 262_144, 750_000
_BEFORE_ALL = datetime(1, 1, 1, tzinfo=UTC)


class Arriving:
    """The sums of one load inside one lake transaction.

    `newest` is the latest instant of the lake before it, None where it held nothing; `summed` are the tables of sums that have rows.
    """

    def __init__(self, lake: Connection, schema: str, zone: ZoneInfo, newest: datetime | None, coarse: Coarse, summed: Collection[str]) -> None:
        self.lake, self.schema, self.zone, self.newest, self.coarse, self.summed = lake, schema, zone, newest, coarse, set(summed)
        self._decided: dict[tuple[str, str, int], bool] = dict.fromkeys(coarse.months, True)
        self._days, self._months = list[pa.Table](), list[pa.Table]()
        self._hourly: set[tuple[str, str, int]] | None = None

    def add(self, values: Ordered) -> None:
        """Sum some values of a month (`service.summed`); those of later calls are of other series, or later."""
        if not values.rows.num_rows:
            return
        sparse, hourly = self._split(values)
        for part in sparse.parts(SUMMED_ROWS):
            self._add_sparse(part)
        for part in hourly.parts(HOURLY_ROWS):
            newest = self.newest if "rollup_hour" in self.summed else None
            days = service.in_local_days(service.hours_after(self.lake, self.schema, self.zone, part.rows, newest, self.coarse), self.zone)
            self._days.append(days)
            self._months.append(service.in_local_months(days, self.zone))

    def _add_sparse(self, values: Ordered) -> None:
        first, last = (datetime.fromtimestamp(int(end) / 1_000_000, UTC) for end in (values.times.min(), values.times.max()))
        known = (values.series, values.times) if _of_one_unit(values) else None
        self._days.append(summing.of_values(values.rows, _edges(rules.local_days, first, last, self.zone), sketches=False, known=known))
        self._months.append(summing.of_values(values.rows, _edges(rules.local_months, first, last, self.zone), known=known))

    def end(self, *, others_write: bool = False) -> None:
        """Write days and months, and which months are coarse; what is added after this comes after it, and after what others write now."""
        self._write()
        if others_write:
            self.newest, self.summed = self.newest or _BEFORE_ALL, set(tables.TABLES)

    def _write(self) -> None:
        if not self._days:
            return
        coarse_months.mark(self.lake, int(self.schema[1:]), self.coarse.months)
        days, months = (summing.merged(pieces) if len(pieces) > 1 else pieces[0] for pieces in (self._days, self._months))
        for table, sums in (("rollup_day", days), ("rollup_month", months)):
            service.add_to(self.lake, self.schema, self.zone, table, sums, self.newest if table in self.summed else None, self.coarse)
        self.newest = self.newest or _BEFORE_ALL  # from now on there are days to add to, and still no hours
        self.summed |= {"rollup_day", "rollup_month"}
        self._days, self._months = [], []

    def _split(self, values: Ordered) -> tuple[Ordered, Ordered]:
        """Values of coarse months, and the others."""
        there = self._thickness(values)
        for one, count, days in there:
            if one not in self._decided:
                self._decided[one] = count >= LEAST_VALUES and count < THIN * days and one[2] < _this_month() and one not in self._with_hours()
        self.coarse = Coarse(frozenset(one for one, few in self._decided.items() if few))
        none, few = values.only(np.zeros(len(values.times), bool)), [self._decided[one] for one, _, _ in there]
        if all(few) or not any(few):
            return (values, none) if all(few) else (none, values)
        mine = thin.in_months(values.rows, "observed_at", self.coarse)
        return values.only(mine), values.only(~mine)

    def _thickness(self, values: Ordered) -> list[tuple[tuple[str, str, int], int, int]]:
        """Of each type and attribute: how many values, and how many days of series have some (of UTC: near enough)."""
        days = values.times // 86_400_000_000
        fresh = np.concatenate(([True], (days[1:] != days[:-1]) | (values.series[1:] != values.series[:-1])))
        kinds = [values.rows.column(name) for name in ("type", "attribute")]
        if all(map(ordering.says_one_thing, kinds)):
            return [((kinds[0][0].as_py(), kinds[1][0].as_py(), values.month), len(days), int(np.count_nonzero(fresh)))]
        types, attributes = ordering.ranks(values.rows, "type"), ordering.ranks(values.rows, "attribute")
        group = types * (int(attributes.max()) + 1) + attributes
        begins = np.flatnonzero(np.concatenate(([True], group[1:] != group[:-1])))
        counts, of_days = np.diff(np.append(begins, len(group))), np.add.reduceat(fresh.astype(np.int64), begins)
        named = [column.take(pa.array(begins)).to_pylist() for column in kinds]
        return [((*names, values.month), count, of_day) for *names, count, of_day in zip(*named, counts.tolist(), of_days.tolist(), strict=True)]

    def _with_hours(self) -> set[tuple[str, str, int]]:
        """The types, attributes and months that have sums by the hour already: those stay as they are."""
        if self._hourly is None:
            known = f"SELECT DISTINCT type, attribute, month FROM lake.{self.schema}.rollup_hour"
            rows = self.lake.execute(known).fetchall() if "rollup_hour" in self.summed else []
            self._hourly = {(row[0], row[1], row[2]) for row in rows}
        return self._hourly


def _of_one_unit(values: Ordered) -> bool:
    """Whether no series changes its unit: sums are of a unit."""
    if ordering.says_one_thing(values.rows.column("unit")):
        return True
    units = ordering.ranks(values.rows, "unit")
    return not bool(np.any((units[1:] != units[:-1]) & (values.series[1:] == values.series[:-1])))


def _edges(
    periods: Callable[[datetime, datetime, ZoneInfo], list[tuple[datetime, datetime]]], first: datetime, last: datetime, zone: ZoneInfo
) -> summing.Whole:
    return summing.edges([start for start, _ in periods(first, last, zone)])


def _this_month() -> int:
    now = datetime.now(UTC)
    return now.year * 100 + now.month
