"""A registration as its client reads it back: in the words of the request, its secrets hidden (§5.2.9)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from malha.context.federation.contracts import Registration, State
from malha.context.federation.registrations.reading import TYPE
from malha.kernel.time import format_instant
from malha.vocabulary.contexts.service import Context

_ATTRIBUTES = ("propertyNames", "relationshipNames", "attributeNames")


def document(registration: Registration, state: State, context: Context, *, system: bool = False) -> dict[str, Any]:
    """The registration, without @context."""
    said = registration.document
    out: dict[str, Any] = {"id": registration.uri, "type": TYPE}
    for member, value in said.items():
        if member == "information":
            out[member] = [information(one, context) for one in value]
        elif member == "properties":
            out |= {context.compact(name): each for name, each in value.items()}
        elif member == "scope":
            out[member] = value[0] if len(value) == 1 else value
        else:
            out[member] = value
    out |= _how_it_answers(state)
    if system:
        out["createdAt"], out["modifiedAt"] = format_instant(registration.created_at), format_instant(registration.modified_at)
    return out


def information(one: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """One piece of what a source has, in the words of a context."""
    out: dict[str, Any] = {}
    if "entities" in one:
        out["entities"] = [{**entity, "type": _single([context.compact(name) for name in entity["type"]])} for entity in one["entities"]]
    return out | {member: [context.compact(name) for name in one[member]] for member in _ATTRIBUTES if member in one}


def _single(found: list[str]) -> str | list[str]:
    return found[0] if len(found) == 1 else found


def _how_it_answers(state: State) -> dict[str, Any]:
    out: dict[str, Any] = {}
    if state.times_sent:
        out["status"] = "failed" if state.failing_since else "ok"
        out["timesSent"] = state.times_sent
    if state.times_failed:
        out["timesFailed"] = state.times_failed
    for member, moment in (("lastSuccess", state.last_success), ("lastFailure", state.last_failure)):
        if moment is not None:
            out[member] = format_instant(moment)
    return out
