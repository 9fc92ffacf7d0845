"""Rows become entities, a batch at a time: values, ids, times and places, and what must wait with the reason. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from malha.context.store.contracts import ArrowTable, Column, EntityTable, pick
from malha.ingest.mapping import names, places, suggest
from malha.ingest.mapping.contracts import Answers, ColumnAnswer, Outside, PlaceKind, RowKind
from malha.kernel import units
from malha.kernel.text import msg, normalise, sentence
from malha.sources.base.contracts import Refused, Tenancy
from malha.sources.tabular import cells
from malha.sources.tabular.contracts import CellType, TextBatch
from malha.vocabulary.models.contracts import DataModel, ModelProperty, ValueType

Flags = np.ndarray[Any, Any]
_FIGURES = frozenset({CellType.NUMBER, CellType.INTEGER})

#: code → what is said of a group (plural) and how it is mended
REASONS: dict[str, tuple[str, str]] = {
    "missing": (msg("falta um valor obrigatório"), msg("Escreva o valor, ou deixe as linhas de fora.")),
    "key": (msg("não se sabe que coisa é: falta o que lhe dá nome"), msg("Escreva o identificador, ou escolha outra coluna para dar nome.")),
    "number": (
        msg("o número não se percebe"),
        msg("Veja se a vírgula ou o ponto separam os decimais, e se há texto no meio; se a coluna não é um número, dê-lhe outro nome."),
    ),
    "integer": (msg("devia ser um número inteiro"), msg("Diga que a coluna tem decimais, ou corrija o valor.")),
    "boolean": (msg("devia ser sim ou não"), msg("Escreva sim ou não.")),
    "date": (msg("a data não se percebe"), msg("Escreva-a como 2025-01-31 ou 31/01/2025.")),
    "no_such_date": (msg("a data não existe"), msg("Corrija o dia: por exemplo, 31 de fevereiro não existe.")),
    "choice": (msg("o valor não é dos que o modelo aceita ({choices})"), msg("Escolha um dos valores do modelo para todas as linhas.")),
    "range": (msg("o valor está fora do que é possível"), msg("Veja a unidade, ou diga que o valor quer dizer “sem valor”.")),
    "coordinates": (msg("as coordenadas não se percebem"), msg("Escreva graus com ponto, ou escolha o sistema de coordenadas.")),
    "nowhere": (msg("as coordenadas não ficam em lado nenhum"), msg("Escolha outro sistema de coordenadas, ou deixe a linha sem lugar.")),
    "outside": (msg("fica fora do município"), msg("Aceite estas linhas, ou corrija as coordenadas.")),
    "unplaced": (msg("falta apontar o lugar no mapa"), msg("Aponte-as no mapa, uma a uma, ou deixe-as sem lugar.")),
    "geometry": (msg("a geometria não se consegue ler"), msg("Corrija-a no programa de mapas, ou deixe a linha sem lugar.")),
    "duplicate": (msg("a mesma coisa vem duas vezes, com valores diferentes"), msg("Diga qual vale, ou escolha outra coluna para dar nome.")),
    "columns": (msg("o número de colunas não bate certo com o cabeçalho"), msg("Veja se falta uma aspa, ou se o ficheiro está cortado.")),
    "encoding": (msg("há letras que não se conseguem ler"), msg("Guarde o ficheiro em UTF-8 e volte a carregá-lo.")),
    "refused": (msg("o valor não se consegue guardar"), msg("Corrija o valor.")),
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What a load needs to know at every batch. `address` is what every row without one gets, when the model asks for it;
    `addresses` tells those of many points at once and `geocode` the point of an address and how sure it is.
    """

    answers: Answers
    tenancy: Tenancy
    model: DataModel | None = None
    address: dict[str, object] = field(default_factory=dict)
    organisation: str = ""
    addresses: Callable[[list[float], list[float]], list[dict[str, str]]] | None = None
    geocode: Callable[[str], tuple[float, float, str] | None] | None = None

    @property
    def prefix(self) -> str:
        """How the ids of this table begin: `urn:<organisation>:<Type>:`."""
        return f"urn:{self.organisation or self.tenancy.slug}:{self.answers.type}:"

    @property
    def zone(self) -> ZoneInfo:
        """The zone of times without offset."""
        return ZoneInfo(self.answers.time.zone)


@dataclass(slots=True)
class Mapped:
    """What came of a batch: `arrays` (rows in order of the file), the rows that wait, and points of those that lie outside."""

    arrays: ArrowTable
    held: list[Refused]
    keys: Any
    points: tuple[Any, Any] | None = None

    @property
    def table(self) -> EntityTable:
        """The rows as lists: for a few of them."""
        return self.arrays.lists()


class _Batch:
    """One batch on its way: which rows are still good, and why the others are not (the first reason counts)."""

    def __init__(self, batch: TextBatch, plan: Plan) -> None:
        self.batch = batch
        self.plan = plan
        self.size = len(batch)
        self.good = np.ones(self.size, bool)
        self.held: list[Refused] = []
        self.quality: list[str | None] | None = None

    def hold(self, bad: Flags, code: str, path: str, **told: object) -> None:
        """Put the rows that `bad` marks aside; `told` are the parameters of the reason."""
        bad = bad & self.good
        if not bad.any():
            return
        self.good &= ~bad
        reason, mend = REASONS[code]
        for row in np.flatnonzero(bad):
            raw = {name: column[int(row)].as_py() for name, column in self.batch.columns.items() if pa.types.is_string(column.type)}
            self.held.append(Refused(int(self.batch.numbers[row]), code, sentence(reason, **told), path, mend, raw))


def apply(batch: TextBatch, plan: Plan) -> Mapped:
    """The entities of a batch, and the rows that wait."""
    work = _Batch(batch, plan)
    keys = _keys(work)
    observed = _times(work)
    geometry, points = _places(work)
    columns = [made for answer in plan.answers.columns if answer.comes_in and (made := _values(work, answer))]
    if geometry is not None:
        columns.append(_Made("location", geometry, "GeoProperty"))
    if work.quality is not None:
        columns.append(_Made("placeQuality", work.quality))
    columns += _constants(work, {made.name for made in columns}, observed, points)
    return _assemble(work, keys, observed, columns, points)


@dataclass(slots=True)
class _Made:
    name: str
    values: Any
    kind: str = "Property"
    unit: str = ""
    static: bool = False


def _keys(work: _Batch) -> Any:
    answers = work.plan.answers
    if not answers.key:
        numbers = pa.array([f"linha-{number}" for number in work.batch.numbers], pa.string())
        return names.uris(work.plan.prefix, [numbers])
    uris = names.uris(work.plan.prefix, [work.batch.columns[name] for name in answers.key])
    work.hold(_nulls(uris), "key", answers.key[0])
    return uris


def _times(work: _Batch) -> Any:
    time = work.plan.answers.time
    if not time.columns:
        return None
    column = work.batch.columns[time.columns[0]]
    if len(time.columns) > 1:
        column = pc.binary_join_element_wise(pc.utf8_slice_codeunits(column, 0, 10), work.batch.columns[time.columns[1]], " ", null_handling="emit_null")
    utc, unread, unreal = cells.instants(column, work.plan.zone, day_first=time.day_first)
    work.hold(_nulls(column), "missing", time.columns[0])
    work.hold(unread, "date", time.columns[0])
    work.hold(unreal, "no_such_date", time.columns[0])
    return utc


def _places(work: _Batch) -> tuple[Any, tuple[Any, Any] | None]:
    place = work.plan.answers.place
    if place.kind is PlaceKind.NONE:
        return None, None
    if place.kind is PlaceKind.HAND:
        work.hold(np.ones(work.size, bool), "unplaced", "")
        return None, None
    if place.kind is PlaceKind.ADDRESS:
        return _geocoded(work)
    if place.kind is PlaceKind.COORDINATES:
        wkb, lon, lat = _coordinates(work)
    else:
        column = work.batch.columns[place.x]
        wkb, bad, lon, lat = places.shapes(column, place.crs, text=place.kind is PlaceKind.WKT)
        work.hold(bad, "geometry", place.x)
    if place.unplaced is Outside.HOLD:
        work.hold(np.isnan(lon), "unplaced", place.x)
    extent = work.plan.tenancy.extent
    if place.outside is Outside.HOLD and extent:
        work.hold(~places.within(lon, lat, extent, 0.01) & ~np.isnan(lon), "outside", place.x)
    return wkb, (lon, lat)


def _geocoded(work: _Batch) -> tuple[Any, tuple[Any, Any] | None]:
    """The points of the addresses that somebody's streets know; the others wait to be placed by hand, or are listed without a place."""
    place, geocode = work.plan.answers.place, work.plan.geocode
    if not place.address or geocode is None:
        work.hold(np.full(work.size, place.unplaced is Outside.HOLD), "unplaced", "")
        return None, None
    encoded = pc.dictionary_encode(work.batch.columns[place.address[0]])
    known = [geocode(text) for text in encoded.dictionary.to_pylist()]
    lon, lat = np.full(work.size, np.nan), np.full(work.size, np.nan)
    work.quality = [None] * work.size
    for row, index in enumerate(encoded.indices.to_pylist()):
        if index is not None and (found := known[index]):
            lon[row], lat[row], work.quality[row] = found
    if place.unplaced is Outside.HOLD:
        work.hold(np.isnan(lon), "unplaced", place.address[0])
    return places.points(lon, lat), (lon, lat)


def _coordinates(work: _Batch) -> tuple[Any, Any, Any]:
    answers = work.plan.answers
    place = answers.place
    told = answers.column(place.x)
    second = work.batch.columns[place.y] if place.y else None
    x, y, bad = places.from_cells(work.batch.columns[place.x], second, told.decimal if told else answers.reading.decimal)
    work.hold(bad, "coordinates", place.x)
    swapped = place.swapped if second is not None else not place.swapped  # a pair in one cell is latitude first
    lon, lat = places.to_degrees(x, y, place.crs, swapped=swapped)
    nil = (x == 0) & (y == 0)
    work.hold((np.isfinite(x) & np.isfinite(y) & np.isnan(lon)) | nil, "nowhere", place.x)
    return places.points(lon, lat), lon, lat


def _values(work: _Batch, answer: ColumnAnswer) -> _Made | None:
    """The values of one column, checked against its type and against the property of the model."""
    prop = work.plan.model.find(answer.attribute) if work.plan.model else None
    answer = _as_model(answer, prop, work.plan.answers.reading.decimal)
    if not answer.column:
        return _Made(answer.attribute, [answer.constant] * work.size, unit=answer.unit, static=True)
    column = cells.without(work.batch.columns[answer.column], answer.missing)
    if prop and prop.required:
        work.hold(_nulls(column), "missing", answer.column)
    if prop and (prop.choices or prop.type is ValueType.LIST or prop.type is ValueType.OBJECT):
        return _special(work, answer, prop, column)
    kind = "Relationship" if answer.relationship else "Property"
    if answer.type in _FIGURES:
        return _figures(work, answer, prop, column)
    if answer.type is CellType.BOOLEAN:
        values, bad = cells.booleans(column)
        work.hold(bad, "boolean", answer.column)
        return _Made(answer.attribute, values)
    if answer.type in {CellType.DATE, CellType.INSTANT}:
        return _dates(work, answer, column)
    return _Made(answer.attribute, column, kind)


def _as_model(answer: ColumnAnswer, prop: ModelProperty | None, decimal: str) -> ColumnAnswer:
    """The answer, read as the model has it where it was said to be text (or no figure where the model has one): what does not fit waits."""
    wanted = suggest.CELLS_OF.get(prop.type.value) if prop and not prop.choices and ValueType.TEXT not in prop.also else None
    figures = wanted in _FIGURES and answer.type not in _FIGURES
    if wanted is None or not answer.column or not (figures or answer.type is CellType.TEXT):
        return answer
    return replace(answer, type=wanted, decimal=decimal if figures else answer.decimal)


def _figures(work: _Batch, answer: ColumnAnswer, prop: ModelProperty | None, column: Any) -> _Made:
    whole = answer.type is CellType.INTEGER
    values, bad = cells.integers(column, answer.decimal) if whole else cells.numbers(column, answer.decimal)
    work.hold(bad, "integer" if whole else "number", answer.column)
    if prop is not None:
        for bound, over in ((prop.minimum, pc.less), (prop.maximum, pc.greater)):
            if bound is not None:
                work.hold(_flags(over(values, _in_unit(bound, prop, answer))), "range", answer.column)
    return _Made(answer.attribute, values, unit=answer.unit)


def _in_unit(bound: float, prop: ModelProperty, answer: ColumnAnswer) -> float:
    """A bound of the model in the unit that the column is in."""
    if not answer.unit or answer.unit == prop.unit or not units.compatible(prop.unit, answer.unit):
        return bound
    return units.convert(bound, prop.unit, answer.unit)


def _dates(work: _Batch, answer: ColumnAnswer, column: Any) -> _Made:
    zone = ZoneInfo("UTC") if answer.type is CellType.DATE else work.plan.zone
    utc, unread, unreal = cells.instants(column, zone, day_first=answer.day_first)
    work.hold(unread, "date", answer.column)
    work.hold(unreal, "no_such_date", answer.column)
    if answer.type is CellType.DATE:
        return _Made(answer.attribute, pc.cast(pc.cast(pa.array(utc), pa.date32(), safe=False), pa.string()))
    return _Made(answer.attribute, iso_values(utc))


def iso_values(utc: Any) -> list[dict[str, str] | None]:
    """Instants as JSON-LD typed values in UTC, None where there is none."""
    texts = np.datetime_as_string(utc, unit="s")
    return [None if text == "NaT" else {"@type": "DateTime", "@value": f"{text}Z"} for text in texts.tolist()]


def _special(work: _Batch, answer: ColumnAnswer, prop: ModelProperty, column: Any) -> _Made | None:
    """Values from a list of choices (however written), lists in one cell, and the street of an address."""
    if prop.type is ValueType.OBJECT:
        if prop.name != "address":
            return None
        base = work.plan.address
        return _Made(answer.attribute, [dict(base, streetAddress=text) if text else (base or None) for text in column.to_pylist()])
    exact = {normalise(choice): choice for choice in prop.choices}
    encoded = pc.dictionary_encode(column)
    values: list[object] = []
    wrong: list[bool] = []
    for text in encoded.dictionary.to_pylist():
        parts = [part.strip() for part in text.replace("|", ";").split(";") if part.strip()] if prop.type is ValueType.LIST else [text]
        found = [exact.get(normalise(part), part) for part in parts]
        wrong.append(bool(exact) and any(normalise(part) not in exact for part in parts))
        values.append(found if prop.type is ValueType.LIST else found[0])
    indices = encoded.indices.to_pylist()
    shown = ", ".join(prop.choices[:6]) + ("…" if len(prop.choices) > 6 else "")
    work.hold(np.array([index is not None and wrong[index] for index in indices], bool), "choice", answer.column, choices=shown)
    return _Made(answer.attribute, [None if index is None else values[index] for index in indices])


def _addresses(work: _Batch, points: tuple[Any, Any] | None) -> list[dict[str, object]]:
    """The address of each row: where its point lies, else what every row has."""
    base, tell = work.plan.address, work.plan.addresses
    if points is None or tell is None:
        return [base] * work.size
    found = tell(points[0].tolist(), points[1].tolist())
    made: dict[int, dict[str, object]] = {}
    return [made.setdefault(id(one), {**base, **one}) if one else base for one in found]


def _constants(work: _Batch, present: set[str], observed: Any, points: tuple[Any, Any] | None) -> list[_Made]:
    """What a national model asks of every entity and the platform knows by itself: address, provider, instant."""
    model = work.plan.model
    if model is None or work.plan.answers.kind is not RowKind.MODEL:
        return []
    made = []
    if (prop := model.find("address")) and prop.required and "address" not in present and work.plan.address:
        made.append(_Made("address", _addresses(work, points), static=True))
    if (prop := model.find("dataProvider")) and prop.required and "dataProvider" not in present:
        made.append(_Made("dataProvider", [work.plan.tenancy.name] * work.size, static=True))
    if model.time_property and observed is not None and model.time_property not in present:
        made.append(_Made(model.time_property, iso_values(observed)))
    return made


def _assemble(work: _Batch, keys: Any, observed: Any, made: list[_Made], points: tuple[Any, Any] | None) -> Mapped:
    rows = np.flatnonzero(work.good)
    everything = len(rows) == work.size

    def chosen(values: Any) -> Any:
        if isinstance(values, pa.ChunkedArray):
            values = values.combine_chunks()
        if isinstance(values, np.ndarray):
            values = values.tolist()
        return values if everything else pick(values, rows)

    columns = [Column(item.name, chosen(item.values), item.kind, item.unit, item.static and observed is not None) for item in made]
    when = observed[rows].astype("datetime64[us]") if observed is not None else None
    arrays = ArrowTable(work.plan.answers.type, chosen(keys), columns, when, work.batch.numbers[rows])
    placed = (points[0][rows], points[1][rows]) if points is not None else None
    return Mapped(arrays, work.held, keys, placed)


def _nulls(column: Any) -> Flags:
    return np.asarray(pc.is_null(column).to_numpy(zero_copy_only=False), bool)


def _flags(mask: Any) -> Flags:
    return np.asarray(pc.fill_null(mask, False).to_numpy(zero_copy_only=False), bool)
