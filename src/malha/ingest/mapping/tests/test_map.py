"""Rows become entities; what does not fit waits with its reason."""

from __future__ import annotations

import dataclasses

import pytest

from malha.ingest.mapping import names, rules, suggest
from malha.ingest.mapping.contracts import Answers, ColumnAnswer, PlaceAnswer, PlaceKind, RowKind, TimeAnswer, from_json, to_json
from malha.sources.base.contracts import Tenancy
from malha.sources.tabular import service as tabular
from malha.sources.tabular.contracts import CellType, FileKind, Reading
from malha.vocabulary.models import service as models

TOWN = Tenancy("aveiro", "Aveiro", "0105", extent=(-8.75, 40.53, -8.52, 40.73))
WEATHER = """Estação;Data de observação;Temperatura do ar;Humidade relativa;latitude;longitude
A;2025-01-02T10:00;12,5;0,7;40,64;-8,65
B;2025-01-02T10:00;99,0;0,8;40,65;-8,66
C;2025-01-2T10:00;11,0;0,9;40,66;-8,67
D;2025-01-02T11:00;12 graus;0,6;40,67;-8,68
E;2025-01-02T11:00;10,0;0,5;0;0
F;2025-01-02T12:00;9,5;;40,68;-8,69
"""


def read(tmp_path, text, name="t.csv"):
    path = tmp_path / name
    path.write_text(text)
    shape = tabular.inspect(path, name, tmp_path / "w")
    return shape, next(tabular.batches(path, name, tmp_path / "w", shape.reading))


def weather(tmp_path):
    shape, batch = read(tmp_path, WEATHER)
    columns = (
        ColumnAnswer("Estação", "name"),
        ColumnAnswer("Temperatura do ar", "temperature", CellType.NUMBER, ",", unit="CEL"),
        ColumnAnswer("Humidade relativa", "relativeHumidity", CellType.NUMBER, ","),
    )
    place = PlaceAnswer(PlaceKind.COORDINATES, "longitude", "latitude")
    answers = Answers(
        dataclasses.replace(shape.reading, decimal=","),
        "tempo",
        RowKind.MODEL,
        "WeatherObserved",
        ("Estação",),
        place,
        TimeAnswer(("Data de observação",)),
        columns,
    )
    return batch, rules.Plan(answers, TOWN, models.get("WeatherObserved"), {"addressLocality": "Aveiro"})


def test_it_works(tmp_path):
    batch, plan = weather(tmp_path)
    mapped = rules.apply(batch, plan)
    assert mapped.table.uris == ["urn:aveiro:WeatherObserved:A", "urn:aveiro:WeatherObserved:F"]
    assert {(held.row_number, held.code) for held in mapped.held} == {(3, "range"), (4, "date"), (5, "number"), (6, "nowhere")}
    values = {column.name: column.values for column in mapped.table.columns}
    assert values["temperature"] == [12.5, 9.5]
    assert values["relativeHumidity"] == [0.7, None]
    assert values["dataProvider"] == ["Aveiro", "Aveiro"]
    assert values["dateObserved"][0] == {"@type": "DateTime", "@value": "2025-01-02T10:00:00Z"}
    assert values["address"][0] == {"addressLocality": "Aveiro"}
    assert mapped.table.row_numbers == [2, 7]


def test_what_waits_says_what_came(tmp_path):
    batch, plan = weather(tmp_path)
    held = next(one for one in rules.apply(batch, plan).held if one.code == "number")
    assert held.cells["Temperatura do ar"] == "12 graus"
    assert held.message == "o número não se percebe"


def test_text_never_fills_a_number(tmp_path):
    """Whatever was answered, the property of the model is a number: what is none waits, and what is one enters as one."""
    batch, plan = weather(tmp_path)
    columns = tuple(dataclasses.replace(column, type=CellType.TEXT, decimal=".") for column in plan.answers.columns)
    mapped = rules.apply(batch, dataclasses.replace(plan, answers=dataclasses.replace(plan.answers, columns=columns)))
    values = {column.name: column.values for column in mapped.table.columns}
    assert values["temperature"] == [12.5, 9.5]
    assert values["name"] == ["A", "F"]
    assert ("number", "Temperatura do ar") in {(held.code, held.path) for held in mapped.held}


def test_choices_are_taken_however_they_are_written(tmp_path):
    shape, batch = read(tmp_path, "id;estado;lugar\n1;em curso;40.6, -8.6\n2;VIGILANCIA;40.6, -8.6\n3;perdido;40.6, -8.6\n")
    answers = Answers(shape.reading, "o", RowKind.MODEL, "EmergencyIncident", ("id",), columns=(ColumnAnswer("estado", "status"),))
    mapped = rules.apply(batch, rules.Plan(answers, TOWN, models.get("EmergencyIncident")))
    assert next(column.values for column in mapped.table.columns if column.name == "status") == ["Em curso", "Vigilância"]
    assert [(held.row_number, held.code) for held in mapped.held] == [(4, "choice")]


def test_units_of_the_header():
    assert names.unit_of("Temperatura (°C)") == ("CEL", "°C")
    assert names.unit_of("PM10 [µg/m³]") == ("GQ", "µg/m³")
    assert names.unit_of("Altura (braças)") == ("", "braças")
    assert names.unit_of("Nome") == ("", "")


def test_unknown_units_are_told(tmp_path):
    shape, batch = read(tmp_path, "id;Altura (braças)\nA;1,5\nB;2,5\n")
    answers = suggest.answers_for(shape, batch, "t.csv", TOWN, "EPSG:3763", [])
    assert any("braças" in said for said in suggest.problems(answers, None))


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("pass_trip_count", "pass_trip_count"),
        ("Nome", "nome"),
        ("Data de início", "dataDeInicio"),
        ("Temperatura (°C)", "temperatura"),
        ("id", "localId"),
        ("2024", "n2024"),
        ("NIF", "NIF"),
        ("%", "coluna"),
    ],
)
def test_names_of_attributes(header, name):
    assert names.attribute(header) == name


def test_ids_are_uris(tmp_path):
    _shape, batch = read(tmp_path, "nome,v\nÉvora cidade,1\nBeja,2\n")
    reading = Reading(FileKind.DELIMITED, ("nome", "v"))
    mapped = rules.apply(batch, rules.Plan(Answers(reading, "t", RowKind.TABLE, "Terra", ("nome",), columns=(ColumnAnswer("v", "v", CellType.INTEGER),)), TOWN))
    assert mapped.table.uris == ["urn:aveiro:Terra:%C3%89vora%20cidade", "urn:aveiro:Terra:Beja"]


def test_an_address_is_placed_by_the_streets_that_are_known(tmp_path):
    shape, batch = read(tmp_path, "id;morada\n1;Rua Nova 2\n2;Rua Velha\n")
    answers = Answers(
        shape.reading, "t", RowKind.TABLE, "Obra", ("id",), PlaceAnswer(PlaceKind.ADDRESS, address=("morada",)), columns=(ColumnAnswer("morada", "morada"),)
    )
    mapped = rules.apply(batch, rules.Plan(answers, TOWN, geocode=lambda text: (-8.65, 40.64, "door") if "Nova" in text else None))
    values = {column.name: column.values for column in mapped.table.columns}
    assert values["placeQuality"] == ["door", None]
    assert values["location"][0] is not None
    assert values["location"][1] is None


def test_answers_survive_json(tmp_path):
    _batch, plan = weather(tmp_path)
    assert from_json(to_json(plan.answers)) == plan.answers


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("nome;coordenadas", "{lat:.5f}, {lon:.5f}"), ("nome;sitio", "({lat:.5f} {lon:.5f})"), ("nome;coordenadas", "{lat:.5f} / {lon:.5f}"),
        ("nome;coluna a;coluna b", "{lat:.5f};{lon:.5f}"), ("nome;latitude;longitude", "{lon:.5f};{lat:.5f}"),
        ("nome;coordenadas", "40° 37' {s:.1f}\" N 8° 38' {s:.1f}\" O"), ("nome;latitude;longitude", "40° 37' 60,0\" N;8° 38' {s:.1f}\" O"),
    ],
)  # fmt: skip
def test_places_however_they_are_written(tmp_path, header, row):
    lines = [f"F{n};" + row.format(lat=40.62 + n / 1000, lon=-8.65 + n / 1000, s=n * 2) for n in range(12)]
    shape, batch = read(tmp_path, header + "\n" + "\n".join(lines) + "\n")
    answers = suggest.answers_for(shape, batch, "t.csv", TOWN, "EPSG:3763", [])
    assert answers.place.kind is PlaceKind.COORDINATES
    mapped = rules.apply(batch, rules.Plan(answers, TOWN))
    assert not mapped.held
    lon, lat = mapped.points
    assert ((lon > -8.7) & (lon < -8.6) & (lat > 40.6) & (lat < 40.7)).all()


def test_a_code_said_twice_is_still_the_name(tmp_path):
    shape, batch = read(tmp_path, "codigo;nome\nA1;x\nA1;y\nA2;z\nA3;w\n")
    assert suggest.answers_for(shape, batch, "t.csv", TOWN, "EPSG:3763", []).key == ("codigo",)


@pytest.mark.parametrize(
    ("header", "observed"), [("Data de instalação", False), ("Data da inauguração", False), ("Data", True), ("Data e hora da leitura", True)]
)
def test_when_a_thing_was_made_is_not_when_it_was_observed(tmp_path, header, observed):
    shape, batch = read(tmp_path, f"codigo;{header};lotação\nA;21/06/2021;5\nB;22/06/2021;7\n")
    assert suggest.answers_for(shape, batch, "t.csv", TOWN, "EPSG:3763", []).time.columns == ((header,) if observed else ())


def test_a_shape_in_text_is_the_place_and_no_value(tmp_path):
    shape, batch = read(tmp_path, "nome;geom\nA;POINT(-8.65 40.64)\nB;POINT(-8.64 40.63)\n")
    answers = suggest.answers_for(shape, batch, "t.csv", TOWN, "EPSG:3763", [])
    assert answers.place.kind is PlaceKind.WKT
    assert [answer.column for answer in answers.columns if answer.comes_in] == ["nome"]
