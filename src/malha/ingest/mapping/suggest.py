"""Suggest the answers for a table: what a row is, what names it, where, when, which columns are about people. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from malha.ingest.mapping import names, personal, places
from malha.ingest.mapping.contracts import Again, Answers, ColumnAnswer, Outside, PlaceAnswer, PlaceKind, RowKind, TimeAnswer
from malha.kernel.text import msg, sentence
from malha.sources.base.contracts import Tenancy
from malha.sources.tabular.contracts import CellType, ColumnShape, TableShape, TextBatch
from malha.vocabulary.models.contracts import DataModel

_ADDRESS = re.compile(r"\b(morada|endereco|address|rua|arruamento)\b")
#: dates that say when a thing began, ended or was dealt with, not when something was observed
_OF_OTHER_THINGS = re.compile(
    r"\b(validacao|validation|validade|nascimento|atualizacao|update|criacao|inaug\w*|constr\w*|instalacao|instalado|colocacao|plantacao|abertura|"
    r"encerramento|fecho|inicio|fim|aquisicao|compra|emissao|licenca|licenciamento|publicacao|manutencao|obra|contrato|adjudicacao|deliberacao)\b"
)
#: sources of models that a load made from its columns; the next file with that header has their answers already
MADE_OF_FILES = {"own", "table"}
_TIMES = {CellType.DATE, CellType.INSTANT}
CELLS_OF = {"number": CellType.NUMBER, "integer": CellType.INTEGER, "boolean": CellType.BOOLEAN, "instant": CellType.INSTANT, "date": CellType.DATE}


def answers_for(shape: TableShape, sample: TextBatch, title: str, tenancy: Tenancy, crs: str, models: Sequence[DataModel]) -> Answers:
    """The answers that seem right for this table. `crs` is the municipality's own projected system."""
    model = best_model(shape, models)
    columns = tuple(_column(column, sample, model) for column in _named_once(shape.columns))
    time = _time(shape, tenancy)
    place = _place(shape, sample, tenancy, crs)
    key = _key(shape, sample, time, place)
    return Answers(
        reading=shape.reading, name=title, kind=RowKind.MODEL if model else RowKind.TABLE, type=model.type if model else names.type_of(title), key=key,
        place=place, time=time, columns=_without_time(_without_place(columns, place, key), time), again=Again.UPDATE if key else Again.REPLACE,
    )  # fmt: skip


def _named_once(columns: Sequence[ColumnShape]) -> list[tuple[ColumnShape, str]]:
    return list(zip(columns, names.once([names.attribute(column.name) for column in columns]), strict=True))


def _column(pair: tuple[ColumnShape, str], sample: TextBatch, model: DataModel | None) -> ColumnAnswer:
    shape, attribute = pair
    about = personal.guess(shape.name, sample.columns[shape.name])
    unit, _text = names.unit_of(shape.name)
    if not unit and shape.examples and all(text.endswith("%") for text in shape.examples):
        unit = "P1"
    kind = shape.type
    known = match(shape.name, model) if model else None
    if known and model and (prop := model.find(known)):
        attribute, unit = known, unit or prop.unit
        kind = CELLS_OF.get(prop.type.value, CellType.TEXT)
    elif model:
        attribute = ""
    return ColumnAnswer(
        shape.name, attribute, kind, shape.decimal, shape.day_first, unit if kind in {CellType.NUMBER, CellType.INTEGER} else "", shape.missing, about
    )


def _without_place(columns: tuple[ColumnAnswer, ...], place: PlaceAnswer, key: tuple[str, ...]) -> tuple[ColumnAnswer, ...]:
    """The columns of coordinates, or of the shape in text, become the place and need not come in twice."""
    used = {place.x, place.y} - set(key) if place.kind in {PlaceKind.COORDINATES, PlaceKind.WKT} else set()
    return tuple(ColumnAnswer(answer.column, "", answer.type, answer.decimal) if answer.column in used else answer for answer in columns)


def _without_time(columns: tuple[ColumnAnswer, ...], time: TimeAnswer) -> tuple[ColumnAnswer, ...]:
    """The column with the instant need not be a value too: every value carries it (observedAt). A day stays, to group by."""
    return tuple(
        ColumnAnswer(answer.column, "", answer.type, answer.decimal, answer.day_first)
        if answer.column in time.columns and answer.type is CellType.INSTANT
        else answer
        for answer in columns
    )


def match(header: str, model: DataModel | None) -> str | None:
    """The property of `model` that a header names: by its name or by one of its labels."""
    if model is None:
        return None
    wanted = names.plain(header)
    for prop in model.properties:
        if wanted in {names.plain(prop.name), names.plain(prop.label.pt), names.plain(prop.label.en)}:
            return prop.name
    return None


def score(shape: TableShape, model: DataModel) -> int:
    """How many headers speak of a model's properties."""
    return sum(1 for column in shape.columns if match(column.name, model))


def best_model(shape: TableShape, models: Sequence[DataModel]) -> DataModel | None:
    """The model that most headers speak of, when at least three do and they are half of the table.

    What earlier files made is not among them: schools after museums are not museums, however many columns they share.
    """
    described = [model for model in models if model.source not in MADE_OF_FILES]
    scored = [(score(shape, model), model) for model in described]
    best = max(scored, key=lambda pair: pair[0], default=(0, None))
    return best[1] if best[0] >= 3 and best[0] * 2 >= len(shape.columns) else None


def _time(shape: TableShape, tenancy: Tenancy) -> TimeAnswer:
    """The column with the instant of observation. Dates of other things (of a visit, of a validation) name no observation."""
    dated = [column for column in shape.columns if column.type in _TIMES and column.filled > 0.95]
    named = [c for c in dated if re.search(r"\b(data|date|dia|day|datahora|datetime|instante|observado|dateobserved|timestamp|hora)\b", names.plain(c.name))]
    chosen = [column for column in named if not _OF_OTHER_THINGS.search(names.plain(column.name))]
    if not chosen:
        return TimeAnswer(zone=tenancy.zone)
    first = next((column for column in chosen if column.type is CellType.INSTANT), chosen[0])
    columns = [first.name]
    if first.type is CellType.DATE:
        hour = next((c.name for c in shape.columns if re.search(r"\b(hora|time|hour)\b", names.plain(c.name)) and _clock(c.examples)), None)
        columns += [hour] if hour else []
    return TimeAnswer(tuple(columns), tenancy.zone, first.day_first)


def _clock(examples: Sequence[str]) -> bool:
    return bool(examples) and all(re.match(r"^\d{1,2}[:h]\d{2}", text) for text in examples)


def _place(shape: TableShape, sample: TextBatch, tenancy: Tenancy, crs: str) -> PlaceAnswer:
    if shape.reading.geometry:
        return PlaceAnswer(PlaceKind.GEOMETRY, shape.reading.geometry, crs=shape.reading.crs or crs)
    wkt = next(
        (c.name for c in shape.columns if c.examples and re.match(r"^\s*(SRID=\d+;)?\s*(MULTI)?(POINT|LINESTRING|POLYGON)", c.examples[0], re.IGNORECASE)), ""
    )
    if wkt:
        return PlaceAnswer(PlaceKind.WKT, wkt)
    x, y = places.guess_columns([column.name for column in shape.columns])
    if x and y:
        return coordinates(shape, sample, x, y, tenancy, crs)
    pair = next((c.name for c in shape.columns if c.type is CellType.TEXT and c.examples and all(map(places.pair_of, c.examples))), "")
    if pair:
        return coordinates(shape, sample, pair, "", tenancy, crs)
    if (unnamed := _by_value(shape, sample, tenancy, crs)) is not None:
        return unnamed
    address = tuple(column.name for column in shape.columns if _ADDRESS.search(names.plain(column.name)))[:1]
    return PlaceAnswer(PlaceKind.ADDRESS, address=address) if address else PlaceAnswer()


def _by_value(shape: TableShape, sample: TextBatch, tenancy: Tenancy, crs: str) -> PlaceAnswer | None:
    """Two neighbouring columns of decimals that put nearly every row in the municipality, whatever they are called."""
    if not tenancy.extent or len(sample) < 3:
        return None
    for one, other in pairwise(shape.columns):
        if one.type is CellType.NUMBER and other.type is CellType.NUMBER and min(one.filled, other.filled) > 0.9:
            place = coordinates(shape, sample, one.name, other.name, tenancy, crs)
            if place.kind is not PlaceKind.NONE and place.outside is Outside.HOLD:
                return place
    return None


def coordinates(shape: TableShape, sample: TextBatch, x: str, y: str, tenancy: Tenancy, crs: str) -> PlaceAnswer:
    """The place answer for two columns of coordinates: system and order of axes chosen by where the rows then fall."""
    column = shape.column(x)
    left, right, _bad = places.from_cells(sample.columns[x], sample.columns[y] if y else None, column.decimal if column else ".")
    found = places.readings(left, right, tenancy.extent, hint_of(x, y) or crs)
    if not found:
        return PlaceAnswer()
    best = found[0]
    outside = Outside.HOLD if tenancy.extent and best.inside > 0.8 else Outside.KEEP
    swapped = best.swapped if y else not best.swapped  # a pair in one cell is latitude first
    return PlaceAnswer(PlaceKind.COORDINATES, x, y, best.crs, swapped, outside)


def hint_of(*headers: str) -> str:
    """The system that a header names: “X_D73”, “M (ETRS89)”."""
    text = " ".join(names.plain(header) for header in headers)
    for pattern, crs in ((r"d73|datum 73", "EPSG:27493"), (r"etrs|tm06|pt tm", "EPSG:3763"), (r"militar|hgm|lisboa hg", "EPSG:20790"), (r"utm", "EPSG:25829")):
        if re.search(pattern, text):
            return crs
    return ""


def _key(shape: TableShape, sample: TextBatch, time: TimeAnswer, place: PlaceAnswer) -> tuple[str, ...]:
    """The fewest columns that, with the time, tell every row from every other; none when nothing does."""
    used = {place.x, place.y, *time.columns}
    candidates = [c for c in shape.columns if c.filled > 0.95 and c.name not in used and c.type in {CellType.TEXT, CellType.INTEGER}]
    candidates.sort(key=lambda c: (not _id_like(c.name), c.type is CellType.INTEGER))
    length = len(sample)
    if length == 0:
        return ()
    codes = {c.name: _codes(sample.columns[c.name]) for c in (*candidates[:12], *(c for c in shape.columns if c.name in time.columns))}
    named = next((c.name for c in candidates[:1] if _id_like(c.name) and _nearly_apart(codes[c.name])), "")
    if named and not _tells_apart([codes[named]], length):  # a code said twice is a fault of the file: its rows wait to be told apart
        return (named,)
    for size in (1, 2, 3):
        for group in combinations([c for c in candidates[:12] if size == 1 or c.type is CellType.TEXT], size):
            chosen = [c.name for c in group]
            if _tells_apart([codes[name] for name in (*chosen, *time.columns)], length):
                return tuple(chosen)
    return ()


def _id_like(header: str) -> bool:
    return bool(re.search(r"\b(id|codigo|cod|code|dico|dicofre|numero|n|ref|referencia|estacao|linha|sensor|contador)\b", names.plain(header)))


def _codes(column: pa.Array) -> np.ndarray[Any, Any]:
    return np.asarray(pc.fill_null(pc.dictionary_encode(column).indices, -1).to_numpy(zero_copy_only=False))


def _nearly_apart(column: np.ndarray[Any, Any]) -> bool:
    """At least nine in ten rows differ, or all but one of a few."""
    return len(np.unique(column)) >= min(0.9 * len(column), len(column) - 1) and len(column) > 2


def _tells_apart(columns: list[np.ndarray[Any, Any]], length: int) -> bool:
    """At least 99.5 % of the rows differ: a few doubles are faults of the file, not of the key."""
    return len(np.unique(np.column_stack(columns), axis=0)) >= 0.995 * length


def problems(answers: Answers, model: DataModel | None, language: str = "pt-pt", *, enforced: bool = False) -> list[str]:
    """What the reader should know before loading: required properties without a column, columns of people left out, unknown units.

    `language` is that of the names of properties; `enforced`: the tenant lets nothing in that lacks a required one.
    """
    said: list[str] = []
    given = {answer.attribute for answer in answers.columns if answer.comes_in}
    if model is not None:
        given |= {"location"} if answers.place.kind is not PlaceKind.NONE else set()
        given |= {model.time_property} if answers.time.columns else set()
        missing = [
            prop.label.in_language(language) or prop.name
            for prop in model.properties
            if prop.required and prop.name not in given | {"address", "dataProvider", "id", "type"}
        ]
        if missing:
            waits = msg(
                "O modelo pede {names}, que a tabela não traz, e as regras do município não deixam entrar sem isso: ficam em espera as coisas que ainda não o têm."
            )
            enters = msg("O modelo pede {names}, que a tabela não traz: as linhas entram, mas faltar-lhes-á isso.")
            said.append(sentence(waits if enforced else enters, names=", ".join(missing)))
    out = [answer.column for answer in answers.columns if answer.personal and not answer.comes_in]
    if out:
        said.append(sentence(msg("Ficam de fora, por serem de pessoas: {names}."), names=", ".join(out)))
    unknown = [
        text for answer in answers.columns if (pair := names.unit_of(answer.column))[1] and not pair[0] and answer.type is CellType.NUMBER for text in pair[1:]
    ]
    if unknown:
        said.append(sentence(msg("Não se conhece a unidade {names}: os valores entram sem unidade."), names=", ".join(f"“{text}”" for text in unknown)))
    return said
