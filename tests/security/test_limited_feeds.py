"""People who may see a part of a tenant, at the feeds of the data hub: OData, OGC features and tiles, Delta Sharing, files."""

from __future__ import annotations

import io
from datetime import timedelta
from uuid import uuid4

import mapbox_vector_tile
import pyarrow.parquet as pq
import pytest
from tests.security.test_reach import bearer

from malha.context.broker import auth, pool
from malha.context.store import service as store
from malha.context.store.contracts import Column, EntityTable
from malha.foundation.access import service as access
from malha.foundation.access.contracts import Capability, Grain, RoleName
from malha.foundation.agreements import service as agreements
from malha.foundation.agreements.contracts import Terms
from malha.foundation.database import django as scoped
from malha.foundation.database import service as database
from malha.foundation.identity import service as people
from malha.foundation.tenancy import service as tenancy
from malha.history.engines import service as engines
from malha.history.lake import service as lake
from malha.kernel.time import now
from malha.project import plane
from malha.share.datahub import keys, tables

AIR = "AirQualityObserved"
WEST = {"type": "Polygon", "coordinates": [[[-9, 40], [-8, 40], [-8, 41], [-9, 41], [-9, 40]]]}
IN, OUT, PARK = (f"urn:t:{AIR}:{name}" for name in ("dentro", "fora", "campo"))


@pytest.fixture
def plane_client():
    from tests.security.test_reach import TestClient

    auth.forget()
    tables.forget()
    with TestClient(plane.application(), base_url="http://localhost") as made:
        yield made
    pool.close()
    engines.forget_readers()


@pytest.fixture
def town(new_tenant):
    """A station in the west and one in the east, a park across the border, a microphone; half of the past in the lake."""
    tenant = new_tenant(name="Vila das Portas")
    spots = [{"type": "Point", "coordinates": [-8.5, 40.5]}, {"type": "Point", "coordinates": [-7.5, 40.5]}]
    spots.append({"type": "Polygon", "coordinates": [[[-8.2, 40.2], [-7.8, 40.2], [-7.8, 40.4], [-8.2, 40.4], [-8.2, 40.2]]]})
    with tenancy.scope(tenant.id):
        for hours, shift in ((4, 0.0), (2, 1.0)):
            columns = [Column("pm10", [21.5 + shift, 40.0 + shift, 5.0 + shift]), Column("no2", [11.0, 12.0, 13.0]), Column("location", spots, kind="GeoProperty"), Column("reach", spots, kind="GeoProperty")]  # fmt: skip
            store.upsert_table(scoped.current(), tenant.id, EntityTable(AIR, [IN, OUT, PARK], columns, observed_at=[now() - timedelta(hours=hours)] * 3))
        noise = [Column("LAeq", [61.0]), Column("location", spots[:1], kind="GeoProperty")]
        store.upsert_table(scoped.current(), tenant.id, EntityTable("NoiseLevelObserved", ["urn:t:NoiseLevelObserved:n"], noise))
    return tenant


@pytest.fixture
def reader(plane_client, town):
    """`reader(**scope)` asks as an analyst with these limits; `grant` changes them afterwards."""

    class Asker:
        def __init__(self, scope):
            self.person = people.create_person(f"{uuid4().hex[:12]}@exemplo.pt", name="Rita")
            self.grant(scope)
            with database.connect() as conn, database.tenant_transaction(conn, [town.id]):
                self.headers = {"Authorization": "Bearer " + keys.create(conn, town.id, self.person.id, "python")[1]}

        def grant(self, scope):
            access.grant(self.person.id, town.id, RoleName.ANALYST, scope)

        def __call__(self, path, *, status=200, **params):
            answer = plane_client.get(f"/{town.slug}/{path}", headers=self.headers, params=params)
            assert answer.status_code == status, (path, answer.status_code, answer.text[:300])
            return answer

        def rows(self, path, **params):
            return self(f"odata/{path}", **params).json()["value"]

        def query(self, schema):
            answer = plane_client.post(f"/{town.slug}/delta-sharing/shares/{town.slug}/schemas/{schema}/tables/{AIR}/query", headers=self.headers, json={})
            assert answer.status_code == 200, answer.text
            return answer.text

    return lambda **scope: Asker(scope)


def test_it_works(reader):
    """One who is limited to an area sees the things in it at every feed, and nothing of the others."""
    west = reader(area=WEST, places=["Oeste"])
    assert {row["id"] for row in west.rows(AIR)} == {IN, PARK}
    assert west("odata/" + AIR + "/$count").text == "2"
    assert west.rows(AIR, **{"$apply": "aggregate(pm10 with max as most)"}) == [{"most": 22.5}]
    assert west.rows(AIR, **{"$orderby": "pm10 desc", "$top": "1"})[0]["id"] == IN
    assert west(f"odata/{AIR}('{OUT}')", status=404)
    features = west(f"ogc/collections/{AIR}/items").json()
    assert {one["id"] for one in features["features"]} == {IN, PARK}
    assert features["numberMatched"] == 2
    assert west(f"ogc/collections/{AIR}/items/{OUT}", status=404)
    for suffix in ("_series", "_hourly", "_daily"):
        assert {row["entity"] for row in west.rows(AIR + suffix)} == {IN, PARK}, suffix
        assert OUT not in west(f"hub/{AIR}{suffix}.csv").text
    assert OUT not in west(f"hub/{AIR}.csv").text
    everything = reader()
    assert {row["id"] for row in everything.rows(AIR)} == {IN, OUT, PARK}
    assert {row["entity"] for row in everything.rows(AIR + "_series")} == {IN, OUT, PARK}


def test_shapes_are_cut_and_not_asked_about_beyond_the_area(reader):
    west = reader(area=WEST)
    park = next(one for one in west(f"ogc/collections/{AIR}/items").json()["features"] if one["id"] == PARK)
    assert max(point[0] for point in park["geometry"]["coordinates"][0]) == -8
    assert "reach" not in park["properties"]
    assert "-7.8" not in next(row for row in west.rows(AIR) if row["id"] == PARK)["location"]
    beyond = west(f"ogc/collections/{AIR}/items", bbox="-7.95,40.2,-7.8,40.4").json()
    assert beyond["features"] == []
    asked = west(f"ogc/collections/{AIR}/items", filter="S_INTERSECTS(location, POLYGON((-7.95 40.2, -7.8 40.2, -7.8 40.4, -7.95 40.4, -7.95 40.2)))").json()
    assert asked["features"] == []
    assert not [row for row in west.rows(AIR + "_series") if row["attribute"] in {"location", "reach"}]


def test_what_left_the_area_is_not_kept(reader, town):
    west = reader(area=WEST)
    assert {row["entity"] for row in west.rows(AIR + "_series")} == {IN, PARK}
    with tenancy.scope(town.id):
        gone = [Column("location", [{"type": "Point", "coordinates": [-7.5, 40.6]}], kind="GeoProperty")]
        store.upsert_table(scoped.current(), town.id, EntityTable(AIR, [IN], gone))
    assert {row["id"] for row in west.rows(AIR)} == {PARK}
    assert {row["entity"] for row in west.rows(AIR + "_series")} == {PARK}


def test_the_lake_is_kept_to_as_well(reader, town):
    lake.compact(town.id)
    west, narrow = reader(area=WEST), reader(attributes=["pm10"])
    for suffix in ("_series", "_hourly", "_daily"):
        assert {row["entity"] for row in west.rows(AIR + suffix)} == {IN, PARK}, suffix
        assert {row["attribute"] for row in narrow.rows(AIR + suffix)} == {"pm10"}, suffix


def test_columns_are_kept_to(reader):
    narrow = reader(attributes=["pm10"], types=[AIR])
    assert {name for row in narrow.rows(AIR) for name in row} == {"id", "pm10", "createdAt", "modifiedAt"}
    assert narrow("odata/" + AIR, status=400, **{"$filter": "no2 gt 11"})
    assert {row["attribute"] for row in narrow.rows(AIR + "_series")} == {"pm10"}
    assert {row["attribute"] for row in narrow.rows(AIR + "_hourly")} == {"pm10"}
    assert narrow("odata/NoiseLevelObserved", status=404)
    features = narrow(f"ogc/collections/{AIR}/items").json()["features"]
    assert [one["geometry"] for one in features] == [None] * 3
    assert narrow(f"ogc/collections/{AIR}/items", status=400, bbox="-9,40,-8,41")
    assert narrow(f"ogc/collections/{AIR}_hourly/items", status=400, bbox="-9,40,-8,41")
    assert {one["geometry"] for one in narrow(f"ogc/collections/{AIR}_hourly/items").json()["features"]} == {None}
    assert narrow(f"ogc/collections/{AIR}/tiles/WebMercatorQuad/6/24/30", status=404)
    assert "no2" not in narrow("odata/$metadata").text
    assert "no2" not in narrow.query("agora")


@pytest.mark.parametrize("few", [2_000, 0])
def test_tiles_are_kept_to(reader, monkeypatch, few):
    """Both roads: features drawn one by one, and cut from the layer that is kept."""
    from malha.share.datahub.features import tiles

    monkeypatch.setattr(tiles, "FEW", few)
    tiles.forget(layers_too=True)

    def drawn(who):
        answer = [who(f"ogc/collections/{AIR}/tiles/WebMercatorQuad/5/12/15").content, who("ogc/collections/NoiseLevelObserved/tiles/WebMercatorQuad/5/12/15").content]  # fmt: skip
        return [
            one["properties"].get("id") or one["properties"].get("uri") for body in answer for one in mapbox_vector_tile.decode(body)["entities"]["features"]
        ]

    assert set(drawn(reader())) >= {IN, OUT, PARK}
    assert OUT not in drawn(reader(area=WEST))
    east = {"type": "Polygon", "coordinates": [[[-7.9, 39.9], [-7, 39.9], [-7, 41], [-7.9, 41], [-7.9, 39.9]]]}
    assert reader(area=east)("ogc/collections/NoiseLevelObserved/tiles/WebMercatorQuad/5/12/15", status=204)


def test_files_are_of_one_reach(reader, plane_client):
    whole, west = reader(), reader(area=WEST)

    def held(who):
        link = who(f"hub/{AIR}.parquet", link="1").text.strip()
        return link, set(pq.read_table(io.BytesIO(plane_client.get(link).content)).column("id").to_pylist())

    assert held(whole)[1] == {IN, OUT, PARK}
    link, rows = held(west)
    assert rows == {IN, PARK}
    assert plane_client.get(link).status_code == 200
    west.grant({"types": ["NoiseLevelObserved"]})
    assert plane_client.get(link).status_code == 403
    assert west(f"hub/{AIR}.parquet", status=404)


def test_an_agreement_does_not_open_the_feeds(plane_client, town, new_tenant):
    """Readers by agreement are noted value by value at the doors made for that; here they are turned away."""
    other = new_tenant()
    for grain in (Grain.RAW, Grain.HOUR):
        terms = Terms(types=(AIR,), purpose="Plano do ar", until=now() + timedelta(days=5), grain=grain)
        with tenancy.scope(town.id):
            agreements.sign(scoped.current(), town.id, other.id, terms, by="person:1")
        headers = bearer(other, capabilities=(Capability.DATA_READ, Capability.DATA_EXPORT))
        for path in ("odata/", f"odata/{AIR}", f"ogc/collections/{AIR}/items", "delta-sharing/shares", f"hub/{AIR}.csv"):
            assert plane_client.get(f"/{town.slug}/{path}", headers=headers).status_code == 403, path


def test_a_program_is_kept_to_its_scope(plane_client, town):
    with tenancy.scope(town.id):
        machine, _ = people.create_machine(
            town.id, name="Painel", capabilities=[Capability.DATA_READ], types=[AIR], scope={"attributes": ["pm10", "location"], "area": WEST}
        )
    headers = bearer(town, subject=f"client:{machine.client_id}", types=[AIR], scoped=True)
    found = plane_client.get(f"/{town.slug}/odata/{AIR}", headers=headers)
    assert {row["id"] for row in found.json()["value"]} == {IN, PARK}
    assert "no2" not in found.json()["value"][0]
