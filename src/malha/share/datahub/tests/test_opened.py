"""Published open datasets at `/ogc/abertos`: read by anybody, and no more of them than was published."""

import mapbox_vector_tile
import pytest

from malha.context.broker.quota import Quota
from malha.foundation.tenancy import service as tenancy
from malha.share.datahub.features import opened as root
from malha.share.datahub.features import tiles
from malha.share.datahub.tests.town import write
from malha.share.opendata import service as opendata

SECRET = "não é para todos"


@pytest.fixture
def opened(client, town):
    """(a client without a key, the dataset): stations with at least 3 µg/m³, their PM10 and place, not their note."""
    write(town, ("urn:x:AirQualityObserved:00002", "AirQualityObserved", {"note": {"type": "Property", "value": SECRET}}))
    with tenancy.scope(town.id):
        row = opendata.begin(town, "AirQualityObserved", person_id=None, title="Qualidade do ar", filter_text="pm10>=3")
        row.columns = ["id", "pm10", "location"]
        row.description_pt, row.contact_name, row.contact_email = "O ar de cada estação, à hora.", "Ambiente", "ambiente@exemplo.pt"
        opendata.publish(town, row, person_id=None, actor="person:1")
    tiles.forget(layers_too=True)

    def ask(path="", *, status=200, headers=None, **params):
        answer = client.get(f"/{town.slug}/ogc/abertos{path}", params=params, headers=headers)
        assert answer.status_code == status, (path, answer.status_code, answer.text[:300])
        return answer

    return ask, row


AT = "/collections/qualidade-do-ar"


def test_it_works(opened, town):
    ask, _row = opened
    assert [one["id"] for one in ask("/collections").json()["collections"]] == ["qualidade-do-ar"]
    answer = ask(f"{AT}/items")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["x-robots-tag"] == "noindex"
    body = answer.json()
    assert body["numberMatched"] == 3
    assert {one["id"][-1] for one in body["features"]} == {"1", "2", "3"}
    assert {name for one in body["features"] for name in one["properties"]} == {"pm10"}
    assert body["features"][0]["geometry"] == {"type": "Point", "coordinates": [-8.599, 41.101]}
    assert SECRET not in answer.text
    links = {one["rel"]: one["href"] for one in ask(AT).json()["links"]}
    assert links["license"] == "https://creativecommons.org/licenses/by/4.0/"
    assert links["describedby"].endswith(f"/{town.slug}/dados-abertos/qualidade-do-ar/dcat.jsonld")
    assert "security" not in ask("/api").json()


def test_it_is_asked_in_cql2_by_place_and_in_the_countrys_system(opened):
    ask, _row = opened
    assert [one["id"][-1] for one in ask(f"{AT}/items", filter="pm10 > 4").json()["features"]] == ["3"]
    assert [one["id"][-1] for one in ask(f"{AT}/items", sortby="-pm10", limit="1").json()["features"]] == ["3"]
    assert [one["id"][-1] for one in ask(f"{AT}/items", bbox="-8.5985,41,-8,42").json()["features"]] == ["2", "3"]
    answer = ask(f"{AT}/items", crs="http://www.opengis.net/def/crs/EPSG/0/3763", limit="1")
    assert answer.headers["content-crs"] == "<http://www.opengis.net/def/crs/EPSG/0/3763>"
    assert abs(answer.json()["features"][0]["geometry"]["coordinates"][0]) > 1000
    first = ask(f"{AT}/items", limit="2").json()
    following = next(one["href"] for one in first["links"] if one["rel"] == "next")
    assert "/ogc/abertos/" in following
    assert ask(f"{AT}/items/urn:x:AirQualityObserved:00001").json()["properties"] == {"pm10": 3.0}


def test_what_was_not_published_cannot_be_asked_about(opened):
    ask, _row = opened
    for question in ({"filter": f"note = '{SECRET}'"}, {"note": SECRET}, {"sortby": "note"}, {"filter": "stationName LIKE 'E%'"}):
        assert SECRET not in ask(f"{AT}/items", status=400, **question).text
    assert set(ask(f"{AT}/queryables").json()["properties"]) == {"id", "longitude", "latitude", "location", "pm10"}
    ask(f"{AT}/items/urn:x:AirQualityObserved:00000", status=404)  # the filter leaves it out
    ask("/collections/AirQualityObserved/items", status=404)
    ask("/collections/AirQualityObserved_hourly/items", status=404)


def test_the_public_has_a_count_of_its_own(opened, client, town, key_of, monkeypatch):
    ask, _row = opened
    still = Quota(1.0, clock=lambda: 0.0)  # two at once, and no time passes
    monkeypatch.setattr(root, "_quota", lambda: still)
    ask("/collections")
    ask("/collections")
    assert ask("/collections", status=429).headers["retry-after"] == "1"
    with_a_key = client.get(f"/{town.slug}/ogc/collections", headers={"Authorization": f"Bearer {key_of(town)}"})
    assert with_a_key.status_code == 200


def test_a_key_opens_nothing_more(opened, town, key_of):
    ask, _row = opened
    headers = {"Authorization": f"Bearer {key_of(town, with_personal=True)}"}
    assert ask(f"{AT}/items", headers=headers).json()["features"] == ask(f"{AT}/items").json()["features"]
    ask("/collections/AirQualityObserved/items", status=404, headers=headers)


@pytest.mark.parametrize("few", [2_000, 0])
def test_tiles_are_of_the_dataset(opened, monkeypatch, few):
    monkeypatch.setattr(tiles, "FEW", few)
    ask, _row = opened
    drawn = mapbox_vector_tile.decode(ask(f"{AT}/tiles/WebMercatorQuad/5/11/15").content)["entities"]["features"]
    assert {one["properties"].get("uri") or one["properties"].get("id") for one in drawn} == {f"urn:x:AirQualityObserved:0000{n}" for n in (1, 2, 3)}
    assert {one["properties"]["pm10"] for one in drawn} == {3.0, 4.0, 5.0}
    assert {name for one in drawn for name in one["properties"]} <= {"uri", "id", "pm10"}


def test_unpublished_places_stay(opened, town):
    ask, row = opened
    with tenancy.scope(town.id):
        row.columns = ["id", "pm10"]
        row.save()
    assert {one["geometry"] for one in ask(f"{AT}/items").json()["features"]} == {None}
    ask(f"{AT}/items", status=400, bbox="-9,40,-8,42")
    ask(f"{AT}/tiles/WebMercatorQuad/5/11/15", status=404)


def test_what_was_withdrawn_is_gone(opened, town):
    ask, row = opened
    with tenancy.scope(town.id):
        opendata.withdraw(town, row, actor="person:1", reason="engano")
    assert "ambiente@exemplo.pt" in ask(f"{AT}/items", status=410).text
    assert ask("/collections").json()["collections"] == []
    ask("/collections/nunca-houve", status=404)


def test_columns_about_people_stay_even_when_they_are_named(opened, town):
    ask, _row = opened
    write(
        town,
        ("urn:x:Incident:1", "Incident", {"category": {"type": "Property", "value": "Ruído"}, "reportedById": {"type": "Property", "value": "ana@exemplo.pt"}}),
    )
    with tenancy.scope(town.id):
        other = opendata.begin(town, "Incident", person_id=None, title="Ocorrências")
        other.columns = ["id", "category", "reportedById"]
        other.description_pt, other.contact_name, other.contact_email = "O que se encontrou na rua.", "Câmara", "camara@exemplo.pt"
        opendata.publish(town, other, person_id=None, actor="person:1")
    assert [one["properties"] for one in ask("/collections/ocorrencias/items").json()["features"]] == [{"category": "Ruído"}]
    ask("/collections/ocorrencias/items", status=400, filter="reportedById = 'ana@exemplo.pt'")
