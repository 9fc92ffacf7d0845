"""Where things that move went: the track of a period as a line, and where one was at an instant. Django-free.

A position that nothing real reaches from the one before is an outlier and left out of the line; where the thing goes on
from there it is a jump, and the line goes on. Both are named. Where a track would follow a person, whoever may not read
what is about people gets it on a grid, and in steps of time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from malha.context.store.contracts import ObservationKind
from malha.history.temporal.contracts import Instance
from malha.kernel import geo
from malha.kernel.time import format_instant

#: types whose positions follow whoever drives or carries them, and the grid that hides that, in metres
FOLLOWING = {"FleetVehicleOperation": 250.0, "FleetVehicle": 250.0, "Vehicle": 250.0, "Person": 1000.0, "Animal": 250.0}
STEP = timedelta(minutes=5)
#: what nothing on a road reaches
FASTEST_KM_H = 200.0
#: between positions further apart than this nothing is said of where it was
GAP = timedelta(hours=1)


def coarse(told: Mapping[str, Sequence[Instance]], grid_m: float) -> dict[str, list[Instance]]:
    """The instances of an entity, by attribute, with every place on the grid; as they are where that is 0."""
    return {name: [_rounded(one, grid_m) if grid_m and one.kind == ObservationKind.GEOMETRY else one for one in these] for name, these in told.items()}


def _rounded(one: Instance, grid_m: float) -> Instance:
    return replace(one, text=on_grid(one.text, grid_m)) if one.text else one


def on_grid(geometry: str, grid_m: float) -> str:
    """A geometry, as GeoJSON text, with its corners on the grid of so many metres."""
    shape = msgspec.json.decode(geometry)
    if not isinstance(shape, dict) or "coordinates" not in shape:
        return geometry
    return msgspec.json.encode({**shape, "coordinates": _on_grid(shape["coordinates"], grid_m)}).decode()


def _on_grid(coordinates: Any, grid_m: float) -> Any:
    if coordinates and isinstance(coordinates[0], int | float):
        return [*geo.rounded((coordinates[0], coordinates[1]), grid_m), *coordinates[2:]]
    return [_on_grid(part, grid_m) for part in coordinates]


@dataclass(frozen=True, slots=True)
class Fix:
    """One position: longitude and latitude in degrees; `speed_km_h` from the one before that counts."""

    at: datetime
    longitude: float
    latitude: float
    speed_km_h: float | None = None


@dataclass(frozen=True, slots=True)
class Track:
    """Positions that make a line, oldest first; those left out; where it jumped; the grid (0: exact)."""

    fixes: tuple[Fix, ...] = ()
    outliers: tuple[Fix, ...] = ()
    jumps: tuple[Fix, ...] = ()
    grid_m: float = 0.0
    more: bool = False

    @property
    def length_m(self) -> float:
        """Along the line."""
        if len(self.fixes) < 2:
            return 0.0
        return float(geo.ELLIPSOID.line_length([one.longitude for one in self.fixes], [one.latitude for one in self.fixes]))


def grid(types: Iterable[str], *, personal: bool) -> float:
    """The grid in metres for things of these types; 0 where it follows nobody, or for whoever may read what is about people."""
    return 0.0 if personal else max((FOLLOWING.get(name, 0.0) for name in types), default=0.0)


def track(instances: Sequence[Instance], *, fastest_km_h: float = FASTEST_KM_H, grid_m: float = 0.0, more: bool = False) -> Track:
    """The track that instances of a GeoProperty make; what is no point is left out."""
    kept: list[Fix] = []
    outliers: list[Fix] = []
    jumps: list[Fix] = []
    waiting: Fix | None = None  # an outlier, until the next position says what it was
    for one in _points(instances):
        fix = _from(kept[-1] if kept else None, one)
        if fix.speed_km_h is None or fix.speed_km_h <= fastest_km_h:
            outliers += [waiting] if waiting else []
            waiting = None
            kept.append(fix)
            continue
        again = _from(waiting, one) if waiting else None
        if waiting and again and (again.speed_km_h is None or again.speed_km_h <= fastest_km_h):
            jumps.append(waiting)
            kept += [waiting, again]
            waiting = None
        else:
            outliers += [waiting] if waiting else []
            waiting = fix
    outliers += [waiting] if waiting else []
    if grid_m:
        kept, outliers, jumps = _coarse(kept, grid_m), _coarse(outliers, grid_m), _coarse(jumps, grid_m)
    return Track(tuple(kept), tuple(outliers), tuple(jumps), grid_m, more)


def _points(instances: Sequence[Instance]) -> Iterable[Fix]:
    last: datetime | None = None
    for one in instances:
        place: Any = msgspec.json.decode(one.text) if one.text else None
        if isinstance(place, Mapping) and place.get("type") == "Point" and one.at != last and one.dataset_id == 0:
            last = one.at
            yield Fix(one.at, float(place["coordinates"][0]), float(place["coordinates"][1]))


def _from(before: Fix | None, one: Fix) -> Fix:
    speed = geo.speed_km_h((before.longitude, before.latitude, before.at), (one.longitude, one.latitude), one.at) if before else None
    return Fix(one.at, one.longitude, one.latitude, speed)


def _coarse(fixes: Sequence[Fix], metres: float) -> list[Fix]:
    """Positions on the grid, each cell entered once, in steps of time; speeds would tell more than that."""
    found: list[Fix] = []
    for one in fixes:
        longitude, latitude = geo.rounded((one.longitude, one.latitude), metres)
        if not found or (found[-1].longitude, found[-1].latitude) != (longitude, latitude):
            epoch = datetime(1970, 1, 1, tzinfo=UTC)
            found.append(Fix(epoch + (one.at - epoch) // STEP * STEP, longitude, latitude))
    return found


def position(found: Track, at: datetime) -> tuple[Fix, str] | None:
    """Where the thing was at an instant, and how that is known: "observed", "between" two positions, or "last"; None before the first."""
    before = next((one for one in reversed(found.fixes) if one.at <= at), None)
    if before is None:
        return None
    after = next((one for one in found.fixes if one.at > at), None)
    if before.at == at:
        return before, "observed"
    if after is None or after.at - before.at > GAP or found.grid_m or after in found.jumps:
        return before, "last"
    part = (at - before.at) / (after.at - before.at)
    azimuth, _, metres = geo.ELLIPSOID.inv(before.longitude, before.latitude, after.longitude, after.latitude)
    longitude, latitude, _ = geo.ELLIPSOID.fwd(before.longitude, before.latitude, azimuth, metres * part)
    return Fix(at, round(float(longitude), 7), round(float(latitude), 7), after.speed_km_h), "between"


def feature(uri: str, found: Track) -> dict[str, Any]:
    """The track as a GeoJSON Feature, with the instants beside the line and as a moving point (OGC 19-045r3)."""
    coordinates = [[one.longitude, one.latitude] for one in found.fixes]
    times = [format_instant(one.at) for one in found.fixes]
    geometry: dict[str, Any] | None = {"type": "LineString", "coordinates": coordinates} if len(coordinates) > 1 else None
    if len(coordinates) == 1:
        geometry = {"type": "Point", "coordinates": coordinates[0]}
    return {
        "type": "Feature", "id": uri, "geometry": geometry,
        "properties": {
            "times": times, "speedsKmh": [None if one.speed_km_h is None else round(one.speed_km_h, 1) for one in found.fixes], "lengthM": round(found.length_m),
            "outliers": [_said(one) for one in found.outliers], "jumps": [_said(one) for one in found.jumps], "gridM": found.grid_m, "more": found.more,
        },
        "temporalGeometry": {"type": "MovingPoint", "datetimes": times, "coordinates": coordinates, "interpolation": "Linear"},
    }  # fmt: skip


def _said(one: Fix) -> dict[str, Any]:
    speed = None if one.speed_km_h is None else round(one.speed_km_h, 1)
    return {"at": format_instant(one.at), "coordinates": [one.longitude, one.latitude], "speedKmh": speed}


def placed(uri: str, found: Track, at: datetime) -> dict[str, Any]:
    """Where the thing was at an instant, as a GeoJSON Feature; without geometry where nothing was heard before."""
    where = position(found, at)
    if where is None:
        return {"type": "Feature", "id": uri, "geometry": None, "properties": {"at": format_instant(at), "how": "unknown", "gridM": found.grid_m}}
    fix, how = where
    place = {"type": "Point", "coordinates": [fix.longitude, fix.latitude]}
    return {
        "type": "Feature",
        "id": uri,
        "geometry": place,
        "properties": {"at": format_instant(at), "observedAt": format_instant(fix.at), "how": how, "gridM": found.grid_m},
    }
