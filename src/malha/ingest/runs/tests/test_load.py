"""From a file on disk to entities, a run and what waits."""

from __future__ import annotations

import pytest

from malha.context.store import service as store
from malha.context.store.contracts import EntityQuery
from malha.foundation.database import service as database
from malha.ingest.runs import service as runs
from malha.ingest.runs.contracts import RunState
from malha.vocabulary.models import service as models
from malha.vocabulary.models.contracts import ValueType

CSV = """Código;Nome;Latitude;Longitude;Temperatura (°C);Data
0101;Estação da Sé;38,7100;-9,1300;21,5;01/02/2025
0102;Estação do Rio;38,7200;-9,1400;n.d.;01/02/2025
0103;Estação do Monte;38,7300;-9,1500;19,0;31/02/2025
0104;Estação da Praça;38,7400;-9,1600;abc;01/02/2025
;;;;;
Total;;;;40,5;
"""


def write(tmp_path, text, name="estacoes.csv", encoding="windows-1252"):
    path = tmp_path / name
    path.write_bytes(text.encode(encoding))
    return path


def test_it_works(new_tenant, tmp_path):
    tenant = new_tenant(extent=[-9.3, 38.6, -9.0, 38.9])
    result = runs.load_file(tenant.id, write(tmp_path, CSV), {"key": ["Código"]})
    assert result.state is RunState.DONE
    assert (result.counts.read, result.counts.entered, result.counts.held) == (4, 2, 2)
    assert {(group.code, group.count) for group in result.groups} == {("no_such_date", 1), ("number", 1)}
    assert next(group.message for group in result.groups if group.code == "no_such_date") == "a data não existe"
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        page = store.query(conn, [tenant.id], EntityQuery(types=("Estacoes",), limit=10, count=True))
        assert page.total == 2
        first = next(entity for entity in page.entities if entity.uri.endswith(":0101"))
        assert first.value("temperatura") == pytest.approx(21.5)
        assert first.location == {"type": "Point", "coordinates": [-9.13, 38.71]}
        assert first.value("nome") == "Estação da Sé"


def test_the_same_file_twice_changes_nothing(new_tenant, tmp_path):
    tenant = new_tenant()
    path = write(tmp_path, CSV)
    first = runs.load_file(tenant.id, path)
    again = runs.load_file(tenant.id, path)
    assert first.counts.changes > 0
    assert again.counts.changes == 0
    assert again.state is RunState.DONE


def test_a_later_file_with_text_leaves_a_figure_a_figure(new_tenant, tmp_path):
    """A column that is text in a later file waits where it is no number, and what is there stays a number."""
    tenant = new_tenant()
    answers = {"type": "Sensor", "kind": "own", "key": ["id"]}
    first = runs.load_file(tenant.id, write(tmp_path, "id;peso\nA;1,5\nB;2,5\n", "a.csv"), answers)
    assert (first.counts.entered, first.counts.held) == (2, 0)
    again = runs.load_file(tenant.id, write(tmp_path, "id;peso;nota\nA;leve;x\nB;pesado;y\nC;3,5;z\n", "b.csv"), answers)
    assert (again.counts.entered, again.counts.held) == (1, 2)
    (group,) = again.groups
    assert (group.code, group.path, group.message) == ("number", "peso", "o número não se percebe")
    assert models.get("Sensor", tenant.id).find("peso").type is ValueType.NUMBER
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        stored = store.query(conn, [tenant.id], EntityQuery(types=("Sensor",), limit=10)).entities
    assert {entity.uri.rsplit(":", 1)[1]: entity.value("peso") for entity in stored} == {"A": 1.5, "B": 2.5, "C": 3.5}
