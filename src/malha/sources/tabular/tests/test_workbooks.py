"""ODS and XLS are read as XLSX is: titles, blank rows, merged cells, dates, totals, several sheets; cut ones are refused."""

from __future__ import annotations

import zipfile
from datetime import date

import openpyxl
import pytest
import xlwt

from malha.sources.tabular import service
from malha.sources.tabular.contracts import CellType, UnusableFile

TABLE = [
    ["Relatório de contentores", None, None, None],
    [None, None, None, None],
    ["Zona", "Código", "Peso (kg)", "Recolha"],
    ["Norte", "0101", 12.5, date(2025, 1, 3)],
    [None, "0102", 7.25, date(2025, 1, 4)],
    ["Sul", "0201", 3.0, date(2025, 1, 5)],
    ["Total", None, 22.75, None],
]
MERGED = (3, 4)  # rows, from nought, of "Norte"


def as_xlsx(path):
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Dados"
    for row in TABLE:
        sheet.append(row)
    sheet.merge_cells(start_row=MERGED[0] + 1, end_row=MERGED[1] + 1, start_column=1, end_column=1)
    book.create_sheet("Notas").append(["nada"])
    book.save(path)


def as_xls(path):
    book = xlwt.Workbook()
    sheet = book.add_sheet("Dados")
    days = xlwt.easyxf(num_format_str="dd/mm/yyyy")
    for at, row in enumerate(TABLE):
        for column, value in enumerate(row):
            if value is not None and (at, column) != (MERGED[0], 0):
                sheet.write(at, column, value, *([days] if isinstance(value, date) else []))
    sheet.write_merge(*MERGED, 0, 0, "Norte")
    book.add_sheet("Notas").write(0, 0, "nada")
    book.save(str(path))


def as_ods(path):
    """The few parts of OpenDocument that a sheet needs (ISO/IEC 26300)."""

    def cell(at, column, value):
        if value is None:
            return "<table:covered-table-cell/>" if (at, column) == (MERGED[1], 0) else "<table:table-cell/>"
        span = ' table:number-rows-spanned="2" table:number-columns-spanned="1"' if (at, column) == (MERGED[0], 0) else ""
        if isinstance(value, date):
            return f'<table:table-cell office:value-type="date" office:date-value="{value}"><text:p>{value}</text:p></table:table-cell>'
        if isinstance(value, float):
            return f'<table:table-cell office:value-type="float" office:value="{value}"><text:p>{value}</text:p></table:table-cell>'
        return f'<table:table-cell office:value-type="string"{span}><text:p>{value}</text:p></table:table-cell>'

    rows = "".join(f"<table:table-row>{''.join(cell(at, column, value) for column, value in enumerate(row))}</table:table-row>" for at, row in enumerate(TABLE))
    spaces = "".join(f' xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"' for name in ("office", "table", "text"))
    notes = '<table:table-row><table:table-cell office:value-type="string"><text:p>nada</text:p></table:table-cell></table:table-row>'
    content = (
        f'<?xml version="1.0" encoding="UTF-8"?><office:document-content{spaces} office:version="1.3"><office:body><office:spreadsheet>'
        f'<table:table table:name="Dados">{rows}</table:table><table:table table:name="Notas">{notes}</table:table>'
        "</office:spreadsheet></office:body></office:document-content>"
    )
    kind = "application/vnd.oasis.opendocument.spreadsheet"
    manifest = f'<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"><manifest:file-entry manifest:full-path="/" manifest:media-type="{kind}"/></manifest:manifest>'
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("mimetype", kind, zipfile.ZIP_STORED)
        packed.writestr("content.xml", content)
        packed.writestr("META-INF/manifest.xml", manifest)


FORMS = {"t.xlsx": as_xlsx, "t.xls": as_xls, "t.ods": as_ods}


@pytest.mark.parametrize("name", FORMS)
def test_it_works(tmp_path, name):
    path = tmp_path / name
    FORMS[name](path)
    shape = service.inspect(path, name, tmp_path / "work")
    assert shape.sheets == ("Dados", "Notas")
    assert (shape.reading.sheet, shape.reading.header_row) == ("Dados", 3)
    assert [column.name for column in shape.columns] == ["Zona", "Código", "Peso (kg)", "Recolha"]
    assert [column.type for column in shape.columns] == [CellType.TEXT, CellType.TEXT, CellType.NUMBER, CellType.DATE]
    batch = next(service.batches(path, name, tmp_path / "work", shape.reading))
    assert batch.columns["Código"].to_pylist() == ["0101", "0102", "0201"]
    assert batch.columns["Peso (kg)"].to_pylist() == ["12.5", "7.25", "3"]
    assert batch.columns["Recolha"].to_pylist() == ["2025-01-03", "2025-01-04", "2025-01-05"]
    assert batch.columns["Zona"].to_pylist() == ["Norte", "Norte", "Sul"]
    assert batch.left_out >= 1  # the total


@pytest.mark.parametrize("name", ["t.xls", "t.ods"])
def test_a_cut_one_is_refused(tmp_path, name):
    path = tmp_path / name
    FORMS[name](path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UnusableFile):
        service.inspect(path, name, tmp_path / "work")
