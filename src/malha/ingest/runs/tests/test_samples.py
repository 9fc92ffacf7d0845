"""Real files, row by row against an independent reading of the same bytes."""

from __future__ import annotations

import csv
import json
from collections import defaultdict

import pytest

from malha.context.store import service as store
from malha.context.store.contracts import EntityQuery
from malha.foundation.database import service as database
from malha.ingest.runs import service as runs
from malha.ingest.runs.contracts import RunState

pytestmark = pytest.mark.samples


def rows_of(path):
    with path.open(encoding="utf-8-sig", newline="") as source:
        return list(csv.DictReader(source))


def stored(tenant, entity_type):
    found, after = {}, 0
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        while True:
            page = store.query(conn, [tenant.id], EntityQuery(types=(entity_type,), limit=1000, after_id=after))
            found |= {entity.uri: entity for entity in page.entities}
            if len(page.entities) < 1000:
                return found
            after = page.entities[-1].id


def test_line_performance(new_tenant, samples):
    tenant = new_tenant()
    path = samples / "carris-metropolitana" / "sla.csv"
    result = runs.load_file(tenant.id, path)
    assert result.state is RunState.DONE
    assert result.counts.read == len(rows_of(path)) == 53_664
    assert result.counts.read == result.counts.entered + result.counts.held + result.counts.repeated
    last = {}
    for row in rows_of(path):
        if row["operational_day"] >= last.get(row["line_id"], {}).get("operational_day", ""):
            last[row["line_id"]] = row
    found = stored(tenant, "Sla")
    assert len(found) == len(last)
    for line, row in last.items():
        entity = found[f"urn:{tenant.slug}:Sla:{line}"]
        assert entity.value("total_trip_count") == int(row["total_trip_count"])
        assert entity.value("pass_trip_percentage") == pytest.approx(float(row["pass_trip_percentage"]))


@pytest.mark.parametrize("name", ["schools", "health_centers", "museums"])
def test_facilities(new_tenant, samples, name):
    tenant = new_tenant(extent=[-9.6, 38.3, -8.4, 39.4])
    path = samples / "carris-metropolitana" / "facilities" / f"{name}.csv"
    result = runs.load_file(tenant.id, path, {"type": "Facility", "key": ["id"]})
    given = defaultdict(list)
    for row in rows_of(path):
        given[row["id"]].append(row)
    assert result.state is RunState.DONE
    assert result.counts.read == sum(len(rows) for rows in given.values())
    found = stored(tenant, "Facility")
    assert len(found) == result.counts.entered
    for key, rows in given.items():
        entity = found.get(f"urn:{tenant.slug}:Facility:{key}")
        if entity is None:
            continue
        assert entity.value("name") == (rows[0]["name"].strip() or None)
        assert entity.location["coordinates"] == pytest.approx([float(rows[0]["lon"]), float(rows[0]["lat"])], abs=1e-6)
        assert entity.value("phone") is None  # about people: out unless a reason is given
        assert entity.value("email") is None


def test_telephones_that_begin_with_a_formula_sign(new_tenant, samples):
    tenant = new_tenant()
    path = samples / "carris-metropolitana" / "facilities" / "museums.csv"
    columns = [{"column": "id", "attribute": "code"}, {"column": "phone", "attribute": "phone", "personal": "phone", "reason": "telefone do museu"}]
    runs.load_file(tenant.id, path, {"type": "Museum", "kind": "table", "key": ["id"], "columns": columns})
    given = {row["id"]: row["phone"].strip() for row in rows_of(path) if row["phone"].strip()}
    found = {uri.rsplit(":", 1)[1]: entity.value("phone") for uri, entity in stored(tenant, "Museum").items()}
    assert sum(1 for phone in given.values() if phone.startswith("=")) == 41
    assert {key: phone for key, phone in found.items() if phone} == given


def test_boundaries_as_a_table(new_tenant, samples):
    tenant = new_tenant()
    path = samples / "territory" / "municipalities.geojson"
    result = runs.load_file(tenant.id, path, {"key": ["dico"]})
    features = {feature["properties"]["dico"]: feature for feature in json.loads(path.read_text())["features"]}
    assert result.counts.entered == len(features) == 308
    found = stored(tenant, "Municipalities")
    assert {uri.rsplit(":", 1)[1] for uri in found} == set(features)
    assert all(entity.location["type"] in {"Polygon", "MultiPolygon"} for entity in found.values())
