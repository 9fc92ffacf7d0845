"""The eight kinds of SensorThings (OGC 18-088 §8), how they hang together, and what is refused.

SensorThingsError
├── BadRequest 400        the address, an option or the body cannot be read
├── NoSuchThing 404       nothing at this address for this reader
├── NotOffered 501        the standard has it, this door does not
└── Unacceptable 422      what was sent cannot be stored
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from malha.kernel.errors import BadInput, MalhaError, NotFound
from malha.share.questions.contracts import Field, FieldType
from malha.share.questions.expressions import Node

_T = FieldType


@dataclass(frozen=True, slots=True)
class Link:
    """A navigation to `target`: rows of it whose column `there` is this row's column `here`; `many` of them, or one."""

    name: str
    target: str
    here: str
    there: str
    many: bool = True


@dataclass(frozen=True, slots=True)
class EntitySet:
    """One kind: its fields in the order in which they are written, and its links. `past` lies in the history, not in the present.

    `documents` are fields with JSON inside, `places` those with a geometry.
    """

    name: str
    one: str
    fields: tuple[Field, ...]
    links: tuple[Link, ...]
    documents: frozenset[str] = frozenset()
    places: frozenset[str] = frozenset()
    past: bool = False

    def find(self, name: str) -> Field | None:
        """The field called `name`."""
        return next((one for one in self.fields if one.name == name), None)

    def link(self, name: str) -> Link | None:
        """The navigation called `name`."""
        return next((one for one in self.links if one.name == name), None)


def _fields(*pairs: tuple[str, FieldType]) -> tuple[Field, ...]:
    return tuple(Field(name, kind) for name, kind in (("id", _T.TEXT), *pairs))


_SAID = (("name", _T.TEXT), ("description", _T.TEXT))
_MORE = ("properties", _T.TEXT)
_THING = Link("Thing", "Things", "thing", "thing", many=False)
SETS: dict[str, EntitySet] = {
    one.name: one
    for one in (
        EntitySet(
            "Things", "Thing", _fields(*_SAID, _MORE),
            (Link("Locations", "Locations", "thing", "thing"), Link("HistoricalLocations", "HistoricalLocations", "thing", "thing"), Link("Datastreams", "Datastreams", "thing", "thing")),
            frozenset({"properties"}),
        ),
        EntitySet(
            "Locations", "Location", _fields(*_SAID, ("encodingType", _T.TEXT), ("location", _T.GEOMETRY), _MORE),
            (Link("Things", "Things", "thing", "thing"), Link("HistoricalLocations", "HistoricalLocations", "thing", "thing")),
            frozenset({"properties"}), frozenset({"location"}),
        ),
        EntitySet(
            "HistoricalLocations", "HistoricalLocation", _fields(("time", _T.INSTANT)),
            (_THING, Link("Locations", "Locations", "id", "id")), past=True,
        ),
        EntitySet(
            "Datastreams", "Datastream",
            _fields(*_SAID, ("observationType", _T.TEXT), ("unitOfMeasurement", _T.TEXT), _MORE),
            (_THING, Link("Sensor", "Sensors", "sensor", "id", many=False), Link("ObservedProperty", "ObservedProperties", "property", "id", many=False),
             Link("Observations", "Observations", "id", "datastream")),
            frozenset({"unitOfMeasurement", "properties"}),
        ),
        EntitySet(
            "Sensors", "Sensor", _fields(*_SAID, ("encodingType", _T.TEXT), ("metadata", _T.TEXT), _MORE),
            (Link("Datastreams", "Datastreams", "id", "sensor"),), frozenset({"properties"}),
        ),
        EntitySet(
            "ObservedProperties", "ObservedProperty", _fields(("name", _T.TEXT), ("definition", _T.TEXT), ("description", _T.TEXT), _MORE),
            (Link("Datastreams", "Datastreams", "id", "property"),), frozenset({"properties"}),
        ),
        EntitySet(
            "Observations", "Observation",
            _fields(("phenomenonTime", _T.INSTANT), ("result", _T.NUMBER), ("resultTime", _T.INSTANT), ("resultQuality", _T.TEXT), ("validTime", _T.TEXT),
                    ("parameters", _T.TEXT)),
            (Link("Datastream", "Datastreams", "datastream", "id", many=False), Link("FeatureOfInterest", "FeaturesOfInterest", "feature", "id", many=False)),
            frozenset({"parameters"}), past=True,
        ),
        EntitySet(
            "FeaturesOfInterest", "FeatureOfInterest", _fields(*_SAID, ("encodingType", _T.TEXT), ("feature", _T.GEOMETRY), _MORE),
            (Link("Observations", "Observations", "id", "feature"),), frozenset({"properties"}), frozenset({"feature"}),
        ),
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Options:
    """The query options of one collection or entity; those of what is expanded lie inside. `select` is empty for everything."""

    where: Node | None = None
    order: tuple[tuple[str, bool], ...] = ()
    top: int | None = None
    skip: int = 0
    count: bool = False
    select: tuple[str, ...] = ()
    expand: Mapping[str, Options] = field(default_factory=dict)
    as_array: bool = False
    text: Mapping[str, str] = field(default_factory=dict)  # as they were written, for the address of the next page


@dataclass(slots=True)
class Page:
    """Rows as they were found (column → value), whether there are more, and how many there are when that was asked."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    more: bool = False
    total: int | None = None


class SensorThingsError(MalhaError):
    """SensorThings refuses."""

    slug = "sensorthings"


class BadRequest(SensorThingsError, BadInput):
    """The address, an option or the body cannot be read."""

    slug = "sensorthings-bad-request"
    status = 400


class NoSuchThing(SensorThingsError, NotFound):
    """Nothing at this address for this reader."""

    slug = "sensorthings-nothing-there"


class NotOffered(SensorThingsError):
    """The standard has it, this door does not."""

    slug = "sensorthings-not-offered"
    status = 501


class Unacceptable(SensorThingsError, BadInput):
    """What was sent cannot be stored."""

    slug = "sensorthings-unacceptable"
    status = 422
