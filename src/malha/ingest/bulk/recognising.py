"""What a file seems to be, from its titles and first rows; and what would come of it if it were loaded as somebody says. Django-free."""

from __future__ import annotations

import csv as text
import dataclasses
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from malha.ingest.bulk import checking, lines, reading
from malha.ingest.bulk.contracts import Block, Checked, Clock, Measure, Seen, Shape, Trial
from malha.ingest.mapping import names as naming
from malha.ingest.quality.contracts import Group
from malha.kernel.text import unaccent
from malha.sources.base.contracts import Refused

#: rows that are looked at to know what columns are, and that are shown
LOOKED_AT, SHOWN = 500, 8
#: rows that are checked before somebody decides; with few of them refused this takes a fraction of a second
TRIED_ROWS = 200_000
#: refused rows of a reason that are shown
EXAMPLES = 3
#: of the identifiers that are looked at, such a part must be the end of an entity's for the column to be theirs
_ENOUGH = 0.5
#: such a part of a column's first cells say what the column is
_NEARLY_ALL = 0.9
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?([eE][+-]?\d+)?")
_BOOLEAN = frozenset({"true", "false", "verdadeiro", "falso", "sim", "não", "nao"})
_CLOCKS = {
    Clock.ZONED: re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})"),
    Clock.YEAR_FIRST: re.compile(r"(19|20)\d{2}([-/.]\d{2}[-/.]\d{2}|(0[1-9]|1[0-2])([0-2]\d|3[01]))([T ]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?)?"),
    Clock.DAY_FIRST: re.compile(r"\d{1,2}[-/.]\d{1,2}[-/.](19|20)\d{2}([T ]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?)?"),
}
#: words of titles, without accents or signs: those of the road first, then what towns call such columns
_CALLED = {
    "entity": (*reading.ENTITY, "codigo", "estacao", "station", "stationid", "sensor", "sensorid", "equipamento", "dispositivo", "device", "local", "ponto"),
    "instant": (*reading.INSTANT, "timestamp", "datetime", "datahora", "data", "date", "hora", "momento", "dia", "day"),
    "attribute": (*reading.ATTRIBUTE, "variavel", "parametro", "parameter", "variable", "grandeza", "medida"),
    "value": (*reading.VALUE, "leitura", "resultado", "medicao"),
    "unit": (*reading.UNIT, "un"),
    "type": reading.TYPE,
}


@dataclass(frozen=True, slots=True)
class Sample:
    """The first rows of a file, as texts, and its columns."""

    columns: tuple[Seen, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def names(self) -> list[str]:
        """The titles."""
        return [column.name for column in self.columns]

    def cells(self, name: str) -> list[str]:
        """What stands in a column, empty cells left out."""
        at = self.names.index(name)
        return [row[at] for row in self.rows if row[at]]


def sample(source: Path) -> Sample:
    """The first rows of a file. Raises UnreadableHistory."""
    names = reading.names_of(source)
    if reading.is_parquet(source):
        with parquet.ParquetFile(source) as file:
            rows = _told(next(file.iter_batches(LOOKED_AT, use_threads=False), None))
    elif reading.is_arrow(source):
        with pa.OSFile(str(source)) as file:
            rows = _told(next(reading.arrow_batches(file), None))
    else:
        rows = _lines(source, len(names))
    by_column = [[row[at] for row in rows if row[at]] for at in range(len(names))]
    columns = tuple(Seen(name, _kind(cells), tuple(dict.fromkeys(cells))[:3]) for name, cells in zip(names, by_column, strict=True))
    return Sample(columns, tuple(tuple(row) for row in rows))


def _told(batch: pa.RecordBatch | None) -> list[list[str]]:
    if batch is None:
        return []
    columns = [
        ["" if cell is None else cell.isoformat() if isinstance(cell, datetime) else str(cell) for cell in column.to_pylist()]
        for column in batch.slice(0, LOOKED_AT).columns
    ]
    return [list(row) for row in zip(*columns, strict=True)]


def _lines(source: Path, width: int) -> list[list[str]]:
    _names, separator, before, encoding = reading.titles(source)
    whole = lines.head(source).decode(encoding, "replace").splitlines()[before:]
    first, rest = whole[: LOOKED_AT // 2], whole[LOOKED_AT // 2 : -1]  # the last one may be cut
    apart = rest[:: max(1, len(rest) * 2 // LOOKED_AT)]  # files in order of their sensors begin with thousands of rows of the same one
    rows = [*text.reader(first, delimiter=separator), *(next(text.reader([line], delimiter=separator), []) for line in apart)]
    return [[cell.strip() for cell in (*row, *[""] * width)][:width] for row in rows[:LOOKED_AT] if row]


def _kind(cells: Sequence[str]) -> str:
    """What nearly all of them are: a few that are written wrongly are refused one by one."""
    most = max(1.0, len(cells) * _NEARLY_ALL)
    if _clock(cells)[1] >= most:
        return "instant"
    if sum(bool(_NUMBER.fullmatch(cell)) for cell in cells) >= most:
        return "number"
    return "boolean" if sum(cell.lower() in _BOOLEAN for cell in cells) >= most else "text"


def _clock(cells: Sequence[str]) -> tuple[Clock, int]:
    """How most of these instants are written, and how many of them."""
    counts = {clock: sum(bool(pattern.fullmatch(cell)) for cell in cells) for clock, pattern in _CLOCKS.items()}
    best = max(counts, key=lambda clock: counts[clock])
    return best, counts[best]


def suggest(conn: psycopg.Connection[Any], tenant_id: int, found: Sample, zone: str) -> Shape:
    """What the columns seem to say; nothing (empty) where nobody knows. `zone` is the municipality's."""
    named = {role: _called(found.names, words) for role, words in _CALLED.items()}
    entity, prefix = _entity(conn, tenant_id, found, named["entity"])
    taken = {entity}
    instants = [column.name for column in found.columns if column.kind == "instant" and column.name not in taken]
    instant = named["instant"] if named["instant"] in instants else next(iter(instants), "")
    taken.add(instant)
    clock = _clock(found.cells(instant))[0] if instant else Clock.ZONED
    shape = Shape(entity, instant, prefix=prefix, clock=clock, zone=zone)
    if named["attribute"] and named["value"] and not {named["attribute"], named["value"]} & taken:
        return dataclasses.replace(shape, attribute=named["attribute"], value=named["value"], unit=named["unit"], type=named["type"])
    rest = [column for column in found.columns if column.name and column.name not in {*taken, named["type"]} and column.kind in {"number", "boolean"}]
    return dataclasses.replace(shape, type=named["type"] if named["type"] not in taken else "", attributes=tuple(measure(column.name) for column in rest))


def measure(title: str) -> Measure:
    """The attribute that a column of values seems to be of, and the unit that its title says."""
    unit, said = naming.unit_of(title)
    del said
    return Measure(title, title if re.fullmatch(r"[A-Za-z][A-Za-z0-9]*", title) else naming.attribute(title), unit)


def _called(titles: Sequence[str], words: Iterable[str]) -> str:
    """The title that is the first of these words."""
    plain = {re.sub(r"[^a-z0-9]", "", unaccent(title).lower()): title for title in reversed(titles)}
    return next((plain[word] for one in words if (word := re.sub(r"[^a-z0-9]", "", one.lower())) in plain), "")


def _entity(conn: psycopg.Connection[Any], tenant_id: int, found: Sample, called: str) -> tuple[str, str]:
    """The column whose cells are identifiers of entities, or the ends of some, and what stands before those."""
    known = {column.name: list(dict.fromkeys(found.cells(column.name)))[:50] for column in found.columns if column.kind in {"text", "number"}}
    cells = {cell for some in known.values() for cell in some}
    # a long identifier, or its last part: what people write in tables
    query = "SELECT uri, t.name FROM entities e JOIN entity_type t ON t.id = e.type_id WHERE tenant_id = %s AND (uri = ANY(%s) OR substring(uri FROM '[^:/#]*$') = ANY(%s))"
    ends: dict[str, list[str]] = {}
    for uri, _type in conn.execute(query, [tenant_id, list(cells), list(cells)]).fetchall():
        ends.setdefault(re.split(r"[:/#]", uri)[-1], []).append(uri)
        ends.setdefault(uri, []).append(uri)
    best, prefix, best_part = called, "", 0.0
    for name, some in known.items():
        prefixes = Counter(uri.removesuffix(cell) for cell in some for uri in ends.get(cell, []))
        if not prefixes:
            continue
        most, count = prefixes.most_common(1)[0]
        part = count / len(some) + (0.25 if name == called else 0)
        if part > max(best_part, _ENOUGH):
            best, prefix, best_part = name, most, part
    return best, prefix


@dataclass
class _Tried:
    """What came of the rows that were looked at so far."""

    read: int = 0
    refused: list[Refused] = field(default_factory=list)
    lost: int = 0
    series: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    ends: list[datetime] = field(default_factory=list)

    def add(self, block: Block, checked: Checked) -> None:
        self.read += block.rows
        self.lost += max(0, block.lost - 1)
        self.refused += checked.refused
        if checked.good.num_rows:
            for kind in checked.good.group_by(["type", "attribute", "unit"]).aggregate([([], "count_all")]).to_pylist():
                self.series[kind["type"], kind["attribute"], kind["unit"] or ""] += kind["count_all"]
            found = pc.min_max(checked.good.column("observed_at"))
            self.ends += [found["min"].as_py(), found["max"].as_py()]


def attempt(conn: psycopg.Connection[Any], tenant_id: int, source: Path, shape: Shape) -> Trial:
    """What would come of the first `TRIED_ROWS` rows; nothing is kept. `conn` is in the tenant's scope. Raises UnreadableHistory."""
    reading.see_once(reading.names_of(source), shape)
    tried, entities, whole = _Tried(), checking.Entities(conn, tenant_id), True
    for block in reading.blocks(source, shape):
        if tried.read >= TRIED_ROWS:
            whole = False
            break
        tried.add(block, checking.check(block, shape, entities))
    groups: dict[tuple[str, str], list[Refused]] = {}
    for one in tried.refused:
        groups.setdefault((one.code, one.path), []).append(one)
    told = [
        Group(0, code, path, some[0].message, some[0].mend, len(some), tuple(one.cells for one in some[:EXAMPLES])) for (code, path), some in groups.items()
    ]
    return Trial(
        tried.read, len(tried.refused) + tried.lost, whole, min(tried.ends, default=None), max(tried.ends, default=None),
        tuple((*kind, count) for kind, count in tried.series.most_common()), tuple(sorted(told, key=lambda group: -group.count)),
    )  # fmt: skip
