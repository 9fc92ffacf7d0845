"""Whether `q` holds for an entity in memory: the same answers as the store gives in SQL (§4.9). Pure.

A value of another type than was asked for is no error and no match; instants compare as instants, texts by code point.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from malha.context.store.contracts import StoredEntity
from malha.context.store.q import Every, Node, Path, Range, Scalar, Some, Term, is_instant
from malha.context.subscriptions import patterns
from malha.kernel.time import format_instant, parse_instant
from malha.vocabulary.contexts import service as contexts

_VALUES = ("value", "json", "valueList")
_META = frozenset({"observedAt", "unitCode", "datasetId", "createdAt", "modifiedAt", "objectType", "coordinateSystem"})
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda a, b: a == b, ">": lambda a, b: a > b, "<": lambda a, b: a < b, ">=": lambda a, b: a >= b, "<=": lambda a, b: a <= b,
}  # fmt: skip


#: entities by their URIs, for paths that follow relationships
type Linked = Callable[[Sequence[str]], Mapping[str, StoredEntity]]


def nowhere(_uris: Sequence[str]) -> Mapping[str, StoredEntity]:
    """Relationships that are not followed."""
    return {}


def holds(node: Node, entity: StoredEntity, linked: Linked = nowhere) -> bool:
    """Whether the question is true of the entity; `linked` gives the entities that its relationships lead to."""
    if isinstance(node, Every):
        return all(holds(part, entity, linked) for part in node.parts)
    if isinstance(node, Some):
        return any(holds(part, entity, linked) for part in node.parts)
    return _term(node, entity, linked)


def _term(term: Term, entity: StoredEntity, linked: Linked) -> bool:
    path, operator = term.path, term.operator
    if operator == "!":
        return not _term(Term(path), entity, linked)
    if path.linked is not None:
        there = linked(list(dict.fromkeys(_targets(_attribute(path.names, entity.attributes)))))
        beyond = Term(path.linked, operator, term.values)
        return any((not path.linked_type or path.linked_type in one.types) and _term(beyond, one, linked) for one in there.values())
    if len(path.names) == 1 and path.names[0] in {"createdAt", "modifiedAt"}:
        moment = entity.created_at if path.names[0] == "createdAt" else entity.modified_at
        return not operator or _decide(operator, [format_instant(moment)], term.values)
    found = list(_attribute(path.names, entity.attributes))
    if not operator:
        return bool(found) and (not path.inside or bool(list(_inside(found, path))))
    return bool(found) and _decide(operator, list(_comparable(found, path)), term.values, [] if path.inside else found)


def _decide(operator: str, found: list[Any], values: Iterable[Scalar | Range], instances: Sequence[Any] = ()) -> bool:
    """Whether any of the comparable values answers; objects and words of the `instances` only to equality, objects to patterns too."""
    positive = "==" if operator == "!=" else operator.removeprefix("!")
    outcome = any(_names(positive, instances, value) or any(_matches(positive, one, value) for one in found) for value in values)
    return not outcome if operator in {"!=", "!~="} else outcome


def _attribute(names: tuple[str, ...], attributes: Any) -> Iterator[Any]:
    """What a path leads to: instances of an attribute, of its sub-attributes, or a member such as observedAt."""
    found = attributes.get(names[0])
    for instance in found if isinstance(found, list) else [found]:
        if instance is None:
            continue
        if len(names) == 1:
            yield instance
        elif isinstance(instance, dict):
            yield from _attribute(names[1:], instance)


def _names(operator: str, instances: Iterable[Any], value: Scalar | Range) -> bool:
    """Whether relationships lead to `value`, or it is the IRI of a word of a vocabulary (expandValues); neither has an order (§4.9)."""
    if not isinstance(value, str) or operator not in {"==", "~="}:
        return False
    if any(_matches(operator, target, value) for target in _targets(instances)):
        return True
    if operator != "==" or ":" not in value:
        return False
    word = contexts.internal(value)
    return any(word in _flat(one.get("vocab")) for one in instances if isinstance(one, dict))


def _targets(found: Iterable[Any]) -> Iterator[str]:
    """The URIs that instances of a relationship lead to."""
    for instance in found:
        for each in _flat([instance.get("object"), instance.get("objectList")]) if isinstance(instance, dict) else ():
            if isinstance(each, str):
                yield each


def _inside(found: list[Any], path: Path) -> Iterator[Any]:
    for instance in found:
        if not isinstance(instance, dict):
            continue
        if path.inside == ("*",):
            yield from (instance.get("languageMap") or {}).values()
            continue
        for member in ("value", "json", "languageMap"):
            yield from _walk(instance.get(member), path.inside)


def _walk(value: Any, steps: tuple[str, ...]) -> Iterator[Any]:
    if isinstance(value, list):
        for one in value:
            yield from _walk(one, steps)
    elif not steps:
        if value is not None:
            yield value
    elif isinstance(value, dict) and steps[0] in value:
        yield from _walk(value[steps[0]], steps[1:])


def _comparable(found: list[Any], path: Path) -> Iterator[Any]:
    if path.inside:
        yield from _inside(found, path)
        return
    for instance in found:
        if not isinstance(instance, dict):
            if len(path.names) > 1 and path.names[-1] in _META:
                yield instance
            continue
        for member in _VALUES:
            yield from _flat(instance.get(member))
        yield from (instance.get("languageMap") or {}).values() if isinstance(instance.get("languageMap"), dict) else ()


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        for one in value:
            yield from _flat(one)
    elif isinstance(value, dict):
        yield from (value[key] for key in ("@value", "object") if key in value)
    elif value is not None:
        yield value


def _matches(operator: str, found: Any, value: Scalar | Range) -> bool:
    if isinstance(value, Range):
        return _matches(">=", found, value.low) and _matches("<=", found, value.high)
    if operator == "~=":
        return isinstance(found, str) and patterns.found(str(value), found)
    if isinstance(value, bool) or isinstance(found, bool):
        return operator == "==" and isinstance(value, bool) and isinstance(found, bool) and found == value
    if isinstance(value, str):
        if not isinstance(found, str):
            return False
        if is_instant(value) and is_instant(found):
            return _COMPARE[operator](parse_instant(found), parse_instant(value))
        return _COMPARE[operator](found, value)
    return isinstance(found, int | float) and _COMPARE[operator](found, value)
