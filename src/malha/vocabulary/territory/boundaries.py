"""Boundaries in the database: editions taken in, and points placed in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import psycopg
import shapely
from psycopg import sql
from shapely.geometry.base import BaseGeometry

from malha.foundation.tenancy import country
from malha.kernel.text import msg, normalise, sort_key
from malha.kernel.time import now
from malha.vocabulary.territory.caop import BoundaryRow
from malha.vocabulary.territory.contracts import Boundary, Edition, Level, Place, UnknownBoundary

_FIELDS = (
    "level", "code", "name", "full_name", "search", "sort_key", "dico", "municipality", "district", "nuts3", "nuts2", "edition", "valid_from", "area_km2",
    "bbox", "geometry",
)  # fmt: skip
_READ = sql.SQL(
    "id, level, code, name, full_name, dico, municipality, district, nuts3, nuts2, edition, valid_from, valid_to, area_km2,"
    " (bbox[1])[0], (bbox[1])[1], (bbox[0])[0], (bbox[0])[1]"
)
_NATIONAL, _OWN = sql.Identifier("national_boundary"), sql.Identifier("own_boundary")
_IN_FORCE = sql.SQL("valid_from <= %(at)s AND (valid_to IS NULL OR valid_to > %(at)s)")


def take_in(connection: psycopg.Connection, tenant_id: int | None, rows: Sequence[BoundaryRow], *, edition: str, valid_from: date) -> None:
    """Keep `rows` as an edition: the same edition is replaced, older ones of the same levels end where this begins.

    For a tenant inside its transaction; for the nation (None) as owner of the tables.
    """
    table, own = (_NATIONAL, sql.SQL("")) if tenant_id is None else (_OWN, sql.SQL("tenant_id = %(tenant)s AND"))
    params: dict[str, Any] = {"tenant": tenant_id, "edition": edition, "from": valid_from, "levels": sorted({row.level for row in rows})}
    connection.execute(sql.SQL("DELETE FROM {} WHERE {} edition = %(edition)s AND level = ANY(%(levels)s)").format(table, own), params)
    connection.execute(
        sql.SQL(
            "UPDATE {} SET valid_to = %(from)s WHERE {} level = ANY(%(levels)s) AND valid_from < %(from)s AND (valid_to IS NULL OR valid_to > %(from)s)"
        ).format(table, own),
        params,
    )
    ends = connection.execute(
        sql.SQL("SELECT level, min(valid_from) FROM {} WHERE {} level = ANY(%(levels)s) AND valid_from > %(from)s GROUP BY level").format(table, own), params
    ).fetchall()
    _insert(connection, table, tenant_id, rows, params, dict(ends))


def _insert(
    connection: psycopg.Connection, table: sql.Identifier, tenant_id: int | None, rows: Sequence[BoundaryRow], params: dict[str, Any], ends: dict[str, date]
) -> None:
    names = [*_FIELDS, "valid_to"] if tenant_id is None else ["tenant_id", *_FIELDS, "valid_to"]
    insert = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
        table, sql.SQL(", ").join(map(sql.Identifier, names)), sql.SQL(", ").join([sql.Placeholder()] * len(names))
    )
    with connection.cursor() as cursor:
        cursor.executemany(insert, [([] if tenant_id is None else [tenant_id]) + [*_values(row, params), ends.get(row.level)] for row in rows])


def _values(row: BoundaryRow, params: dict[str, Any]) -> list[Any]:
    west, south, east, north = row.geometry.bounds
    return [
        row.level.value, row.code, row.name, row.full_name, normalise(row.name), sort_key(row.name), row.dico, row.municipality, row.district, row.nuts3,
        row.nuts2, params["edition"], params["from"], row.area_km2, f"({east},{north}),({west},{south})", shapely.to_wkb(row.geometry),
    ]  # fmt: skip


def _boundary(row: Sequence[Any], *, is_national: bool) -> Boundary:
    return Boundary(
        id=row[0], level=Level(row[1]), code=row[2], name=row[3], full_name=row[4], dico=row[5], municipality=row[6], district=row[7], nuts3=row[8], nuts2=row[9],
        edition=row[10], valid_from=row[11], valid_to=row[12], area_km2=row[13], bbox=(row[14], row[15], row[16], row[17]), is_national=is_national,
    )  # fmt: skip


def in_box(
    connection: psycopg.Connection, tenant_id: int | None, box: tuple[float, float, float, float], *, at: date | None = None, levels: Sequence[Level] = ()
) -> list[Boundary]:
    """The boundaries in force whose box touches `box` (west, south, east, north); a tenant's own hide national ones of the same level and code."""
    west, south, east, north = box
    params: dict[str, Any] = {
        "box": f"({east},{north}),({west},{south})",
        "at": at or now().date(),
        "tenant": tenant_id,
        "levels": [level.value for level in levels or Level],
    }
    condition = sql.SQL("bbox && %(box)s::box AND level = ANY(%(levels)s) AND {}").format(_IN_FORCE)
    found = [_boundary(row, is_national=True) for row in connection.execute(sql.SQL("SELECT {} FROM {} WHERE {}").format(_READ, _NATIONAL, condition), params)]
    if tenant_id is None:
        return found
    own_query = sql.SQL("SELECT {} FROM {} WHERE tenant_id = %(tenant)s AND {}").format(_READ, _OWN, condition)
    own = [_boundary(row, is_national=False) for row in connection.execute(own_query, params)]
    taken = {(boundary.level, boundary.code) for boundary in own}
    return own + [boundary for boundary in found if (boundary.level, boundary.code) not in taken]


#: geometries read lately, by (is national, id): a kept boundary never changes and its id is never given again
_read: dict[tuple[bool, int], BaseGeometry] = {}
_MOST_READ = 2_000


def shapes(connection: psycopg.Connection, found: Sequence[Boundary]) -> list[BaseGeometry]:
    """The geometry of each boundary, in EPSG:4326."""
    here = {(boundary.is_national, boundary.id): _read.get((boundary.is_national, boundary.id)) for boundary in found}
    for is_national, table in ((True, _NATIONAL), (False, _OWN)):
        ids = [boundary_id for (national, boundary_id), shape in here.items() if shape is None and national is is_national]
        if ids:
            for boundary_id, wkb in connection.execute(sql.SQL("SELECT id, geometry FROM {} WHERE id = ANY(%s)").format(table), [ids]):
                here[is_national, boundary_id] = shapely.from_wkb(bytes(wkb))
    if len(_read) + len(here) > _MOST_READ:
        _read.clear()
    known = {key: shape for key, shape in here.items() if shape is not None}
    _read.update(known)
    return [known[boundary.is_national, boundary.id] for boundary in found]


def locate_many(
    connection: psycopg.Connection, tenant_id: int | None, longitudes: Sequence[float], latitudes: Sequence[float], *, at: date | None = None
) -> list[Place]:
    """Where each point lies. In: degrees of EPSG:4326, NaN for no point; the same `Place` object serves points of one place."""
    x, y = np.asarray(longitudes, dtype=float), np.asarray(latitudes, dtype=float)
    places = [Place()] * len(x)
    real = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    if not len(real):
        return places
    box = (float(x[real].min()), float(y[real].min()), float(x[real].max()), float(y[real].max()))
    found = sorted(in_box(connection, tenant_id, box, at=at), key=lambda boundary: (boundary.level, boundary.code))
    if not found:
        return places
    tree = shapely.STRtree(shapes(connection, found))
    points, hits = tree.query(shapely.points(x[real], y[real]), predicate="intersects")
    of_point: dict[int, list[int]] = {}
    for point, hit in zip(points.tolist(), hits.tolist(), strict=True):
        of_point.setdefault(point, []).append(hit)
    known: dict[tuple[int, ...], Place] = {}
    for point, inside in of_point.items():
        key = tuple(sorted(inside))
        if key not in known:
            known[key] = _place([found[hit] for hit in key])
        places[int(real[point])] = known[key]
    return places


def _place(inside: Sequence[Boundary]) -> Place:
    """What the boundaries around a point say together, the first of a level on a border."""
    place = Place(zones=tuple(boundary.name for boundary in inside if boundary.level is Level.ZONE))
    for level in (Level.DISTRICT, Level.MUNICIPALITY, Level.PARISH):
        boundary = next((each for each in inside if each.level is level), None)
        if boundary is None:
            continue
        said = {name: getattr(boundary, name) for name in ("dico", "municipality", "district", "nuts3", "nuts2") if getattr(boundary, name)}
        if level is Level.DISTRICT:
            said = {"district": boundary.name}
        if level is Level.PARISH:
            said |= {"parish": boundary.name, "parish_code": boundary.code}
        place = replace(place, **said)
    return place


def of_municipality(dico: str) -> Place:
    """The place that the facts about a municipality tell, without any boundary; empty for an unknown code."""
    facts = country.municipalities().get(dico)
    if facts is None:
        return Place()
    return Place(dico=dico, municipality=facts.name, district=facts.district, nuts3=facts.nuts3, nuts2=country.nuts3()[facts.nuts3].nuts2_name)


def editions(connection: psycopg.Connection, tenant_id: int | None) -> list[Edition]:
    """The editions that are kept, national ones first, the newest of each level first."""
    grouped = "SELECT level, edition, valid_from, max(valid_to) FILTER (WHERE valid_to IS NOT NULL), count(*) FROM {} {} GROUP BY 1, 2, 3 ORDER BY 1, 3 DESC"
    found = [_edition(row, is_national=True) for row in connection.execute(sql.SQL(grouped).format(_NATIONAL, sql.SQL("")))]
    if tenant_id is not None:
        own = sql.SQL(grouped).format(_OWN, sql.SQL("WHERE tenant_id = %s"))
        found += [_edition(row, is_national=False) for row in connection.execute(own, [tenant_id])]
    return found


def _edition(row: Sequence[Any], *, is_national: bool) -> Edition:
    return Edition(Level(row[0]), row[1], row[2], row[3], row[4], is_national)


def search(connection: psycopg.Connection, tenant_id: int | None, text: str, *, limit: int = 20, at: date | None = None) -> list[Boundary]:
    """Boundaries in force whose name holds `text`, without accents; shorter names first."""
    params: dict[str, Any] = {"like": f"%{normalise(text)}%", "limit": limit, "at": at or now().date(), "tenant": tenant_id}
    condition = sql.SQL("search LIKE %(like)s AND {}").format(_IN_FORCE)
    order = sql.SQL("ORDER BY length(search), sort_key LIMIT %(limit)s")
    found: list[Boundary] = []
    if tenant_id is not None:
        own = sql.SQL("SELECT {} FROM {} WHERE tenant_id = %(tenant)s AND {} {}").format(_READ, _OWN, condition, order)
        found += [_boundary(row, is_national=False) for row in connection.execute(own, params)]
    national = sql.SQL("SELECT {} FROM {} WHERE {} {}").format(_READ, _NATIONAL, condition, order)
    found += [_boundary(row, is_national=True) for row in connection.execute(national, params)]
    return found[:limit]


def find(connection: psycopg.Connection, tenant_id: int | None, level: Level, code: str, *, at: date | None = None) -> Boundary:
    """The boundary of that level and code in force at `at` (today). Raises UnknownBoundary."""
    params: dict[str, Any] = {"level": level.value, "code": code, "at": at or now().date(), "tenant": tenant_id}
    condition = sql.SQL("level = %(level)s AND code = %(code)s AND {}").format(_IN_FORCE)
    if tenant_id is not None:
        row = connection.execute(sql.SQL("SELECT {} FROM {} WHERE tenant_id = %(tenant)s AND {}").format(_READ, _OWN, condition), params).fetchone()
        if row is not None:
            return _boundary(row, is_national=False)
    row = connection.execute(sql.SQL("SELECT {} FROM {} WHERE {}").format(_READ, _NATIONAL, condition), params).fetchone()
    if row is None:
        raise UnknownBoundary(msg("Não há nenhum limite com o código “{code}” nesse dia."), code=code)
    return _boundary(row, is_national=True)
