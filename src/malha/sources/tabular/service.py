"""The door of this room: look into a file, then read it in batches."""

from __future__ import annotations

import codecs
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from malha.kernel.text import msg, sentence
from malha.sources.tabular import archives, cells, delimited, rules
from malha.sources.tabular.contracts import OWN_JSON, OWN_SHEETS, CellType, ColumnShape, FileKind, Position, Reading, TableShape, TextBatch, UnusableFile

SAMPLE_ROWS = 2_000
SHOWN_ROWS = 20
BATCH_ROWS = 10_000
CONVERT_SECONDS = 900
HEAD_BYTES = 2**20
#: sheets that are looked at for a table before somebody is asked
MOST_SHEETS = 8
#: lines of comment at the top; a table of hashtags is none
MOST_COMMENTS = 30
#: a list of objects: rows as programs write them
_ROWS = re.compile(rb"\[\s*(\{|\])")
#: what the JSON of an ArcGIS service begins with
_ARCGIS = re.compile(rb'^\{\s*"(displayFieldName|objectIdFieldName|geometryType)"\s*:')
#: an attribute of an NGSI-LD entity
_ENTITY = re.compile(rb'"type"\s*:\s*"(Geo|Language|List|Vocab|Json)?(Property|Relationship)"')
SUFFIXES = {
    ".csv": FileKind.DELIMITED, ".tsv": FileKind.DELIMITED, ".txt": FileKind.DELIMITED, ".tab": FileKind.DELIMITED,
    ".xlsx": FileKind.WORKBOOK, ".xlsm": FileKind.WORKBOOK, ".xls": FileKind.WORKBOOK, ".ods": FileKind.WORKBOOK, ".xlsb": FileKind.WORKBOOK,
    ".parquet": FileKind.PARQUET, ".geoparquet": FileKind.PARQUET,
    ".geojson": FileKind.GEOGRAPHIC, ".json": FileKind.GEOGRAPHIC, ".gpkg": FileKind.GEOGRAPHIC, ".shp": FileKind.GEOGRAPHIC,
    ".jsonl": FileKind.RECORDS, ".ndjson": FileKind.RECORDS,
}  # fmt: skip


def inspect(path: Path, name: str, work: Path, *, sheet: str = "", header_row: int | None = None) -> TableShape:
    """What table is in the file called `name` at `path`. `work` is a folder where unpacked and converted forms are kept.

    Raises UnusableFile or DangerousFile with a sentence that says what to do.
    """
    path, name = _opened(path, name, work)
    kind = _kind(path, name)
    if kind is FileKind.DELIMITED:
        return _inspect_delimited(path, header_row)
    shape = _inspect_converted(path, kind, work, sheet, header_row)
    if kind is FileKind.WORKBOOK and not sheet and shape.sheets[:2] in OWN_SHEETS.values():  # an export of ours, come back
        return _inspect_converted(path, kind, work, shape.sheets[1], header_row)
    if kind is FileKind.WORKBOOK and not sheet and len(shape.columns) < 2:  # a cover: the table is on a later sheet
        others = (_inspect_converted(path, kind, work, name, header_row) for name in shape.sheets[1:MOST_SHEETS])
        shape = next((other for other in others if len(other.columns) > 1 and other.rows), shape)
    return shape


def batches(path: Path, name: str, work: Path, reading: Reading, start: Position | None = None, batch_rows: int = BATCH_ROWS) -> Iterator[TextBatch]:
    """The rows of the table after `start`. A batch whose `next.offset` is -1 is not the end of a block: no place to stop at."""
    path, name = _opened(path, name, work)
    if reading.kind is FileKind.DELIMITED:
        yield from delimited.batches(_utf8(path, work), reading, start or Position(), batch_rows)
    else:
        yield from _converted_batches(path, work, reading, start or Position(), batch_rows)


def _opened(path: Path, name: str, work: Path) -> tuple[Path, str]:
    """The file itself, or the table inside a zip."""
    if not path.exists() or path.stat().st_size == 0:
        raise UnusableFile(msg("O ficheiro está vazio."))
    if not name.lower().endswith(".zip"):
        return path, name
    folder = work / "zip"
    done = work / "zip.json"
    if not done.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        done.write_text(json.dumps(archives.unpack(path, folder).name), encoding="utf-8")
    inner = folder / json.loads(done.read_text(encoding="utf-8"))
    return inner, inner.name


def _kind(path: Path, name: str) -> FileKind:
    """By what the bytes are first, then by the name: people rename things."""
    with path.open("rb") as source:
        head = source.read(2048)
    if head.startswith(b"PAR1"):
        return FileKind.PARQUET
    if head.startswith(b"SQLite format 3"):
        return FileKind.GEOGRAPHIC
    if head.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0")):
        if head.startswith(b"PK"):
            archives.check(path)
        return FileKind.WORKBOOK
    if head.startswith(b"PK"):
        raise UnusableFile(msg("O ficheiro está cortado ou estragado: não chegou inteiro. Peça-o de novo a quem o enviou."))
    suffix = Path(name.lower()).suffix
    kind = SUFFIXES.get(suffix, FileKind.DELIMITED)
    text = head.removeprefix(codecs.BOM_UTF8).lstrip()
    if _ARCGIS.search(text):
        return FileKind.GEOGRAPHIC
    if (
        _ROWS.match(text)
        or text.startswith(OWN_JSON)
        or (text[:1] == b"{" and _ENTITY.search(text))
        or (suffix == ".json" and text[:1] == b"{" and b'"type"' not in text)
    ):
        return FileKind.RECORDS
    if kind is FileKind.WORKBOOK:
        if head.lstrip()[:1] == b"<":
            raise UnusableFile(msg("O ficheiro chama-se {suffix} mas é uma página ou XML. Abra-o na folha de cálculo e guarde-o como XLSX."), suffix=suffix)
        return FileKind.DELIMITED
    if kind is FileKind.DELIMITED and head.lstrip()[:1] == b"{" and b'"type"' in head:
        return FileKind.GEOGRAPHIC
    if kind is FileKind.DELIMITED and b"\x00" in head and not head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise UnusableFile(msg("Isto não é uma tabela: são bytes que nenhum dos formatos conhecidos explica. Aceita-se CSV, XLSX, XLS, ODS, Parquet, JSON, GeoJSON, GeoPackage e shapefile em ZIP."))  # fmt: skip
    return kind


def _utf8(path: Path, work: Path) -> Path:
    """UTF-16 is turned into UTF-8 once; every other encoding is read as it is."""
    with path.open("rb") as source:
        head = source.read(2)
    if head not in {b"\xff\xfe", b"\xfe\xff"}:
        return path
    target = work / "utf8.csv"
    if not target.exists():
        work.mkdir(parents=True, exist_ok=True)
        half = target.with_suffix(".part")
        with path.open(encoding="utf-16", errors="replace", newline="") as source, half.open("w", encoding="utf-8", newline="") as out:
            shutil.copyfileobj(source, out, 1 << 20)
        half.rename(target)
    return target


def _inspect_delimited(path: Path, header_row: int | None) -> TableShape:
    size = path.stat().st_size
    with path.open("rb") as source:
        head = source.read(HEAD_BYTES)
    encoding = rules.encoding_of(head, whole=size <= HEAD_BYTES)
    text = head.decode(encoding, errors="replace")
    whole_lines = text if size <= HEAD_BYTES else text[: text.rfind("\n") + 1]
    said = _comments(whole_lines)
    delimiter = rules.delimiter_of("".join(whole_lines.splitlines(keepends=True)[said:])[:200_000] if said else whole_lines[:200_000])
    quote = '"' if whole_lines.count('"') % 2 == 0 or size > HEAD_BYTES else ""
    rows = delimited.head_rows(path, encoding, delimiter, quote)
    if not rows or (max(len(row) for row in rows) == 1 and len(rows) > 1 and "�" in whole_lines[:1000]):
        raise UnusableFile(msg("Não se encontra nenhuma tabela neste ficheiro."))
    header = said + rules.header_row_of([[cell.strip() or None for cell in row] for row in rows[said:]]) if header_row is None else header_row
    width = len(rows[header - 1]) if header else max(len(row) for row in rows[:50])
    names = rules.column_names([[cell.strip() or None for cell in row] for row in rows], header, width)
    stored = "utf-8" if encoding == "utf-16" else encoding
    reading = Reading(FileKind.DELIMITED, names, header_row=header, encoding=stored, delimiter=delimiter, quote=quote)
    source_path = path
    if encoding == "utf-16":
        source_path = _utf8(path, path.parent / f".{path.name}.work")
    sample = next(delimited.batches(source_path, reading, Position(), SAMPLE_ROWS), None)
    lines = max(1, whole_lines.count("\n"))
    rows_estimate = max(0, lines - header) if size <= HEAD_BYTES else round(size / (len(whole_lines.encode(stored, errors="replace")) / lines))
    return _shape(reading, sample, rows_estimate, ())


def _comments(text: str) -> int:
    """How many lines at the top say what the table is, as our own exports do ("# Filtro: nenhum")."""
    lines = enumerate(text.removeprefix("\ufeff").splitlines()[:MOST_COMMENTS])
    return next((position for position, line in lines if not line.startswith("#")), 0)


def _converted(path: Path, kind: FileKind, work: Path, sheet: str) -> tuple[Path, dict[str, Any]]:
    """The Parquet form of a workbook or geographic file, made once by a child with limits."""
    key = hashlib.sha256(f"{kind}:{sheet}".encode()).hexdigest()[:12]
    target, facts = work / f"{key}.parquet", work / f"{key}.json"
    if facts.exists():
        return target, json.loads(facts.read_text(encoding="utf-8"))
    work.mkdir(parents=True, exist_ok=True)
    half = work / f"{key}.part"
    try:
        done = subprocess.run(  # noqa: S603 -- our own module
            [sys.executable, "-m", "malha.sources.tabular.convert", kind.value, str(_suffixed(path, kind, work)), str(half), *([sheet] if sheet else [])],
            capture_output=True, timeout=CONVERT_SECONDS, check=False,
            env={**{name: value for name, value in os.environ.items() if not name.startswith("MALHA_")}, "MALLOC_ARENA_MAX": "2"},  # it needs no secret of ours
        )  # fmt: skip
    except subprocess.TimeoutExpired as reason:
        raise UnusableFile(msg("Ler o ficheiro demorou mais de {seconds} segundos; divida-o ou guarde-o como CSV."), seconds=CONVERT_SECONDS) from reason
    if done.returncode:
        half.unlink(missing_ok=True)
        if kind is FileKind.RECORDS:
            raise UnusableFile(
                msg(
                    "Este JSON não é uma tabela, ou está cortado. Aceita-se uma lista de linhas, um objeto que a tenha dentro, uma linha por objeto JSON, ou GeoJSON."
                )
            )
        raise UnusableFile(
            msg("Não se consegue ler o ficheiro: está cortado, protegido por senha ou não é o que o nome diz. Guarde-o como CSV e tente de novo.")
        )
    half.rename(target)
    facts.write_bytes(done.stdout)
    return target, json.loads(done.stdout)


def _suffixed(path: Path, kind: FileKind, work: Path) -> Path:
    """GDAL goes by the name: give a stored file (named by its digest), or one that is called otherwise, the suffix of what it holds."""
    if kind is not FileKind.GEOGRAPHIC or SUFFIXES.get(path.suffix.lower()) is FileKind.GEOGRAPHIC:
        return path.resolve()
    with path.open("rb") as source:
        suffix = ".gpkg" if source.read(16).startswith(b"SQLite") else ".geojson"
    link = work / f"source{suffix}"
    if not link.exists():
        try:
            os.link(path, link)
        except OSError:
            shutil.copyfile(path, link)
    return link.resolve()


def _inspect_converted(path: Path, kind: FileKind, work: Path, sheet: str, header_row: int | None) -> TableShape:
    target, facts = _converted(path, kind, work, sheet)
    source = pq.ParquetFile(target)
    names = tuple(source.schema_arrow.names)
    header = 0
    if kind is FileKind.WORKBOOK:
        first = next(source.iter_batches(400), None)
        rows = list(zip(*(column.to_pylist() for column in first.columns), strict=True)) if first is not None else []
        header = rules.header_row_of(rows) if header_row is None else header_row
        names = rules.column_names(rows, header, len(names))
    sheets = tuple(facts.get("sheets", ()))
    if kind is FileKind.WORKBOOK:
        sheet = sheet or (sheets[0] if sheets else "")
    reading = Reading(kind, names, sheet, header, geometry=str(facts.get("geometry", "")), crs=str(facts.get("crs", "")))
    sample = next(_converted_batches(path, work, reading, Position(), SAMPLE_ROWS, first_sheet=not sheets or sheet == sheets[0]), None)
    return _shape(reading, sample, max(0, int(facts.get("rows", 0)) - header), sheets)


def _converted_batches(path: Path, work: Path, reading: Reading, start: Position, batch_rows: int, *, first_sheet: bool | None = None) -> Iterator[TextBatch]:
    target, _facts = _converted(path, reading.kind, work, _sheet_key(reading, work, first_sheet=first_sheet))
    source = pq.ParquetFile(target)
    row = 0
    for batch in source.iter_batches(batch_rows):
        first, row = row + 1, row + batch.num_rows
        if row <= start.row:
            continue
        numbers = np.arange(first, row + 1)
        columns = [cells.clean(column) if pa.types.is_string(column.type) else column for column in batch.columns]
        body = (numbers > reading.header_row) & (numbers > start.row)
        out = rules.left_out(columns)
        keep = np.flatnonzero(body & ~out)
        named = {name: column.take(pa.array(keep)) for name, column in zip(reading.columns, columns, strict=True)}
        yield TextBatch(named, numbers[keep], Position(0, row), [], int((body & out).sum()))


def _sheet_key(reading: Reading, work: Path, *, first_sheet: bool | None) -> str:
    """The first sheet was converted without a name; ask for it the same way, so that it is not converted twice."""
    if reading.kind is not FileKind.WORKBOOK:
        return reading.sheet
    if first_sheet is None:
        plain = work / f"{hashlib.sha256(f'{reading.kind}:'.encode()).hexdigest()[:12]}.json"
        first_sheet = plain.exists() and json.loads(plain.read_text(encoding="utf-8")).get("sheets", [""])[0] == reading.sheet
    return "" if first_sheet else reading.sheet


def _shape(reading: Reading, sample: TextBatch | None, rows: int, sheets: tuple[str, ...]) -> TableShape:
    if sample is None or not len(sample):
        blank = tuple(ColumnShape(name, CellType.TEXT, filled=0.0) for name in reading.columns)
        return TableShape(reading, blank, sheets, 0, notes=(msg("A tabela tem cabeçalho mas nenhuma linha."),))
    texts = [column for name, column in sample.columns.items() if name != reading.geometry]
    hint = rules.decimal_hint_of(reading.delimiter if reading.kind is FileKind.DELIMITED else ",", texts)
    columns = tuple(rules.shape_of(name, column, hint) for name, column in sample.columns.items() if name != reading.geometry)
    shown = list(zip(*(sample.columns[column.name].slice(0, SHOWN_ROWS).to_pylist() for column in columns), strict=True))
    notes = (sentence(msg("Linhas de totais e notas que ficam de fora: {count}."), count=sample.left_out),) if sample.left_out else ()
    return TableShape(replace(reading, decimal=hint), columns, sheets, rows, tuple(shown), tuple(int(number) for number in sample.numbers[:SHOWN_ROWS]), notes)
