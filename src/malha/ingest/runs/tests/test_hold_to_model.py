"""A tenant's rule on a type holds for files, sources and mended rows as it does for the broker: off, warn, enforce."""

from __future__ import annotations

import dataclasses

import pytest

from malha.context.store import service as store
from malha.context.store.contracts import EntityDocument, EntityQuery
from malha.foundation.database import service as database
from malha.foundation.language import service as language
from malha.ingest.lineage import service as lineage
from malha.ingest.quality import service as quality
from malha.ingest.runs import fetching, mending, previewing
from malha.ingest.runs import service as runs
from malha.ingest.runs.contracts import RunState
from malha.ingest.runs.mending import Mending, Way
from malha.ingest.runs.tests.test_fetch import Simulated
from malha.vocabulary.models import policy
from malha.vocabulary.models import service as models
from malha.vocabulary.models.contracts import DataModel, Label, ModelProperty, ValueType
from malha.vocabulary.models.policy import Mode, Rule

CSV = """codigo;matricula;temperatura
A;AA-01;21,5
B;sem matrícula;20,0
C;AA-03;19,0
D;outra;18,0
"""
TYPE = "Carrinha"


@pytest.fixture
def tenant(new_tenant):
    """A tenant whose model knows how a plate is written and that each van has a base."""
    policy.forget()
    made = new_tenant()
    plate = ModelProperty("plate", label=Label("Matrícula", "Plate"), pattern="^[A-Z]{2}-[0-9]{2}$", type=ValueType.TEXT)
    degrees = ModelProperty("temperature", label=Label("Temperatura", "Temperature"), type=ValueType.NUMBER)
    with database.connect() as conn, database.tenant_transaction(conn, [made.id]):
        models.create_model(conn, made.id, made_of(TYPE, plate, degrees))
    return made


def made_of(of_type, *properties):
    return DataModel(of_type, "1.0.0", Label("Carrinha", "Van"), Label("De ensaio", "For tests"), properties)


def rule(tenant, mode, of_type=TYPE):
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        policy.set_rule(conn, tenant.id, of_type, Rule(mode))


def answers():
    columns = [
        {"column": "matricula", "attribute": "plate", "type": "text"},
        {"column": "temperatura", "attribute": "temperature", "type": "number", "decimal": ","},
    ]
    return {"name": "Carrinhas", "kind": "model", "type": TYPE, "key": ["codigo"], "columns": columns}


def load(tenant, tmp_path, text=CSV):
    path = tmp_path / "carrinhas.csv"
    path.write_text(text)
    return runs.load_file(tenant.id, path, answers())


def stored(tenant, of_type=TYPE):
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        return store.query(conn, [tenant.id], EntityQuery(types=(of_type,), limit=100)).entities


def test_it_works(tenant, tmp_path):
    rule(tenant, Mode.ENFORCE)
    result = load(tenant, tmp_path)
    assert result.state is RunState.DONE
    assert (result.counts.entered, result.counts.held, result.counts.warned) == (2, 2, 0)
    (group,) = result.groups
    assert (group.code, group.path, group.count) == ("model", "matricula", 2)
    assert language.word(group.message, "pt-pt") == "“plate” não tem a forma esperada: veio “sem matrícula”."
    assert language.word(group.message, "en") == "“plate” does not have the expected form: it came as “sem matrícula”."
    assert group.mend.startswith("Escreva-a segundo o padrão")
    assert {entity.uri.rsplit(":", 1)[1] for entity in stored(tenant)} == {"A", "C"}


def test_without_a_rule_everything_enters(tenant, tmp_path):
    result = load(tenant, tmp_path)
    assert (result.counts.entered, result.counts.held, result.counts.warned) == (4, 0, 0)


def test_a_warning_lets_in_and_says_how_many(tenant, tmp_path):
    rule(tenant, Mode.WARN)
    result = load(tenant, tmp_path)
    assert (result.counts.entered, result.counts.held, result.counts.warned) == (4, 0, 2)
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        (said,) = policy.warnings(conn, tenant.id)
        assert runs.progress(conn, tenant.id, result.run_id).counts.warned == 2
    assert (said.type, said.path, said.count) == (TYPE, "plate", 2)


def test_the_preview_says_the_same(tenant, tmp_path):
    path = tmp_path / "carrinhas.csv"
    path.write_text(CSV)
    for mode, expected in ((Mode.ENFORCE, (2, 2, 0)), (Mode.WARN, (4, 0, 2))):
        rule(tenant, mode)
        with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
            kept = lineage.keep(conn, tenant.id, lineage.pieces_of(path), path.name)
            _shape, chosen = runs.prepare(conn, tenant.id, kept, path.name, answers())
            seen = previewing.preview(conn, tenant, kept, path.name, chosen)
        assert (seen.entering, seen.waiting, seen.warned) == expected


def test_rows_that_wait_are_mended_against_the_model(tenant, tmp_path):
    rule(tenant, Mode.ENFORCE)
    result = load(tenant, tmp_path)
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        still = mending.mend_group(conn, tenant.id, result.run_id, "model", "matricula", Mending(Way.SET, "também não"), "person:1")
        assert (still.counts.entered, quality.waiting(conn, tenant.id)) == (0, 2)
        mended = mending.mend_group(conn, tenant.id, result.run_id, "model", "matricula", Mending(Way.SET, "ZZ-99"), "person:1")
        assert (mended.counts.entered, quality.waiting(conn, tenant.id)) == (2, 0)
    assert len(stored(tenant)) == 4


def test_a_file_may_bring_only_what_changed(tenant, tmp_path):
    """A mandatory property that the file lacks holds back only things that do not have it already."""
    base = ModelProperty("base", label=Label("Base", "Base"), type=ValueType.TEXT, required=True)
    other = ModelProperty("plate", label=Label("Matrícula", "Plate"), type=ValueType.TEXT)
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        models.create_model(conn, tenant.id, made_of(TYPE, base, other))
        known = EntityDocument(f"urn:{tenant.slug}:{TYPE}:A", (TYPE,), {"base": {"type": "Property", "value": "Garagem"}})
        store.upsert_documents(conn, tenant.id, [known])
    rule(tenant, Mode.ENFORCE)
    result = load(tenant, tmp_path)
    assert (result.counts.entered, result.counts.held) == (1, 3)
    assert language.word(result.groups[0].message, "pt-pt") == "Falta “base”, que é obrigatória."


def test_a_source_is_held_to_the_model_too(new_tenant):
    policy.forget()
    tenant = new_tenant(name="Aveiro", dico="0105", extent=[-8.75, 40.53, -8.52, 40.73])
    demanding = ModelProperty("inspectedBy", label=Label("Inspecionado por", "Inspected by"), type=ValueType.TEXT, required=True)
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        models.create_model(conn, tenant.id, made_of("WeatherObserved", demanding))
        source = fetching.set_up(conn, tenant.id, "ipma", {}, "person:1")
    rule(tenant, Mode.ENFORCE, "WeatherObserved")
    result = fetching.fetch(tenant.id, source.id, Simulated())
    assert result.state is RunState.DONE
    assert not stored(tenant, "WeatherObserved")
    assert stored(tenant, "WeatherForecast")
    assert any(group.code == "model" and "inspectedBy" in group.message for group in result.groups)
    rule(tenant, Mode.WARN, "WeatherObserved")
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        conn.execute("UPDATE ingest_source SET progress = '{}' WHERE tenant_id = %s", [tenant.id])
    again = fetching.fetch(tenant.id, source.id, Simulated())
    assert again.counts.warned > 0
    assert stored(tenant, "WeatherObserved")


def test_rules_between_properties_see_what_is_stored(tenant, tmp_path):
    """A file that brings one of two properties is judged with the other as it is in the store."""
    rules = ({"if": {"properties": {"state": {"const": "parada"}}, "required": ["state"]}, "then": {"required": ["reason"]}},)
    made = dataclasses.replace(made_of(TYPE, ModelProperty("state"), ModelProperty("reason")), constraints=rules)
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        models.create_model(conn, tenant.id, made)
        known = {"reason": {"type": "Property", "value": "avaria"}}
        store.upsert_documents(conn, tenant.id, [EntityDocument(f"urn:{tenant.slug}:{TYPE}:A", (TYPE,), known)])
        policy.set_rule(conn, tenant.id, TYPE, Rule(Mode.ENFORCE))
    path = tmp_path / "estados.csv"
    path.write_text("codigo;estado\nA;parada\nB;parada\nC;a andar\n")
    columns = [{"column": "codigo", "attribute": "code"}, {"column": "estado", "attribute": "state"}]
    result = runs.load_file(tenant.id, path, {"type": TYPE, "kind": "model", "key": ["codigo"], "columns": columns})
    assert (result.counts.entered, result.counts.held) == (2, 1)
    assert result.groups[0].examples[0]["codigo"] == "B"
