"""How things stood at an instant: the newest value that each of their attributes had by then. Django-free."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from malha.context.store.contracts import StoredEntity
from malha.foundation.access.contracts import Grain as Finest
from malha.history.temporal import evolution, reaching
from malha.history.temporal.contracts import EvolutionQuery, Instance

#: how far back a value is sought, each time only for what has shown none yet: most said something lately
_LOOKS = (timedelta(days=1), timedelta(days=30))
_BEGINNING = datetime(1900, 1, 1, tzinfo=UTC)
_STEP = timedelta(microseconds=1)


def states(
    tenant_id: int, entities: Sequence[StoredEntity], at: datetime, *, known: bool, attributes: Sequence[str] | None = None
) -> dict[int, dict[str, Instance]]:  # fmt: skip
    """Values at `at` by the number of the thing and by attribute (None: all that it has today); of what had none then, nothing.

    `known`: as it was known then, else as it is known today. What was deleted since is not there. Raises NoLongerKnown,
    BeyondReach for somebody who may not see each value, and the engines' Busy and TooSlow.
    """
    seen, shown = reaching.cut(tenant_id, entities, Finest.RAW)
    found: dict[int, dict[str, Instance]] = {}
    for type_ in dict.fromkeys(one.types[0] for one in seen):
        missing: dict[str, set[int]] = {}
        for one in seen:
            for name in one.attributes if one.types[0] == type_ else ():
                if (attributes is None or name in attributes) and (shown is None or name in shown):
                    missing.setdefault(name, set()).add(one.id)
        for start in (*(at - back for back in _LOOKS), _BEGINNING):
            _look(tenant_id, EvolutionQuery((), start, at + _STEP, datasets=(0,), last_n=1, known_at=at if known else None, type=type_), missing, found)
    return found


def _look(tenant_id: int, question: EvolutionQuery, missing: dict[str, set[int]], found: dict[int, dict[str, Instance]]) -> None:
    """Take from `missing` what the question finds of it."""
    names = tuple(name for name, ids in missing.items() if ids)
    if not names:
        return
    asked = replace(question, entity_ids=tuple(sorted(set().union(*missing.values()))), attributes=names)
    for entity_id, of_entity in evolution.read(tenant_id, asked).by_entity.items():
        for name, instances in of_entity.items():
            if entity_id in missing[name]:
                found.setdefault(entity_id, {})[name] = instances[-1]
                missing[name].discard(entity_id)
