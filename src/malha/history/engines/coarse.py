"""Months that keep no sums by the hour: with a value or two in each, such sums would be as large as the values themselves.

A bulk load of history marks them, by type, attribute and month of UTC (`history.rollups`); whoever asks for hours there
gets them from the values, as cheaply. Days of such months keep no sketch either; months keep all. Before values of such a
month are let go its hours are written (`history.retention`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import duckdb

from malha.history.engines import storage
from malha.history.engines.service import Connection

_HOUR = "make_timestamptz(epoch_us(x.observed_at) // 3600000000 * 3600000000)"
_SERIES = "x.tenant_id, x.type, x.attribute, x.entity_id, x.dataset_id, x.unit"
_SUMS = "count(x.num) AS count, sum(x.num) AS sum, min(x.num) AS minimum, max(x.num) AS maximum, arg_min(x.num, x.observed_at) AS first, arg_max(x.num, x.observed_at) AS last"


@dataclass(frozen=True, slots=True)
class Coarse:
    """The (type, attribute, month as 202611) of one tenant whose hours are in no table of sums."""

    months: frozenset[tuple[str, str, int]] = field(default_factory=frozenset)

    def __bool__(self) -> bool:
        return bool(self.months)

    def of(self, entity_type: str, attribute: str, start: datetime, end: datetime) -> Coarse:
        """Those of one type and attribute that [start, end) touches."""
        return Coarse(frozenset(one for one in self.within(start, end).months if one[0] == entity_type and one[1] == attribute))

    def within(self, start: datetime, end: datetime) -> Coarse:
        """Those that [start, end) touches."""
        if not self.months:
            return self
        first, last = _month(start), _month(end - timedelta(microseconds=1) if end > start else end)
        return Coarse(frozenset(one for one in self.months if first <= one[2] <= last))

    def condition(self, alias: str = "x") -> str:
        """The condition on observations of these months, as SQL."""
        found = defaultdict[tuple[str, str], list[int]](list)
        for entity_type, attribute, month in sorted(self.months):
            found[entity_type, attribute].append(month)
        parts = [
            f"({alias}.type = {storage.quoted(entity_type)} AND {alias}.attribute = {storage.quoted(attribute)} AND {alias}.month IN ({', '.join(map(str, months))}))"
            for (entity_type, attribute), months in found.items()
        ]
        return f"({' OR '.join(parts)})" if parts else "false"

    def hours(self, schema: str, within: str = "", sketch: str = "NULL") -> str:
        """A relation of all hours of a tenant's lake, those of these months from values.

        `within` is one more condition (AND …) on those values, `sketch` the expression that makes the sketch of some.
        """
        stored = f"lake.{schema}.rollup_hour"
        if not self.months:
            return stored
        values = f"SELECT {_SERIES}, {_HOUR} AS bucket, {_SUMS}, {sketch} AS sketch FROM lake.{schema}.observation AS x"
        shown = "tenant_id, type, attribute, entity_id, dataset_id, unit, bucket, count, sum, minimum, maximum, first, last, sketch"
        return f"(SELECT {shown} FROM {stored} UNION ALL {values} WHERE x.num IS NOT NULL AND {self.condition()}{within} GROUP BY ALL)"


NONE = Coarse()


def known(lake: Connection, tenant_ids: Iterable[int]) -> dict[int, Coarse]:
    """The coarse months of tenants, as of the lake transaction that asks; those that have none are not there."""
    numbers = ", ".join(str(int(id_)) for id_ in tenant_ids)
    try:
        rows = lake.execute(f"SELECT tenant_id, type, attribute, month FROM lake.main.coarse_month WHERE tenant_id IN ({numbers})").fetchall()
    except duckdb.CatalogException:  # a lake of an older version that nobody has written since
        return {}
    found = defaultdict[int, set[tuple[str, str, int]]](set)
    for tenant, *month in rows:
        found[tenant].add((month[0], month[1], month[2]))
    return {tenant: Coarse(frozenset(months)) for tenant, months in found.items()}


def of_tenant(lake: Connection, tenant_id: int) -> Coarse:
    """The coarse months of one tenant."""
    return known(lake, [tenant_id]).get(tenant_id, NONE)


def mark(lake: Connection, tenant_id: int, months: Iterable[tuple[str, str, int]]) -> None:
    """Note months as coarse, inside the lake transaction that writes their values."""
    if given := sorted(set(months) - of_tenant(lake, tenant_id).months):
        lake.execute(
            f"INSERT INTO lake.main.coarse_month VALUES {', '.join(f'({int(tenant_id)}, ?, ?, ?)' for _ in given)}", [part for one in given for part in one]
        )


def unmark(lake: Connection, tenant_id: int, gone: Coarse | None = None) -> None:
    """Forget months of a tenant (all of them where none are given)."""
    if gone is None:
        lake.execute("DELETE FROM lake.main.coarse_month WHERE tenant_id = ?", [tenant_id])
    elif gone:
        lake.execute(f"DELETE FROM lake.main.coarse_month AS x WHERE x.tenant_id = ? AND {gone.condition()}", [tenant_id])


def _month(at: datetime) -> int:
    moment = at.astimezone(UTC)
    return moment.year * 100 + moment.month
