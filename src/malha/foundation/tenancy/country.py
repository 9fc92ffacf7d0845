"""The country as facts: 308 municipalities, their communities, NUTS III of 2024. Django-free.

The tables in `facts/` are our own work. Membership: Lei 75/2013 (annex II) and the NUTS of 2024 (Regulation (EU)
2023/674), in which Sertã and Vila de Rei belong to Beira Baixa. Codes, centres and extents: DGT's administrative
map (CAOP, open data), rounded to two decimals.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from malha.foundation.tenancy.contracts import Entity, Municipality, Nuts3, OrganisationKind, UnknownMunicipality, UnknownOrganisation
from malha.kernel.text import msg, slug, sort_key

FACTS = Path(__file__).parent / "facts"


def _rows(name: str) -> Iterator[dict[str, str]]:
    with (FACTS / name).open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


@cache
def municipalities() -> dict[str, Municipality]:
    """All municipalities by DICO, the four-digit code of CAOP (a text: it may begin with zero)."""
    rows = list(_rows("municipalities.csv"))
    names = Counter(row["name"] for row in rows)
    return {row["dico"]: _municipality(row, repeated=names[row["name"]] > 1) for row in rows}


def _municipality(row: dict[str, str], *, repeated: bool) -> Municipality:
    west, south, east, north = (float(row[side]) for side in ("west", "south", "east", "north"))
    apart = f" {row['district']}" if repeated else ""  # Lagoa and Calheta are two each
    return Municipality(
        dico=row["dico"], name=row["name"], slug=slug(row["name"] + apart), district=row["district"], island=row["island"], nuts3=row["nuts3"],
        entity=row["entity"], time_zone=row["time_zone"], crs=row["crs"], centre=(float(row["longitude"]), float(row["latitude"])),
        extent=(west, south, east, north),
    )  # fmt: skip


def listed() -> list[tuple[str, str]]:
    """DICO and name of every municipality in the Portuguese order; of the names that are two, with the district or island."""
    towns = municipalities().values()
    names = Counter(one.name for one in towns)
    told = ((one.dico, one.name if names[one.name] == 1 else f"{one.name} ({one.island or one.district})") for one in towns)
    return sorted(told, key=lambda one: sort_key(one[1]))


def municipality(dico: str) -> Municipality:
    """The municipality with that code. Raises UnknownMunicipality."""
    found = municipalities().get(dico)
    if found is None:
        raise UnknownMunicipality(msg("Não há nenhum município com o código DICO “{dico}”. Tem quatro algarismos, por exemplo 0105."), dico=dico)
    return found


@cache
def entities() -> dict[str, Entity]:
    """CIM, metropolitan areas and autonomous regions by address."""
    return {row["slug"]: Entity(row["slug"], OrganisationKind(row["kind"]), row["name"]) for row in _rows("entities.csv")}


def entity(name: str) -> Entity:
    """The community with that address. Raises UnknownOrganisation."""
    found = entities().get(name)
    if found is None:
        raise UnknownOrganisation(msg("Não há nenhuma organização em “{slug}”."), slug=name)
    return found


def members(entity_slug: str) -> list[Municipality]:
    """The municipalities of a community by law, by DICO."""
    return [one for one in municipalities().values() if one.entity == entity_slug]


@cache
def nuts3() -> dict[str, Nuts3]:
    """NUTS III regions of 2024 by code."""
    return {row["nuts3"]: Nuts3(row["nuts3"], row["name"], row["nuts2"], row["nuts2_name"]) for row in _rows("nuts.csv")}
