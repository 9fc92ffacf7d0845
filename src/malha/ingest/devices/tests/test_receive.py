"""Messages over HTTP: kept as they came, taken once, and nothing lost while no profile is chosen."""

import warnings

import pytest

from malha.context.broker import auth, pool
from malha.context.store import service as store
from malha.foundation.database import service as database
from malha.ingest.devices import queries, service
from malha.ingest.devices.contracts import DoorKind, FieldMap, MessageState, Profile, UnusableProfile
from malha.ingest.devices.tests.test_read import TTS, UP
from malha.kernel.errors import BadInput
from malha.project import plane
from malha.vocabulary.models import policy
from malha.vocabulary.models.policy import Mode, Rule

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

FIELDS = (FieldMap("temperature", "temperature"),)


@pytest.fixture
def tenant(new_tenant):
    return new_tenant()


@pytest.fixture
def conn(tenant):
    """A connection in the tenant's scope, committed at each call of `done`."""
    with database.connect() as connection:
        yield lambda: database.tenant_transaction(connection, [tenant.id])


@pytest.fixture
def client(tenant):
    auth.forget()
    with TestClient(plane.application(), base_url=f"http://localhost/{tenant.slug}/") as made:
        yield made
    pool.close()


def opened(scope, tenant, kind=DoorKind.JSON):
    with scope() as connection:
        door, key = service.open_door(connection, tenant.id, kind, "Ensaio")
    return door, {"Authorization": f"Bearer {key}"}


def profile(scope, tenant, **more):
    with scope() as connection:
        return service.save_profile(connection, tenant.id, Profile(0, "Clima", "WeatherObserved", FIELDS, **more))


def only_device(scope, tenant):
    with scope() as connection:
        (found,) = queries.devices(connection, tenant.id)
    return found


def test_it_works(client, conn, tenant):
    door, key = opened(conn, tenant)
    first = client.post(f"devices/v1/{door.id}", json={"deviceId": "s1", "temperature": 20, "time": "2026-11-20T02:00:00Z"}, headers=key)
    assert (first.status_code, first.json()) == (202, {"taken": 0, "waiting": 1, "refused": 0, "repeated": 0})
    device = only_device(conn, tenant)
    assert (device.external_id, device.waiting) == ("s1", 1)
    with conn() as connection:
        made = service.save_profile(connection, tenant.id, Profile(0, "Clima", "WeatherObserved", FIELDS))
        assert service.choose_profile(connection, tenant.id, device.id, made.id).taken == 1
        entity = store.retrieve(connection, tenant.id, "urn:malha:WeatherObserved:s1")
    assert entity.attributes["temperature"]["value"] == 20
    assert entity.attributes["temperature"]["unitCode"] == "CEL"
    again = [
        {"deviceId": "s1", "temperature": 20, "time": "2026-11-20T02:00:00Z"},
        {"deviceId": "s1", "temperature": 22, "time": "2026-11-20T03:00:00Z", "battery": 55},
    ]
    assert client.post(f"devices/v1/{door.id}", json=again, headers=key).json() == {"taken": 1, "waiting": 0, "refused": 0, "repeated": 1}
    device = only_device(conn, tenant)
    assert (device.battery_percent, device.waiting, device.profile_name) == (55, 0, "Clima")


def test_the_id_may_stand_in_the_address(client, conn, tenant):
    door, key = opened(conn, tenant)
    assert client.post(f"devices/v1/{door.id}/rua/7", json=21.5, headers=key).status_code == 202
    assert only_device(conn, tenant).external_id == "rua/7"


@pytest.mark.parametrize(("kind", "payload", "name"), [(DoorKind.CHIRPSTACK, UP, "0101010101010101"), (DoorKind.TTS, TTS, "eui-1")])
def test_networks_of_lora(client, conn, tenant, kind, payload, name):
    door, key = opened(conn, tenant, kind)
    made = profile(conn, tenant)
    with conn() as connection:
        queries.change_door(connection, tenant.id, door.id, profile_id=made.id)
    told = client.post(f"devices/v1/{door.id}", json=payload, headers=key).json()
    assert told["taken"] == 1, told
    assert client.post(f"devices/v1/{door.id}", json=payload, headers=key).json()["repeated"] == 1
    assert only_device(conn, tenant).external_id == name
    with conn() as connection:
        found = store.retrieve(connection, tenant.id, f"urn:malha:WeatherObserved:{name}")
    assert found.location == ({"type": "Point", "coordinates": [-8.61, 41.15]} if kind is DoorKind.TTS else None)


def test_what_cannot_be_understood_is_kept_with_the_reason(client, conn, tenant):
    door, key = opened(conn, tenant)
    told = client.post(f"devices/v1/{door.id}", json=[{"temperature": 1}, {"deviceId": "s1", "time": "ontem"}], headers=key)
    assert (told.status_code, told.json()["refused"]) == (202, 2)
    with conn() as connection:
        kept = queries.nameless(connection, tenant.id)
    assert len(kept) == 2
    assert all(one.state is MessageState.REFUSED and one.reason for one in kept)


@pytest.mark.parametrize(
    "odd",
    [
        {"deviceId": {"a": 1}}, {"deviceId": "s" * 600}, {"deviceId": "á" * 300}, {"deviceId": ["a"]}, {"deviceId": "b\x00"}, {"deviceId": "b", "note": "a\x00"},
    ],
)  # fmt: skip
def test_one_odd_message_takes_no_other_with_it(client, conn, tenant, odd):
    door, key = opened(conn, tenant)
    good = {"deviceId": "s1", "temperature": 1, "battery": 1e300, "rssi": -1e300}
    told = client.post(f"devices/v1/{door.id}", json=[odd, good], headers=key)
    assert told.status_code == 202, told.text
    assert (told.json()["waiting"], told.json()["refused"]) == (1, 1)
    device = only_device(conn, tenant)
    assert (device.external_id, device.battery_percent, device.signal_dbm) == ("s1", None, None)
    with conn() as connection:
        (kept,) = queries.nameless(connection, tenant.id)
    assert kept.reason


@pytest.mark.parametrize(
    ("kind", "payload"), [(DoorKind.CHIRPSTACK, UP | {"rxInfo": 5}), (DoorKind.TTS, TTS | {"uplink_message": TTS["uplink_message"] | {"rx_metadata": "a"}})]
)
def test_signals_that_are_no_list_are_passed_over(client, conn, tenant, kind, payload):
    door, key = opened(conn, tenant, kind)
    assert client.post(f"devices/v1/{door.id}", json=payload, headers=key).json()["waiting"] == 1


def test_nobody_gets_in_who_has_not_the_key(client, conn, tenant, new_tenant):
    door, key = opened(conn, tenant)
    other = new_tenant()
    for headers in ({}, {"Authorization": "Bearer errada"}, {"X-Malha-Key": ""}):
        assert client.post(f"devices/v1/{door.id}", json={"deviceId": "a"}, headers=headers).status_code == 401
    assert client.post(f"devices/v1/{door.id + 999}", json={"deviceId": "a"}, headers=key).status_code == 401
    elsewhere = TestClient(client.app, base_url=f"http://localhost/{other.slug}/")
    assert elsewhere.post(f"devices/v1/{door.id}", json={"deviceId": "a"}, headers=key).status_code == 401
    with conn() as connection:
        service.set_active(connection, tenant.id, door.id, active=False)
        assert not queries.devices(connection, tenant.id)
    assert client.post(f"devices/v1/{door.id}", json={"deviceId": "a"}, headers=key).status_code == 401
    with conn() as connection:
        service.set_active(connection, tenant.id, door.id, active=True)
        new = service.renew_key(connection, tenant.id, door.id)
    assert client.post(f"devices/v1/{door.id}", json={"deviceId": "a"}, headers=key).status_code == 401
    assert client.post(f"devices/v1/{door.id}", json={"deviceId": "a"}, headers={"X-API-Key": new}).status_code == 202


def test_bad_bodies_are_refused_and_nothing_is_kept(client, conn, tenant):
    door, key = opened(conn, tenant)
    for body in (b"", b"{", b'{"a": "\xff"}'):
        assert client.post(f"devices/v1/{door.id}", content=body, headers=key).status_code == 400
    assert client.post(f"devices/v1/{door.id}", json=[{"deviceId": "a"}] * 1001, headers=key).status_code == 400
    assert client.post(f"devices/v1/{door.id}", content=b" " * (5 * 1024 * 1024 + 1), headers=key).status_code == 413
    with conn() as connection:
        assert not queries.devices(connection, tenant.id)


def test_a_broken_device_is_replaced_and_its_history_goes_on(client, conn, tenant):
    door, key = opened(conn, tenant)
    made = profile(conn, tenant)
    with conn() as connection:
        queries.change_door(connection, tenant.id, door.id, profile_id=made.id)
    client.post(f"devices/v1/{door.id}", json={"deviceId": "old", "temperature": 20, "time": 1795000000}, headers=key)
    device = only_device(conn, tenant)
    client.post(f"devices/v1/{door.id}", json={"deviceId": "new", "temperature": "?"}, headers=key)
    with conn() as connection:
        queries.execute(connection, "UPDATE device SET entity_uri = '' WHERE tenant_id = %s AND external_id = 'new'", [tenant.id])
        with pytest.raises(BadInput):
            service.replace_device(connection, tenant.id, device.id, "old")
        assert service.replace_device(connection, tenant.id, device.id, "new").entity_uri == "urn:malha:WeatherObserved:old"
    client.post(f"devices/v1/{door.id}", json={"deviceId": "new", "temperature": 25, "time": 1795000060}, headers=key)
    with conn() as connection:
        assert store.retrieve(connection, tenant.id, "urn:malha:WeatherObserved:old").attributes["temperature"]["value"] == 25


def test_a_profile_that_cannot_hold_is_refused(conn, tenant):
    for wrong in (Profile(0, "", "T", FIELDS), Profile(0, "a", "T"), Profile(0, "a", "T", FIELDS * 2), Profile(0, "a", "T", longitude="x")):
        with conn() as connection, pytest.raises(UnusableProfile):
            service.save_profile(connection, tenant.id, wrong)


def test_old_raw_messages_go(client, conn, tenant):
    door, key = opened(conn, tenant)
    client.post(f"devices/v1/{door.id}", json=[{"deviceId": "a"}, {"deviceId": "b"}], headers=key)
    with conn() as connection:
        queries.execute(
            connection, "UPDATE device_message SET received_at = now() - interval '31 days' WHERE tenant_id = %s AND payload->>'deviceId' = 'a'", [tenant.id]
        )
        assert service.forget_old(connection, [tenant.id]) == 1


def test_a_model_that_is_enforced_refuses_the_message_with_its_reason(client, conn, tenant):
    door, key = opened(conn, tenant)
    made = profile(conn, tenant)
    with conn() as connection:
        queries.change_door(connection, tenant.id, door.id, profile_id=made.id)
        policy.set_rule(connection, tenant.id, "WeatherObserved", Rule(Mode.ENFORCE))
    told = client.post(f"devices/v1/{door.id}", json={"deviceId": "s1", "temperature": 20}, headers=key).json()
    assert (told["taken"], told["refused"]) == (0, 1)
    assert "obrigatória" in told["reasons"][0] if "reasons" in told else True
    with conn() as connection:
        assert not store.exists(connection, tenant.id, "urn:malha:WeatherObserved:s1")
        policy.set_rule(connection, tenant.id, "WeatherObserved", Rule(Mode.WARN))
    assert client.post(f"devices/v1/{door.id}", json={"deviceId": "s1", "temperature": 21}, headers=key).json()["taken"] == 1
    with conn() as connection:
        assert store.exists(connection, tenant.id, "urn:malha:WeatherObserved:s1")
        assert any(said.code == "missing" for said in policy.warnings(connection, tenant.id))
