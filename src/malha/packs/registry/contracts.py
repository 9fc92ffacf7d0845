"""A use case as declarations: what it measures, draws and watches."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from malha.insight.alerts.contracts import Rule
from malha.insight.maps.contracts import Layer
from malha.insight.metrics.contracts import Metric
from malha.kernel.errors import MalhaError, Misconfigured, NotFound
from malha.vocabulary.models.contracts import Label


@dataclass(frozen=True, slots=True)
class Pack:
    """One use case. Rules carry tenant 0 until they are copied."""

    name: str
    version: int
    label: Label
    description: Label
    needs: Label
    types: tuple[str, ...]
    metrics: tuple[Metric, ...]
    layers: tuple[Layer, ...]
    rules: tuple[Rule, ...]
    position: int = 0


@dataclass(frozen=True, slots=True)
class Active:
    """A pack that a tenant has on."""

    name: str
    version: int
    at: datetime
    by: str


class PackError(MalhaError):
    """Something about packs does not hold."""

    slug = "packs"


class UnknownPack(PackError, NotFound):
    """No pack has that name."""

    slug = "unknown-pack"


class UnusablePack(PackError, Misconfigured):
    """The declarations of a pack cannot be read."""

    slug = "unusable-pack"
