import csv
from collections import Counter

import pytest

from malha.foundation.tenancy import country
from malha.foundation.tenancy.contracts import OrganisationKind, UnknownMunicipality
from malha.kernel.text import normalise

#: the two municipalities called Calheta: the sample adds the island to one
OTHER_NAMES = {"4501": "Calheta de São Jorge"}


def test_it_works():
    lisbon = country.municipality("1106")
    assert (lisbon.name, lisbon.nuts3, lisbon.entity, lisbon.crs) == ("Lisboa", "PT1A0", "am-lisboa", "EPSG:3763")
    with pytest.raises(UnknownMunicipality):
        country.municipality("9999")


def test_the_country_adds_up():
    towns = country.municipalities().values()
    assert len(towns) == 308
    by_entity = Counter(town.entity for town in towns)
    kinds = Counter(entity.kind for entity in country.entities().values())
    assert kinds == {OrganisationKind.INTERMUNICIPAL_COMMUNITY: 21, OrganisationKind.METROPOLITAN_AREA: 2, OrganisationKind.AUTONOMOUS_REGION: 2}
    assert set(by_entity) == set(country.entities())
    assert (by_entity["am-lisboa"], by_entity["am-porto"], by_entity["ra-madeira"], by_entity["ra-acores"]) == (18, 17, 11, 19)
    communities = {slug for slug, entity in country.entities().items() if entity.kind == OrganisationKind.INTERMUNICIPAL_COMMUNITY}
    assert sum(by_entity[slug] for slug in communities) == 243


def test_each_community_has_its_members():
    sizes = {
        "cim-alto-minho": 10, "cim-cavado": 6, "cim-ave": 8, "cim-alto-tamega-e-barroso": 6, "cim-tamega-e-sousa": 11, "cim-douro": 19,
        "cim-terras-de-tras-os-montes": 9, "cim-algarve": 16, "cim-regiao-de-aveiro": 11, "cim-regiao-de-coimbra": 19, "cim-regiao-de-leiria": 10,
        "cim-viseu-dao-lafoes": 14, "cim-beira-baixa": 8, "cim-beiras-e-serra-da-estrela": 15, "cim-medio-tejo": 11, "cim-oeste": 12,
        "cim-leziria-do-tejo": 11, "cim-alentejo-litoral": 5, "cim-baixo-alentejo": 13, "cim-alto-alentejo": 15, "cim-alentejo-central": 14,
    }  # fmt: skip
    assert {slug: len(country.members(slug)) for slug in sizes} == sizes


def test_nuts_of_2024():
    assert len(country.nuts3()) == 26
    assert {town.nuts3 for town in country.municipalities().values()} == set(country.nuts3())
    assert {region.nuts2 for region in country.nuts3().values()} == {"PT11", "PT15", "PT19", "PT1A", "PT1B", "PT1C", "PT1D", "PT20", "PT30"}
    assert country.municipality("0510").nuts3 == country.municipality("0509").nuts3 == "PT195"  # Vila de Rei and Sertã moved in 2024


def test_keys_and_places_hold():
    towns = country.municipalities().values()
    assert len({town.slug for town in towns}) == 308
    assert all(len(dico) == 4 and dico.isdigit() for dico in country.municipalities())
    for town in towns:
        west, south, east, north = town.extent
        assert west < town.centre[0] < east, town.name
        assert south < town.centre[1] < north, town.name
    assert {town.time_zone for town in towns if town.dico[0] == "4"} == {"Atlantic/Azores"}
    assert {town.time_zone for town in towns if town.dico[0] == "3"} == {"Atlantic/Madeira"}
    assert {town.crs for town in towns if town.dico[0] in "34"} == {"EPSG:5014", "EPSG:5015", "EPSG:5016"}
    assert {town.crs for town in towns if town.dico[0] not in "34"} == {"EPSG:3763"}


def test_names_repeat_but_addresses_do_not():
    repeated = [name for name, count in Counter(town.name for town in country.municipalities().values()).items() if count > 1]
    assert sorted(repeated) == ["Calheta", "Lagoa"]
    assert country.municipality("0806").slug == "lagoa-faro"
    assert country.municipality("4201").slug == "lagoa-acores"


def test_they_are_listed_in_the_order_of_portuguese_and_told_apart():
    listed = [name for _dico, name in country.listed()]
    assert listed.index("Câmara de Lobos") < listed.index("Caminha") < listed.index("Cuba")
    assert {"Lagoa (Faro)", "Lagoa (São Miguel)", "Calheta (Madeira)", "Calheta (São Jorge)"} <= set(listed)
    assert len(set(listed)) == len(listed) == 308


def test_the_samples_agree(samples):
    file = samples / "territory" / "municipalities.csv"
    if not file.exists():
        pytest.skip("a pasta de exemplos não tem territory/municipalities.csv")
    rows = {row["dico"]: row for row in csv.DictReader(file.open(encoding="utf-8"))}
    assert set(rows) == set(country.municipalities())
    for dico, row in rows.items():
        town = country.municipality(dico)
        assert normalise(row["name"]) == normalise(OTHER_NAMES.get(dico, town.name))
        assert abs(float(row["lon"]) - town.centre[0]) <= 0.006
        assert abs(float(row["lat"]) - town.centre[1]) <= 0.006
