import time

import pytest

from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.vocabulary.territory import gazetteer, service
from malha.vocabulary.territory.contracts import Quality, UnusableStreets

STREETS = """rua;nº;código postal;localidade;freguesia;x;y
Rua da Conceição;2;3000-001;Baixa;Ribeira;-8,4200;40,2000
Rua da Conceição;10;3000-001;Baixa;Ribeira;-8,4192;40,2000
Rua da Conceição;12A;3000-001;Baixa;Ribeira;-8,4190;40,2001
Rua da Conceição;;3000-002;Alta;Outeiro;-8,4500;40,2500
Avenida 5 de Outubro;7;3000-100;Baixa;Ribeira;-8,4100;40,2100
Travessa do Poço;1;3000-200;Baixa;Ribeira;-8,4150;40,2050
;3;;;;-8,4;40,2
Rua sem sítio;3;;;;x;y
"""


@pytest.fixture
def town(connection, new_tenant, tmp_path):
    path = tmp_path / "ruas.csv"
    path.write_bytes(STREETS.encode("cp1252"))
    tenant = new_tenant()
    with database.tenant_transaction(connection, [tenant.id]):
        outcome = service.import_streets(connection, tenant.id, path, crs="EPSG:3763")
        assert outcome.taken == {"street": 4, "door": 5}
        assert [why for _, why in outcome.refused] == ["falta o nome da rua", "as coordenadas não são números"]
        yield connection, tenant.id


def test_it_works(town):
    found = service.geocode(*town, "R. da Conceicao, 10, 3000-001 Baixa")
    assert (found.quality, found.longitude, found.latitude) == (Quality.DOOR, -8.4192, 40.2)


@pytest.mark.parametrize(
    ("address", "quality", "point"),
    [
        ("Rua da Conceição 12 A", Quality.DOOR, (-8.419, 40.2001)),
        ("rua da conceição, n.º 6", Quality.NEAR_DOOR, (-8.4196, 40.2)),
        ("Av. 5 de Outubro", Quality.STREET, (-8.41, 40.21)),
        ("Avenida 5 de Outubro 7", Quality.DOOR, (-8.41, 40.21)),
        ("Rua da Conceição, Alta", Quality.STREET, (-8.45, 40.25)),
        ("Largo que não existe, 3000-200", Quality.POSTAL_CODE, (-8.415, 40.205)),
    ],
)
def test_each_address_says_how_sure_it_is(town, address, quality, point):
    found = service.geocode(*town, address)
    assert found.quality is quality
    assert (found.longitude, found.latitude) == pytest.approx(point, abs=1e-6)


def test_what_is_like_nothing_is_not_invented(town):
    assert service.geocode(*town, "Praceta dos Dragões, 4") is None


def test_streets_are_found_without_accents_and_in_part(town):
    assert service.search_streets(*town, "poco")[0].name == "Travessa do Poço"
    assert {street.locality for street in service.search_streets(*town, "CONCEICAO")} == {"Baixa", "Alta"}
    assert service.search_streets(*town, "  ") == []


def test_the_same_file_again_replaces_itself(town, tmp_path):
    connection, tenant_id = town
    service.import_streets(connection, tenant_id, tmp_path / "ruas.csv", crs="EPSG:3763")
    assert service.street_counts(connection, tenant_id) == [("ruas", 4, 5)]


def test_coordinates_in_metres_are_turned(connection, new_tenant, tmp_path):
    path = tmp_path / "metros.csv"
    path.write_text("Arruamento,Porta,M,P\nRua Um,1,-24439.29,59337.28\n", encoding="utf-8")
    tenant = new_tenant()
    with database.tenant_transaction(connection, [tenant.id]):
        service.import_streets(connection, tenant.id, path, crs="EPSG:3763")
        found = service.geocode(connection, tenant.id, "Rua Um 1")
    assert (found.longitude, found.latitude) == pytest.approx((-8.42, 40.2), abs=0.01)


def test_a_parish_in_the_address_is_better_than_nothing(connection, new_tenant, parish_map):
    from datetime import date

    tenant = new_tenant()
    with database.tenant_transaction(connection, [tenant.id]):
        service.import_boundaries(connection, tenant.id, parish_map(), edition="1", valid_from=date(2020, 1, 1))
        found = service.geocode(connection, tenant.id, "Caminho velho, Outeiro")
    assert (found.quality, found.label) == (Quality.PARISH, "Outeiro")


def test_a_file_without_the_columns_is_said(connection, new_tenant, tmp_path):
    path = tmp_path / "nada.csv"
    path.write_text("a;b\n1;2\n", encoding="utf-8")
    with pytest.raises(UnusableStreets):
        service.import_streets(connection, new_tenant().id, path, crs="EPSG:3763")


def test_another_tenant_sees_none_of_it(town, new_tenant):
    connection, _ = town
    assert service.search_streets(connection, new_tenant().id, "conceicao") == []


def test_searches_use_their_indexes(connection, new_tenant):
    """Row-level security switches off indexes whose operators are not leakproof; the views keep them."""
    tenant = new_tenant()
    with database.tenant_transaction(connection, [tenant.id]):
        connection.execute(
            "INSERT INTO street (tenant_id, name, search, longitude, latitude, source)"
            " SELECT %s, 'Rua ' || md5(n::text), 'rua ' || md5(n::text), -8, 40, 'x' FROM generate_series(1, 20000) n",
            [tenant.id],
        )
    with database.connect(Role.OWNER, autocommit=True) as owner:
        owner.execute("VACUUM ANALYZE territory_street")  # also empties the pending list of the index
    plans = {
        "territory_street_search": ("SELECT id FROM street WHERE search LIKE '%c4ca4238a0b9%'", None),
        "Index Scan": (gazetteer.SEARCH, {"tenant": tenant.id, "text": "rua c4ca4238a0b9", "like": "%c4ca4238a0b9%", "limit": 10}),
        "territory_boundary_bbox": ("SELECT id FROM own_boundary WHERE bbox && '((-8,40),(-9,39))'::box", None),
    }
    with database.tenant_transaction(connection, [tenant.id]):
        connection.execute("SET LOCAL enable_seqscan = off")
        for index, (query, params) in plans.items():
            plan = "\n".join(row[0] for row in connection.execute(f"EXPLAIN {query}", params))
            assert index in plan, plan
    with database.tenant_transaction(connection, [tenant.id]):
        began = time.process_time()
        assert service.search_streets(connection, tenant.id, "rua c4ca4238a0b923820dcc509a6f75849b")[0].likeness == 1
        assert time.process_time() - began < 0.5
