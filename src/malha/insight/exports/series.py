"""The rows of an export of history: every value of one attribute over a period, of one thing or of all of a type."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from malha.foundation.access import reach, subjects
from malha.foundation.database import service as database
from malha.foundation.language import service as language
from malha.foundation.tenancy.contracts import Tenant
from malha.history.temporal import service as temporal
from malha.history.temporal.contracts import Correction, Grain, Point, SeriesQuery
from malha.ingest.runs import service as runs
from malha.insight.exports.contracts import CellType, Export, ExportColumn, ExportFormat, Row, Statement, UnknownFormat
from malha.kernel import formats, time
from malha.kernel.text import msg, worded
from malha.vocabulary.models import service as models
from malha.vocabulary.models.contracts import Aggregation, ModelProperty, ValueType

#: the formats that a series has: it has no places
FORMATS = tuple(one for one in ExportFormat if one is not ExportFormat.GEOJSON)
#: values are read in stretches of about so many, so that a long period needs no more memory than a short one
STRETCH_ROWS = 50_000
#: a chart on paper shows no more points than this with profit
CHART_BY_HOUR = timedelta(days=14)
_TEXTS = {ValueType.TEXT, ValueType.URI}


@dataclass(frozen=True, slots=True)
class SeriesExport:
    """Which values: `uri` empty means all things of the type. The period is [start, end), aware instants."""

    type: str
    attribute: str
    start: datetime
    end: datetime
    uri: str = ""
    name: str = ""
    title: str = ""
    whole_url: str = ""
    language: str = "pt-pt"


def export(tenant: Tenant, wanted: SeriesExport, *, chart: bool = False) -> Export:
    """An export of the values as they were observed, oldest first; with `chart`, the line that a PDF draws.

    Columns: `id`, `observedAt` and the attribute, in the unit of its model; where a value of the period was corrected also what it
    was, when it was corrected, by whom and why (empty: nobody said it). Raises the errors of history.
    """
    known = property_of(tenant, wanted)
    label = (known.label.in_language(wanted.language) if known else "") or wanted.attribute
    unit = formats.unit(known.unit) if known else ""
    value = CellType.TEXT if known and known.type in _TEXTS else CellType.NUMBER
    corrected = bool(temporal.corrected(tenant.id, replace(_query(wanted, Grain.RAW, by_thing=True), limit=1)))
    columns = (
        ExportColumn("id", language.translate(msg("Identificador"), wanted.language)),
        ExportColumn("observedAt", language.translate(msg("Observado"), wanted.language), CellType.INSTANT),
        ExportColumn(wanted.attribute, label, value, unit),
        *(_correction_columns(wanted.language, value, unit) if corrected else ()),
    )
    statement = Statement(
        title=wanted.title or " — ".join(part for part in (label, wanted.name or wanted.uri or wanted.type) if part),
        publisher=tenant.name,
        filter=_filter(tenant, wanted),
        moment=time.now(),
        zone=tenant.zone,
        notes=(msg("Dados fictícios de demonstração"),) if tenant.is_demo else (),
        language=wanted.language,
    )
    drawn = _chart(tenant, wanted, known, f"{label} ({unit})" if unit else label) if chart else ()
    who = partial(_who, tenant, wanted.language)
    within = reach.current()  # batches are walked after the page was answered
    return Export(columns, statement, lambda: _batches(tenant.id, wanted, within, who if corrected else None), chart=drawn, whole_url=wanted.whole_url)


def _correction_columns(tongue: str, value: CellType, unit: str) -> tuple[ExportColumn, ...]:
    return (
        ExportColumn("correctedFrom", language.translate(msg("Valor antes de corrigido"), tongue), value, unit),
        ExportColumn("correctedAt", language.translate(msg("Corrigido em"), tongue), CellType.INSTANT),
        ExportColumn("correctedBy", language.translate(msg("Corrigido por"), tongue)),
        ExportColumn("correctedWhy", language.translate(msg("Porque se corrigiu"), tongue)),
    )


def property_of(tenant: Tenant, wanted: SeriesExport) -> ModelProperty | None:
    """What the model says of the attribute, where there is a model."""
    model = models.find(wanted.type, tenant.id)
    return model.find(wanted.attribute) if model else None


def check(chosen: ExportFormat) -> None:
    """Raises UnknownFormat for a format that a series does not have."""
    if chosen not in FORMATS:
        raise UnknownFormat(msg("Uma série no tempo não tem lugar: escolha CSV, Excel, JSON, Parquet ou PDF."))


def count(tenant_id: int, wanted: SeriesExport) -> int:
    """About how many rows the export will have, from the sums of each day."""
    return sum(rows for _, rows in _days(tenant_id, wanted))


def _filter(tenant: Tenant, wanted: SeriesExport) -> str:
    first, last = (formats.instant(at, tenant.zone, wanted.language) for at in (wanted.start, wanted.end))
    name = f"{wanted.type}.{wanted.attribute}"
    if wanted.uri:
        return language.translate(msg("{name} de {uri}, de {first} a {last}"), wanted.language, name=name, uri=wanted.uri, first=first, last=last)
    return language.translate(msg("{name}, de {first} a {last}"), wanted.language, name=name, first=first, last=last)


def _query(wanted: SeriesExport, grain: Grain, aggregation: Aggregation = Aggregation.AVERAGE, *, by_thing: bool = False) -> SeriesQuery:
    uris = (wanted.uri,) if wanted.uri else ()
    return SeriesQuery(wanted.type, wanted.attribute, wanted.start, wanted.end, uris, grain, aggregation, group_by_entity=by_thing, limit=10_000_000)


def _days(tenant_id: int, wanted: SeriesExport) -> list[tuple[datetime, int]]:
    """The days of the period that have numbers, and how many."""
    return [(at, rows) for one in temporal.series(tenant_id, _query(wanted, Grain.DAY, Aggregation.COUNT)) for at, _, rows in one.points]


def _stretches(tenant_id: int, wanted: SeriesExport) -> Iterator[tuple[datetime, datetime]]:
    """The period in pieces of about as many rows as fit comfortably in memory."""
    begin, held = wanted.start, 0
    for day, rows in _days(tenant_id, wanted):
        if held and held + rows > STRETCH_ROWS and begin < day:
            yield begin, day
            begin, held = day, 0
        held += rows
    yield begin, wanted.end


#: who corrected, and why, in words
type _Who = Callable[[Iterable[Correction]], Callable[[Correction], tuple[str, str]]]


def _who(tenant: Tenant, tongue: str, corrected: Iterable[Correction]) -> Callable[[Correction], tuple[str, str]]:
    """Who made these corrections, in words, and what the loads were called that did."""
    made = list(corrected)
    with database.connect() as connection, database.tenant_transaction(connection, [tenant.id]):
        loads = runs.told(connection, tenant.id, sorted({one.by_run for one in made if one.by_run is not None}))
        names = subjects.names(connection, {one.told(loads)[0] for one in made}, tongue)

    def told(one: Correction) -> tuple[str, str]:
        actor, why = one.told(loads)
        return names.get(actor, ""), worded(why, lambda text: language.translate(text, tongue))

    return told


def _batches(tenant_id: int, wanted: SeriesExport, within: reach.Parts | None, who: _Who | None) -> Iterator[list[Row]]:
    with reach.limited(within):
        stretches = list(_stretches(tenant_id, wanted))
    for start, end in stretches:
        with reach.limited(within):
            query = replace(_query(wanted, Grain.RAW, by_thing=True), start=start, end=end)
            found = temporal.series(tenant_id, query)
            corrected = temporal.corrected(tenant_id, query) if who else {}
        rows: list[Row] = [(one.uri, at, value) for one in found for at, value, _ in one.points]
        if who:
            told = who(corrected.values())
            rows = [(one.uri, at, value, *_corrected(corrected.get((one.uri, at)), told)) for one in found for at, value, _ in one.points]
        yield sorted(rows, key=lambda row: (row[1], row[0]))


def _corrected(one: Correction | None, told: Callable[[Correction], tuple[str, str]]) -> tuple[object, ...]:
    return (one.value, one.replaced_at, *told(one)) if one else (None, None, None, None)


def _chart(tenant: Tenant, wanted: SeriesExport, known: ModelProperty | None, label: str) -> tuple[tuple[str, list[tuple[datetime, float]]], ...]:
    grain = Grain.HOUR if wanted.end - wanted.start <= CHART_BY_HOUR else Grain.DAY
    aggregation = known.aggregation if known and known.aggregation else Aggregation.AVERAGE
    points: list[Point] = [point for one in temporal.series(tenant.id, _query(wanted, grain, aggregation)) for point in one.points]
    drawn = [(at, float(value)) for at, value, _ in points if isinstance(value, int | float)]
    return ((label, drawn),) if len(drawn) > 1 else ()
