"""Boundaries by edition, places of points, streets and addresses. The only door of this room; Django-free.

Every function takes a connection: inside the tenant's transaction, or any for what is national.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import psycopg
from shapely.geometry import mapping

from malha.foundation.tenancy import country
from malha.kernel.text import normalise
from malha.vocabulary.territory import boundaries, caop, files, gazetteer
from malha.vocabulary.territory.contracts import Boundary, Geocoded, ImportOutcome, Level, Place, Quality, Street

editions = boundaries.editions
find_boundary = boundaries.find
boundaries_in = boundaries.in_box
search_boundaries = boundaries.search
search_streets = gazetteer.search
street_counts = gazetteer.counts
of_municipality = boundaries.of_municipality


def import_boundaries(
    connection: psycopg.Connection,
    tenant_id: int | None,
    path: Path,
    *,
    edition: str,
    valid_from: date,
    layer: str = "",
    crs: str = "",
    level: Level | None = None,
) -> ImportOutcome:
    """Take in a GeoJSON or GeoPackage of boundaries as an edition, for a tenant or (None, as owner of the tables) the nation.

    The same edition again replaces itself; older ones end on `valid_from`. Raises UnusableBoundaries.
    """
    rows, refused = caop.rows(files.read(path, layer=layer, crs=crs), level)
    boundaries.take_in(connection, tenant_id, rows, edition=edition, valid_from=valid_from)
    taken: dict[str, int] = {}
    for row in rows:
        taken[row.level.value] = taken.get(row.level.value, 0) + 1
    return ImportOutcome(taken, tuple(refused))


def import_streets(connection: psycopg.Connection, tenant_id: int, path: Path, *, crs: str, source: str = "") -> ImportOutcome:
    """Take in a CSV of streets and doors (rua, numero, x, y, …); the same source again replaces itself. Raises UnusableStreets."""
    rows, refused = gazetteer.read(path, crs)
    outcome = gazetteer.take_in(connection, tenant_id, rows, source=source or path.stem)
    return ImportOutcome(outcome.taken, tuple(refused))


def locate(connection: psycopg.Connection, tenant_id: int | None, longitude: float, latitude: float, *, at: date | None = None) -> Place:
    """Where a point lies (degrees of EPSG:4326): parish, municipality, district, NUTS, by the boundaries in force at `at`."""
    return boundaries.locate_many(connection, tenant_id, [longitude], [latitude], at=at)[0]


def locate_many(
    connection: psycopg.Connection, tenant_id: int | None, longitudes: Sequence[float], latitudes: Sequence[float], *, at: date | None = None
) -> list[Place]:
    """As `locate`, for a batch; NaN where there is no point."""
    return boundaries.locate_many(connection, tenant_id, longitudes, latitudes, at=at)


def complete_address(connection: psycopg.Connection, point: tuple[float, float], tenant_id: int | None = None, *, dico: str = "") -> dict[str, str]:
    """The national address that a point (longitude, latitude) tells: country, municipality, NUTS II, district; empty when nothing does.

    `dico` is the tenant's own municipality, which serves where no boundary is imported and the point lies in its extent.
    """
    return complete_addresses(connection, [point[0]], [point[1]], tenant_id, dico=dico)[0]


def complete_addresses(
    connection: psycopg.Connection, longitudes: Sequence[float], latitudes: Sequence[float], tenant_id: int | None = None, *, dico: str = ""
) -> list[dict[str, str]]:
    """As `complete_address`, for a batch; points of one place share one dict, so do not change it."""
    own, facts = boundaries.of_municipality(dico).address, country.municipalities().get(dico)
    made: dict[int, dict[str, str]] = {}
    outcome: list[dict[str, str]] = []
    for place, x, y in zip(boundaries.locate_many(connection, tenant_id, longitudes, latitudes), longitudes, latitudes, strict=True):
        address = made.setdefault(id(place), place.address)
        if not address and facts is not None and facts.extent[0] <= x <= facts.extent[2] and facts.extent[1] <= y <= facts.extent[3]:
            address = own
        outcome.append(address)
    return outcome


def geocode(connection: psycopg.Connection, tenant_id: int, address: str) -> Geocoded | None:
    """The point of an address in the tenant's own streets and how sure it is; where no street is like it, the middle of a parish that it names."""
    found = gazetteer.geocode(connection, tenant_id, address)
    if found is not None:
        return found
    for piece in reversed([piece.strip() for piece in address.split(",") if len(piece.strip()) > 2]):
        for boundary in boundaries.search(connection, tenant_id, piece, limit=5):
            if boundary.level is Level.PARISH and normalise(boundary.name) == normalise(piece):
                middle = boundaries.shapes(connection, [boundary])[0].representative_point()
                return Geocoded(middle.x, middle.y, Quality.PARISH, boundary.name)
    return None


def suggest_streets(connection: psycopg.Connection, tenant_id: int, text: str, *, limit: int = 10) -> list[Street]:
    """Streets to offer while somebody types."""
    return gazetteer.search(connection, tenant_id, text, limit=limit)


def as_geojson(connection: psycopg.Connection, found: Sequence[Boundary], *, tolerance: float = 0.0) -> dict[str, object]:
    """Boundaries as a GeoJSON FeatureCollection; `tolerance` in degrees simplifies the lines for a screen."""
    features: list[dict[str, object]] = []
    for boundary, shape in zip(found, boundaries.shapes(connection, found), strict=True):
        drawn = shape.simplify(tolerance) if tolerance else shape
        properties = {"level": boundary.level.value, "code": boundary.code, "name": boundary.name, "municipality": boundary.municipality}
        features.append({"type": "Feature", "id": boundary.id, "properties": properties, "geometry": mapping(drawn)})
    return {"type": "FeatureCollection", "features": features}


def area_of_municipality(connection: psycopg.Connection, tenant_id: int | None, dico: str) -> dict[str, object]:
    """The territory of a municipality as a GeoJSON (Multi)Polygon, simplified to some ten metres. Raises UnknownBoundary where it was not imported."""
    found = boundaries.find(connection, tenant_id, Level.MUNICIPALITY, dico)
    shape = boundaries.shapes(connection, [found])[0]
    return dict(mapping(shape.simplify(0.0001)))
