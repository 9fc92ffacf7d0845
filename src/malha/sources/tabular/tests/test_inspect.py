"""What is found in a file before anybody is asked."""

from __future__ import annotations

import json

import openpyxl
import pyarrow as pa
import pytest

from malha.sources.tabular import cells, rules, service
from malha.sources.tabular.contracts import CellType


def look(tmp_path, data, name="t.csv", **how):
    path = tmp_path / name
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return service.inspect(path, name, tmp_path / "work", **how), path


def everything(path, shape, tmp_path):
    batches = list(service.batches(path, path.name, tmp_path / "work", shape.reading))
    rows = [dict(zip(batch.columns, cells, strict=True)) for batch in batches for cells in zip(*(c.to_pylist() for c in batch.columns.values()), strict=True)]
    return rows, batches


PORTUGUESE = """Relatório de janeiro;;;
;;;
Freguesia;Data;Valor médio;Observações
São João;01/02/2025;1.234,5;n.d.
Évora;15/02/2025;12,25;-
Évora;28/02/2025;-99,0;ok
Total;;1.246,75;
Fonte: serviços;;;
"""


def test_it_works(tmp_path):
    shape, path = look(tmp_path, PORTUGUESE.encode("windows-1252"))
    assert (shape.reading.encoding, shape.reading.delimiter, shape.reading.header_row, shape.reading.decimal) == ("windows-1252", ";", 3, ",")
    assert [(c.name, c.type) for c in shape.columns] == [
        ("Freguesia", CellType.TEXT), ("Data", CellType.DATE), ("Valor médio", CellType.NUMBER), ("Observações", CellType.TEXT),
    ]  # fmt: skip
    assert shape.columns[2].missing == ("-99,0",)
    rows, batches = everything(path, shape, tmp_path)
    assert [row["Freguesia"] for row in rows] == ["São João", "Évora", "Évora"]
    assert [row["Observações"] for row in rows] == [None, None, "ok"]
    assert batches[0].numbers.tolist() == [4, 5, 6]
    assert sum(batch.left_out for batch in batches) == 2


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "windows-1252", "utf-16"])
def test_every_usual_encoding(tmp_path, encoding):
    shape, path = look(tmp_path, "Código;Terra\n1;Águeda\n2;Ílhavo\n".encode(encoding))
    rows, _ = everything(path, shape, tmp_path)
    assert [row["Terra"] for row in rows] == ["Águeda", "Ílhavo"]
    assert shape.reading.columns == ("Código", "Terra")


@pytest.mark.parametrize(("delimiter", "name"), [(",", "a.csv"), (";", "a.csv"), ("\t", "a.tsv"), ("|", "a.txt")])
def test_delimiters(tmp_path, delimiter, name):
    shape, path = look(
        tmp_path,
        "\n".join(delimiter.join(row) for row in (("id", "nome"), ("1", "Praça, a grande"), ("2", "Rua"))).replace("Praça, a grande", '"Praça, a grande"'),
        name,
    )
    rows, _ = everything(path, shape, tmp_path)
    assert rows[0] == {"id": "1", "nome": "Praça, a grande"}


def test_a_table_without_header(tmp_path):
    shape, path = look(tmp_path, "1;2.5;Rua A\n2;3.5;Rua B\n3;4.5;Rua A\n")
    assert shape.reading.header_row == 0
    assert shape.reading.columns == ("coluna 1", "coluna 2", "coluna 3")
    assert len(everything(path, shape, tmp_path)[0]) == 3


def test_codes_keep_their_zeros(tmp_path):
    shape, _ = look(tmp_path, "dico;nif;valor\n0105;123456789;1\n0106;501442600;2\n")
    assert [c.type for c in shape.columns] == [CellType.TEXT, CellType.TEXT, CellType.INTEGER]


def test_american_dates_are_seen(tmp_path):
    shape, _ = look(tmp_path, "data;v\n12/31/2025;1\n01/02/2025;2\n")
    assert (shape.columns[0].type, shape.columns[0].day_first) == (CellType.DATE, False)


@pytest.mark.parametrize(
    ("values", "hint", "expected"),
    [
        (["1,5", "2"], ".", ","),
        (["1.5", "2"], ",", "."),
        (["1.234", "2.345"], ",", ","),
        (["1.234", "2.345"], ".", "."),
        (["1.234,5"], ".", ","),
        (["1,234.5"], ",", "."),
    ],
)
def test_decimal_sign(values, hint, expected):
    assert rules.decimal_of(pa.array(values), hint) == expected


def test_a_workbook_with_titles_merged_cells_and_sheets(tmp_path):
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Dados"
    sheet["A1"] = "Câmara Municipal"
    sheet.merge_cells("A1:D1")
    sheet.append([])
    sheet.append(["Zona", "Leitura", None, "Dia"])
    sheet.merge_cells("B3:C3")
    sheet.append([None, "água", "luz", None])
    sheet.append(["Norte", 1.5, 2, "2025-01-03"])
    sheet.append([None, 2.5, 3, "2025-01-04"])
    sheet.merge_cells("A5:A6")
    sheet.append(["Sul", 3.5, 4, "2025-01-05"])
    sheet.append(["Total", 7.5, 9, None])
    book.create_sheet("Outra").append(["x", "y"])
    book.save(tmp_path / "b.xlsx")
    shape = service.inspect(tmp_path / "b.xlsx", "b.xlsx", tmp_path / "work", header_row=4)
    assert shape.sheets == ("Dados", "Outra")
    assert shape.reading.columns == ("Zona", "Leitura água", "Leitura luz", "Dia")
    batch = next(service.batches(tmp_path / "b.xlsx", "b.xlsx", tmp_path / "work", shape.reading))
    assert batch.columns["Zona"].to_pylist() == ["Norte", "Norte", "Sul"]
    assert batch.columns["Leitura água"].to_pylist() == ["1.5", "2.5", "3.5"]
    assert batch.numbers.tolist() == [5, 6, 7]


def test_parquet_and_geoparquet_columns(tmp_path):
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"id": [1, 2], "v": [1.0, 2.25], "when": pa.array([0, 1], pa.timestamp("s", tz="UTC"))}), tmp_path / "p.parquet")
    shape = service.inspect(tmp_path / "p.parquet", "p.parquet", tmp_path / "work")
    assert [(c.name, c.type) for c in shape.columns][1:] == [("v", CellType.NUMBER), ("when", CellType.INSTANT)]


def test_geopackage_and_shapefile_in_the_national_grid(tmp_path):
    import zipfile

    import duckdb

    from malha.sources.tabular import convert

    engine = duckdb.connect()
    folder = next(
        p
        for p in __import__("pathlib").Path(convert.util.find_spec("duckdb_extension_spatial").submodule_search_locations[0]).rglob("spatial.duckdb_extension")
    )
    engine.execute(f"LOAD '{folder}'")
    query = "SELECT 'P1' AS codigo, 'Ponto' AS nome, ST_Point(-42885.1, 106912.9) AS geom"
    engine.execute(f"COPY ({query}) TO '{tmp_path}/g.gpkg' WITH (FORMAT gdal, DRIVER 'GPKG', SRS 'EPSG:3763')")
    engine.execute(f"COPY ({query}) TO '{tmp_path}/s.shp' WITH (FORMAT gdal, DRIVER 'ESRI Shapefile', SRS 'EPSG:3763')")
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as packed:
        for part in tmp_path.glob("s.*"):
            if part.suffix != ".zip":
                packed.write(part, part.name)
    for name in ("g.gpkg", "s.zip"):
        shape = service.inspect(tmp_path / name, name, tmp_path / f"work-{name}")
        assert shape.reading.crs == "EPSG:3763", name
        assert [c.name for c in shape.columns] == [*(["fid"] if name == "g.gpkg" else []), "codigo", "nome"]
        assert shape.rows == 1


def test_a_table_in_the_middle_of_a_sheet(tmp_path):
    book = openpyxl.Workbook()
    sheet = book.active
    for place, value in {"C3": "zona", "D3": "valor", "C4": "Norte", "D4": 1, "D5": 2, "C6": "Sul", "D6": 3}.items():
        sheet[place] = value
    sheet.merge_cells("C4:C5")
    book.save(tmp_path / "m.xlsx")
    shape = service.inspect(tmp_path / "m.xlsx", "m.xlsx", tmp_path / "work")
    assert (shape.reading.header_row, shape.reading.columns) == (3, ("zona", "valor"))
    batch = next(service.batches(tmp_path / "m.xlsx", "m.xlsx", tmp_path / "work", shape.reading))
    assert batch.columns["zona"].to_pylist() == ["Norte", "Norte", "Sul"]
    assert batch.numbers.tolist() == [4, 5, 6]


@pytest.mark.parametrize(
    ("text", "delimiter", "width"),
    [
        ("x;y\n" + "1,5;2,5\n" * 40, ";", 2),
        ("Nome;Coordenadas\n" + "Fonte;41° 9' 0,0\" N 8° 36' 36,0\" O\n" * 12, ";", 2),
        ("nome;coordenadas\n" + "F;41,15 / -8,61\n" * 12, ";", 2),
        ("id,dias\n" + "1,seg;ter;qua\n" * 12, ",", 2),
    ],
)
def test_the_delimiter_splits_the_header_too(tmp_path, text, delimiter, width):
    shape, _path = look(tmp_path, text)
    assert (shape.reading.delimiter, len(shape.columns), shape.reading.header_row) == (delimiter, width, 1)


def test_money_and_parts_in_a_hundred_are_figures(tmp_path):
    shape, path = look(tmp_path, "Ano;Taxa;Custo\n" + "".join(f"{2010 + n};{10 + n},5%;{n + 1} 234 567,10 €\n" for n in range(9)))
    assert [column.type for column in shape.columns] == [CellType.INTEGER, CellType.NUMBER, CellType.NUMBER]
    rows, _batches = everything(path, shape, tmp_path)
    values, bad = cells.numbers(pa.array([row["Custo"] for row in rows]), ",")
    assert not bad.any()
    assert values[0].as_py() == 1_234_567.1


def test_a_cover_is_not_the_table(tmp_path):
    book = openpyxl.Workbook()
    book.active.append(["Leia-me"])
    book.active.append(["Este ficheiro tem duas folhas"])
    sheet = book.create_sheet("Árvores")
    for row in [["ID", "Espécie"], *([n, "Tília"] for n in range(5))]:
        sheet.append(row)
    book.save(tmp_path / "t.xlsx")
    shape, path = look(tmp_path, (tmp_path / "t.xlsx").read_bytes(), "t.xlsx")
    assert (shape.reading.sheet, [column.name for column in shape.columns]) == ("Árvores", ["ID", "Espécie"])
    assert len(everything(path, shape, tmp_path)[0]) == 5


@pytest.mark.parametrize(("delimiter", "decimal"), [(",", "."), (";", ",")])
def test_what_an_export_says_of_itself_is_no_row(tmp_path, delimiter, decimal):
    said = '# Estações — Vila\n# Filtro: name=="A"; b\n# Unidades: t: °C; h: %\n'
    table = ["id;t;nota", f"a;1{decimal}5;'=+351 21", f"b;2{decimal}5;ok"]
    text = said + "\n".join(table).replace(";", delimiter) + "\n"
    shape, path = look(tmp_path, text.encode("utf-8-sig"), "e.csv")
    assert shape.reading.header_row == 4
    rows, batches = everything(path, shape, tmp_path)
    assert [list(row.values()) for row in rows] == [["a", f"1{decimal}5", "=+351 21"], ["b", f"2{decimal}5", "ok"]]
    assert not any(batch.refused for batch in batches)


def test_a_column_of_hashtags_is_a_table(tmp_path):
    shape, _path = look(tmp_path, "tema;vezes\n#praia;3\n#rio;4\n")
    assert (shape.reading.header_row, [column.name for column in shape.columns]) == (1, ["tema", "vezes"])


def test_titles_without_delimiters_take_no_row_away(tmp_path):
    """Lines above the header, lines between rows: each row keeps its number, and none is lost."""
    shape, path = look(tmp_path, "Relatório do ano\n\nid;t;n\na;1;2\nb;3;4\n\nc;5;6;;\nd;7\ne;9;1\n")
    assert shape.reading.header_row == 3
    rows, batches = everything(path, shape, tmp_path)
    assert sorted(row["id"] for row in rows) == ["a", "b", "c", "e"]
    assert {int(number): row["id"] for batch in batches for number, row in zip(batch.numbers, rows, strict=True)} == {4: "a", 5: "b", 7: "c", 9: "e"}
    assert [(held.row_number, held.code) for batch in batches for held in batch.refused] == [(8, "columns")]


def test_the_json_of_an_arcgis_service(tmp_path):
    fields = [
        {"name": "OBJECTID", "type": "esriFieldTypeOID", "alias": "OBJECTID"},
        {"name": "NOME", "type": "esriFieldTypeString", "alias": "Nome", "length": 50},
    ]
    features = [{"attributes": {"OBJECTID": n, "NOME": f"Paragem {n}"}, "geometry": {"x": -8.6 + n / 1000, "y": 41.1}} for n in range(5)]
    answer = {
        "displayFieldName": "NOME", "geometryType": "esriGeometryPoint", "spatialReference": {"wkid": 4326, "latestWkid": 4326}, "fields": fields,
        "features": features,
    }  # fmt: skip
    shape, _path = look(tmp_path, json.dumps(answer), "paragens.json")
    assert shape.reading.crs == "EPSG:4326"
    assert [column.name for column in shape.columns] == ["OBJECTID", "NOME"]
    assert shape.rows == 5


def test_a_geographic_file_by_another_name(tmp_path):
    place = {"type": "Feature", "properties": {"nome": "A"}, "geometry": {"type": "Point", "coordinates": [-8.6, 41.1]}}
    shape, _path = look(tmp_path, json.dumps({"type": "FeatureCollection", "features": [place]}), "dados.txt")
    assert shape.reading.geometry
    assert shape.rows == 1
