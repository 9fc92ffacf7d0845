import math
import warnings

import mapbox_vector_tile
import pytest
from django.conf import settings

from malha.context.broker import auth, pool
from malha.context.live import tiles
from malha.context.store import service as store
from malha.context.store.contracts import Column, EntityTable, PlacedEntity
from malha.foundation.access.contracts import Capability
from malha.foundation.database import service as database
from malha.foundation.tokens import service as tokens
from malha.project import plane

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient


@pytest.fixture
def client():
    auth.forget()
    with TestClient(plane.application(), base_url="http://localhost") as made:
        yield made
    pool.close()


def bearer(tenant):
    with database.connect(autocommit=True) as conn:
        made = tokens.issue(conn, settings.SECRET_KEY, subject="client:t", tenants=[tenant.id], capabilities=[Capability.DATA_READ])
    return {"Authorization": f"Bearer {made}"}


def square_of(z, lon, lat):
    x = int((lon + 180) / 360 * 2**z)
    y = int((1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2 * 2**z)
    return f"{z}/{x}/{y}"


def test_it_works(client, new_tenant):
    town, other = new_tenant(), new_tenant()
    points = [
        {"type": "Point", "coordinates": [-8.61, 41.15]},
        {"type": "Polygon", "coordinates": [[[-8.61, 41.15], [-8.6, 41.15], [-8.6, 41.16], [-8.61, 41.15]]]},
    ]
    batch = EntityTable(
        "PublicEquipment", ["urn:x:E:1", "urn:x:E:2"], [Column("location", points, "GeoProperty"), Column("name", ["Sé", "Praça"]), Column("level", [2.5, 3])]
    )
    with database.connect() as conn, database.tenant_transaction(conn, [town.id]):
        store.upsert_table(conn, town.id, batch)
    at = f"/tiles/entities/PublicEquipment/{square_of(12, -8.61, 41.15)}.mvt"
    answer = client.get(f"/{town.slug}{at}", headers=bearer(town))
    assert answer.status_code == 200, answer.text
    layer = mapbox_vector_tile.decode(answer.content)["entities"]
    assert {f["properties"]["name"] for f in layer["features"]} == {"Sé", "Praça"}
    assert {f["geometry"]["type"] for f in layer["features"]} == {"Point", "Polygon"}
    assert layer["features"][0]["properties"]["uri"].startswith("urn:x:E:")
    same = client.get(f"/{town.slug}{at}", headers=bearer(town) | {"If-None-Match": answer.headers["etag"]})
    assert same.status_code == 304
    assert client.get(f"/{town.slug}/tiles/entities/PublicEquipment/12/0/0.mvt", headers=bearer(town)).status_code == 204
    assert client.get(f"/{other.slug}{at}", headers=bearer(other)).status_code == 204
    assert client.get(f"/{town.slug}{at}", headers=bearer(other)).status_code == 403
    assert client.get(f"/{town.slug}{at}").status_code == 401
    assert client.get(f"/{town.slug}/tiles/entities/PublicEquipment/1/9/0.mvt", headers=bearer(town)).status_code == 400


def test_a_point_lies_where_it_is():
    one = PlacedEntity(1, "urn:x:1", {}, (0.0, 0.0, 0.0, 0.0))
    feature = mapbox_vector_tile.decode(tiles.draw([one], 1, 1, 1, frozenset()), default_options={"y_coord_down": True})["entities"]["features"][0]
    assert feature["geometry"]["coordinates"] == [0, 0]
    west, south, east, north = tiles.bounds(0, 0, 0)
    assert (west, east) == (-180, 180)
    assert abs(north - 85.0511) < 0.001
    assert south == -north


def test_people_stay_out():
    attributes = {"owner": {"type": "Property", "value": "Ana"}, "level": {"type": "Property", "value": 1}, "long": {"type": "Property", "value": "x" * 300}}
    assert tiles.properties(attributes, frozenset({"owner"})) == {"level": 1}
