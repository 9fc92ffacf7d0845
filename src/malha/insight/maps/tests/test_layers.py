from datetime import UTC, datetime, timedelta

import pytest

from malha.context.store import service as store
from malha.context.store.contracts import Column, EntityTable
from malha.foundation.database import service as database
from malha.insight.maps import rules, service
from malha.insight.maps.contracts import Layer, LayerKind, Stop, UnknownLayer, UnusableLayer
from malha.vocabulary.models import service as models
from malha.vocabulary.models.contracts import Label

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
STOPS = (Stop("--severity-info", Label("até 80 %"), 0), Stop("--severity-warning", Label("80 % ou mais"), 80))
WASTE = Layer(
    "contentores", Label("Contentores", "Containers"), "WasteContainer", LayerKind.CLUSTER, "fillingLevel", "P1", 0, 100, STOPS, ("status",), pack="waste"
)


@pytest.fixture
def conn():
    with database.connect() as connection:
        yield connection


def put(conn, tenant, uri, level, at=NOW, place=(-8.9, 39.4)):
    location = {"type": "Point", "coordinates": list(place)}
    columns = [Column("fillingLevel", [level]), Column("name", [f"Contentor {uri[-1]}"]), Column("location", [location], kind="GeoProperty")]
    store.upsert_table(conn, tenant.id, EntityTable("WasteContainer", [uri], columns, observed_at=[at]))


def test_it_works(conn, new_tenant):
    tenant = new_tenant()
    with database.tenant_transaction(conn, [tenant.id]):
        service.add(conn, tenant.id, [WASTE])
        put(conn, tenant, "urn:x:1", 0.85)
        put(conn, tenant, "urn:x:2", 0.25, place=(-8.8, 39.5))
        found = service.collection(conn, tenant.id, service.get(conn, tenant.id, "contentores"), record_url="/registo?id={uri}")
        assert service.extent(conn, tenant.id) == pytest.approx((-8.91, 39.39, -8.79, 39.51))
    by_name = {feature["properties"]["name"]: feature for feature in found.features}
    assert by_name["Contentor 1"]["properties"]["fillingLevel"] == 85
    assert by_name["Contentor 1"]["properties"]["href"] == "/registo?id=urn:x:1"
    assert by_name["Contentor 2"]["geometry"] == {"type": "Point", "coordinates": [-8.8, 39.5]}
    assert found.whole


def test_only_what_changed_since(conn, new_tenant):
    tenant = new_tenant()
    with database.tenant_transaction(conn, [tenant.id]):
        put(conn, tenant, "urn:x:1", 0.85)
        first = service.collection(conn, tenant.id, WASTE, record_url="")
    with database.tenant_transaction(conn, [tenant.id]):
        nothing = service.collection(conn, tenant.id, WASTE, record_url="", since=first.at + timedelta(seconds=20))
        put(conn, tenant, "urn:x:2", 0.2)
        more = service.collection(conn, tenant.id, WASTE, record_url="", since=first.at)
        assert service.etag(conn, tenant.id, WASTE) != first.etag
    assert nothing.features == []
    assert not nothing.whole
    assert "Contentor 2" in {feature["properties"]["name"] for feature in more.features}


def test_a_type_without_a_pack_has_a_layer_too(conn, new_tenant):
    tenant, other = new_tenant(), new_tenant()
    with database.tenant_transaction(conn, [tenant.id]):
        put(conn, tenant, "urn:x:1", 0.85)
        assert [layer.key for layer, _ in service.layers(conn, tenant.id)] == ["type-WasteContainer"]
        assert service.layers(conn, tenant.id, declared_only=True) == []
    with database.tenant_transaction(conn, [other.id]):
        assert service.layers(conn, other.id) == []
        with pytest.raises(UnknownLayer):
            service.get(conn, other.id, "type-WasteContainer")


def test_nothing_about_people_is_drawn():
    model = models.get("Incident")
    assert not rules.drawable(model, "reportedById")
    assert rules.drawable(model, "status")


def test_as_the_browser_takes_it():
    spec = rules.to_spec(WASTE, models.get("WasteContainer"), "en", data="/x.geojson")
    assert spec["label"] == "Containers"
    assert spec["colour"]["stops"] == [[0, "--severity-info"], [80, "--severity-warning"]]
    assert [item["range"] for item in spec["legend"]] == [[None, 80], [80, None]]
    assert [field["property"] for field in spec["popup"]] == ["fillingLevel", "status"]
    with pytest.raises(UnusableLayer):
        rules.from_definition("x", {"label": "x", "type": "T", "kind": "cubo"})
    assert rules.from_definition("contentores", rules.to_definition(WASTE), pack="waste") == WASTE


def test_several_layers_in_one_answer(conn, new_tenant):
    """As one by one; nothing again for whoever has it already; later only what changed."""
    tenant, other = new_tenant(), new_tenant()
    with database.tenant_transaction(conn, [tenant.id]):
        service.add(conn, tenant.id, [WASTE])
        put(conn, tenant, "urn:x:1", 0.85)
        one = service.collection(conn, tenant.id, WASTE, record_url="/WasteContainer?id={uri}")
        found = service.together(conn, tenant.id, ["contentores", "type-WasteContainer", "nenhuma"], record_url="/{type}?id={uri}")
        assert found.whole
        assert found.layers["contentores"] == one.features
        assert [feature["properties"]["name"] for feature in found.layers["type-WasteContainer"]] == ["Contentor 1"]
        assert "nenhuma" not in found.layers
        assert service.together(conn, tenant.id, ["contentores", "type-WasteContainer"], record_url="", known=found.etag) is None
        later = service.together(conn, tenant.id, ["contentores"], record_url="", since=found.at + timedelta(seconds=20))
        assert (later.whole, later.layers) == (False, {"contentores": []})
    with database.tenant_transaction(conn, [other.id]):
        assert service.together(conn, other.id, ["contentores", "type-WasteContainer"], record_url="").layers == {"type-WasteContainer": []}
