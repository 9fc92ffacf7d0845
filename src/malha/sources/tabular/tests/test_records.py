"""JSON as programs write it: a list of rows, one row a line, or an object around such a list."""

from __future__ import annotations

import json

import pytest

from malha.sources.tabular import service
from malha.sources.tabular.contracts import FileKind, UnusableFile

ROWS = '\ufeff[\n {"código": "0105", "data": "2025-02-01", "valor": 12.50, "mais": {"a": 1}},\n {"código": "0106", "data": "2025-02-30", "ativo": true, "valor": null}\n]'


def rows_of(tmp_path, text, name):
    tmp_path.mkdir(exist_ok=True)
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


@pytest.mark.parametrize("text", ['{"a": [{"x": 1}], "b": [{"y": 1}]}', '{"@context": {}, "title": [{"@value": "x"}]}', '{"a": 1}', '{"rows": [{"x": 1}'])
def test_an_object_without_one_list_of_rows_is_refused(tmp_path, text):
    with pytest.raises(UnusableFile):
        rows_of(tmp_path, text, "x.json")


GARDEN = {
    "id": "urn:env:Garden:jardim-7", "type": "Garden", "@context": ["https://exemplo.pt/contexto.jsonld"],
    "name": {"type": "Property", "value": "Jardim da Ria"},
    "area": {"type": "Property", "value": 12.5, "unitCode": "MTK", "observedAt": "2025-01-02T10:00:00Z"},
    "open": {"type": "Property", "value": True},
    "category": {"type": "Property", "value": ["relva", "lago"]},
    "address": {"type": "Property", "value": {"streetAddress": "Rua da Ria", "addressLocality": "Aveiro"}},
    "refDevice": {"type": "Relationship", "object": "urn:env:Device:1"},
    "dateModified": {"type": "Property", "value": {"@type": "DateTime", "@value": "2025-01-03T00:00:00Z"}},
    "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [-8.65, 40.64]}},
}  # fmt: skip


@pytest.mark.parametrize("wrap", [lambda one: [one, {**one, "id": "urn:env:Garden:8"}], lambda one: one], ids=["a list", "one alone"])
def test_entities_become_rows_that_a_person_reads(tmp_path, wrap):
    shape, rows = rows_of(tmp_path, json.dumps(wrap(GARDEN), indent=1), "jardins.json")
    assert shape.reading.kind is FileKind.RECORDS
    assert rows[0] == {
        "id": "jardim-7", "name": "Jardim da Ria", "area": "12.5", "open": "true", "category": "relva; lago", "observedAt": "2025-01-02T10:00:00Z",
        "address.streetAddress": "Rua da Ria", "address.addressLocality": "Aveiro", "refDevice": "urn:env:Device:1", "dateModified": "2025-01-03T00:00:00Z",
        "longitude": "-8.65", "latitude": "40.64",
    }  # fmt: skip
    assert [row["id"] for row in rows[1:]] == (["8"] if isinstance(wrap(GARDEN), list) else [])


def test_shapes_of_entities_are_wkt_and_plain_rows_stay_rows(tmp_path):
    square = {"type": "Polygon", "coordinates": [[[-8.6, 40.6], [-8.5, 40.6], [-8.5, 40.7], [-8.6, 40.6]]]}
    _shape, rows = rows_of(tmp_path, json.dumps([{**GARDEN, "location": {"type": "GeoProperty", "value": square}}]), "j.json")
    assert rows[0]["location"].startswith("POLYGON ((-8.6 40.6,")
    _shape, plain = rows_of(tmp_path / "b", '[{"id": 1, "type": "A", "mais": {"type": "x"}}]', "p.json")
    assert plain == [{"id": "1", "type": "A", "mais": '{"type":"x"}'}]
