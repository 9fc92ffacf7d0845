"""What a fragment makes of the attributes that an entity has: append, update, merge, partial update (GS CIM 009 §5.5.8, §5.5.12, §5.6). Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from malha.context.broker.attributes import NULL
from malha.context.store.contracts import MEMBER
from malha.kernel.text import msg

type Instances = dict[str, dict[str, Any]]
EXISTS = msg("O atributo já existe.")
MISSING = msg("A entidade não tem este atributo.")


@dataclass(slots=True)
class Changed:
    """The attributes that change, whole (None: it goes); which were done, and which were not and why."""

    attributes: dict[str, Any] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    left: dict[str, str] = field(default_factory=dict)


def instances(attribute: Any) -> Instances:
    """The instances of an attribute by datasetId; "" is the default one."""
    found = attribute if isinstance(attribute, list) else [attribute]
    return {str(each.get("datasetId", "")): each for each in found if isinstance(each, dict)}


def gone(instance: Any) -> bool:
    """Whether an instance of a fragment says that it goes."""
    return instance is None or (isinstance(instance, dict) and instance.get(MEMBER.get(str(instance.get("type")), "value"), ...) is None)


def settled(thing: Any) -> Any:
    """An instance without the members that a fragment takes away."""
    if not isinstance(thing, dict):
        return thing
    return {key: settled(value) if isinstance(value, dict) and value.get("type") in MEMBER else value for key, value in thing.items() if not gone_member(value)}


def gone_member(value: Any) -> bool:
    """Whether a member of an instance goes: no value, or a sub-attribute without one."""
    return value is None or (isinstance(value, dict) and value.get("type") in MEMBER and gone(value))


def whole(found: Instances) -> Any:
    """Instances as one attribute; None when there is none."""
    kept = list(found.values())
    return None if not kept else kept[0] if len(kept) == 1 else kept


def append(stored: Mapping[str, Any], given: Mapping[str, Any], *, overwrite: bool) -> Changed:
    """Add instances; those that are there are replaced, or stay unless `overwrite` (§5.6.3)."""
    out = Changed()
    for name, attribute in given.items():
        has = instances(stored.get(name))
        new = instances(attribute)
        taken = {key: each for key, each in new.items() if overwrite or key not in has}
        if taken:
            out.attributes[name] = whole(has | taken)
        if len(taken) == len(new):
            out.done.append(name)
        else:
            out.left[name] = EXISTS
    return out


def update(stored: Mapping[str, Any], given: Mapping[str, Any]) -> Changed:
    """Replace instances whole, add new ones, take away those that go (§5.6.2, §5.5.8)."""
    out = Changed()
    for name, attribute in given.items():
        has = instances(stored.get(name))
        new = instances(attribute)
        after = has | {key: settled(each) for key, each in new.items() if not gone(each)}
        for key in [key for key, each in new.items() if gone(each)]:
            after.pop(key, None)
        if any(key not in has for key, each in new.items() if gone(each)):
            out.left[name] = MISSING
        else:
            out.attributes[name] = whole(after)
            out.done.append(name)
    return out


def merge(stored: Mapping[str, Any], given: Mapping[str, Any], *, observed_at: str = "") -> Changed:
    """Merge patch (§5.5.12): members that are named change, the rest of each instance stays; what is not there and goes is no matter."""
    out = Changed()
    for name, attribute in given.items():
        has = instances(stored.get(name))
        after = dict(has)
        for key, each in instances(attribute).items():
            if gone(each):
                after.pop(key, None)
            else:
                after[key] = merged(has[key], each, observed_at) if key in has else settled(each)
        if after != has:
            out.attributes[name] = whole(after)
        out.done.append(name)
    return out


def merged(current: Mapping[str, Any], patch: Mapping[str, Any], observed_at: str = "") -> dict[str, Any]:
    """An instance after a merge patch: another kind replaces it; objects inside values are merged too."""
    if current.get("type") != patch.get("type"):
        return dict(settled(patch))
    out = dict(current)
    holder = MEMBER.get(str(patch["type"]), "value")
    for key, value in patch.items():
        if gone_member(value):
            out.pop(key, None)
        elif key == holder and isinstance(value, dict) and isinstance(current.get(key), dict) and patch["type"] != "GeoProperty":
            out[key] = merged_value(current[key], value)
        elif isinstance(value, dict) and value.get("type") in MEMBER and isinstance(current.get(key), dict):
            out[key] = merged(current[key], value)
        else:
            out[key] = value
    if observed_at and "observedAt" not in patch and "observedAt" in current:
        out["observedAt"] = observed_at
    return out


def merged_value(current: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """An object after a merge patch (RFC 7396, with "urn:ngsi-ld:null" for null)."""
    out = dict(current)
    for key, value in patch.items():
        if value == NULL:
            out.pop(key, None)
        elif isinstance(value, dict) and isinstance(out.get(key), dict):
            out[key] = merged_value(out[key], value)
        else:
            out[key] = value
    return out


def partial(current: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """An instance after a partial update (§5.6.4): members that are named are replaced whole, the rest stays."""
    out = dict(current)
    for key, value in patch.items():
        if gone_member(value):
            out.pop(key, None)
        else:
            out[key] = settled(value) if isinstance(value, dict) and value.get("type") in MEMBER else value
    return out
