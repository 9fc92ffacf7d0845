"""JSON as programs write it: a list of rows, one row a line, or an object around such a list."""

from __future__ import annotations

import pytest

from malha.sources.tabular import service
from malha.sources.tabular.contracts import FileKind, UnusableFile

ROWS = '\ufeff[\n {"código": "0105", "data": "2025-02-01", "valor": 12.50, "mais": {"a": 1}},\n {"código": "0106", "data": "2025-02-30", "ativo": true, "valor": null}\n]'


def rows_of(tmp_path, text, name):
    path = tmp_path / "kept"  # files are kept under their digest, without a suffix
    path.write_bytes(text.encode())
    shape = service.inspect(path, name, tmp_path / "work")
    batches = list(service.batches(path, name, tmp_path / "work", shape.reading))
    return shape, [dict(zip(b.columns, cells, strict=True)) for b in batches for cells in zip(*(c.to_pylist() for c in b.columns.values()), strict=True)]


def test_it_works(tmp_path):
    shape, rows = rows_of(tmp_path, ROWS, "parques.json")
    assert (shape.reading.kind, shape.rows) == (FileKind.RECORDS, 2)
    assert rows == [
        {"código": "0105", "data": "2025-02-01", "valor": "12.5", "mais": '{"a":1}', "ativo": None},
        {"código": "0106", "data": "2025-02-30", "valor": None, "mais": None, "ativo": "true"},
    ]


def test_one_row_a_line(tmp_path):
    shape, rows = rows_of(tmp_path, '{"id": 1, "nome": "Ria"}\n{"id": 2, "nome": "Vouga"}\n', "rios.json")
    assert shape.reading.kind is FileKind.RECORDS
    assert [row["nome"] for row in rows] == ["Ria", "Vouga"]


@pytest.mark.parametrize("text", ["[]", '[{"id": 1}, {"id"', '[{"id": 1}, 7]'])
def test_what_is_no_table(tmp_path, text):
    with pytest.raises(UnusableFile, match="lista de linhas"):
        rows_of(tmp_path, text, "x.json")


@pytest.mark.parametrize(
    "text",
    [
        '{"statement":["a","b"],"columns":[{"name":"id","type":"text"}],"rows":[\n{"id":"1","nome":"Ria\\nde Aveiro"},\n{"id":"2","nome":"Vouga"}\n],"count":2}\n',
        '{\n  "ok": true,\n  "data": [\n    {\n      "id": "1",\n      "nome": "Ria\\nde Aveiro"\n    },\n    {"id": "2", "nome": "Vouga"}\n  ]\n}\n',
    ],
    ids=["our own export", "an answer of an API"],
)
def test_an_object_that_holds_the_rows(tmp_path, text):
    shape, rows = rows_of(tmp_path, text, "rios.json")
    assert shape.reading.columns == ("id", "nome")
    assert [row["nome"] for row in rows] == ["Ria\nde Aveiro", "Vouga"]


@pytest.mark.parametrize("text", ['{"a": [{"x": 1}], "b": [{"y": 1}]}', '{"a": 1}', '{"rows": [{"x": 1}'])
def test_an_object_without_one_list_of_rows_is_refused(tmp_path, text):
    with pytest.raises(UnusableFile):
        rows_of(tmp_path, text, "x.json")
