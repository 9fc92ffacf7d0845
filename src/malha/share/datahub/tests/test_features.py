import json
import math

import mapbox_vector_tile
import numpy as np
import pytest

from malha.context.store import service as store
from malha.foundation.database import service as database
from malha.history.lake import service as lake
from malha.share.datahub import tables
from malha.share.datahub.features import cql2, layers, tiles
from malha.share.datahub.tests.town import air, write
from malha.share.questions.contracts import BadFilter
from malha.share.questions.expressions import walk

AT = "ogc/collections/AirQualityObserved"


def ids(answer):
    assert answer.status_code == 200, answer.text
    return [int(one["id"][-5:]) for one in answer.json()["features"]]


def test_it_works(client, town):
    ours = client.of(town)
    links = {one["rel"]: one["href"] for one in ours.get("ogc").json()["links"]}
    assert {"self", "service-desc", "conformance", "data"} <= set(links)
    assert "http://www.opengis.net/spec/ogcapi-features-1/1.0/conf/core" in ours.get(links["conformance"]).json()["conformsTo"]
    names = {one["id"] for one in ours.get(links["data"]).json()["collections"]}
    assert names == {"AirQualityObserved", "AirQualityObserved_hourly", "AirQualityObserved_daily"}
    found = ours.get(f"{AT}/items")
    assert found.headers["content-type"] == "application/geo+json"
    body = found.json()
    assert (body["numberMatched"], body["numberReturned"]) == (5, 5)
    assert body["features"][1]["geometry"] == {"type": "Point", "coordinates": [-8.599, 41.101]}
    assert body["features"][1]["properties"]["pm10"] == 3.0
    one = ours.get(f"{AT}/items/urn:x:AirQualityObserved:00003").json()
    assert one["properties"]["stationName"] == "Estação D"
    assert ours.get(f"{AT}/items/nada").status_code == 404
    assert ours.get("ogc/collections/nada").status_code == 404


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"bbox": "-8.5995,41.1,-8.5975,41.2"}, [1, 2]),
        ({"bbox": "41.1,-8.5995,41.2,-8.5975", "bbox-crs": "http://www.opengis.net/def/crs/EPSG/0/4326"}, [1, 2]),
        ({"pm10": "3"}, [1]),
        ({"filter": "pm10 > 3 AND stationName LIKE 'Est%'"}, [2, 3]),
        ({"filter": "pm10 BETWEEN 3 AND 4"}, [1, 2]),
        ({"filter": "pm10 IS NULL OR NOT pm10 > 2"}, [0, 4]),
        ({"filter": "CASEI(ACCENTI(stationName)) = CASEI(ACCENTI('ESTACAO A'))"}, [0]),
        ({"filter": "stationName NOT IN ('Estação B','Estação C') and pm10 + 1 <> 3"}, [3, 4]),
        ({"filter": "S_INTERSECTS(location, POLYGON((-8.6005 41.0,-8.5995 41.0,-8.5995 41.2,-8.6005 41.2,-8.6005 41.0)))"}, [0]),
        ({"filter": "S_WITHIN(location, BBOX(-8.5985, 41.0, -8.0, 42.0)) AND pm10 > 4"}, [3]),
        ({"filter": "S_DISJOINT(location, BBOX(-8.6005, 41.0, -8.5975, 42.0))"}, [3, 4]),
        ({"filter": "modifiedAt >= TIMESTAMP('2020-01-01T00:00:00Z') AND T_BEFORE(modifiedAt, DATE('2090-01-01'))"}, [0, 1, 2, 3, 4]),
        ({"filter": "T_DURING(modifiedAt, INTERVAL('1990-01-01','1991-01-01'))"}, []),
        ({"datetime": "2020-01-01/.."}, [0, 1, 2, 3, 4]),
        ({"datetime": "../1999-01-01T00:00:00Z"}, []),
        ({"filter-lang": "cql2-json", "filter": json.dumps({"op": "and", "args": [{"op": ">", "args": [{"property": "pm10"}, 3]}, {"op": "s_intersects", "args": [{"property": "location"}, {"bbox": [-8.5985, 41, -8.5975, 42]}]}]})}, [2]),
        ({"filter": json.dumps({"op": "like", "args": [{"property": "stationName"}, "%D"]})}, [3]),
        ({"sortby": "-pm10", "limit": "2"}, [3, 2]),
    ],
)  # fmt: skip
def test_questions(client, town, query, found):
    assert ids(client.of(town).get(f"{AT}/items", params=query)) == found


@pytest.mark.parametrize(
    "query",
    [
        {"nada": "1"}, {"bbox": "1,2,3"}, {"bbox": "a,b,c,d"}, {"bbox": "nan,0,1,1"}, {"limit": "0"}, {"crs": "http://www.opengis.net/def/crs/EPSG/0/9999"}, {"datetime": "ontem"}, {"pm10": "x"},
        {"filter": "pm10 >"}, {"filter": "nada = 1"}, {"filter": "pm10 > 1; DROP TABLE entity"}, {"filter": "S_INTERSECTS(location, POLYGON((0 0,1 1,0 1,1 0,0 0)))"},
        {"filter": "NOT S_INTERSECTS(location, POINT(0 0))"}, {"filter": "S_INTERSECTS(location, POINT(0 0)"}, {"filter": "{\"op\": 1}", "filter-lang": "cql2-json"}, {"token": "AAAA"}, {"filter": "stationName = 'open"},
        {"filter-lang": "ecql", "filter": "1=1"}, {"filter": json.dumps({"op": "pg_sleep", "args": [10]})}, {"sortby": "nada"},
    ],
)  # fmt: skip
def test_bad_questions_are_told(client, town, query):
    answer = client.of(town).get(f"{AT}/items", params=query)
    assert answer.status_code == 400, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"]


def test_pages_follow_one_another(client, town):
    ours, seen = client.of(town), []
    address = f"{AT}/items?limit=2&filter=pm10 IS NULL OR pm10 >= 0"
    while address:
        answer = ours.get(address)
        seen += ids(answer)
        address = next((one["href"] for one in answer.json()["links"] if one["rel"] == "next"), None)
    assert seen == [0, 1, 2, 3, 4]


def easting(lon, lat):
    """PT-TM06 by the series of the transverse Mercator projection on GRS80 (Snyder, USGS 1395, p. 61), without PROJ."""
    a, f = 6378137.0, 1 / 298.257222101
    e2 = f * (2 - f)
    phi, step = math.radians(lat), math.radians(lon + 8.133108333333334) * math.cos(math.radians(lat))
    t, c = math.tan(phi) ** 2, e2 / (1 - e2) * math.cos(phi) ** 2
    n = a / math.sqrt(1 - e2 * math.sin(phi) ** 2)
    return n * (step + (1 - t + c) * step**3 / 6 + (5 - 18 * t + t * t + 72 * c - 58 * e2 / (1 - e2)) * step**5 / 120)


def test_other_systems(client, town):
    ours = client.of(town)
    metric = "http://www.opengis.net/def/crs/EPSG/0/3763"
    answer = ours.get(f"{AT}/items", params={"crs": metric, "limit": 1})
    assert answer.headers["content-crs"] == f"<{metric}>"
    x, y = answer.json()["features"][0]["geometry"]["coordinates"]
    assert abs(x - easting(-8.6, 41.1)) < 0.05
    assert 159_000 < y < 160_000
    around = f"{x - 10},{y - 10},{x + 10},{y + 10}"
    assert ids(ours.get(f"{AT}/items", params={"bbox": around, "bbox-crs": metric})) == [0]
    swapped = ours.get(f"{AT}/items", params={"crs": "EPSG:4326", "limit": 1}).json()["features"][0]["geometry"]["coordinates"]
    assert swapped == [41.1, -8.6]


def test_history_has_places(client, town):
    lake.compact(town.id)
    ours = client.of(town)
    answer = ours.get("ogc/collections/AirQualityObserved_hourly/items", params={"bbox": "-8.6005,41,-8.5995,42", "filter": "attribute = 'pm10'"})
    rows = answer.json()["features"]
    assert [row["properties"]["average"] for row in rows] == [0.0, 1.0, 2.0]
    assert rows[0]["geometry"]["coordinates"] == [-8.6, 41.1]
    assert ours.get("ogc/collections/AirQualityObserved_series/items").status_code == 404


def test_queryables(client, town):
    said = client.of(town).get(f"{AT}/queryables").json()
    assert said["properties"]["pm10"]["type"] == "number"
    assert said["properties"]["location"]["format"] == "geometry-any"


def test_shapes_are_exact(client, town):
    square = {"type": "Polygon", "coordinates": [[[-9, 39], [-8.9, 39], [-9, 39.1], [-9, 39]]]}
    write(town, ("urn:x:Park:1", "Park", {"location": {"type": "GeoProperty", "value": square}, "name": {"type": "Property", "value": "Horto"}}))
    ours = client.of(town)
    at = "ogc/collections/Park/items"
    assert len(ours.get(at, params={"bbox": "-9,39,-8.95,39.05"}).json()["features"]) == 1
    assert ours.get(at, params={"bbox": "-8.91,39.09,-8.90,39.10"}).json()["features"] == []
    assert ours.get(at).json()["features"][0]["geometry"]["type"] == "Polygon"


def test_the_reader_flips_arguments():
    node = cql2.parse("S_CONTAINS(POLYGON((0 0,2 0,2 2,0 2,0 0)), location)")
    assert node.relation == "within"
    assert len(list(walk(cql2.parse('a = -1 AND "b c" <= 2.5e1 * 2')))) > 5
    for text in ("", "a", "a = ", "T_DURING(a, DATE('2020-01-01'))", "a NOT b"):
        with pytest.raises(BadFilter):
            cql2.parse(text) if text != "a" else cql2.parse("a b")


TILE = f"{AT}/tiles/WebMercatorQuad"


def test_tiles(client, town):
    ours = client.of(town)
    assert ours.get(f"{AT}/tiles").json()["tilesets"][0]["dataType"] == "vector"
    assert ours.get("ogc/tileMatrixSets/WebMercatorQuad").json()["id"] == "WebMercatorQuad"
    answer = ours.get(f"{TILE}/0/0/0")
    assert answer.status_code == 200
    features = mapbox_vector_tile.decode(answer.content)["entities"]["features"]
    assert len(features) == 5
    assert ours.get(f"{TILE}/0/0/0", headers={"If-None-Match": answer.headers["etag"]}).status_code == 304
    assert ours.get(f"{TILE}/12/0/0").status_code == 204
    assert ours.get(f"{TILE}/1/5/0").status_code == 400
    write(town, ("urn:x:AirQualityObserved:00001", "AirQualityObserved", {"pm10": {"type": "Property", "value": 77}}))
    again = ours.get(f"{TILE}/0/0/0", headers={"If-None-Match": answer.headers["etag"]})
    assert 77 in [one["properties"].get("pm10") for one in mapbox_vector_tile.decode(again.content)["entities"]["features"]]


def test_a_kept_layer_says_the_same_as_rows_drawn_one_by_one(client, new_tenant, monkeypatch):
    town = new_tenant()
    with database.connect() as conn, database.tenant_transaction(conn, [town.id]):
        air(conn, town.id, 300, hours=1)
    ours = client.of(town)

    def decoded(z, y, x):
        tiles.forget()
        found = mapbox_vector_tile.decode(ours.get(f"{TILE}/{z}/{y}/{x}").content)["entities"]["features"]
        said = [tuple(one["properties"].get(name) for name in ("pm10", "stationName", "note")) for one in found]
        return {pm10: one["geometry"]["coordinates"] for one, (pm10, _, _) in zip(found, said, strict=True) if pm10 is not None}, sorted(map(str, said))

    for z in (0, 5, 11):
        x = int((-8.6 + 180) / 360 * 2**z)
        y = int((1 - np.arcsinh(np.tan(np.radians(41.1))) / np.pi) / 2 * 2**z)
        monkeypatch.setattr(tiles, "FEW", 2_000)
        places, said = decoded(z, y, x)
        monkeypatch.setattr(tiles, "FEW", 10)
        kept_places, kept_said = decoded(z, y, x)
        assert len(kept_said) > 10
        assert kept_said == said
        assert np.abs(np.array([kept_places[pm10] for pm10 in places]) - np.array(list(places.values()))).max() <= 1


def test_a_layer_that_is_kept_follows_every_change(client, new_tenant, monkeypatch):
    """Changed, moved, new, gone, a field that nothing had, and something that is no point: only what changed is read again, and the tile is as one read anew."""
    town = new_tenant()
    with database.connect() as conn, database.tenant_transaction(conn, [town.id]):
        air(conn, town.id, 300, hours=1)
    ours = client.of(town)
    monkeypatch.setattr(tiles, "FEW", 10)
    monkeypatch.setattr(tiles, "STATE_SECONDS", 0.0)
    read = []
    walk_ = layers.current.walk
    monkeypatch.setattr(layers.current, "walk", lambda *given, **more: (read.append(more["among"]), walk_(*given, **more))[1])

    def drawn():
        found = mapbox_vector_tile.decode(ours.get(f"{TILE}/0/0/0").content)["entities"]["features"]
        return sorted((one["id"], str(one["geometry"]), str(sorted(one["properties"].items()))) for one in found)

    def uri(n):
        return f"urn:x:AirQualityObserved:{n:05}"

    def becomes(n, **attributes):
        write(town, (uri(n), "AirQualityObserved", attributes))

    def ends():
        with database.connect() as conn, database.tenant_transaction(conn, [town.id]):
            store.delete(conn, town.id, [uri(5)])

    point = {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [-8.5, 41.2]}}
    changes = [
        ([1], lambda: becomes(1, pm10={"type": "Property", "value": 777.5})),
        ([1], lambda: becomes(2, location=point)),
        ([1], lambda: becomes(900, pm10={"type": "Property", "value": 1.0}, location=point)),
        ([], ends),
        ([1, None], lambda: becomes(3, no2={"type": "Property", "value": 5.0})),
        ([None], lambda: becomes(3, beyond={"type": "Property", "value": 5.0})),
    ]
    drawn()
    for many, change in changes:
        read.clear()
        change()
        tables.forget()
        one = drawn()
        assert [len(each) if each is not None else None for each in read] == many
        tiles.forget(layers_too=True)
        assert one == drawn()
        assert one
    becomes(4, location={"type": "GeoProperty", "value": {"type": "LineString", "coordinates": [[-8.6, 41.1], [-8.5, 41.2]]}})
    assert len(drawn()) == 300
