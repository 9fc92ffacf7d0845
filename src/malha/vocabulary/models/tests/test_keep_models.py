import pytest

from malha.foundation.database import service as database
from malha.foundation.tenancy import service as tenancy
from malha.vocabulary.models import kept, saving, service, writing
from malha.vocabulary.models.contracts import Aggregation, DataModel, Label, ModelProperty, Role, UnknownModel, UnusableModel, ValueType

BENCHES = DataModel(
    type="Bench",
    version="1",
    label=Label("Banco", "Bench"),
    description=Label("Banco de jardim"),
    properties=(
        ModelProperty("seats", type=ValueType.NUMBER, label=Label("Lugares"), role=Role.MEASURE, aggregation=Aggregation.SUM, minimum=0),
        ModelProperty("seenAt", type=ValueType.INSTANT, label=Label("Visto em"), role=Role.TIME),
    ),
    time_property="seenAt",
)


@pytest.fixture
def connection():
    with database.connect() as open_connection:
        yield open_connection


def test_it_works(new_tenant, connection):
    tenant = new_tenant()
    with database.tenant_transaction(connection, [tenant.id]):
        made = service.create_model(connection, tenant.id, BENCHES)
    assert service.get("Bench", tenant.id) == made
    kept.forget()
    assert service.get("Bench", tenant.id) == made
    assert "Bench" in {model.type for model in service.all_models(tenant.id)}


def test_another_tenant_sees_none_of_it(new_tenant, connection):
    one, other = new_tenant(), new_tenant()
    with database.tenant_transaction(connection, [one.id]):
        service.create_model(connection, one.id, BENCHES)
    kept.forget()
    with pytest.raises(UnknownModel):
        service.get("Bench", other.id)
    with pytest.raises(UnknownModel):
        service.get("Bench")


def test_every_revision_is_kept_and_the_same_again_adds_none(new_tenant, connection):
    tenant = new_tenant()
    changed = DataModel(**{name: getattr(BENCHES, name) for name in BENCHES.__slots__ if name != "version"}, version="2")
    with database.tenant_transaction(connection, [tenant.id]):
        for model in (BENCHES, BENCHES, changed):
            service.create_model(connection, tenant.id, model, origin="teste")
        assert saving.revisions(connection, tenant.id, "Bench") == [(2, "2", "teste"), (1, "1", "teste")]
    assert service.get("Bench", tenant.id).version == "2"


def test_a_page_keeps_models_in_its_own_transaction(new_tenant):
    tenant = new_tenant()
    with tenancy.scope(tenant.id):
        service.create_model(database.current(), tenant.id, BENCHES)
        assert service.get("Bench", tenant.id).type == "Bench"


def test_the_application_cannot_write_models_of_the_nation(connection):
    with pytest.raises(Exception, match="permission denied"):
        saving.save(connection, None, BENCHES, origin="", schema=None)


@pytest.mark.parametrize("entity_type", ["Alert", "EmergencyIncident", "OffStreetParking", "WeatherObserved"])
def test_a_model_written_and_read_is_the_same(entity_type):
    model = service.get(entity_type)
    assert writing.from_json(writing.to_json(model)) == model


@pytest.mark.parametrize(
    "broken",
    [
        {"type": "7up"},
        {"properties": (ModelProperty("a"), ModelProperty("a"))},
        {"properties": (ModelProperty("id"),)},
        {"properties": (ModelProperty("a", unit="furlong"),), "time_property": ""},
        {"time_property": "never"},
    ],
)
def test_a_declaration_that_cannot_serve_is_refused(broken):
    from dataclasses import replace

    with pytest.raises(UnusableModel):
        service.check_model(replace(BENCHES, **broken))
