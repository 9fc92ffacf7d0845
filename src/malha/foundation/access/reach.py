"""How far whoever acts may see within a tenant: types, attributes, an area, a grain. Django-free.

Somebody with a limited reach is let in only through doors that keep to it. Such a door opens `limited()` around its
work and calls `narrow()` once it knows who asks; the store of entities and the history then give nothing beyond. What
was read is noted part by part, so that a reading under an agreement can be written down where the giver sees it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, replace

from malha.foundation.access.contracts import BeyondReach, Grain, Reach
from malha.kernel.text import msg

type Parts = tuple[Reach, ...]


@dataclass(slots=True)
class Limits:
    """What one piece of work may read: None is everything that the tenant has."""

    parts: Parts | None = None
    averages: bool = False  # the door gives averages too, and asks the history for them alone
    used: dict[int, set[str]] = field(default_factory=dict)  # agreement → types read under it


_limits: ContextVar[Limits | None] = ContextVar("malha_reach", default=None)
_types_of_category: list[Callable[[str, int | None], Iterable[str]]] = []


class limited:  # noqa: N801 -- used as a block is, and opened by every request: a third of what a generator costs
    """Keep everything that the block reads within `parts`; threads that the block starts work with keep to it too."""

    __slots__ = ("_limits", "_token")

    def __init__(self, parts: Parts | None = None, *, averages: bool = False) -> None:
        self._limits = Limits(parts, averages)

    def __enter__(self) -> Limits:
        self._token = _limits.set(self._limits)
        return self._limits

    def __exit__(self, *_: object) -> None:
        _limits.reset(self._token)


def narrow(parts: Parts | None) -> None:
    """Set the reach of the block that `limited()` opened, once it is known who asks. Raises BeyondReach outside of one."""
    limits = _limits.get()
    if limits is not None:
        limits.parts = parts
    elif parts is not None:
        raise BeyondReach(msg("O seu acesso é limitado, e esta porta ainda não o sabe respeitar."))


def parts(types: Iterable[str] = (), *, grain: Grain = Grain.RAW) -> Parts | None:
    """The parts that allow `grain` of one of `types` (any, when none is named); None where nothing is limited."""
    limits = _limits.get()
    if limits is None or limits.parts is None:
        return None
    wanted = frozenset(types)
    return tuple(
        part for part in limits.parts if (limits.averages or part.allows(grain)) and (not wanted or part.types is None or not wanted.isdisjoint(part.types))
    )


def current() -> Parts | None:
    """The whole reach of the work in hand, to be taken along by what goes on after it (streams, jobs)."""
    limits = _limits.get()
    return limits.parts if limits is not None else None


def averages_too() -> bool:
    """Whether the things themselves are only named, because the door answers with averages."""
    limits = _limits.get()
    return limits is not None and limits.averages


def note(used: Iterable[Reach], types: Iterable[str] = ()) -> None:
    """Remember that these parts were read."""
    limits = _limits.get()
    if limits is None:
        return
    asked = set(types)
    for part in used:
        if part.agreement_id is not None:
            named = set(part.types or ())
            limits.used.setdefault(part.agreement_id, set()).update(named & asked if asked else named)


def allowed(found: Parts, types: Iterable[str] = ()) -> frozenset[str] | None:
    """The attributes that some of these parts show of things of `types`; None for all."""
    wanted = frozenset(types)
    concerned = [part for part in found if not wanted or part.types is None or not wanted.isdisjoint(part.types)]
    if any(part.attributes is None for part in concerned):
        return None
    return frozenset(name for part in concerned for name in part.attributes or ())


def provide_categories(find: Callable[[str, int | None], Iterable[str]]) -> None:
    """Say which types belong to a category (the theme of their data model), for roles that are limited to some."""
    _types_of_category[:] = [find]


def of_scope(scope: Mapping[str, object], tenant_id: int | None) -> Reach | None:
    """The part that a role's scope allows; None when it is not limited. A category that nobody knows allows nothing."""
    types, categories = _texts(scope.get("types")), _texts(scope.get("categories"))
    attributes, area = _texts(scope.get("attributes")), scope.get("area")
    if not (types or categories or attributes or area):
        return None
    by_category = {name for find in _types_of_category for category in categories for name in find(category, tenant_id)}
    named = frozenset(types) | by_category if types or categories else None
    return Reach(types=named, attributes=frozenset(attributes) or None, area=area if isinstance(area, dict) else None)


def allows(entity_type: str, attribute: str = "", *, grain: Grain = Grain.RAW) -> bool:
    """Whether whoever acts may see anything of a type, or of one attribute of it."""
    found = parts((entity_type,), grain=grain)
    return found is None or any(not attribute or part.attributes is None or attribute in part.attributes for part in found)


def mark(whole: Parts | None) -> str:
    """What tells what somebody with this reach sees from what another does, for caches; empty where nothing is limited."""
    if whole is None:
        return ""
    said = sorted(
        json.dumps(
            [sorted(part.types or ()), part.types is None, sorted(part.attributes or ()), part.attributes is None, part.area, part.grain], sort_keys=True
        )
        for part in whole
    )
    return hashlib.sha256("".join(said).encode()).hexdigest()[:16]


def types_of(found: Parts | None) -> frozenset[str] | None:
    """The types that a reach names; None for all."""
    if found is None or any(part.types is None for part in found):
        return None
    return frozenset(name for part in found for name in part.types or ())


def only_types(found: Parts | None) -> bool:
    """Whether nothing but types is limited, which every door keeps to by itself, and no agreement is to be noted."""
    return found is None or all(part.attributes is None and part.area is None and part.grain is Grain.RAW and part.agreement_id is None for part in found)


def within(found: Parts, types: frozenset[str] | None) -> Parts:
    """What is left of a reach for somebody who may see no more than `types` anywhere."""
    if types is None:
        return found
    cut = (replace(part, types=types if part.types is None else part.types & types) for part in found)
    return tuple(part for part in cut if part.types)


def _texts(value: object) -> Sequence[str]:
    return [str(one) for one in value] if isinstance(value, list | tuple) else []
