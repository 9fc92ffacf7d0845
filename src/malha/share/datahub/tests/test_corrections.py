"""A corrected value says so in the feeds: what it was, who corrected it and why, by whatever door the new value came."""

import pytest
from django.conf import settings

from malha.foundation.access.contracts import Capability, RoleName
from malha.foundation.database import django as django_database
from malha.foundation.database import service as database
from malha.foundation.identity import service as identity
from malha.foundation.tokens import service as tokens
from malha.history.lake import service as lake
from malha.ingest.devices import queries
from malha.ingest.devices import service as devices
from malha.ingest.devices.contracts import DoorKind, FieldMap, Profile

URI = "urn:x:AirQualityObserved:00001"
AT = "2026-03-01T02:00:00Z"
SHOWN = "value,correctedFrom,correctedWhy,correctedBy"


@pytest.fixture
def machine():
    """`machine(tenant)` gives the headers of a program called Correio, which may read and write."""

    def of(tenant):
        may = [Capability.DATA_READ, Capability.DATA_WRITE]
        with django_database.scope(tenant.id):
            made, _ = identity.create_machine(tenant.id, name="Correio", capabilities=may, types=None, created_by=None)
        with database.connect(autocommit=True) as conn:
            token = tokens.issue(conn, settings.SECRET_KEY, subject=f"client:{made.client_id}", tenants=[tenant.id], capabilities=may)
        return {"Authorization": f"Bearer {token}"}

    return of


def corrected(ours, entity="00001"):
    answer = ours.get("odata/AirQualityObserved_series", params={"$filter": f"attribute eq 'pm10' and endswith(entity,'{entity}')", "$orderby": "observedAt"})
    assert answer.status_code == 200, answer.text
    rows = answer.json()["value"]
    return [tuple(row.get(name) for name in SHOWN.split(",")) for row in rows]


def patch(client, town, headers, value, at=AT, **more):
    body = {"type": "Property", "value": value, "unitCode": "GQ", "observedAt": at}
    return client.post(f"/{town.slug}/ngsi-ld/v1/entities/{URI}/attrs", json={"pm10": body}, headers=headers | {"Content-Type": "application/json"} | more)


@pytest.mark.parametrize("settled", [False, True])
def test_who_sent_the_new_value_may_say_why(client, town, machine, settled):
    if settled:
        lake.compact(town.id)
    headers = machine(town)
    assert patch(client, town, headers, 100, **{"Malha-Reason": "calibra%C3%A7%C3%A3o  de março".encode()}).status_code == 204
    assert patch(client, town, headers, 50, at="2026-03-01T01:00:00Z").status_code == 204  # late, and without a reason
    ours = client.of(town, role=RoleName.DATA_PROTECTION_OFFICER, with_personal=True)
    for _ in range(2):
        assert corrected(ours)[1:] == [(50.0, 2.0, None, "Correio"), (100.0, 3.0, "calibração de março", "Correio")]
        lake.compact(town.id)


def test_a_reason_that_is_too_long_changes_nothing(client, town, machine):
    answer = patch(client, town, machine(town), 100, **{"Malha-Reason": "x" * 301})
    assert answer.status_code == 400
    assert "300" in answer.json()["detail"]
    assert [row[0] for row in corrected(client.of(town))] == [1.0, 2.0, 3.0]


def test_arrays_of_observations_say_who_sent_them(client, town, machine):
    """By columns (fifty values and more) and one by one."""
    headers = machine(town)
    root = f"/{town.slug}/sensorthings/v1.1"
    streams = client.get(f"{root}/Datastreams?$expand=Thing,ObservedProperty", headers=headers).json()["value"]
    number = next(one["@iot.id"] for one in streams if URI in str(one["Thing"]) and "pm10" in str(one["ObservedProperty"]))
    many = [[f"2026-03-01T02:{minute:02}:00Z", 100 + minute] for minute in range(60)]
    for said in (many, [["2026-03-01T01:00:00Z", 50]]):
        body = [{"Datastream": {"@iot.id": number}, "components": ["phenomenonTime", "result"], "dataArray": said}]
        answer = client.post(f"{root}/CreateObservations", json=body, headers=headers | {"Malha-Reason": "relido"})
        assert answer.status_code == 201, answer.text
    found = corrected(client.of(town, role=RoleName.DATA_PROTECTION_OFFICER, with_personal=True))
    assert found[:3] == [(1.0, None, None, None), (50.0, 2.0, "relido", "Correio"), (100.0, 3.0, "relido", "Correio")]
    assert {row[1:] for row in found[3:]} == {(None, None, None)}
    assert len(found) == 62


def test_sensors_are_named_by_their_door(client, town):
    with database.connect() as conn, database.tenant_transaction(conn, [town.id]):
        door, key = devices.open_door(conn, town.id, DoorKind.JSON, "Ar da praça")
        profile = devices.save_profile(conn, town.id, Profile(0, "Ar", "AirQualityObserved", (FieldMap("pm10", "pm10"),)))
        queries.change_door(conn, town.id, door.id, profile_id=profile.id)
    for value in (20, 21):
        body = {"deviceId": "s1", "pm10": value, "time": AT}
        assert client.post(f"/{town.slug}/devices/v1/{door.id}", json=body, headers={"Authorization": f"Bearer {key}"}).status_code == 202
    assert corrected(client.of(town, role=RoleName.DATA_PROTECTION_OFFICER, with_personal=True), "s1") == [(21.0, 20.0, None, "“Ar da praça”")]


def test_the_columns_of_history_are_called_in_the_reader_s_language(client, town):
    for tongue, words in (("en", ("Corrected on", "Average", "by hour")), ("pt-PT", ("Corrigido em", "Média", "por hora"))):
        said = client.of(town).get("odata/$metadata", headers={"Accept-Language": tongue}).text
        assert [word for word in words if word not in said] == []
