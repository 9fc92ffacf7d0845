"""A layer of the map: which things, what colours them, what a click says."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from malha.kernel.errors import BadInput, MalhaError, NotFound
from malha.vocabulary.models.contracts import Label


class LayerKind(StrEnum):
    """How things are drawn."""

    CIRCLE = "circle"
    CLUSTER = "cluster"
    FILL = "fill"
    LINE = "line"


@dataclass(frozen=True, slots=True)
class Stop:
    """From this value on (shown unit), or for this text, this colour: a token of the design system, with its word."""

    colour: str
    label: Label
    start: float | None = None
    value: str = ""


@dataclass(frozen=True, slots=True)
class Layer:
    """All things of `type` that have a place, coloured by `attribute`; a click names the properties in `popup`."""

    key: str
    label: Label
    type: str
    kind: LayerKind = LayerKind.CLUSTER
    attribute: str = ""
    unit: str = ""
    decimals: int = 1
    scale: float = 1.0
    stops: tuple[Stop, ...] = ()
    popup: tuple[str, ...] = ()
    pack: str = ""
    enabled: bool = True
    position: int = 0


class MapError(MalhaError):
    """Something about maps does not hold."""

    slug = "maps"


class UnknownLayer(MapError, NotFound):
    """No layer has that key here."""

    slug = "unknown-layer"


class UnusableLayer(MapError, BadInput):
    """A declaration that cannot be read."""

    slug = "unusable-layer"
