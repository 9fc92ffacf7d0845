"""Writes of one entity with other sources in them: each part goes where it belongs (§4.3.6, §5.6)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import msgspec
import psycopg
from starlette.requests import Request
from starlette.responses import Response

from malha.context.broker import attributes, door, entities, query, questions, reading
from malha.context.broker.contracts import Asked, BadRequestData
from malha.context.broker.door import Handler
from malha.context.federation.asking import conversation, speaking
from malha.context.federation.asking.conversation import Session
from malha.context.federation.asking.speaking import Speech
from malha.context.federation.contracts import PROXIED, LoopDetected, Mode
from malha.context.federation.distribute import Road
from malha.context.federation.registrations.matching import Source
from malha.context.federation.registrations.registry import Diverted
from malha.context.federation.spreading import writes
from malha.context.federation.spreading.writes import Result
from malha.context.store import service as store
from malha.context.store.contracts import StoredEntity
from malha.foundation.access.contracts import Capability
from malha.foundation.database import service as database
from malha.kernel.errors import MalhaError
from malha.kernel.text import msg

#: members of an entity that go with every part of it
_HEAD = frozenset({"id", "@id", "type", "@type", "@context"})
_OWN = _HEAD | {"scope", "expiresAt", "createdAt", "modifiedAt", "deletedAt"}


@dataclass(frozen=True, slots=True)
class Verb:
    """A write of the API: its name among the operations (§4.20), and what its body holds."""

    operation: str
    whole: bool = False  # the body is the whole entity
    fragment: bool = False  # the body is attributes of it
    deletes: bool = False
    by_attribute: bool = False  # a partial outcome is told by attribute


@dataclass(frozen=True, slots=True)
class Division:
    """Who gets which attributes: sources with the names of their parts, and what is left for this broker; `own` says whether it takes part."""

    parts: tuple[tuple[Source, frozenset[str]], ...]
    left: frozenset[str]
    own: bool


def divided(sources: Sequence[Source], uri: str, types: Collection[str], names: frozenset[str], operations: Collection[str]) -> Division:
    """Divide attributes among sources: exclusive ones take theirs first, redirected ones of the rest, inclusive ones get a copy (§5.6.1.4)."""
    parts: list[tuple[Source, frozenset[str]]] = []
    left, gone = names, False
    for mode in (Mode.EXCLUSIVE, Mode.REDIRECT):
        taken: set[str] = set()
        for source in sources:
            share = source.of_entity(uri, types, left) if source.mode is mode and (left or not names) else None
            if share is None:
                continue
            part = left if share.attributes is None else share.attributes & left if names else share.attributes
            parts.append((source, part if names else frozenset()))
            taken |= part
            gone |= share.attributes is None
        left -= taken
    took = bool(parts)
    for source in sources:
        share = source.of_entity(uri, types, left) if source.mode is Mode.INCLUSIVE and source.takes(*operations) and (left or not names) else None
        if share is not None:
            parts.append((source, left if share.attributes is None else share.attributes & left if names else frozenset()))
    return Division(tuple(parts), left, own=bool(left) or not took or (not names and not gone))


def written(verb: Verb) -> Road:
    """The road of a write of one entity."""

    async def road(request: Request, found: Diverted, handler: Handler) -> Response:
        payload, source = await _payload(request, verb)
        uri = str(payload.get("id", payload.get("@id", ""))) if verb.operation == "createEntity" else entities.uri_of(request)

        def look(conn: psycopg.Connection[Any], who: Asked) -> tuple[Session, StoredEntity | None, dict[str, str], tuple[str, ...]]:
            with database.tenant_transaction(conn, [who.tenant_id]):
                own = store.by_uris(conn, who.tenant_id, [uri]).get(uri)
            session = conversation.opened(request, conn, who)
            types = _checked(who, verb, payload, own)
            return session, own, _names(request, who, verb, payload), types

        session, own, names, types = await door.allowed(request, Capability.DATA_WRITE, look, source)
        if verb.deletes and (selected := request.query_params.get("type", "")):
            types = tuple(store.types_in(store.rename_in_types(selected, session.who.context.expand)))
        refuse_loop(request, found, session.alias, uri, types, frozenset(names))
        sources = conversation.usable(found, request, session.alias)
        division = divided(sources, uri, types, frozenset(names), {verb.operation})
        if not division.parts:
            return await handler(request)
        work = [_at_source(session, verb, each, part, uri, payload, names) for each, part in division.parts]
        if division.own or (verb.deletes and own is not None):
            work.append(_at_home(session, verb, handler, division.left, payload, names))
        results = await conversation.together(work)
        return writes.combined(results, uri, _success(request, verb, uri), by_attribute=verb.by_attribute)

    return road


async def _payload(request: Request, verb: Verb) -> tuple[dict[str, Any], Any]:
    """The body and its @context; an empty one for an operation that has none."""
    if verb.deletes:
        return {}, None
    media = reading.media_type(request)
    payload = reading.decode(await reading.body_of(request))
    if not isinstance(payload, dict):
        raise BadRequestData(msg("Envie um objeto JSON."))
    return payload, reading.source_of(request, media, payload)


def _checked(who: Asked, verb: Verb, payload: Mapping[str, Any], own: StoredEntity | None) -> tuple[str, ...]:
    """The types of the entity as far as they are known. Raises for a body that cannot be, before anybody is asked, and NotPermitted."""
    if verb.whole and (own is None or verb.operation == "createEntity"):
        types = reading.document(payload, who.context, tenant_id=who.tenant_id).types
    elif verb.whole or verb.fragment:
        named = reading.types_of(payload, who.context)
        if own is not None:
            reading.document(payload, who.context, tenant_id=who.tenant_id, kept=own, nulls=not verb.whole, deep=verb.operation == "mergeEntity")
        else:
            attributes.Reader(who.context, nulls=True, deep_nulls=True).attributes(payload, _OWN, {})
        types = tuple(dict.fromkeys((*(own.types if own else ()), *named)))
    else:
        types = own.types if own else ()
    if types:
        door.require_reach(who, types)
    elif who.principal.types is not None:
        door.require_reach(who, ("*",))
    return types


def _names(request: Request, who: Asked, verb: Verb, payload: Mapping[str, Any]) -> dict[str, str]:
    """The attributes of a request by internal name, as its sender calls them."""
    if verb.whole or verb.fragment:
        return {who.context.expand(member): member for member in payload if member not in _OWN}
    name = str(request.path_params.get("attr", ""))
    return {who.context.expand(name): name} if name else {}


def refuse_loop(request: Request, found: Diverted, alias: str, uri: str, types: Collection[str], names: Collection[str]) -> None:
    """Raise LoopDetected where the request came back and the data lies elsewhere (§6.3.17)."""
    if alias not in reading.passed_through(request):
        return
    if any(source.mode in PROXIED and source.of_entity(uri, types, names) for source in found.sources):
        raise LoopDetected(msg("O pedido já passou por aqui: as fontes apontam umas para as outras."))


async def _at_source(
    session: Session, verb: Verb, source: Source, part: frozenset[str], uri: str, payload: Mapping[str, Any], names: Mapping[str, str]
) -> Result:  # fmt: skip
    """A part at its source."""
    told = tuple(sorted(part or names))
    if not source.takes(verb.operation):
        return writes.unsupported(session.request, source, told)
    speech = await conversation.speech_to(session, source)
    method, path = _address(session.request, verb, uri, speech, session.who)
    body = None
    if not verb.deletes:
        kept = payload if not (verb.whole or verb.fragment) else {m: v for m, v in payload.items() if m in _OWN or m in {names[name] for name in part}}
        body = speaking.renamed(kept, session.who.context, speech)
    answer = await session.ask(source, speech, method, path, _parameters(session, speech), body)
    return writes.of_answer(session.request, source, answer, told)


def _address(request: Request, verb: Verb, uri: str, speech: Speech, who: Asked) -> tuple[str, str]:
    if verb.operation == "createEntity":
        return "POST", "/entities"
    attr = str(request.path_params.get("attr", ""))
    if attr:
        return request.method, speaking.entity_path(uri, f"/attrs/{quote(speech.name(who.context.expand(attr)), safe=':')}")
    return request.method, speaking.entity_path(uri, "/attrs" if request.url.path.rstrip("/").endswith("/attrs") else "")


def _parameters(session: Session, speech: Speech) -> dict[str, str]:
    """The parameters of the request as the source reads them."""
    out = {name: value for name, value in session.request.query_params.items() if name != "local"}
    expand = session.who.context.expand
    if "type" in out:
        out["type"] = store.rename_in_types(out["type"], lambda name: speech.name(expand(name)))
    return out


async def _at_home(session: Session, verb: Verb, handler: Handler, left: frozenset[str], payload: Mapping[str, Any], names: Mapping[str, str]) -> Result:
    """What is left, by this broker's own handler."""
    if verb.whole or verb.fragment:
        kept = {names[name] for name in left}
        body = {member: value for member, value in payload.items() if member in _OWN or member in kept}
        session.request.scope["malha.body"] = msgspec.json.encode(body)
    return await at_home(session.request, handler, tuple(sorted(left or names)))


async def at_home(request: Request, handler: Handler, names: tuple[str, ...] = ()) -> Result:
    """The outcome of this broker's own handler."""
    try:
        response = await handler(request)
    except MalhaError as error:
        return writes.of_error(request, None, error, names)
    body = msgspec.json.decode(bytes(response.body)) if response.body else None
    return Result(None, response.status_code, names=names, response=response, body=body)


def _success(request: Request, verb: Verb, uri: str) -> Response:
    if verb.operation != "createEntity":
        return Response(status_code=204)
    return Response(status_code=201, headers={"Location": f"{request.scope.get('root_path', '')}/ngsi-ld/v1/entities/{quote(uri, safe=':')}"})


async def purge(request: Request, found: Diverted, handler: Handler) -> Response:
    """DELETE /entities with other sources in it (§5.6.21)."""
    params = dict(request.query_params)

    def look(conn: psycopg.Connection[Any], who: Asked) -> tuple[Session, list[Source]]:
        asked = questions.filters(params, who.context)
        query.require_filter(params, asked)
        session = conversation.opened(request, conn, who)
        sources = [source for source in conversation.usable(found, request, session.alias) if source.mode is not Mode.AUXILIARY and source.of_question(asked)]
        return session, sources

    session, sources = await door.allowed(request, Capability.DATA_WRITE, look)
    if session.who.principal.types is not None:
        return await handler(request)  # somebody who may delete some types only deletes here
    results = await conversation.together([*(_purged(session, source, params) for source in sources if source.takes("purgeEntity")), at_home(request, handler)])
    refused = [writes.unsupported(request, source) for source in sources if source.mode in PROXIED and not source.takes("purgeEntity")]
    return writes.combined([*results, *refused], "urn:ngsi-ld:EntityList", Response(status_code=204))


async def _purged(session: Session, source: Source, params: Mapping[str, str]) -> Result:
    speech = await conversation.speech_to(session, source)
    expand = session.who.context.expand
    asked = dict(params)
    if "type" in asked and asked["type"] != "*":
        asked["type"] = store.rename_in_types(asked["type"], lambda name: speech.name(expand(name)))
    for member in ("attrs", "keep", "drop"):
        if member in asked:
            asked[member] = ",".join(speech.name(expand(name.strip())) for name in asked[member].split(","))
    if "q" in asked:
        asked["q"] = store.rename_in_question(asked["q"], lambda name: speech.name(expand(name)))
    return writes.of_answer(session.request, source, await session.ask(source, speech, "DELETE", "/entities", asked))
