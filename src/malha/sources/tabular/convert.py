"""Workbooks, geographic files and JSON become a Parquet file of plain text cells, in a process of its own with limits.

`python -m malha.sources.tabular.convert KIND IN OUT [SHEET]`. Whoever made the file may be hostile or careless: the parent
sets memory and time, reads only the Parquet and one line of JSON, and lets go of a child that bursts.
"""

from __future__ import annotations

import codecs
import contextlib
import json
import os
import re
import resource
import sys
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from importlib import util
from itertools import islice
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import iterparse
from zipfile import ZipFile, is_zipfile

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from malha.sources.tabular import entities

MEMORY_BYTES = 4 * 2**30  # address space, not what it really uses
CPU_SECONDS = 900
GROUP_ROWS = 20_000
MAX_COLUMNS = 1_000
MAX_RECORD_BYTES = 16 * 2**20
MAX_ENTITIES = 200_000
MAX_ROWS, MAX_MERGED = 1_048_576, 100_000

#: top and left, bottom and right of merged cells, from nought
type Merged = tuple[tuple[int, int], tuple[int, int]]


def _text(value: object) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(timespec="seconds")
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return str(value)
    return str(value)


def sheets(path: Path) -> list[str]:
    """The names of the sheets that hold something."""
    from python_calamine import CalamineWorkbook  # noqa: PLC0415 -- only the child parses workbooks

    book = CalamineWorkbook.from_path(str(path))
    return [name for name in book.sheet_names if book.get_sheet_by_name(name).height]


def _workbook(path: Path, out: Path, sheet: str) -> dict[str, object]:
    from python_calamine import CalamineWorkbook  # noqa: PLC0415

    book = CalamineWorkbook.from_path(str(path))
    names = [name for name in book.sheet_names if book.get_sheet_by_name(name).height]
    if not names:
        raise ValueError("empty")
    chosen = book.get_sheet_by_name(sheet or names[0])
    width = min(chosen.width, MAX_COLUMNS)
    columns = [f"c{position}" for position in range(width)]
    schema = pa.schema([(name, pa.string()) for name in columns])
    merged = getattr(chosen, "merged_cell_ranges", None) or (_merged_of_opendocument(path, chosen.name) if is_zipfile(path) else [])
    rows = _without_merges(chosen, width, merged)
    count = 0
    with pq.ParquetWriter(out, schema, compression="zstd") as writer:
        while part := list(islice(rows, GROUP_ROWS)):
            writer.write_table(pa.table([pa.array(list(column), pa.string()) for column in zip(*part, strict=True)], schema=schema))
            count += len(part)
    return {"sheets": names, "rows": count}


def _merged_of_opendocument(path: Path, name: str) -> list[Merged]:
    """The cells of an ODS sheet that are merged over several rows, which the reader of sheets leaves out: [((top, left), (bottom, right))]."""
    merged: list[Merged] = []
    with ZipFile(path) as packed:
        if "content.xml" not in packed.namelist():
            return []
        inside, row, column = False, 0, 0
        with packed.open("content.xml") as source:
            for event, element in iterparse(source, ("start", "end")):  # noqa: S314 -- in the child with limits; expat refuses amplification, and no outside entity is read
                tag, told = element.tag.rpartition("}")[2], {key.rpartition("}")[2]: value for key, value in element.attrib.items()}
                if tag == "table" and event == "start":
                    inside, row = told.get("name") == name, 0
                elif tag == "table-row" and event == "start":
                    column = 0
                elif tag == "table-row":
                    row += int(told.get("number-rows-repeated", "1"))
                    element.clear()
                elif inside and event == "start" and tag in {"table-cell", "covered-table-cell"}:
                    over = int(told.get("number-rows-spanned", "1"))
                    if over > 1 and len(merged) < MAX_MERGED:
                        merged.append(((row, column), (min(row + over, MAX_ROWS) - 1, column + int(told.get("number-columns-spanned", "1")) - 1)))
                    column += int(told.get("number-columns-repeated", "1"))
    return merged


def _without_merges(sheet: Any, width: int, merged: list[Merged]) -> Iterator[list[str | None]]:
    """Rows of text; a value merged over several rows is said on each of them, as the reader of the sheet sees it."""
    spans: dict[tuple[int, int], tuple[int, int]] = {}
    first = sheet.start[1] if sheet.start else 0  # rows come without the empty columns before the table, merges with them
    for (top, left), (bottom, _right) in merged:
        for row in range(top + 1, bottom + 1):
            spans[row, left - first] = (top, left - first)
    kept: dict[tuple[int, int], str | None] = {}
    heads = set(spans.values())
    for index, row in enumerate(sheet.iter_rows()):
        texts = [_text(cell) for cell in row[:width]]
        texts += [None] * (width - len(texts))
        for position, value in enumerate(texts):
            at = (index, position)
            if at in heads:
                kept[at] = value
            elif value is None and at in spans:
                texts[position] = kept.get(spans[at])
        yield texts


def _engine(path: Path, out: Path, *first: str) -> Any:
    """DuckDB that reaches the folders of these two files and nothing else."""
    import duckdb  # noqa: PLC0415 -- only the child opens foreign files with it

    engine = duckdb.connect(config={"memory_limit": "512MB", "threads": 1, "allow_community_extensions": False})
    for statement in first:
        engine.execute(statement)
    engine.execute(f"SET allowed_directories=['{_quoted(path.parent)}', '{_quoted(out.parent)}']")
    engine.execute("SET enable_external_access=false")
    engine.execute("SET lock_configuration=true")
    return engine


#: what the geographic files that are taken begin with: GDAL goes by the content too, and would open what only points to another file
BEGINNINGS = {".gpkg": b"SQLite format 3", ".shp": b"\x00\x00\x27\x0a", ".geojson": b"{", ".json": b"{"}
DRIVERS = ("GeoJSON", "GeoJSONSeq", "ESRIJSON", "TopoJSON", "JSONFG", "GPKG", "ESRI Shapefile")


def _geographic(path: Path, out: Path, layer: str) -> dict[str, object]:
    """A GeoJSON (or ArcGIS JSON), GeoPackage or shapefile by GDAL: its geometry as WKB, every other column as text."""
    with path.open("rb") as opened:
        head = opened.read(512).removeprefix(codecs.BOM_UTF8).lstrip()
    if not head.startswith(BEGINNINGS[path.suffix.lower()]):
        raise ValueError("not what its name says")
    spec = util.find_spec("duckdb_extension_spatial")
    folder = Path(next(iter(spec.submodule_search_locations or []))) if spec else Path()
    engine = _engine(path, out, f"LOAD '{next(folder.rglob('spatial.duckdb_extension'))}'")
    place = _quoted(path)
    layers = engine.execute(f"SELECT unnest(layers) FROM ST_Read_Meta('{place}')").fetchall()
    found = {row[0]["name"]: row[0] for row in layers}
    chosen = layer or next((name for name, meta in found.items() if meta["geometry_fields"]), next(iter(found)))
    crs = ""
    for geometry in found[chosen]["geometry_fields"] or []:
        system = geometry.get("crs") or {}
        if system.get("auth_name") and system.get("auth_code"):
            crs = f"{system['auth_name']}:{system['auth_code']}"
    source = f"ST_Read('{place}', layer='{_quoted(chosen)}', allowed_drivers={list(DRIVERS)})"
    fields = engine.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()
    geometry_name = next((name for name, kind, *_ in fields if kind.startswith("GEOMETRY")), "")
    picks = [_pick(name, kind) for name, kind, *_ in fields if name != "OGC_FID"]
    engine.execute(f"COPY (SELECT {', '.join(picks)} FROM {source}) TO '{_quoted(out)}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 20480)")
    if geometry_name and path.suffix in {".geojson", ".json"}:
        _tell_lost(path, out, geometry_name)
    return {"sheets": list(found), "crs": crs, "geometry": geometry_name, "rows": pq.ParquetFile(out).metadata.num_rows}


NULL = msgspec.Raw(b"null")
#: a list of objects
_ROWS = re.compile(rb"\[\s*\{")


class _Feature(msgspec.Struct):
    geometry: msgspec.Raw = NULL


class _Collection(msgspec.Struct):
    features: list[_Feature]


def _tell_lost(path: Path, out: Path, name: str) -> None:
    """GDAL gives a geometry that it cannot read as none at all: put something unreadable in its place, so that the row waits and says so."""
    try:
        features = msgspec.json.decode(path.read_bytes().removeprefix(codecs.BOM_UTF8), type=_Collection).features
    except msgspec.MsgspecError:
        return  # not one collection: GDAL's word stands
    said = np.array([bytes(feature.geometry) != b"null" for feature in features], bool)
    table = pq.read_table(out)
    if table.num_rows != len(said):
        return
    lost = said & np.asarray(pc.is_null(table.column(name)).to_numpy(zero_copy_only=False), bool)
    if lost.any():
        marked = pc.if_else(pa.array(lost), pa.scalar(b"?", pa.binary()), table.column(name).cast(pa.binary()))
        pq.write_table(table.set_column(table.column_names.index(name), name, marked), out, compression="zstd", row_group_size=GROUP_ROWS)


def _pick(name: str, kind: str) -> str:
    quoted = '"' + name.replace('"', '""') + '"'
    if kind.startswith("GEOMETRY"):
        return f"ST_AsWKB(ST_Force2D({quoted}))::BLOB AS {quoted}"
    if kind == "BLOB":
        return f"NULL::VARCHAR AS {quoted}"
    return f"{quoted}::VARCHAR AS {quoted}"


def _quoted(text: object) -> str:
    return str(text).replace("'", "''")


def _parquet(path: Path, out: Path, _sheet: str) -> dict[str, object]:
    """Parquet and GeoParquet: every column as text but the geometry."""
    source = pq.ParquetFile(path)
    geo = json.loads((source.schema_arrow.metadata or {}).get(b"geo", b"{}"))
    geometry = str(geo.get("primary_column", ""))
    crs_id = ((geo.get("columns", {}).get(geometry, {}).get("crs") or {}).get("id") or {}) if geometry else {}
    schema = pa.schema([(f.name, pa.binary() if f.name == geometry else pa.string()) for f in source.schema_arrow if not pa.types.is_nested(f.type)])
    with pq.ParquetWriter(out, schema, compression="zstd") as writer:
        for batch in source.iter_batches(GROUP_ROWS, columns=schema.names):
            writer.write_batch(pa.record_batch([_cast(batch.column(f.name), f.type) for f in schema], schema=schema))
    crs = f"{crs_id['authority']}:{crs_id['code']}" if crs_id else ("EPSG:4326" if geometry else "")
    return {"sheets": [], "crs": crs, "geometry": geometry, "rows": source.metadata.num_rows}


def _cast(column: Any, kind: Any) -> Any:
    if kind == pa.binary() or pa.types.is_string(column.type):
        return column.cast(kind)
    if pa.types.is_floating(column.type):  # 12.0 stays a figure that a person would write
        return pa.array([_text(value) for value in column.to_pylist()], pa.string())
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        return pa.nulls(len(column), pa.string())
    if pa.types.is_timestamp(column.type) and column.type.tz:
        return pa.array([value.isoformat() if value else None for value in column.to_pylist()], pa.string())
    return column.cast(kind)


def _records(path: Path, out: Path, _sheet: str) -> dict[str, object]:
    """A JSON list of rows, one row a line, or one object that holds such a list: the names at the top are the columns; what lies deeper stays JSON text."""
    with path.open("rb") as source:
        listed = source.read(512).removeprefix(codecs.BOM_UTF8).lstrip()[:1] == b"["
    if not listed and _is_one_object(path):
        path = _rows_inside(path, out.with_suffix(".rows"))
    how = f"'{_quoted(path)}', format='{'array' if listed else 'newline_delimited'}', records=true, maximum_object_size={MAX_RECORD_BYTES}, maximum_depth=1"
    engine = _engine(path, out)
    found = [name for name, *_ in engine.execute(f"DESCRIBE SELECT * FROM read_json({how}, sample_size=-1, map_inference_threshold=-1)").fetchall()]
    names = found[:MAX_COLUMNS]
    columns = ", ".join(f"'{_quoted(name)}': 'VARCHAR'" for name in names)
    read = f"SELECT * FROM read_json({how}, columns={{{columns}}})"
    if {"id", "type"} <= set(names):
        first = engine.execute(f"{read} LIMIT 1").fetchone()
        if first and entities.are_entities(_members(names, first)):
            return _entities(engine.execute(read), names, out)
    engine.execute(f"COPY ({read}) TO '{_quoted(out)}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 20480)")
    rows = pq.ParquetFile(out).metadata.num_rows
    return {"sheets": [], "rows": rows}


def _members(names: list[str], cells: tuple[Any, ...]) -> dict[str, Any]:
    """One row as it was written: what lies deeper came as JSON text."""
    return {name: json.loads(cell) if cell[:1] in {"{", "["} else cell for name, cell in zip(names, cells, strict=True) if cell is not None}


def _entities(found: Any, names: list[str], out: Path) -> dict[str, object]:
    """Entities as rows, each attribute a column. Raises ValueError beyond what memory is meant for: many entities come by the API."""
    rows: list[dict[str, str]] = []
    while some := found.fetchmany(GROUP_ROWS):
        rows += [entities.row(_members(names, cells)) for cells in some]
        if len(rows) > MAX_ENTITIES:
            raise ValueError("too many entities for a file")
    columns = list(dict.fromkeys(name for one in rows for name in one))[:MAX_COLUMNS]
    table = pa.table({name: pa.array([one.get(name) for one in rows], pa.string()) for name in columns})
    pq.write_table(table, out, compression="zstd", row_group_size=GROUP_ROWS)
    return {"sheets": [], "rows": len(rows)}


def _is_one_object(path: Path) -> bool:
    """Whether the file is one object and not one a line: its first line is not whole, or is all that there is."""
    with path.open("rb") as source:
        line, more = source.readline(MAX_RECORD_BYTES).removeprefix(codecs.BOM_UTF8), source.read(1)
    try:
        msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    except msgspec.MsgspecError:
        return True
    return not more


def _rows_inside(path: Path, into: Path) -> Path:
    """The list of rows that an object holds (our own exports call it `rows`), one a line; an entity is one row.

    Raises ValueError where it holds no list, or several.
    """
    members = msgspec.json.decode(path.read_bytes().removeprefix(codecs.BOM_UTF8), type=dict[str, msgspec.Raw])
    lists = {name: value for name, value in members.items() if _ROWS.match(bytes(value))}
    if {"id", "type"} <= set(members):
        chosen = msgspec.Raw(b"[" + msgspec.json.encode(members) + b"]")
    elif "rows" not in lists and (len(lists) != 1 or "@context" in members):  # a description in JSON-LD is no table
        raise ValueError("one object, and no list of rows in it")
    else:
        chosen = lists.get("rows") or next(iter(lists.values()))
    with into.open("wb") as out:  # a line break inside a text is written \\n in JSON, so that those that are left only lay it out
        out.writelines(bytes(row).replace(b"\n", b" ").replace(b"\r", b" ") + b"\n" for row in msgspec.json.decode(chosen, type=list[msgspec.Raw]))
    return into


KINDS = {"workbook": _workbook, "geographic": _geographic, "parquet": _parquet, "records": _records}


def _alone() -> None:
    """Leave the network: a file may name an address (the reference system of a GeoJSON), and nothing here has to ask anybody.

    Where the system does not let a process leave it (not Linux, or forbidden), what asks is sent to a port that nobody listens on.
    """
    os.environ |= {"GDAL_HTTP_PROXY": "127.0.0.1:9", "GDAL_HTTP_TIMEOUT": "1", "GDAL_HTTP_MAX_RETRY": "0", "NO_PROXY": "", "no_proxy": ""}
    if sys.platform == "linux":
        for spaces in (os.CLONE_NEWNET, os.CLONE_NEWUSER | os.CLONE_NEWNET):
            with contextlib.suppress(OSError):
                os.unshare(spaces)
                return


def main() -> int:
    """Convert and print what was found as one line of JSON; 3 when the file cannot be read."""
    kind, source, out, *rest = sys.argv[1:]
    _alone()
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    if sys.platform != "darwin":  # macOS does not hold RLIMIT_AS
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    try:
        found = KINDS[kind](Path(source), Path(out), rest[0] if rest else "")
    except BaseException as reason:  # noqa: BLE001 -- a parser of foreign files may raise anything; the parent says it to the person
        sys.stderr.write(f"{type(reason).__name__}: {reason}"[:500])
        return 3
    sys.stdout.write(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
