import io
import sqlite3
import struct
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import openpyxl
import pyarrow.parquet as pq
import pytest
import shapely
from django.test import RequestFactory

from malha.insight.exports import resuming, service
from malha.insight.exports.contracts import CellType, Export, ExportColumn, ExportFormat, Statement, UnknownFormat
from malha.insight.exports.writers import rapid

COLUMNS = (
    ExportColumn("id", "Identificador"), ExportColumn("pm10", "PM10", CellType.NUMBER, "µg/m³", "partículas"), ExportColumn("ok", "Bom", CellType.BOOLEAN),
    ExportColumn("at", "Quando", CellType.INSTANT), ExportColumn("location", "Local", CellType.GEOMETRY),
)  # fmt: skip
AT = datetime(2026, 7, 1, 12, 30, tzinfo=UTC)


def export(rows, columns=COLUMNS):
    statement = Statement("Ar", "Vila", "", AT, ZoneInfo("Europe/Lisbon"), licence="https://creativecommons.org/licenses/by/4.0/", source="Vila")
    return Export(columns, statement, lambda: iter([rows[i : i + 3] for i in range(0, len(rows), 3)]))


ROWS = [
    (f"urn:{n}", n / 2 if n != 2 else None, n % 2 == 0, AT, {"type": "Point", "coordinates": [-8.6 + n, 41.0]} if n != 3 else None) for n in range(7)
]  # fmt: skip


def test_geopackage(tmp_path):
    path = tmp_path / "x.gpkg"
    with path.open("wb") as out:
        service.write(export(ROWS), ExportFormat.GEOPACKAGE, out)
    assert path.read_bytes()[68:72] == b"GPKG"
    book = sqlite3.connect(path)
    rows = book.execute("SELECT id, pm10, ok, at, geom FROM dados ORDER BY fid").fetchall()
    assert [row[0] for row in rows] == [row[0] for row in ROWS]
    assert rows[2][1] is None
    assert rows[3][4] is None
    magic, _version, flags, srs = struct.unpack("<2sBBi", rows[1][4][:8])
    assert (magic, flags, srs) == (b"GP", 3, 4326)
    assert shapely.from_wkb(rows[1][4][40:]).wkt == "POINT (-7.6 41)"
    assert book.execute("SELECT min_x, max_x FROM gpkg_contents").fetchone() == pytest.approx((-8.6, -2.6))
    assert book.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert "creativecommons" in book.execute("SELECT metadata FROM gpkg_metadata").fetchone()[0]
    assert ("pm10", "PM10 (µg/m³)", "partículas") in book.execute("SELECT column_name, title, description FROM gpkg_data_columns").fetchall()
    book.close()


def test_geoparquet():
    out = io.BytesIO(b"".join(service.stream(export(ROWS), ExportFormat.GEOPARQUET)))
    table = pq.read_table(out)
    assert shapely.from_wkb(table.column("location")[1].as_py()).wkt == "POINT (-7.6 41)"
    assert b'"primary_column": "location"' in table.schema.metadata[b"geo"]
    assert b"creativecommons" in table.schema.metadata[b"statement"]


def test_without_places_it_is_said():
    for wanted in (ExportFormat.GEOPACKAGE, ExportFormat.GEOPARQUET):
        with pytest.raises(UnknownFormat):
            b"".join(service.stream(export([], COLUMNS[:2]), wanted))


def test_many_rows_read_back_as_they_are(tmp_path, monkeypatch):
    path = tmp_path / "x.xlsx"
    bad = (
        ("=1+1", 1.5, True, AT, {"a": "<&>"}),
        ("+cmd|' /C calc'!A0", float("nan"), None, AT, None),
        (" x\x01\n", -0.25, False, AT, None),
        ("á" * 40_000, 1e300, True, AT, None),
    )
    with path.open("wb") as out:
        rapid.xlsx(export([*bad, *ROWS]), out, sheet_rows=6)
    book = openpyxl.load_workbook(path)
    assert book.sheetnames == ["Sobre", "Dados", "Dados 2", "Dados 3"]
    cells = [row for name in book.sheetnames[1:] for row in book[name].iter_rows(min_row=2)]
    assert len(cells) == 11
    assert cells[0][0].value == "=1+1"
    assert cells[0][0].data_type == "s" or cells[0][0].data_type == "inlineStr"
    assert cells[0][1].value == 1.5
    assert cells[0][2].value is True
    assert cells[0][3].value == datetime(2026, 7, 1, 13, 30)  # noqa: DTZ001 -- wall clock of Lisbon in summer
    assert cells[1][1].value is None
    assert "cortado" in cells[3][0].value
    assert "".join(str(row[0].value) for row in book["Sobre"].iter_rows()).count("creativecommons") == 1
    assert [row[0].value for row in cells[4:]] == [row[0] for row in ROWS]
    monkeypatch.setattr(service, "DESIGNED_ROWS", 5)
    again = openpyxl.load_workbook(io.BytesIO(b"".join(service.stream(export(ROWS), ExportFormat.XLSX))))
    assert again["Dados"].max_row == 8
    assert again["Dados"].column_dimensions["A"].width != 18


def test_a_broken_download_goes_on(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(bytes(range(100)))
    asked = RequestFactory()

    def get(**headers):
        answer = resuming.respond(asked.get("/", headers=headers), path, "x.csv", "text/csv")
        return answer, b"".join(answer.streaming_content) if answer.streaming else answer.content

    whole, data = get()
    assert (whole.status_code, data) == (200, path.read_bytes())
    part, data = get(Range="bytes=60-", **{"If-Range": whole["ETag"]})
    assert (part.status_code, data, part["Content-Range"]) == (206, path.read_bytes()[60:], "bytes 60-99/100")
    assert get(Range="bytes=-5")[1] == path.read_bytes()[95:]
    assert get(Range="bytes=10-19")[1] == path.read_bytes()[10:20]
    assert get(Range="bytes=100-")[0].status_code == 416
    assert get(Range="bytes=60-", **{"If-Range": '"outro"'})[0].status_code == 200
