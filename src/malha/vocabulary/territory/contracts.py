"""Places: boundaries by level and edition, streets, doors, and how sure an address on the map is."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum

from malha.kernel.errors import BadInput, MalhaError, NotFound


class Level(StrEnum):
    """What a boundary encloses, from the smallest."""

    ZONE = "zone"  # a tenant's own: quarter, sector, collection round
    PARISH = "parish"
    MUNICIPALITY = "municipality"
    DISTRICT = "district"


class Quality(StrEnum):
    """How sure the point of an address is, from the surest."""

    DOOR = "door"
    NEAR_DOOR = "near_door"
    STREET = "street"
    POSTAL_CODE = "postal_code"
    PARISH = "parish"


@dataclass(frozen=True, slots=True)
class Boundary:
    """One boundary of one edition, without its geometry. `bbox` is (west, south, east, north) in EPSG:4326 degrees.

    `code` is DICOFRE (six digits) for a parish, DICO (four) for a municipality, the district's two; texts, as they may
    begin with zero. `nuts2` is the name of the region of 2024, `nuts3` its code.
    """

    id: int
    level: Level
    code: str
    name: str
    dico: str
    municipality: str
    district: str
    nuts3: str
    nuts2: str
    edition: str
    valid_from: date
    valid_to: date | None
    area_km2: float
    bbox: tuple[float, float, float, float]
    is_national: bool = True
    full_name: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a point lies; empty texts for what no boundary says."""

    parish_code: str = ""
    parish: str = ""
    dico: str = ""
    municipality: str = ""
    district: str = ""
    nuts3: str = ""
    nuts2: str = ""
    zones: tuple[str, ...] = ()

    @property
    def address(self) -> dict[str, str]:
        """The part of a national address that the place tells (CNMD): country, municipality, NUTS II, district."""
        if not self.municipality:
            return {}
        parts = {"addressCountry": "Portugal", "addressLocality": self.municipality, "addressRegion": self.nuts2, "district": self.district}
        return {name: value for name, value in parts.items() if value}


@dataclass(frozen=True, slots=True)
class Edition:
    """One edition of the boundaries of a level."""

    level: Level
    edition: str
    valid_from: date
    valid_to: date | None
    count: int
    is_national: bool


@dataclass(frozen=True, slots=True)
class ImportOutcome:
    """What an import took in: how many of each level, and what it left out with the reason."""

    taken: dict[str, int] = field(default_factory=dict)
    refused: tuple[tuple[str, str], ...] = ()  # what and why, as kept sentences

    @property
    def total(self) -> int:
        """Everything that was taken in."""
        return sum(self.taken.values())


@dataclass(frozen=True, slots=True)
class Street:
    """One street; the point is the middle of its doors, or its own. Degrees of EPSG:4326."""

    id: int
    name: str
    locality: str
    parish: str
    postal_code: str
    longitude: float
    latitude: float
    likeness: float = 1.0


@dataclass(frozen=True, slots=True)
class Geocoded:
    """The point of an address and how sure it is. `label` is what was found, in words. Degrees of EPSG:4326."""

    longitude: float
    latitude: float
    quality: Quality
    label: str
    likeness: float = 1.0


class TerritoryError(MalhaError):
    """Something about places does not hold."""

    slug = "territory"


class UnusableBoundaries(TerritoryError, BadInput):
    """The file holds no boundaries that can be understood."""

    slug = "unusable-boundaries"


class UnusableStreets(TerritoryError, BadInput):
    """The file holds no streets that can be understood."""

    slug = "unusable-streets"


class UnknownBoundary(TerritoryError, NotFound):
    """No boundary has that level and code."""

    slug = "unknown-boundary"
