"""JSON and GeoJSON, written row by row."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from malha.insight.exports.contracts import CellType, Export, UnknownFormat
from malha.insight.exports.writers.cells import plain
from malha.kernel.text import msg

_encoder = msgspec.json.Encoder()


def json_rows(export: Export) -> Iterator[bytes]:
    """`{"statement": […], "columns": […], "rows": [{…}, …], "count": n}`; the count closes the file, so a cut one is seen."""
    names = [column.name for column in export.columns]
    yield b'{"statement":' + _encoder.encode(export.statement.lines(export.columns))
    yield b',"columns":' + _encoder.encode(_columns(export)) + b',"rows":['
    count = 0
    for batch in export.batches():
        lines = [_encoder.encode({name: plain(value) for name, value in zip(names, row, strict=True) if value is not None}) for row in batch]
        if lines:
            yield (b",\n" if count else b"\n") + b",\n".join(lines)
        count += len(lines)
    yield b'\n],"count":%d}\n' % count


def geojson(export: Export) -> Iterator[bytes]:
    """A FeatureCollection (RFC 7946). Rows without a place are features without geometry.

    Raises UnknownFormat where no column is a geometry.
    """
    place = next((index for index, column in enumerate(export.columns) if column.type is CellType.GEOMETRY), None)
    if place is None:
        raise UnknownFormat(msg("Estas linhas não têm lugar no mapa; escolha CSV ou Excel."))
    names = [column.name for column in export.columns]
    yield b'{"type":"FeatureCollection","statement":' + _encoder.encode(export.statement.lines(export.columns))
    yield b',"columns":' + _encoder.encode(_columns(export)) + b',"features":['
    count = 0
    for batch in export.batches():
        lines = [
            _encoder.encode(
                {
                    "type": "Feature",
                    "geometry": row[place],
                    "properties": {
                        name: plain(value) for index, (name, value) in enumerate(zip(names, row, strict=True)) if index != place and value is not None
                    },
                }
            )
            for row in batch
        ]
        if lines:
            yield (b",\n" if count else b"\n") + b",\n".join(lines)
        count += len(lines)
    yield b'\n],"numberReturned":%d}\n' % count


def _columns(export: Export) -> list[dict[str, str]]:
    return [
        {key: text for key, text in {"name": c.name, "label": c.label, "type": c.type, "unit": c.unit, "description": c.description}.items() if text}
        for c in export.columns
    ]
