import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.kernel import units
from malha.vocabulary.models import faults, importing, interchange, kept, service, writing
from malha.vocabulary.models.contracts import Aggregation, AttributeKind, Severity, UnusableModel, ValueType
from malha.vocabulary.models.contracts import Role as PropertyRole
from malha.vocabulary.models.simplified import key_values

#: a schema of the same shape as the catalogue's, of our own making
TROUGH = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$schemaVersion": "0.1.0",
    "title": "Trough",
    "description": "A trough for horses.",
    "type": "object",
    "$defs": {
        "depth": {
            "type": "object",
            "properties": {"wall": {"type": "number", "exclusiveMinimum": 0}},
            "oneOf": [{"required": ["wall"]}, {"required": ["floor"]}],
        }
    },
    "allOf": [
        {"$ref": "https://smart-data-models.github.io/data-models/common-schema.json#/definitions/GSMA-Commons"},
        {"$ref": "https://smart-data-models.github.io/data-models/common-schema.json#/definitions/Location-Commons"},
        {
            "properties": {
                "type": {"type": "string", "const": "Trough"},
                "waterLevel": {"type": "number", "minimum": 0, "maximum": 2, "description": "Property. Water level. Units:'meters'"},
                "status": {"type": "string", "enum": ["full", "empty"], "description": "Property. Status"},
                "uses": {"type": "array", "uniqueItems": True, "items": {"type": "string", "enum": ["horses", "cows"]}},
                "depth": {"$ref": "#/$defs/depth"},
                "refStable": {
                    "anyOf": [{"type": "string", "pattern": "^[\\w\\-]+$"}, {"type": "string", "format": "uri"}],
                    "description": "Relationship. The stable",
                },
                "area": {"$ref": "https://geojson.org/schema/Polygon.json", "description": "GeoProperty. Area"},
                "horsesSeenCount": {"type": "integer", "minimum": 0},
                "ownerTelephone": {"type": "string"},
                "dateObserved": {"type": "string", "format": "date-time"},
            }
        },
    ],
    "required": ["id", "type", "waterLevel", "location"],
}
FOUND = {
    "id": "urn:vila:Trough:1",
    "type": "Trough",
    "waterLevel": {"type": "Property", "value": 0.4, "unitCode": "MTR"},
    "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [-8, 40]}},
    "uses": {"type": "Property", "value": ["cows"]},
}


@pytest.fixture
def folder(tmp_path):
    def write(**files):
        for name, content in files.items():
            path = tmp_path / name.replace("__", "/")
            path = path.with_name(path.name.replace("_schema_json", ".schema.json").replace("_json", ".json"))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return tmp_path

    return write


def test_it_works(folder):
    report = importing.read_folder(folder(Campo__schema__Trough_schema_json=TROUGH, Campo__exemplos__trough_json=[FOUND, FOUND | {"status": "half"}]))
    (model,) = report.models
    assert (model.type, model.theme, model.time_property) == ("Trough", "campo", "dateObserved")
    level, status, stable = model.find("waterLevel"), model.find("status"), model.find("refStable")
    assert (level.role, level.unit, level.required, level.maximum) == (PropertyRole.MEASURE, "MTR", True, 2)
    assert (status.role, status.choices) == (PropertyRole.DIMENSION, ("full", "empty"))
    assert stable.kind is AttributeKind.RELATIONSHIP
    assert model.find("area").kind is AttributeKind.GEO_PROPERTY
    assert model.find("horsesSeenCount").aggregation is Aggregation.SUM
    assert model.find("ownerTelephone").personal
    assert model.find("seeAlso").also == (ValueType.URI,)
    assert [outcome.is_accepted for outcome in report.examples] == [True, False]
    assert [found.path for found in report.examples[1].findings] == ["status"]
    assert model.example["waterLevel"] == 0.4


def test_what_a_model_cannot_say_becomes_a_rule(folder):
    (model,) = importing.read_folder(folder(Trough_schema_json=TROUGH)).models
    assert [found.code for found in service.validate(FOUND | {"depth": {"wall": 1}}, model)] == []
    assert [found.code for found in service.validate(FOUND | {"depth": {"wall": 1, "floor": 1}}, model)] == ["rule"]
    assert [found.code for found in service.validate(FOUND | {"uses": ["cows", "cows"]}, model)] == ["type"]
    assert [found.code for found in service.validate(FOUND | {"depth": {"wall": 0}}, model)] == ["range"]
    groups = service.validate_columns(
        model, {"waterLevel": [1.0, 1.0], "location": [FOUND["location"]["value"]] * 2, "depth": [{"wall": 1}, {"wall": 1, "floor": 2}]}, row_count=2
    )
    assert groups.refused == {1}


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ("{", "não é JSON"),
        ("[]", "não tem um esquema"),
        ({"properties": {"a": {"$ref": "https://example.org/elsewhere.json#/x"}}}, "não vai buscar à rede"),
        ({"properties": {"a": {"$ref": "#/$defs/nothing"}}}, "não existe nele"),
        ({"$defs": {"a": {"$ref": "#/$defs/a"}}, "properties": {"b": {"$ref": "#/$defs/a"}}}, "círculo"),
        ({"properties": {"@type": {"const": "dcat:Dataset"}}}, "metadados"),
        ({"properties": {"type": {"enum": ["A", "B"]}, "id": {}}}, "tipo da entidade"),
        ({"properties": {"type": {"const": "A"}, "b": {"type": "strange"}}}, "não se entende"),
    ],
)
def test_a_schema_that_cannot_be_used_is_refused_with_the_reason(folder, schema, reason):
    (outcome,) = importing.read_folder(folder(Odd_schema_json=schema)).schemas
    assert outcome.model is None
    assert reason in outcome.reason


def test_a_folder_without_schemas_is_said(tmp_path):
    with pytest.raises(UnusableModel):
        importing.read_folder(tmp_path)


def test_a_built_in_type_keeps_our_words_and_takes_the_new_properties(folder):
    schema = {
        "$schemaVersion": "9.9",
        "properties": {"id": {}, "type": {"const": "NoiseLevelObserved"}, "LAeq": {"type": "number"}, "LA90": {"type": "number"}},
        "required": ["id", "type", "LAeq"],
    }
    (model,) = importing.read_folder(folder(NoiseLevelObserved_schema_json=schema)).models
    assert (model.version, model.label.pt, model.time_property) == ("9.9", "Nível de ruído observado", "dateObservedTo")
    assert model.find("LAeq").unit == "2N"
    assert model.find("LA90") is not None
    assert [prop.name for prop in model.properties if prop.required] == ["LAeq"]


def test_imported_for_everybody_serves_every_tenant(folder, new_tenant):
    report = importing.read_folder(folder(Trough_schema_json=TROUGH | {"title": "x"}))
    with database.connect(Role.OWNER) as connection:
        importing.save(connection, None, report, origin="campo")
    kept.forget()
    assert service.get("Trough", new_tenant().id).version == "0.1.0"


def test_a_model_said_as_json_schema_takes_and_refuses_the_same(folder):
    (model,) = importing.read_folder(folder(Trough_schema_json=TROUGH)).models
    validator = Draft202012Validator(interchange.json_schema(model))
    assert validator.is_valid(key_values(FOUND))
    assert not validator.is_valid(key_values(FOUND | {"status": "half"}))


@pytest.mark.parametrize("model", service.all_models(), ids=lambda model: model.type)
def test_the_example_of_each_built_in_model_is_valid(model):
    example = interchange.example(model)
    assert [found for found in service.validate(example, model) if found.severity is Severity.ERROR] == []
    Draft202012Validator(interchange.json_schema(model)).validate(key_values(example))
    assert model.type in interchange.context(model)["@context"]


@pytest.fixture(scope="module")
def catalogue(samples):
    return importing.read_folder(samples / "cnmd")


@pytest.mark.samples
def test_each_schema_of_the_national_catalogue_is_a_model_or_refused_with_a_reason(catalogue):
    assert len(catalogue.schemas) == 90
    assert {outcome.path.rsplit("/", 1)[-1] for outcome in catalogue.schemas if outcome.model is None} == {
        f"Metadata.{kind}.schema.json" for kind in ("Catalog", "DataService", "Dataset", "Dataset.inspire", "DatasetSeries", "Distribution")
    }
    for model in catalogue.models:
        service.check_model(model)
        assert writing.from_json(writing.to_json(model)) == model
        assert all(not prop.unit or units.find(prop.unit) for prop in model.properties)


@pytest.mark.samples
def test_each_example_is_accepted_or_refused_for_the_right_reason(catalogue, samples):
    """What a plain JSON Schema validator refuses, we refuse; what we refuse beyond it is a national rule."""
    schemas = {outcome.model.type: outcome.schema for outcome in catalogue.schemas if outcome.model}
    national = {"format", "unit", "geometry", "kind", "empty", "id"}
    assert len(catalogue.examples) > 60
    for outcome in catalogue.examples:
        if outcome.reason or outcome.type not in schemas:
            continue
        loaded = json.loads((samples / "cnmd" / outcome.path).read_text(encoding="utf-8-sig"))
        entity = next(each for each in (loaded if isinstance(loaded, list) else [loaded]) if each["id"] == outcome.uri)
        plain = [
            error for error in Draft202012Validator(schemas[outcome.type]).iter_errors(key_values(entity)) if "is valid under each of" not in error.message
        ]
        ours = {found.code for found in outcome.findings if found.severity is Severity.ERROR}
        assert bool(plain) <= bool(ours), (outcome.path, plain)
        assert plain or ours <= national, (outcome.path, ours)


@pytest.mark.samples
def test_the_table_of_faults_is_that_of_the_files(catalogue):
    place = Path(__file__).resolve().parents[5] / "docs" / "cnmd-faults.md"
    assert place.read_text(encoding="utf-8") == faults.table(catalogue), "corra ./malha models faults PASTA --out docs/cnmd-faults.md"
