"""Words of the demo town."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

SEED = 1878
SLUG = "vila-de-malha"
NAME = "Vila de Malha (fictício)"
MARK = "(fictício)"
ZONE = "Europe/Lisbon"
YEAR = timedelta(days=365)
RECENT = timedelta(hours=48)


class DeviceKind(StrEnum):
    """What a device is; the value is the data model of what it observes."""

    AIR = "AirQualityObserved"
    NOISE = "NoiseLevelObserved"
    WEATHER = "WeatherObserved"
    WASTE = "WasteContainer"
    RIVER = "FloodMonitoring"
    PARKING = "OffStreetParking"


@dataclass(frozen=True, slots=True)
class Measure:
    """One thing that a kind of device measures; `unit` is a UN/CEFACT code."""

    name: str
    unit: str
    decimals: int


@dataclass(frozen=True, slots=True)
class KindSpec:
    """How many devices of a kind there are, how often they speak, and which property says when."""

    kind: DeviceKind
    count: int
    step_seconds: int
    time_property: str
    measures: tuple[Measure, ...]


KINDS: tuple[KindSpec, ...] = (
    KindSpec(DeviceKind.AIR, 20, 1800, "dateObserved", (Measure("pm10", "GQ", 1), Measure("pm25", "GQ", 1), Measure("no2", "GQ", 1), Measure("o3", "GQ", 1))),
    KindSpec(DeviceKind.NOISE, 40, 1800, "dateObservedTo", (Measure("LAeq", "2N", 1),)),
    KindSpec(
        DeviceKind.WEATHER, 10, 1800, "dateObserved",
        (Measure("temperature", "CEL", 1), Measure("relativeHumidity", "", 2), Measure("precipitation", "MMT", 1), Measure("windSpeed", "MTS", 1)),
    ),
    KindSpec(DeviceKind.WASTE, 200, 3600, "binLoggedTime", (Measure("fillingLevel", "", 2),)),
    KindSpec(DeviceKind.RIVER, 10, 900, "observationDateTime", (Measure("currentLevel", "MTR", 2),)),
    KindSpec(DeviceKind.PARKING, 20, 1800, "observationDateTime", (Measure("occupancy", "", 2), Measure("availableSpotNumber", "", 0))),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Device:
    """One device: `index` counts within its kind, `place` is (longitude, latitude) in EPSG:4326 degrees."""

    kind: DeviceKind
    index: int
    uri: str
    name: str
    place: tuple[float, float]
    street: str
    parish: str
    size: int = 0  # litres of a container, spaces of a car park


class EventKind(StrEnum):
    """How an alarm would find it: values above a bound, nothing heard, or a slow drift upwards."""

    ABOVE = "above"
    SILENCE = "silence"
    DRIFT = "drift"


@dataclass(frozen=True, slots=True)
class PlantedEvent:
    """Something that happened in the town. From `start` to `end` every value of these devices is beyond `bound` (ABOVE)."""

    id: str
    title: str
    kind: EventKind
    type: str
    attribute: str
    uris: tuple[str, ...]
    start: datetime
    end: datetime
    bound: float = 0.0
    level: float = 0.0


@dataclass(frozen=True, slots=True)
class Parish:
    """An invented parish. `code` has the form of a DICOFRE code but belongs to no district."""

    code: str
    name: str
    polygon: dict[str, object]
    centre: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Street:
    """A street with its line and its doors: (number, place)."""

    name: str
    parish: str
    line: dict[str, object]
    doors: tuple[tuple[int, tuple[float, float]], ...] = ()


@dataclass(frozen=True, slots=True)
class Building:
    """A house with its outline and storeys."""

    number: int
    street: str
    door: int
    parish: str
    polygon: dict[str, object]
    storeys: int


@dataclass(frozen=True, slots=True)
class Town:
    """The map of the town. All geometries are GeoJSON in EPSG:4326."""

    boundary: dict[str, object]
    river: dict[str, object]
    centre: tuple[float, float]
    extent: tuple[float, float, float, float]
    parishes: tuple[Parish, ...]
    streets: tuple[Street, ...] = field(default_factory=tuple)
    buildings: tuple[Building, ...] = field(default_factory=tuple)
