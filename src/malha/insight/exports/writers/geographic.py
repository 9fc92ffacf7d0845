"""Formats for geographic programs: GeoPackage 1.3 (a SQLite file of our own writing) and GeoParquet 1.0."""

from __future__ import annotations

import json
import shutil
import sqlite3
import struct
import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from malha.insight.exports.contracts import CellType, Export, ExportColumn, Row, UnknownFormat
from malha.insight.exports.writers import parquet as plain_parquet
from malha.kernel.text import msg
from malha.kernel.time import format_instant

_WKT = 'GEOGCS["WGS 84",DATUM["WGS_1984",SPHEROID["WGS 84",6378137,298.257223563]],PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433]]'
_TYPES = {CellType.TEXT: "TEXT", CellType.NUMBER: "DOUBLE", CellType.INTEGER: "INTEGER", CellType.BOOLEAN: "BOOLEAN", CellType.INSTANT: "DATETIME"}
#: "GPKG", 1073934337 and 10300: what a GeoPackage 1.3 says of itself in the head of the file
_PRAGMAS = "PRAGMA application_id = 1196444487; PRAGMA user_version = 10300; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
_TABLES = f"""
CREATE TABLE gpkg_spatial_ref_sys (srs_name TEXT NOT NULL, srs_id INTEGER NOT NULL PRIMARY KEY, organization TEXT NOT NULL, organization_coordsys_id INTEGER NOT NULL, definition TEXT NOT NULL, description TEXT);
INSERT INTO gpkg_spatial_ref_sys VALUES ('WGS 84', 4326, 'EPSG', 4326, '{_WKT}', ''), ('Undefined cartesian', -1, 'NONE', -1, 'undefined', ''), ('Undefined geographic', 0, 'NONE', 0, 'undefined', '');
CREATE TABLE gpkg_contents (table_name TEXT NOT NULL PRIMARY KEY, data_type TEXT NOT NULL, identifier TEXT UNIQUE, description TEXT DEFAULT '', last_change DATETIME NOT NULL, min_x DOUBLE, min_y DOUBLE, max_x DOUBLE, max_y DOUBLE, srs_id INTEGER REFERENCES gpkg_spatial_ref_sys(srs_id));
CREATE TABLE gpkg_geometry_columns (table_name TEXT NOT NULL, column_name TEXT NOT NULL, geometry_type_name TEXT NOT NULL, srs_id INTEGER NOT NULL, z TINYINT NOT NULL, m TINYINT NOT NULL, CONSTRAINT pk_geom_cols PRIMARY KEY (table_name, column_name));
CREATE TABLE gpkg_extensions (table_name TEXT, column_name TEXT, extension_name TEXT NOT NULL, definition TEXT NOT NULL, scope TEXT NOT NULL, CONSTRAINT ge_tce UNIQUE (table_name, column_name, extension_name));
CREATE TABLE gpkg_data_columns (table_name TEXT NOT NULL, column_name TEXT NOT NULL, name TEXT, title TEXT, description TEXT, mime_type TEXT, constraint_name TEXT, CONSTRAINT pk_gdc PRIMARY KEY (table_name, column_name));
CREATE TABLE gpkg_metadata (id INTEGER PRIMARY KEY, md_scope TEXT NOT NULL DEFAULT 'dataset', md_standard_uri TEXT NOT NULL, mime_type TEXT NOT NULL DEFAULT 'text/xml', metadata TEXT NOT NULL);
CREATE TABLE gpkg_metadata_reference (reference_scope TEXT NOT NULL, table_name TEXT, column_name TEXT, row_id_value INTEGER, timestamp DATETIME NOT NULL, md_file_id INTEGER NOT NULL REFERENCES gpkg_metadata(id), md_parent_id INTEGER);
INSERT INTO gpkg_extensions VALUES ('gpkg_data_columns', NULL, 'gpkg_schema', 'http://www.geopackage.org/spec130/#extension_schema', 'read-write'), ('gpkg_metadata', NULL, 'gpkg_metadata', 'http://www.geopackage.org/spec130/#extension_metadata', 'read-write'), ('gpkg_metadata_reference', NULL, 'gpkg_metadata', 'http://www.geopackage.org/spec130/#extension_metadata', 'read-write');
"""
LAYER = "dados"


def geopackage(export: Export, out: BinaryIO) -> None:
    """Write `export` to `out` as one layer, `dados`, in EPSG:4326, with statement and dictionary inside. Raises UnknownFormat without places."""
    place = _place(export)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "export.gpkg"
        book = sqlite3.connect(path, isolation_level=None)
        try:
            book.executescript(_PRAGMAS + _TABLES)
            _describe(book, export)
            extent = _fill(book, export, place)
            book.execute("UPDATE gpkg_contents SET min_x = ?, min_y = ?, max_x = ?, max_y = ?", extent)
        finally:
            book.close()
        with path.open("rb") as file:
            shutil.copyfileobj(file, out)


def _place(export: Export) -> int:
    place = next((index for index, column in enumerate(export.columns) if column.type is CellType.GEOMETRY and column.name == "location"), None)
    if place is None:
        place = next((index for index, column in enumerate(export.columns) if column.type is CellType.GEOMETRY), None)
    if place is None:
        raise UnknownFormat(msg("Estas linhas não têm lugar no mapa; escolha CSV ou Excel."))
    return place


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _names(export: Export, place: int) -> list[str]:
    """Names of the columns as SQLite keeps them apart: without regard to case, and beside `fid` and `geom`."""
    taken, names = {"fid", "geom"}, []
    for index, column in enumerate(export.columns):
        name = column.name
        while index != place and name.lower() in taken:
            name += "_"
        taken.add(name.lower())
        names.append(name)
    return names


def _describe(book: sqlite3.Connection, export: Export) -> None:
    place, moment = _place(export), format_instant(export.statement.moment)[:19] + "Z"
    names = _names(export, place)
    columns = ", ".join(f"{_quoted(names[i])} {_TYPES.get(c.type, 'TEXT')}" for i, c in enumerate(export.columns) if i != place)
    book.execute(f"CREATE TABLE {LAYER} (fid INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, geom GEOMETRY, {columns})")
    lines = export.statement.lines(export.columns)
    book.execute(
        "INSERT INTO gpkg_contents VALUES (?, 'features', ?, ?, ?, NULL, NULL, NULL, NULL, 4326)", [LAYER, export.statement.title, "\n".join(lines), moment]
    )
    book.execute("INSERT INTO gpkg_geometry_columns VALUES (?, 'geom', 'GEOMETRY', 4326, 2, 2)", [LAYER])
    for index, column in enumerate(export.columns):
        if index != place:
            title = f"{column.label} ({column.unit})" if column.unit else column.label
            book.execute(
                "INSERT INTO gpkg_data_columns VALUES (?, ?, ?, ?, ?, NULL, NULL)", [LAYER, names[index], f"{index}-{column.name}", title, column.description]
            )
    book.execute("INSERT INTO gpkg_metadata VALUES (1, 'dataset', 'http://purl.org/dc/terms/', 'text/plain', ?)", ["\n".join(lines)])
    book.execute("INSERT INTO gpkg_metadata_reference VALUES ('table', ?, NULL, NULL, ?, 1, NULL)", [LAYER, moment])


def _fill(book: sqlite3.Connection, export: Export, place: int) -> tuple[float | None, ...]:
    """Every row, a batch a transaction; returns the extent of their places."""
    marks = ", ".join("?" * len(export.columns))
    west, south, east, north = float("inf"), float("inf"), float("-inf"), float("-inf")
    order = [place, *(index for index in range(len(export.columns)) if index != place)]
    names = _names(export, place)
    statement = f"INSERT INTO {LAYER} ({', '.join('geom' if index == place else _quoted(names[index]) for index in order)}) VALUES ({marks})"
    for batch in export.batches():
        shapes = shapes_of([row[place] for row in batch])
        blobs = [_blob(shape) for shape in shapes]
        book.execute("BEGIN")
        book.executemany(statement, ([blob, *(_cell(row[index]) for index in order[1:])] for blob, row in zip(blobs, batch, strict=True)))
        book.execute("COMMIT")
        real = [shape for shape in shapes if shape is not None and not shape.is_empty]
        if real:
            box = shapely.total_bounds(real)
            west, south, east, north = min(west, box[0]), min(south, box[1]), max(east, box[2]), max(north, box[3])
    return (west, south, east, north) if west <= east else (None, None, None, None)


def shapes_of(values: Sequence[object]) -> list[shapely.Geometry | None]:
    """GeoJSON dicts as shapes; what is none stays none."""
    texts = [msgspec.json.encode(value).decode() if isinstance(value, dict) else None for value in values]
    return list(shapely.from_geojson(texts, on_invalid="ignore"))


def _blob(shape: shapely.Geometry | None) -> bytes | None:
    """A geometry as GeoPackageBinary (§2.1.3): little endian, with its envelope."""
    if shape is None or shape.is_empty:
        return None
    west, south, east, north = shape.bounds
    return struct.pack("<2sBBi4d", b"GP", 0, 0b00000011, 4326, west, east, south, north) + bytes(shape.wkb)


def _cell(value: object) -> Any:
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, datetime):
        return format_instant(value)
    return msgspec.json.encode(value).decode()


def geoparquet(export: Export, out: BinaryIO) -> None:
    """Write `export` to `out` as Parquet whose place is WKB with GeoParquet's metadata. Raises UnknownFormat without places."""
    place = _place(export)
    name = export.columns[place].name
    fields = [pa.field(name, pa.binary()) if i == place else _field(column) for i, column in enumerate(export.columns)]
    geo = {"version": "1.0.0", "primary_column": name, "columns": {name: {"encoding": "WKB", "geometry_types": []}}}
    given = pa.schema(fields, metadata={"statement": "\n".join(export.statement.lines(export.columns)), "geo": json.dumps(geo)})
    with pq.ParquetWriter(out, given, compression="zstd") as writer:
        for batch in export.batches():
            writer.write_table(pa.Table.from_arrays(_arrays(export, batch, place), schema=given))


def _field(column: ExportColumn) -> pa.Field:
    return pa.field(column.name, plain_parquet.TYPES[column.type], metadata={"label": column.label, "unit": column.unit, "description": column.description})


def _arrays(export: Export, batch: list[Row], place: int) -> list[pa.Array]:
    columns = list(zip(*batch, strict=True)) if batch else [()] * len(export.columns)
    made = []
    for index, (column, values) in enumerate(zip(export.columns, columns, strict=True)):
        if index == place:
            made.append(pa.array([shape.wkb if shape is not None else None for shape in shapes_of(values)], pa.binary()))
        else:
            made.append(plain_parquet.array_of(column, values))
    return made
