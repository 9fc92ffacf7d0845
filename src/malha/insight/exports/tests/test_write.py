"""Every format is written, opened again by somebody else's reader, and compared cell by cell."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import openpyxl
import pyarrow.parquet as pq
import pytest

from malha.insight.exports import service
from malha.insight.exports.contracts import CellType, Export, ExportColumn, ExportFormat, Statement, UnknownFormat
from malha.insight.exports.writers import document, rapid, sheet
from malha.insight.exports.writers.cells import readable
from malha.insight.exports.writers.document import PDF_ROWS
from malha.sources.tabular import service as tabular

AT = datetime(2026, 7, 28, 6, 0, tzinfo=UTC)
COLUMNS = (
    ExportColumn("name", "Nome"),
    ExportColumn("temperature", "Temperatura", CellType.NUMBER, "°C"),
    ExportColumn("count", "Contagem", CellType.INTEGER),
    ExportColumn("open", "Aberto", CellType.BOOLEAN),
    ExportColumn("observedAt", "Observado", CellType.INSTANT),
    ExportColumn("location", "Local", CellType.GEOMETRY),
)
ROWS = [
    ("Évora; a “branca”", 21.5, 3, True, AT, {"type": "Point", "coordinates": [-7.9, 38.57]}),
    ("=+351 213 011 282", None, -4, False, AT + timedelta(minutes=1), None),
]


def make(rows=ROWS, columns=COLUMNS, language="pt-pt", **fields):
    statement = Statement("Estações", "Município de Ensaio", "temperature>20", AT, ZoneInfo("Atlantic/Azores"), licence="CC BY 4.0", language=language)
    return Export(columns, statement, lambda: iter([rows[:1], rows[1:]]), **fields)


def written(export, wanted):
    out = io.BytesIO()
    service.write(export, wanted, out)
    assert b"".join(service.stream(export, wanted))[:4] == out.getvalue()[:4]
    return out.getvalue()


def rows_of(text, delimiter):
    return list(csv.reader((line for line in io.StringIO(text) if not line.startswith("#")), delimiter=delimiter))


def test_it_works_as_canonical_csv():
    text = written(make(), ExportFormat.CSV).decode()
    assert "# Filtro: temperature>20" in text
    assert "Atlantic/Azores" in text
    assert "temperature: °C" in text
    header, first, second = rows_of(text, ",")
    assert header == [column.name for column in COLUMNS]
    assert first[:5] == ["Évora; a “branca”", "21.5", "3", "true", "2026-07-28T06:00:00Z"]
    assert json.loads(first[5]) == ROWS[0][5]
    assert second[:4] == ["'=+351 213 011 282", "", "-4", "false"]  # text is guarded, a negative number is not


def test_portuguese_excel_reads_commas_and_local_time():
    data = written(make(), ExportFormat.CSV_EXCEL_PT)
    assert data.startswith(b"\xef\xbb\xbf")
    _, first, _ = rows_of(data.decode("utf-8-sig"), ";")
    assert first[:5] == ["Évora; a “branca”", "21,5", "3", "VERDADEIRO", "28/07/2026 06:00:00"]


def test_xlsx_keeps_types_and_goes_on_in_a_second_sheet():
    out = io.BytesIO()
    many = [("a", float(n), n, True, AT, None) for n in range(25)]
    sheet.xlsx(make(many), out, sheet_rows=11)
    book = openpyxl.load_workbook(out)
    assert book.sheetnames == ["Sobre", "Dados", "Dados 2", "Dados 3"]
    values = [row[2].value for name in book.sheetnames[1:] for row in book[name].iter_rows(min_row=2)]
    assert values == list(range(25))
    assert book["Dados"]["E2"].value == AT.replace(tzinfo=None)
    assert any("temperature>20" in str(cell.value) for cell in book["Sobre"]["A"])


@pytest.mark.parametrize("write", [sheet.xlsx, rapid.xlsx])
def test_a_workbook_speaks_the_language_of_who_asks_and_comes_back(write, tmp_path):
    path = tmp_path / "stations.xlsx"
    with path.open("wb") as out:
        write(make([*ROWS, ("x" * 40_000, 1.0, 1, True, AT, None)], language="en"), out)
    book = openpyxl.load_workbook(path)
    assert book.sheetnames == ["About", "Data"]
    about = [[cell.value for cell in row if cell.value] for row in book["About"].iter_rows()]
    assert ["Filter: temperature>20"] in about
    assert ["Column", "Name", "Unit", "Description"] in about
    assert "cut at Excel's limit" in book["Data"]["A4"].value
    shape = tabular.inspect(path, path.name, tmp_path / "work")
    assert shape.reading.sheet == "Data"
    assert shape.reading.columns[0] == "name"


@pytest.mark.parametrize("wanted", [ExportFormat.CSV, ExportFormat.CSV_EXCEL_PT, ExportFormat.JSON, ExportFormat.GEOJSON, ExportFormat.PARQUET])
def test_our_own_reader_takes_it_back(wanted, tmp_path):
    path = tmp_path / f"estacoes.{wanted}"
    path.write_bytes(written(make(), wanted))
    shape = tabular.inspect(path, path.name, tmp_path / "work")
    batch = next(tabular.batches(path, path.name, tmp_path / "work", shape.reading))
    assert batch.columns["name"].to_pylist() == [row[0] for row in ROWS]
    assert [text.replace(",", ".") if text else None for text in batch.columns["temperature"].to_pylist()] == ["21.5", None]


def test_a_pdf_speaks_the_language_of_who_asks():
    assert [readable(value, ZoneInfo("Atlantic/Azores"), "en") for value in (21.5, True, AT)] == ["21.5", "true", "2026-07-28 06:00:00"]
    assert [readable(value, ZoneInfo("Atlantic/Azores"), "pt-pt") for value in (21.5, True, AT)] == ["21,5", "VERDADEIRO", "28/07/2026 06:00:00"]
    many = [("a", float(n), n, True, AT, None) for n in range(PDF_ROWS + 1)]
    page = document.content(make(many, whole_url="https://vila.example/x.csv", language="en"))
    assert page["language"] == "en"
    assert page["limit_note"] == f"This PDF shows the first {PDF_ROWS} rows. The whole is at https://vila.example/x.csv"
    assert "Filter: temperature>20" in page["statement"]
    assert document.content(make())["statement"][0] == "Filtro: temperature>20"


def test_xlsx_shows_formulas_as_text():
    book = openpyxl.load_workbook(io.BytesIO(written(make(), ExportFormat.XLSX)))
    cell = book["Dados"]["A3"]
    assert cell.value == "=+351 213 011 282"
    assert cell.data_type == "s"


def test_json_and_geojson_say_how_many():
    document = json.loads(written(make(), ExportFormat.JSON))
    assert document["count"] == len(document["rows"]) == 2
    assert document["rows"][0]["temperature"] == 21.5
    assert "temperature" not in document["rows"][1]
    collection = json.loads(written(make(), ExportFormat.GEOJSON))
    assert [f["geometry"] for f in collection["features"]] == [ROWS[0][5], None]
    with pytest.raises(UnknownFormat):
        written(make([("a",)], COLUMNS[:1]), ExportFormat.GEOJSON)


def test_parquet_keeps_types_and_the_statement():
    table = pq.read_table(io.BytesIO(written(make(), ExportFormat.PARQUET)))
    assert table.column("temperature").to_pylist() == [21.5, None]
    assert table.column("observedAt").to_pylist()[0] == AT
    assert "temperature>20" in table.schema.metadata[b"statement"].decode()


def test_pdf_says_its_limit_and_where_the_rest_is():
    many = [("a", float(n), n, True, AT, None) for n in range(PDF_ROWS + 1)]
    series = (("Temperatura", [(AT + timedelta(hours=n), float(n % 24)) for n in range(48)]),)
    whole = written(make(many, whole_url="https://vila.example/x.csv", chart=series), ExportFormat.PDF)
    assert whole.startswith(b"%PDF-")
    assert len(whole) > 20_000
