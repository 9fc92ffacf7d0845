"""Linked entities (GS CIM 009 §4.5.23): those that relationships lead to, level by level, each level in one look."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg

from malha.context.broker import changes, door, projection
from malha.context.broker.contracts import Asked
from malha.context.broker.projection import Projection
from malha.context.broker.rendering import Join, Wanted
from malha.context.store import service as store
from malha.context.store.contracts import StoredEntity

#: entities that one answer may bring along
LIMIT = 2_000


@dataclass(slots=True)
class Joined:
    """The entities that were found behind relationships, by URI, and the levels that an inline answer goes down."""

    found: dict[str, StoredEntity] = field(default_factory=dict)
    #: for a flat answer: each entity with its projections, in order
    flat: list[tuple[StoredEntity, Projection, Projection]] = field(default_factory=list)


def targets(attribute: Any) -> Iterator[str]:
    """The URIs that an attribute leads to."""
    for instance in changes.instances(attribute).values():
        if instance.get("type") == "Relationship":
            found = instance.get("object")
            yield from found if isinstance(found, list) else [str(found)]
        elif instance.get("type") == "ListRelationship":
            yield from (str(each["object"]) for each in instance.get("objectList", []) if isinstance(each, dict))


def join(conn: psycopg.Connection[Any], who: Asked, entities: Iterable[StoredEntity], want: Wanted) -> Joined:
    """The entities that `entities` lead to within the levels that are wanted; those beyond the reader's reach are left out."""
    return led(who, entities, want, lambda uris: store.by_uris(conn, who.tenant_id, uris))


def led(who: Asked, entities: Iterable[StoredEntity], want: Wanted, look: Callable[[list[str]], Mapping[str, StoredEntity]]) -> Joined:
    """As `join`, of the entities that `look` finds by their URIs."""
    steps = walk(entities, want)
    try:
        missing = next(steps)
        while True:
            missing = steps.send({uri: door.shown(who, one) for uri, one in look(missing).items() if door.within_reach(who, one.types)})
    except StopIteration as done:
        joined: Joined = done.value
        return joined


def walk(entities: Iterable[StoredEntity], want: Wanted) -> Generator[list[str], dict[str, StoredEntity], Joined]:
    """Level by level: gives the URIs that are not known yet, is sent those entities that may be seen, and returns all that was found."""
    joined = Joined()
    level = [(entity, want.pick, want.omit) for entity in entities]
    seen = {entity.uri for entity, _, _ in level} | set(want.contained_by)
    for _ in range(want.join_level if want.join is not Join.NONE else 0):
        wanted = _led_to(level, seen, want)
        missing = [uri for uri in wanted if uri not in joined.found][: LIMIT - len(joined.found)]
        if missing:
            joined.found |= yield missing
        level = [(joined.found[uri], *wanted[uri]) for uri in wanted if uri in joined.found]
        joined.flat += [each for each in level if each[0].uri not in seen]
        seen |= {entity.uri for entity, _, _ in level}
        if not level:
            break
    return joined


def _led_to(level: Iterable[tuple[StoredEntity, Projection, Projection]], seen: set[str], want: Wanted) -> dict[str, tuple[Projection, Projection]]:
    """Where the entities of a level lead, with what is wanted of it."""
    wanted: dict[str, tuple[Projection, Projection]] = {}
    for entity, pick, omit in level:
        for name, attribute in entity.attributes.items():
            if (pick and name not in pick.names) or (name in omit.names and omit.names[name] is None):
                continue
            for uri in targets(attribute):
                if uri not in seen or (want.join is Join.INLINE and uri not in want.contained_by):
                    wanted.setdefault(uri, (pick.below(name) or projection.NOTHING, omit.below(name) or projection.NOTHING))
    return wanted
