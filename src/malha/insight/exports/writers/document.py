"""PDF by Typst, with a chart drawn by Vega-Lite; at most 2,000 rows, and it says where the rest is."""

from __future__ import annotations

import tempfile
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import msgspec
import typst
import vl_convert

from malha.insight.exports.contracts import CellType, Export, Row
from malha.insight.exports.writers.cells import readable
from malha.kernel.text import msg

#: rows that a PDF holds; whoever needs more needs a table, not paper
PDF_ROWS = 2000
CELL_CHARACTERS = 120
TEMPLATE = Path(__file__).with_name("document.typ")


def pdf(export: Export, out: BinaryIO) -> None:
    """Write `export` to `out`: statement, chart where there is a series, the first rows."""
    data = content(export)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "document.typ"
        source.write_bytes(TEMPLATE.read_bytes())
        if export.chart:
            (Path(folder) / "chart.svg").write_text(_chart(export), encoding="utf-8")
        out.write(typst.compile(str(source), root=folder, sys_inputs={"data": msgspec.json.encode(data).decode()}))


def content(export: Export) -> dict[str, object]:
    """What the page says, as the template takes it."""
    rows, more = _first_rows(export)
    zone = export.statement.zone
    shown = [index for index, column in enumerate(export.columns) if column.type is not CellType.GEOMETRY]
    columns = [export.columns[index] for index in shown]
    said = export.statement
    whole = msg("Este PDF mostra as primeiras {count} linhas. O conjunto completo está em {address}")
    note = said.say(whole, count=PDF_ROWS, address=export.whole_url) if more else ""
    return {
        "title": export.statement.title,
        "publisher": export.statement.publisher,
        "language": said.language.partition("-")[0],
        "statement": export.statement.lines(columns)[1:],
        "chart": bool(export.chart),
        "chart_alt": ", ".join(name for name, _ in export.chart),
        "limit_note": note,
        "columns": [
            {"heading": f"{c.label or c.name}" + (f" ({c.unit})" if c.unit else ""), "numeric": c.type in {CellType.NUMBER, CellType.INTEGER}} for c in columns
        ],
        "rows": [[_short(readable(row[index], zone, said.language)) for index in shown] for row in rows],
    }


def _first_rows(export: Export) -> tuple[list[Row], bool]:
    rows: list[Row] = []
    for batch in export.batches():
        rows += batch
        if len(rows) > PDF_ROWS:
            return rows[:PDF_ROWS], True
    return rows, False


def _short(text: str) -> str:
    return text if len(text) <= CELL_CHARACTERS else text[: CELL_CHARACTERS - 1] + "…"


def _chart(export: Export) -> str:
    """The series as SVG lines over time in the municipality's zone."""
    zone = export.statement.zone
    points = [{"s": name, "t": _wall_clock(instant, export), "v": value} for name, series in export.chart for instant, value in series]
    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "width": 640,
        "height": 220,
        "data": {"values": points},
        "mark": {"type": "line", "strokeWidth": 1.5},
        "encoding": {
            "x": {"field": "t", "type": "temporal", "title": export.statement.say(msg("hora de {zone}"), zone=zone.key), "axis": {"format": "%d/%m %H:%M"}},
            "y": {"field": "v", "type": "quantitative", "title": None, "scale": {"zero": False}},
            "color": {
                "field": "s",
                "type": "nominal",
                "title": None,
                "scale": {"range": ["#034ad8", "#b3540a", "#008558", "#7a3fb0", "#0079bf", "#8a6d00", "#a5264f", "#475164"]},
            },
        },
        "config": {"font": "sans-serif", "view": {"stroke": None}, "axis": {"gridColor": "#e1e4ea"}},
    }
    return str(vl_convert.vegalite_to_svg(spec))


def _wall_clock(instant: datetime, export: Export) -> str:
    return instant.astimezone(export.statement.zone).strftime("%Y-%m-%dT%H:%M:%S")
