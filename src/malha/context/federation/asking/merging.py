"""One entity out of what several sources said of it: instance by instance, the newest wins, auxiliary ones only fill (§4.5.5, §4.3.6.2). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from malha.context.broker import changes
from malha.context.federation.contracts import Mode
from malha.context.store.contracts import StoredEntity
from malha.kernel.time import parse_instant

_NEVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Part:
    """What one place said of an entity; `mode` None is this broker itself. `attributes` are those that the place answers for, None for all."""

    entity: StoredEntity
    mode: Mode | None = None
    attributes: frozenset[str] | None = None


def merged(parts: Sequence[Part]) -> StoredEntity:
    """The whole entity. Of parts that are equally new the earlier one wins, so this broker's own comes first."""
    first = parts[0].entity
    if len(parts) == 1:
        return first
    answering = _answering(parts)
    attributes: dict[str, Any] = {}
    for part in answering:
        for name, attribute in part.entity.attributes.items():
            attributes[name] = _attribute(attributes.get(name), attribute, part)
    for part in parts:
        if part.mode is Mode.AUXILIARY:
            for name, attribute in part.entity.attributes.items():
                attributes[name] = _filled(attributes.get(name), attribute)
    known = [part.entity for part in parts if part.mode is not Mode.AUXILIARY] or [first]
    return replace(
        first,
        types=tuple(dict.fromkeys(name for each in known for name in each.types)),
        scopes=tuple(dict.fromkeys(scope for each in known for scope in each.scopes)),
        attributes={name: changes.whole({key: instance for key, (instance, _) in each.items()}) for name, each in attributes.items()},
        created_at=min(each.created_at for each in known),
        modified_at=max(each.modified_at for each in known),
    )


type _Instances = dict[str, tuple[dict[str, Any], tuple[datetime, datetime]]]


def _answering(parts: Sequence[Part]) -> list[Part]:
    """The parts without what another source alone answers for (§4.3.6.3): exclusive ones first, then those redirected to."""
    exclusive = _held(part for part in parts if part.mode is Mode.EXCLUSIVE)
    redirected = _held(part for part in parts if part.mode is Mode.REDIRECT)
    out: list[Part] = []
    for part in parts:
        if part.mode is Mode.AUXILIARY:
            continue
        hidden = frozenset() if part.mode is Mode.EXCLUSIVE else exclusive if part.mode is Mode.REDIRECT else exclusive | redirected
        out.append(_without(part, hidden))
    return out


def _held(parts: Iterable[Part]) -> frozenset[str]:
    return frozenset(name for part in parts for name in (part.attributes if part.attributes is not None else part.entity.attributes))


def _without(part: Part, hidden: frozenset[str]) -> Part:
    if not hidden:
        return part
    kept = {name: each for name, each in part.entity.attributes.items() if name not in hidden}
    return replace(part, entity=replace(part.entity, attributes=kept))


def _attribute(known: _Instances | None, attribute: Any, part: Part) -> _Instances:
    out: _Instances = dict(known or {})
    for key, instance in changes.instances(attribute).items():
        age = (_instant(instance.get("observedAt")), _instant(instance.get("modifiedAt")) if instance.get("modifiedAt") else part.entity.modified_at)
        if key not in out or newer(age, out[key][1]):
            out[key] = (instance, age)
    return out


def newer(one: tuple[datetime, datetime], other: tuple[datetime, datetime]) -> bool:
    """Whether an instance (observed, modified) is newer: by when it was observed where both say so, else by when it was changed."""
    if _NEVER not in (one[0], other[0]) and one[0] != other[0]:
        return one[0] > other[0]
    return one[1] > other[1]


def _filled(known: _Instances | None, attribute: Any) -> _Instances:
    """What was known, with those instances that nobody else has."""
    out: _Instances = dict(known or {})
    for key, instance in changes.instances(attribute).items():
        out.setdefault(key, (instance, (_NEVER, _NEVER)))
    return out


def _instant(text: object) -> datetime:
    try:
        return parse_instant(str(text)) if text else _NEVER
    except ValueError:
        return _NEVER
