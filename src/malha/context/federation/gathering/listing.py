"""Which types and attributes there are, here and at other sources (§5.7.5–5.7.10)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from malha.context.broker import attributes, door, pool, rendering
from malha.context.broker.contracts import BadRequestData
from malha.context.broker.door import Handler
from malha.context.federation.asking import answers, conversation
from malha.context.federation.asking.conversation import Session
from malha.context.federation.asking.speaking import Speech
from malha.context.federation.contracts import Mode
from malha.context.federation.distribute import Road
from malha.context.federation.registrations.matching import Source
from malha.context.federation.registrations.registry import Diverted
from malha.foundation.access.contracts import Capability
from malha.kernel.errors import MalhaError, NotFound
from malha.kernel.text import msg

type Payload = Any


@dataclass(frozen=True, slots=True)
class Listing:
    """One of the six lists: its operation (with details, its other one), the parameter of its path, and how two of them become one."""

    operation: str
    detailed: str
    merge: Callable[[Payload, Payload, Callable[[str], str]], Payload]
    parameter: str = ""


def listed(one: Listing) -> Road:
    """The road of a list."""

    async def road(request: Request, found: Diverted, handler: Handler) -> Response:
        operation = one.detailed if request.query_params.get("details") == "true" else one.operation
        named = str(request.path_params.get(one.parameter, "")) if one.parameter else ""
        if named and not attributes.usable_name(named):
            raise BadRequestData(msg("O nome “{name}” não serve para um atributo."), name=named[:80])
        session = await door.allowed(request, Capability.DATA_READ, partial(conversation.opened, request))
        sources = [
            source for source in conversation.usable(found, request, session.alias) if source.takes(operation) and _concerned(source, one, named, session)
        ]
        own, refused = await _own(request, handler)
        told = await conversation.together([_told(session, source, one, named) for source in sources])
        want = await pool.run(lambda: rendering.wanted(request, session.who.context))
        whole = own
        for speech, payload in told:
            if payload is not None:
                whole = one.merge(whole, payload, _renaming(speech, session))
        if whole is None:
            assert refused is not None
            return session.warn(door.problem(refused, request))
        headers = {"NGSILD-Results-Count": str(_length(whole))} if request.query_params.get("count") == "true" else {}
        return session.warn(rendering.answer(whole, want, headers=headers))

    return road


def _concerned(source: Source, one: Listing, named: str, session: Session) -> bool:
    """Whether a source may have the type or the attribute that is asked for."""
    if source.mode is Mode.AUXILIARY or not named:
        return source.mode is not Mode.AUXILIARY
    name = session.who.context.expand(named)
    if one.parameter == "type":
        return any(not piece.things or any(name in each.types for each in piece.things) for piece in source.pieces)
    return any(not piece.attributes or name in piece.attributes for piece in source.pieces)


async def _own(request: Request, handler: Handler) -> tuple[Payload, MalhaError | None]:
    try:
        response = await handler(request)
    except MalhaError as error:
        if error.status != NotFound.status:
            raise
        return None, error
    payload = msgspec.json.decode(bytes(response.body))
    return [_bare(each) for each in payload] if isinstance(payload, list) else _bare(payload), None


def _bare(payload: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in payload.items() if name != "@context"}


async def _told(session: Session, source: Source, one: Listing, named: str) -> tuple[Speech, Payload]:
    speech = await conversation.speech_to(session, source)
    base = "/types" if "Entity" in one.operation else "/attributes"
    path = f"{base}/{speech.name(session.who.context.expand(named))}" if named else base
    params = {"details": "true"} if session.request.query_params.get("details") == "true" else {}
    answer = await session.ask(source, speech, "GET", path, params)
    if (amiss := answers.warning_of(source, answer)) is not None:
        session.warnings.append(amiss)
    if not answer.ok or not answer.body.strip():
        return speech, None
    try:
        found = [_bare(each) for each in answers.objects(answer)]
        return speech, found if not named and "details" in params else found[0]
    except (ValueError, IndexError):
        session.warnings.append(answers.invalid(source))
        return speech, None


def _renaming(speech: Speech, session: Session) -> Callable[[str], str]:
    here = session.who.context
    return lambda name: here.compact(speech.context.expand(name))


def _length(payload: Payload) -> int:
    return len(payload) if isinstance(payload, list) else len(payload.get("typeList", payload.get("attributeList", ())))


def _union(one: Iterable[Any], other: Iterable[Any]) -> list[str]:
    return sorted({str(each) for each in one} | {str(each) for each in other})


def _names(member: str) -> Callable[[Payload, Payload, Callable[[str], str]], Payload]:
    """Merge lists of names, or with details lists of objects by id, each with names in `inner`."""
    inner, key = ("attributeNames", "typeName") if member == "typeList" else ("typeNames", "attributeName")

    def merge(own: Payload, other: Payload, rename: Callable[[str], str]) -> Payload:
        if isinstance(other, dict):
            if own is None:
                return {**other, member: [rename(str(each)) for each in other.get(member, ())]}
            return {**own, member: _union(own.get(member, ()), (rename(str(each)) for each in other.get(member, ())))}
        known = {each["id"]: each for each in own or ()}
        for each in other:
            said = {**each, key: rename(str(each.get(key, ""))), inner: [rename(str(name)) for name in each.get(inner, ())]}
            before = known.get(said.get("id"))
            known[str(said.get("id"))] = {**before, inner: _union(before[inner], said[inner])} if before else said
        return list(known.values())

    return merge


def _type(own: Payload, other: Payload, rename: Callable[[str], str]) -> Payload:
    details = [{**each, "attributeName": rename(str(each.get("attributeName", "")))} for each in other.get("attributeDetails", ()) if isinstance(each, dict)]
    if own is None:
        return {**other, "typeName": rename(str(other.get("typeName", ""))), "attributeDetails": details}
    known = {each["id"]: each for each in own["attributeDetails"]}
    for each in details:
        before = known.get(each.get("id"))
        known[each.get("id")] = {**before, "attributeTypes": _union(before["attributeTypes"], each.get("attributeTypes", ()))} if before else each
    return {**own, "entityCount": own["entityCount"] + _number(other.get("entityCount")), "attributeDetails": list(known.values())}


def _attribute(own: Payload, other: Payload, rename: Callable[[str], str]) -> Payload:
    names = [rename(str(each)) for each in other.get("typeNames", ())]
    if own is None:
        return {**other, "attributeName": rename(str(other.get("attributeName", ""))), "typeNames": names}
    return {
        **own, "attributeCount": own["attributeCount"] + _number(other.get("attributeCount")), "typeNames": _union(own["typeNames"], names),
        "attributeTypes": _union(own["attributeTypes"], other.get("attributeTypes", ())),
    }  # fmt: skip


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


TYPES = Listing("retrieveEntityTypes", "retrieveEntityTypeDetails", _names("typeList"))
TYPE = Listing("retrieveEntityTypeInfo", "retrieveEntityTypeInfo", _type, "type")
ATTRIBUTES = Listing("retrieveAttrTypes", "retrieveAttrTypeDetails", _names("attributeList"))
ATTRIBUTE = Listing("retrieveAttrTypeInfo", "retrieveAttrTypeInfo", _attribute, "attr")
