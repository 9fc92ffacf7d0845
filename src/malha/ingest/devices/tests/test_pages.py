"""The page on which one says what messages mean."""

import pytest
from django.test import Client

from malha.foundation.access import service as access
from malha.foundation.access.contracts import RoleName
from malha.foundation.database import service as database
from malha.foundation.identity.models import Person
from malha.ingest.devices import queries, service
from malha.ingest.devices.contracts import DoorKind, FieldMap, Profile

SENT = {"deviceId": "carro", "lat": 40.6, "lon": -8.6, "temp": 20, "time": "2026-11-20T02:00:00Z"}
FORM = {"type": "WeatherObserved", "name": "Carros", "field:temp": "temperature", "field:lon": "longitude", "field:lat": "latitude"}


@pytest.fixture
def tenant(new_tenant):
    return new_tenant()


@pytest.fixture
def car(tenant):
    """A device that said where it is, and the address of its page."""
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        door, _key = service.open_door(conn, tenant.id, DoorKind.JSON, "Porta")
        service.receive(conn, door, [SENT])
        (found,) = queries.devices(conn, tenant.id)
    return found, f"/{tenant.slug}/dados/sensores/{found.id}/perfil/"


@pytest.fixture
def client(tenant):
    person = Person.objects.create(email=f"{tenant.slug}@exemplo.pt", name="Ana")
    access.grant(person.pk, tenant.id, RoleName.TENANT_MANAGER)
    made = Client(headers={"host": "localhost"})
    made.force_login(person)
    return made


def kept(tenant):
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        return queries.profiles(conn, tenant.id)


def test_the_parts_of_a_position_are_guessed(client, car):
    page = client.get(f"{car[1]}?tipo=WeatherObserved").content.decode()
    assert '<option value="longitude" selected>' in page
    assert '<option value="latitude" selected>' in page


@pytest.mark.parametrize("wrong", [{"round": "-5"}, {"round": "200 m"}, {"fastest": "abc"}, {"round": "nan"}, {"fastest": "1e9"}])
def test_a_measure_that_is_no_number_is_refused_and_what_was_written_stays(client, car, tenant, wrong):
    answer = client.post(car[1], FORM | {"fastest": "150"} | wrong)
    page = answer.content.decode()
    assert answer.status_code == 200
    assert "é um número" in page
    assert 'value="Carros"' in page
    assert f'value="{next(iter(wrong.values()))}"' in page
    assert not kept(tenant)


def test_who_changes_a_profile_finds_what_it_says(client, car, tenant):
    assert client.post(car[1], FORM | {"fastest": "150", "round": "200,5"}).status_code == 302
    page = client.get(car[1]).content.decode()
    assert '<option value="longitude" selected>' in page
    assert 'value="150"' in page
    assert 'value="200,5"' in page
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        (one,) = queries.profiles(conn, tenant.id)
        fields = (FieldMap("temp", "temperature", "CEL", 0.1), FieldMap("hum", "relativeHumidity"))
        service.save_profile(conn, tenant.id, Profile(one.id, one.name, one.entity_type, fields, one.longitude, one.latitude, 150, 200.5))
    assert client.post(car[1], FORM | {"field:hum": "relativeHumidity", "fastest": "150", "round": "200,5"}).status_code == 302
    (one,) = kept(tenant)
    assert {(field.path, field.scale) for field in one.fields} == {("temp", 0.1), ("hum", 1.0)}
    assert (one.longitude, one.latitude, one.round_m) == ("lon", "lat", 200.5)
