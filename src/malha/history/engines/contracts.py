"""Words of the engines room."""

from __future__ import annotations

from malha.kernel.errors import BadInput, MalhaError, Misconfigured, Unavailable


class EngineError(MalhaError):
    """The analytical engine refuses."""

    slug = "engine"


class Busy(EngineError, Unavailable):
    """Too many questions at once."""

    slug = "engine-busy"


class TooSlow(EngineError, Unavailable):
    """The question took longer than it may."""

    slug = "engine-too-slow"


class LakeMissing(EngineError, Unavailable):
    """Nothing was ever written to the lake of this installation."""

    slug = "lake-missing"


class LakePlaceUnusable(EngineError, Misconfigured):
    """The place that was set for the lake cannot be used as things stand."""

    slug = "lake-place-unusable"


class ReadOnly(EngineError, BadInput):
    """A reader was told to do something other than read."""

    slug = "engine-read-only"


class EngineUnreachable(EngineError, Unavailable):
    """The engine of another machine does not answer."""

    slug = "engine-unreachable"
