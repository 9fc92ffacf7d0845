"""Boundaries in files named as the official map of Portugal (CAOP) names its columns, over its editions; other files by their names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import shapely
from pyproj import Geod
from shapely.geometry.base import BaseGeometry

from malha.foundation.tenancy import country
from malha.kernel.text import msg, sentence, unaccent
from malha.vocabulary.territory.contracts import Level, UnusableBoundaries
from malha.vocabulary.territory.files import Feature

#: column of ours → names in CAOP editions (2012 to 2025) and in the usual derived files, without accents, lower case
COLUMNS: dict[str, tuple[str, ...]] = {
    "parish_code": ("dtmnfr", "dicofre", "dicofre24", "dtmnfr24", "cod_freguesia", "codigo_freguesia"),
    "dico": ("dtmn", "dico", "cod_municipio", "codigo_municipio", "dtcc"),
    "district_code": ("dt", "di", "cod_distrito"),
    "parish": ("designacao_simplificada", "des_simpli", "freguesia", "nome_freguesia"),
    "parish_full": ("freguesia", "nome_freguesia"),
    "municipality": ("municipio", "concelho", "nome_municipio"),
    "district": ("distrito_ilha", "distrito", "district", "ilha"),
    "nuts3": ("nuts3_cod", "cod_nuts3", "nuts3"),
    "nuts2": ("nuts2", "nuts_ii", "addressregion"),
    "code": ("code", "codigo", "cod", "id", "ref", "fid"),
    "name": ("name", "nome", "designacao", "zona", "bairro", "setor", "sector"),
}
_GEOD = Geod(ellps="GRS80")


@dataclass(frozen=True, slots=True)
class BoundaryRow:
    """One boundary ready to be kept; `geometry` is valid, in EPSG:4326."""

    level: Level
    code: str
    name: str
    full_name: str
    dico: str
    municipality: str
    district: str
    nuts3: str
    nuts2: str
    area_km2: float
    geometry: BaseGeometry


def rows(features: Iterable[Feature], level: Level | None = None) -> tuple[list[BoundaryRow], list[tuple[str, str]]]:
    """The boundaries of a file, parts of one code united, and what was left out with the reason.

    The level is told by the code: six digits a parish, four a municipality, two a district, anything else a zone.
    Raises UnusableBoundaries where no column names the places.
    """
    grouped: dict[tuple[Level, str], list[tuple[dict[str, str], BaseGeometry]]] = {}
    refused: list[tuple[str, str]] = []
    for number, feature in enumerate(features, 1):
        columns = _columns(feature.columns)
        found, code, name = _identity(columns, level)
        if not code:
            refused.append((sentence(msg("linha {number}"), number=number), msg("não tem código nem nome")))
            continue
        geometry = _polygon(feature.geometry)
        if geometry is None:
            refused.append((name or code, msg("não tem uma área")))
            continue
        grouped.setdefault((found, code), []).append(({**columns, "name": name}, geometry))
    if not grouped:
        raise UnusableBoundaries(msg("O ficheiro não tem limites que se entendam: faltam colunas como dtmnfr, dtmn, municipio ou nome."))
    return [_row(found, code, parts) for (found, code), parts in grouped.items()], refused


def _columns(columns: Mapping[str, Any]) -> dict[str, str]:
    folded = {unaccent(str(name)).lower().strip(): value for name, value in columns.items()}
    said: dict[str, str] = {}
    for ours, theirs in COLUMNS.items():
        value = next((folded[each] for each in theirs if folded.get(each) not in {None, ""}), None)
        if value is not None:
            said[ours] = str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
    return said


def _identity(columns: Mapping[str, str], level: Level | None) -> tuple[Level, str, str]:
    """(level, code, name) of a row."""
    parish, dico, district = _digits(columns, "parish_code", 6), _digits(columns, "dico", 4), _digits(columns, "district_code", 2)
    if level in {None, Level.PARISH} and parish:
        return Level.PARISH, parish, columns.get("parish", columns.get("name", parish))
    if level in {None, Level.MUNICIPALITY} and dico:
        return Level.MUNICIPALITY, dico, columns.get("municipality", columns.get("name", dico))
    if level in {None, Level.DISTRICT} and district:
        return Level.DISTRICT, district, columns.get("district", columns.get("name", district))
    name = columns.get("name", columns.get("parish", columns.get("municipality", "")))
    return level or Level.ZONE, columns.get("code", name), name or columns.get("code", "")


def _digits(columns: Mapping[str, str], name: str, length: int) -> str:
    """A code of that length; programs eat the zero in front."""
    value = columns.get(name, "")
    return value.zfill(length) if value.isdigit() and len(value) in {length, length - 1} else ""


def _polygon(geometry: BaseGeometry | None) -> BaseGeometry | None:
    """The area of a geometry, mended where it crosses itself; None where it has none."""
    if geometry is None or geometry.is_empty:
        return None
    valid = geometry if geometry.is_valid else shapely.make_valid(geometry)
    if valid.geom_type == "GeometryCollection":
        valid = shapely.union_all([part for part in valid.geoms if part.geom_type.endswith("Polygon")])
    return valid if valid.geom_type in {"Polygon", "MultiPolygon"} and not valid.is_empty else None


def _row(level: Level, code: str, parts: list[tuple[dict[str, str], BaseGeometry]]) -> BoundaryRow:
    columns = parts[0][0]
    geometry = parts[0][1] if len(parts) == 1 else shapely.union_all([part for _, part in parts])
    dico = code[:4] if level is Level.PARISH else code if level is Level.MUNICIPALITY else _digits(columns, "dico", 4)
    facts = country.municipalities().get(dico)
    region = country.nuts3().get(facts.nuts3) if facts else None
    municipality = columns.get("municipality", "") or (columns["name"] if level is Level.MUNICIPALITY else "")
    return BoundaryRow(
        level=level,
        code=code,
        name=facts.name if facts and level is Level.MUNICIPALITY else columns["name"],
        full_name=columns.get("parish_full", "") if level is Level.PARISH else "",
        dico=dico,
        municipality=facts.name if facts else municipality,
        district=facts.district if facts else columns.get("district", ""),
        nuts3=facts.nuts3 if facts else columns.get("nuts3", ""),
        nuts2=region.nuts2_name if region else columns.get("nuts2", ""),
        area_km2=abs(_GEOD.geometry_area_perimeter(geometry)[0]) / 1e6,
        geometry=geometry,
    )
