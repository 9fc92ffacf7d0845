"""Messages of every kind of network, and what a profile makes of them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from malha.ingest.devices import rules
from malha.ingest.devices.contracts import DoorKind, FieldMap, Profile, Reading, UnusableMessage
from malha.kernel import geo

AT = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
UP = {
    "deduplicationId": "3ac7e3c4-4401-4b8d-9386-a5c902f9202d", "time": "2026-11-23T02:00:00.433777826+00:00",
    "deviceInfo": {"tenantId": "t", "applicationName": "ruído", "deviceName": "Praça", "devEui": "0101010101010101"},
    "fCnt": 10, "fPort": 1, "data": "AQ==", "object": {"temperature": 21.5, "battery": 88}, "rxInfo": [{"rssi": -48, "snr": 9}, {"rssi": -90}],
}  # fmt: skip
TTS = {
    "end_device_ids": {"device_id": "eui-1", "application_ids": {"application_id": "cidade"}, "dev_eui": "0004A30B001C0530"}, "received_at": "2026-11-23T02:00:01Z",
    "uplink_message": {
        "session_key_id": "AXA50", "f_cnt": 1, "decoded_payload": {"temperature": 20.5, "luminosity": 0.28}, "rx_metadata": [{"rssi": -35}],
        "received_at": "2026-11-23T02:00:00Z", "locations": {"user": {"latitude": 41.15, "longitude": -8.61}}, "last_battery_percentage": {"value": 94.1},
    },
}  # fmt: skip


def test_it_works():
    reading = rules.read(DoorKind.JSON, {"deviceId": "a", "temperature": 21, "time": "2026-11-23T02:00:00Z", "battery": 77, "rssi": -60})
    assert (reading.external_id, reading.at, reading.battery_percent, reading.signal_dbm) == ("a", AT, 77, -60)


@pytest.mark.parametrize("kind", list(DoorKind))
def test_the_example_of_a_door_is_understood(kind):
    reading = rules.read(kind, rules.example(kind, AT))
    assert reading.external_id
    assert (reading.at, reading.values["temperature"], reading.status_only) == (AT, 21.5, False)


def test_chirpstack():
    reading = rules.read(DoorKind.CHIRPSTACK, UP)
    assert (reading.external_id, reading.name, reading.battery_percent, reading.signal_dbm, reading.unique) == (
        "0101010101010101",
        "Praça",
        88,
        -48,
        UP["deduplicationId"],
    )
    assert reading.values["temperature"] == 21.5
    status = rules.read(DoorKind.CHIRPSTACK, {"deviceInfo": UP["deviceInfo"], "time": UP["time"], "margin": 7, "batteryLevel": 75.5})
    assert (status.status_only, status.battery_percent) == (True, 75.5)


def test_the_things_stack():
    reading = rules.read(DoorKind.TTS, TTS)
    assert (reading.external_id, reading.at, reading.battery_percent, reading.place) == ("eui-1", AT, 94.1, (-8.61, 41.15))
    assert rules.read(DoorKind.TTS, {"end_device_ids": {"device_id": "eui-1"}, "join_accept": {}}).status_only


@pytest.mark.parametrize("when", ["2026-11-23T02:00:00Z", 1795399200, 1795399200000, "1795399200"])
def test_instants_in_every_way(when):
    assert rules.read(DoorKind.JSON, {"id": "a", "ts": when}).at == AT


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        (DoorKind.JSON, {"temperature": 1}), (DoorKind.JSON, [1, 2]), (DoorKind.JSON, "olá"), (DoorKind.JSON, {"id": "a", "time": "2025-01-2T…"}), (DoorKind.JSON, {"id": "a", "time": 1e30}),
        (DoorKind.CHIRPSTACK, {}), (DoorKind.CHIRPSTACK, {**UP, "object": None}), (DoorKind.TTS, {}), (DoorKind.TTS, {"end_device_ids": {"device_id": "a"}, "uplink_message": {"frm_payload": "AQ=="}}),
    ],
)  # fmt: skip
def test_what_cannot_be_understood_says_why(kind, payload):
    with pytest.raises(UnusableMessage):
        rules.read(kind, payload)


PROFILE = Profile(1, "Clima", "WeatherObserved", (FieldMap("temperature", "temperature", "CEL"), FieldMap("hum.rel", "relativeHumidity", "P1", 0.01)))


def test_a_profile_makes_an_entity():
    reading = rules.read(DoorKind.JSON, {"id": "a", "temperature": 21.5, "hum": {"rel": 65}, "other": 1})
    document, place = rules.entity(reading, PROFILE, "urn:x:1", AT, None)
    assert document.attributes == {
        "temperature": {"type": "Property", "value": 21.5, "observedAt": "2026-11-23T02:00:00Z", "unitCode": "CEL"},
        "relativeHumidity": {"type": "Property", "value": 0.65, "observedAt": "2026-11-23T02:00:00Z", "unitCode": "P1"},
    }
    assert place is None
    with pytest.raises(UnusableMessage, match="nenhum dos campos"):
        rules.entity(rules.read(DoorKind.JSON, {"id": "a", "x": 1}), PROFILE, "urn:x:1", AT, None)


MOVING = Profile(2, "Carrinha", "Vehicle", longitude="lon", latitude="lat", fastest_km_h=150)


def test_a_jump_is_kept_and_marked():
    reading = rules.read(DoorKind.JSON, {"id": "a", "lon": -8.61, "lat": 41.15})
    for before, mark in (
        ((-8.60, 41.15, AT - timedelta(minutes=5)), "plausible"),
        ((-9.14, 38.71, AT - timedelta(minutes=5)), "implausible"),
        (None, "plausible"),
    ):
        document, place = rules.entity(reading, MOVING, "urn:x:1", AT, before)
        assert document.attributes["positionQuality"]["value"] == mark
        assert place == (-8.61, 41.15)
    with pytest.raises(UnusableMessage, match="não existe"):
        rules.entity(rules.read(DoorKind.JSON, {"id": "a", "lon": 41.15, "lat": -98.61}), MOVING, "urn:x:1", AT, None)
    with pytest.raises(UnusableMessage):  # no fix
        rules.entity(rules.read(DoorKind.JSON, {"id": "a", "lon": 0, "lat": 0}), MOVING, "urn:x:1", AT, None)


@given(st.floats(-179, 179), st.floats(-80, 80), st.sampled_from([50.0, 100.0, 1000.0]))
def test_rounding_stays_within_its_square_and_hides_where_in_it(lon, lat, metres):
    shown = geo.rounded((lon, lat), metres)
    assert geo.ELLIPSOID.inv(lon, lat, *shown)[2] <= metres * 0.8
    assert geo.rounded(shown, metres) == pytest.approx(shown, abs=2e-6)


def test_a_wrong_clock_is_refused():
    for wrong in (AT + timedelta(hours=2), datetime(1999, 1, 1, tzinfo=UTC)):
        with pytest.raises(UnusableMessage, match="relógio"):
            rules.when(Reading("a", {}, wrong), AT)
    assert rules.when(Reading("a", {}), AT) == AT


def test_the_same_message_is_told_from_the_same_value():
    one = rules.read(DoorKind.JSON, {"id": "a", "v": 1, "time": 1795399200})
    assert rules.digest(one, {"v": 1}, "x") == rules.digest(one, {"v": 1}, "y")
    bare = rules.read(DoorKind.JSON, {"id": "a", "v": 1})
    assert rules.digest(bare, {"v": 1}, "x") != rules.digest(bare, {"v": 1}, "y")
