import json
from datetime import date

import pytest
import shapely
from pyproj import Transformer

from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.foundation.language import service as language
from malha.vocabulary.territory import boundaries, service
from malha.vocabulary.territory.contracts import Level, UnknownBoundary, UnusableBoundaries

FIRST, SECOND = date(2020, 1, 1), date(2025, 10, 13)


def test_it_works(connection, new_tenant, parish_map):
    tenant = new_tenant()
    with database.tenant_transaction(connection, [tenant.id]):
        outcome = service.import_boundaries(connection, tenant.id, parish_map(), edition="CAOP 2025", valid_from=FIRST)
        assert outcome.taken == {"parish": 3}
        place = service.locate(connection, tenant.id, -8.419, 40.201)
    assert (place.parish, place.parish_code, place.municipality, place.district, place.nuts2) == ("Ribeira", "990101", "Vila Fictícia", "Coimbra", "Centro")
    assert place.address == {"addressCountry": "Portugal", "addressLocality": "Vila Fictícia", "addressRegion": "Centro", "district": "Coimbra"}


@pytest.mark.parametrize(
    ("crs", "centre"),
    [
        ("EPSG:3763", (-8.42, 40.2)),
        ("EPSG:27493", (-8.42, 40.2)),
        ("EPSG:20790", (-8.42, 40.2)),
        ("EPSG:5014", (-31.2, 39.45)),
        ("EPSG:5015", (-25.6, 37.75)),
        ("EPSG:5016", (-16.9, 32.7)),
        ("EPSG:25829", (-8.42, 40.2)),
    ],
)
def test_every_portuguese_system_comes_out_in_degrees(connection, new_tenant, parish_map, crs, centre):
    """The square is drawn from `centre` in that system; a point 100 m inside, placed by pyproj alone, has to fall in it."""
    tenant = new_tenant()
    with database.tenant_transaction(connection, [tenant.id]):
        service.import_boundaries(connection, tenant.id, parish_map(crs, centre), edition="x", valid_from=FIRST)
        x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(*centre)
        inside = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(x + 100, y + 100)
        outside = Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform(x - 100, y - 100)
        assert service.locate(connection, tenant.id, *inside).parish == "Ribeira"
        assert service.locate(connection, tenant.id, *outside).parish == ""
        (area,) = {round(boundary.area_km2, 2) for boundary in service.search_boundaries(connection, tenant.id, "ribeira") if not boundary.is_national}
    assert area == pytest.approx(1.0, abs=0.02)


def test_parishes_change_by_edition_and_dates_find_the_old_ones(connection, new_tenant, parish_map):
    tenant = new_tenant()
    point = (-8.419, 40.201)
    with database.tenant_transaction(connection, [tenant.id]):
        service.import_boundaries(connection, tenant.id, parish_map(), edition="2020", valid_from=FIRST)
        service.import_boundaries(connection, tenant.id, parish_map(names=("Ribeira Nova",)), edition="2025", valid_from=SECOND)
        assert service.locate(connection, tenant.id, *point).parish == "Ribeira Nova"
        assert service.locate(connection, tenant.id, *point, at=date(2024, 6, 1)).parish == "Ribeira"
        assert [(edition.edition, edition.count, edition.valid_to) for edition in service.editions(connection, tenant.id) if not edition.is_national] == [
            ("2025", 1, None),
            ("2020", 3, SECOND),
        ]
        with pytest.raises(UnknownBoundary):
            service.find_boundary(connection, tenant.id, Level.PARISH, "990102")
        assert service.find_boundary(connection, tenant.id, Level.PARISH, "990102", at=FIRST).name == "Outeiro"


def test_the_same_edition_again_replaces_itself(connection, new_tenant, parish_map):
    tenant = new_tenant()
    with database.tenant_transaction(connection, [tenant.id]):
        for _ in range(2):
            service.import_boundaries(connection, tenant.id, parish_map(), edition="2025", valid_from=FIRST)
        assert [edition.count for edition in service.editions(connection, tenant.id) if not edition.is_national] == [3]


def test_an_older_edition_that_comes_later_ends_where_the_newer_begins(connection, new_tenant, parish_map):
    tenant = new_tenant()
    with database.tenant_transaction(connection, [tenant.id]):
        service.import_boundaries(connection, tenant.id, parish_map(), edition="2025", valid_from=SECOND)
        service.import_boundaries(connection, tenant.id, parish_map(), edition="2020", valid_from=FIRST)
        assert {(edition.edition, edition.valid_to) for edition in service.editions(connection, tenant.id) if not edition.is_national} == {
            ("2025", None),
            ("2020", SECOND),
        }


def test_another_tenant_sees_none_of_it(connection, new_tenant, parish_map):
    one, other = new_tenant(), new_tenant()
    with database.tenant_transaction(connection, [one.id]):
        service.import_boundaries(connection, one.id, parish_map(), edition="2025", valid_from=FIRST)
    with database.tenant_transaction(connection, [other.id]):
        assert service.locate(connection, other.id, -8.419, 40.201).parish == ""
        assert service.locate(connection, one.id, -8.419, 40.201).parish == ""


def test_the_application_cannot_write_boundaries_of_the_nation(connection, parish_map):
    with pytest.raises(Exception, match="permission denied"):
        service.import_boundaries(connection, None, parish_map(), edition="2025", valid_from=FIRST)


def test_zones_come_from_any_geojson_with_names(connection, new_tenant, tmp_path):
    square = {"type": "Polygon", "coordinates": [[[-8.43, 40.19], [-8.41, 40.19], [-8.41, 40.21], [-8.43, 40.21], [-8.43, 40.19]]]}
    bow = {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}
    features = [
        {"type": "Feature", "properties": {"nome": "Setor 1"}, "geometry": square},
        {"type": "Feature", "properties": {"nome": "Laço"}, "geometry": bow},
        {"type": "Feature", "properties": {"nome": "Vazio"}, "geometry": None},
        {"type": "Feature", "properties": {}, "geometry": square},
    ]
    path = tmp_path / "zonas.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8")
    tenant = new_tenant()
    with database.tenant_transaction(connection, [tenant.id]):
        outcome = service.import_boundaries(connection, tenant.id, path, edition="1", valid_from=FIRST)
        assert outcome.taken == {"zone": 2}
        said = [tuple(language.word(text, tongue) for text in one) for tongue in ("pt-pt", "en") for one in outcome.refused]
        assert said[:2] == [("Vazio", "não tem uma área"), ("linha 4", "não tem código nem nome")]
        assert said[2:] == [("Vazio", "has no area"), ("row 4", "has neither code nor name")]
        assert service.locate(connection, tenant.id, -8.42, 40.2).zones == ("Setor 1",)
        bow_tie = service.search_boundaries(connection, tenant.id, "laco")
        assert shapely.is_valid(boundaries.shapes(connection, bow_tie)).all()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        '{"type": "FeatureCollection", "features": []}',
        '{"features": [{"properties": {"nome": "a"}, "geometry": {"type": "Point", "coordinates": [50000, 60000]}}]}',
    ],
)
def test_a_file_that_holds_no_boundaries_is_said(connection, new_tenant, tmp_path, content):
    path = tmp_path / "mau.geojson"
    path.write_text(content, encoding="utf-8")
    tenant = new_tenant()
    with pytest.raises(UnusableBoundaries), database.tenant_transaction(connection, [tenant.id]):
        service.import_boundaries(connection, tenant.id, path, edition="1", valid_from=FIRST)


def test_without_boundaries_the_facts_about_the_municipality_serve(connection, new_tenant):
    tenant = new_tenant(dico="0105")
    with database.tenant_transaction(connection, [tenant.id]):
        address = service.complete_address(connection, (-8.65, 40.64), tenant.id, dico="0105")
        assert (address["addressLocality"], address["addressRegion"], address["district"]) == ("Aveiro", "Centro", "Aveiro")
        assert service.complete_address(connection, (-7.0, 38.0), tenant.id, dico="0105") == {}


@pytest.mark.samples
def test_the_308_municipalities_hold_the_points_that_lie_in_them(samples, new_tenant):
    import csv

    with (samples / "territory" / "municipalities.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    with database.connect(Role.OWNER) as owner:
        outcome = service.import_boundaries(owner, None, samples / "territory" / "municipalities.geojson", edition="308", valid_from=FIRST)
    assert outcome.taken == {"municipality": 308}
    assert outcome.refused == ()
    with database.connect() as connection:
        places = service.locate_many(connection, None, [float(row["lon"]) for row in rows], [float(row["lat"]) for row in rows])
        assert [place.dico for place in places] == [row["dico"] for row in rows]
        assert len({place.nuts2 for place in places}) == 9
        assert all(len(place.address) == 4 for place in places)
        lagoas = [found for found in service.search_boundaries(connection, None, "lagoa") if found.name == "Lagoa"]
        assert {found.dico for found in lagoas} == {"0806", "4201"}
        batch = service.complete_addresses(connection, [-8.61] * 1000, [41.15] * 1000)
        assert {address["addressLocality"] for address in batch} == {"Porto"}
        assert len({id(address) for address in batch}) == 1
    with database.connect(Role.OWNER) as owner:
        owner.execute("DELETE FROM national_boundary WHERE edition = '308'")
