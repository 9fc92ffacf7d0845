"""Whether one entity answers a question, in memory: where the store does not see it whole (§5.5.9.3). Pure."""

from __future__ import annotations

from collections.abc import Callable

from malha.context.broker import door
from malha.context.broker.contracts import Asked
from malha.context.store import service as store
from malha.context.store import shapes
from malha.context.store.contracts import EntityQuery, StoredEntity
from malha.context.store.q import parse
from malha.context.subscriptions import conditions, patterns, selection

type Holds = Callable[[StoredEntity], bool]


def holds(asked: EntityQuery, linked: conditions.Linked = conditions.nowhere) -> Holds:
    """The whole question about one entity, in memory; `linked` finds those that q follows relationships to."""
    node = parse(asked.q) if asked.q else None
    places = shapes.filters(asked)
    box = asked.bbox
    scopes = selection.scopes(asked.scope_selection) if asked.scope_selection else None

    def test(entity: StoredEntity) -> bool:
        if (node is not None and not conditions.holds(node, entity, linked)) or (scopes is not None and not scopes(entity.scopes)):
            return False
        return named(asked, entity) and shapes.all_hold(entity, places) and (box is None or _in_box(entity, box))

    return test


def named(asked: EntityQuery, entity: StoredEntity) -> bool:
    """Whether the entity has one of the attributes that the question names, where it names any."""
    return all(not names or any(name in entity.attributes for name in names) for names in (asked.attrs, asked.having))


def _in_box(entity: StoredEntity, box: tuple[float, float, float, float]) -> bool:
    shape = shapes.shape_of(entity.attributes, "location")
    if shape is None:
        return False
    west, south, east, north = shape.bounds
    return bool(west <= box[2] and east >= box[0] and south <= box[3] and north >= box[1])


def answers(who: Asked, asked: EntityQuery, entity: StoredEntity, test: Holds | None, *, remote: bool) -> bool:
    """Whether the entity is an answer; what a source sends is never trusted to be one."""
    if not door.within_reach(who, entity.types) or (test is not None and not test(entity)):
        return False
    return not remote or meant(asked, entity)


def meant(asked: EntityQuery, entity: StoredEntity) -> bool:
    """Whether the entity is of the types, and has one of the ids, that are asked for."""
    if asked.any_of and not any(
        (not one.type_selection or store.type_holds(one.type_selection, entity.types))
        and (entity.uri in one.uris if one.uris else not one.id_pattern or patterns.found(one.id_pattern, entity.uri)) for one in asked.any_of
    ):  # fmt: skip
        return False
    if asked.types and not set(asked.types) & set(entity.types):
        return False
    if asked.type_selection and not store.type_holds(asked.type_selection, entity.types):
        return False
    return (not asked.uris or entity.uri in asked.uris) and (not asked.id_pattern or patterns.found(asked.id_pattern, entity.uri))
