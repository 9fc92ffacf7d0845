"""Questions about values that the sums of days or months answer as exactly: whole periods of whole days, and nothing but totals.

Only where the lake has a value for every one that was summed: retention lets values go and leaves their sums.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.history.engines.layout import FIRST, LAST, Layout
from malha.history.engines.service import Connection
from malha.history.engines.specification import Filter, Function, Measure, Question, Table

#: how each function of values is told from sums
_TOLD = {
    Function.COUNT: ((Function.SUM, "count"),),
    Function.SUM: ((Function.SUM, "sum"),),
    Function.AVERAGE: ((Function.SUM, "sum"), (Function.SUM, "count")),
    Function.MINIMUM: ((Function.MINIMUM, "minimum"),),
    Function.MAXIMUM: ((Function.MAXIMUM, "maximum"),),
}
_SERIES = frozenset({"type", "attribute", "entity_id", "dataset_id", "unit"})


def instead(question: Question, files: Layout, reader: Connection, tenant_id: int) -> Question | None:
    """The question about sums that tells what this one asks about values; None where there is none."""
    if question.table is not Table.OBSERVATION or question.by or question.bucket or question.pivot or question.columns or question.order or question.limit < 1:
        return None
    if question.without_runs or not question.measures or not all(map(_is_told, question.measures)) or not all(map(_is_of_series, question.filters)):
        return None
    start, end, known = question.start or FIRST, question.end or LAST, files.files.get("observation", ())
    if not known or not _say_all(files, reader):
        return None
    whole = all(file.lies_within(start, end) for file in known)
    if not whole and not all(_begins_day(at, _zone(files, tenant_id)) for at in (question.start, question.end) if at is not None):
        return None
    measures = tuple(
        Measure(function, column, f"m{at}_{part}") for at, one in enumerate(question.measures) for part, (function, column) in enumerate(_TOLD[one.function])
    )
    asked = replace(question, table=Table.MONTH if whole else Table.DAY, measures=measures)
    return replace(asked, start=None, end=None) if whole else asked


def told(question: Question, sums: pa.Table) -> pa.Table:
    """The answer to a question about values, of that to `instead`."""
    columns: dict[str, pa.Array] = {}
    for at, one in enumerate(question.measures):
        first = sums.column(f"m{at}_0")
        if one.function is Function.COUNT:
            first = pc.coalesce(first, pa.scalar(0, first.type))
        columns[one.title] = pc.divide(first, sums.column(f"m{at}_1").cast(pa.float64())) if one.function is Function.AVERAGE else first
    return pa.table(columns)


def _is_told(measure: Measure) -> bool:
    return measure.function in _TOLD and measure.column == "num" and not measure.where


def _is_of_series(condition: Filter) -> bool:
    return condition.column in _SERIES


def _say_all(files: Layout, reader: Connection) -> bool:
    """Whether the tenant's sums are of exactly the values that its files hold: counted once for each snapshot."""
    if "sums_say_all" not in files.noted:
        known = files.files.get("observation", ())
        there = [file.numbers for file in known if not file.gone and ("op", "0") in file.same and file.numbers is not None]
        summed = None
        if len(there) == len(known) and (relation := files.relation("rollup_month", named="count")) != f"lake.{files.schema}.rollup_month":
            summed = reader.execute(f"SELECT coalesce(sum(count), 0)::BIGINT FROM {relation}").fetchone()
        files.noted["sums_say_all"] = summed is not None and summed[0] == sum(there)
    return bool(files.noted["sums_say_all"])


def _begins_day(at: datetime, zone: ZoneInfo) -> bool:
    """Whether an instant surely is the start of a day of the tenant's: midnight, and the first of two."""
    local = at.astimezone(zone)
    return (local.hour, local.minute, local.second, local.microsecond, local.fold) == (0, 0, 0, 0, 0)


def _zone(files: Layout, tenant_id: int) -> ZoneInfo:
    if "zone" not in files.noted:
        with database.connect(Role.APP, autocommit=True) as connection:
            row = connection.execute("SELECT time_zone FROM organisation WHERE id = %s", [tenant_id]).fetchone()
        files.noted["zone"] = ZoneInfo(row[0] if row else "Europe/Lisbon")
    zone = files.noted["zone"]
    assert isinstance(zone, ZoneInfo)
    return zone
