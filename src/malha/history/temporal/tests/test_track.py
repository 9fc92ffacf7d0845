"""Where things that move went."""

import json
import warnings
from datetime import UTC, datetime, timedelta

import pytest
from django.conf import settings

from malha.context.broker import auth, pool
from malha.context.store import service as store
from malha.context.store.contracts import EntityDocument
from malha.foundation.access.contracts import Capability
from malha.foundation.database import service as database
from malha.foundation.tokens import service as tokens
from malha.history.temporal import tracks
from malha.history.temporal.contracts import Instance
from malha.kernel import geo
from malha.project import plane

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # starlette would like another client than the one that it ships with
    from starlette.testclient import TestClient

START = datetime(2026, 3, 1, 8, tzinfo=UTC)
STEP = 0.005  # degrees of latitude: about 555 m, so 33 km/h in a minute


def at(minutes):
    return START + timedelta(minutes=minutes)


def heard(*places):
    return [Instance(1, "location", at(n), at(n), 7, None, json.dumps({"type": "Point", "coordinates": list(place)}), "", 0) for n, place in enumerate(places)]


def straight(count):
    return [(-8.6, 41.1 + n * STEP) for n in range(count)]


def test_it_works():
    found = tracks.track(heard(*straight(5)))
    assert [one.latitude for one in found.fixes] == [place[1] for place in straight(5)]
    assert found.fixes[1].speed_km_h == pytest.approx(33.3, abs=0.1)
    assert found.length_m == pytest.approx(4 * 555, rel=0.01)
    said = tracks.feature("urn:x:V:1", found)
    assert said["geometry"]["type"] == "LineString"
    assert len(said["properties"]["times"]) == len(said["geometry"]["coordinates"]) == 5
    assert said["temporalGeometry"]["datetimes"][0] == "2026-03-01T08:00:00Z"


def test_one_impossible_position_is_left_out_and_named():
    places = straight(5)
    places[2] = (0.0, 0.0)
    found = tracks.track(heard(*places))
    assert len(found.fixes) == 4
    assert [(one.longitude, one.latitude) for one in found.outliers] == [(0.0, 0.0)]
    assert not found.jumps


def test_where_it_goes_on_from_there_it_jumped():
    places = [*straight(3), *((-8.0, place[1]) for place in straight(3))]
    found = tracks.track(heard(*places))
    assert len(found.fixes) == 6
    assert [one.at for one in found.jumps] == [at(3)]
    assert not found.outliers
    assert tracks.position(found, at(2) + timedelta(seconds=30))[1] == "last"


def test_where_it_was_at_an_instant():
    found = tracks.track(heard(*straight(3)))
    fix, how = tracks.position(found, at(1) + timedelta(seconds=30))
    assert (round(fix.latitude, 4), how) == (41.1075, "between")
    assert tracks.position(found, at(1))[1] == "observed"
    assert tracks.position(found, at(60))[1] == "last"
    assert tracks.position(found, START - timedelta(seconds=1)) is None
    assert tracks.placed("urn:x:V:1", found, START - timedelta(days=1))["geometry"] is None


def test_a_track_that_would_follow_a_person_is_coarse():
    grid_m = tracks.grid(["FleetVehicleOperation"], personal=False)
    assert grid_m == 250.0
    assert tracks.grid(["FleetVehicleOperation"], personal=True) == tracks.grid(["WasteContainer"], personal=False) == 0.0
    places = [(-8.6, 41.1 + n * STEP / 20) for n in range(40)]
    found = tracks.track(heard(*places), grid_m=grid_m)
    assert 1 < len(found.fixes) < 10
    assert all((one.longitude, one.latitude) == pytest.approx(geo.rounded((one.longitude, one.latitude), grid_m), abs=2e-6) for one in found.fixes)
    assert all(one.at.minute % 5 == 0 and one.at.second == 0 and one.speed_km_h is None for one in found.fixes)


@pytest.fixture
def moving(new_tenant):
    """A client and a tenant with a vehicle and a bin that went the same way; `ask(uri, **more)` asks for a track."""
    tenant = new_tenant()
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        for kind in ("FleetVehicleOperation", "WasteContainer"):
            for n, place in enumerate(straight(6)):
                where = {"type": "GeoProperty", "value": {"type": "Point", "coordinates": list(place)}, "observedAt": at(n).isoformat()}
                store.upsert_documents(conn, tenant.id, [EntityDocument(f"urn:x:{kind}:1", (kind,), {"location": where})])
    auth.forget()

    def ask(uri, *more_capabilities, path="/history/track", **params):
        with database.connect(autocommit=True) as conn:
            caps = [Capability.DATA_READ, *more_capabilities]
            token = tokens.issue(conn, settings.SECRET_KEY, subject="client:test", tenants=[tenant.id], capabilities=caps)
        period = {"from": START.isoformat(), "to": at(60).isoformat()}
        asked = {"id": uri, **period} if path == "/history/track" else {}
        return client.get(path, params={**asked, **params}, headers={"Authorization": f"Bearer {token}"})

    with TestClient(plane.application(), base_url="http://localhost") as client:
        yield ask
    pool.close()


@pytest.mark.parametrize("options", ["", "temporalValues"])
def test_the_evolution_follows_nobody_closer_than_the_track(moving, options):
    def places(kind, *capabilities):
        uri = f"urn:x:{kind}:1"
        told = moving(uri, *capabilities, path=f"/ngsi-ld/v1/temporal/entities/{uri}", options=options).json()["location"]
        return [one[0]["coordinates"] for one in told["values"]] if options else [one["value"]["coordinates"] for one in told]

    exact = [list(place) for place in straight(6)]
    assert places("WasteContainer") == places("FleetVehicleOperation", Capability.PERSONAL_READ) == [pytest.approx(one) for one in exact]
    coarse = places("FleetVehicleOperation")
    assert coarse == [list(geo.rounded(tuple(one), 250)) for one in exact]
    assert coarse != exact


def test_over_http(moving):
    whole = moving("urn:x:WasteContainer:1").json()
    assert len(whole["geometry"]["coordinates"]) == 6
    assert whole["properties"]["gridM"] == 0
    there = moving("urn:x:WasteContainer:1", at=(at(2) + timedelta(seconds=30)).isoformat()).json()
    assert there["properties"]["how"] == "between"
    assert moving("urn:x:FleetVehicleOperation:1").json()["properties"]["gridM"] == 250
    assert moving("urn:x:FleetVehicleOperation:1", Capability.PERSONAL_READ).json()["properties"]["gridM"] == 0
    slow = moving("urn:x:WasteContainer:1", fastest="10").json()
    assert slow["properties"]["outliers"]
    assert moving("urn:x:Nada:1").status_code == 404
    for wrong in (
        {"fastest": "x"},
        {"from": "ontem"},
        {"to": "2026-01-01T00:00:00Z"},
        {"from": "2020-01-01T00:00:00Z"},
        {"id": ""},
        {"from": "", "to": "0001-01-01T01:00:00Z"},
    ):
        assert moving("urn:x:WasteContainer:1", **wrong).status_code == 400, wrong
