"""Batches with other sources in them: each entity divided, one request for each source (§5.6.7–5.6.10, §5.6.20)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import psycopg
from starlette.requests import Request
from starlette.responses import Response

from malha.context.broker import door, reading, rendering
from malha.context.broker.contracts import Asked
from malha.context.broker.door import Handler
from malha.context.federation.asking import conversation, speaking
from malha.context.federation.asking.conversation import Session
from malha.context.federation.asking.speaking import Speech
from malha.context.federation.contracts import PROXIED
from malha.context.federation.distribute import Road
from malha.context.federation.registrations.matching import Source
from malha.context.federation.registrations.registry import Diverted
from malha.context.federation.spreading import spread, writes
from malha.context.federation.spreading.writes import Result
from malha.context.store import service as store
from malha.foundation.access.contracts import Capability
from malha.foundation.database import service as database
from malha.kernel.errors import MalhaError
from malha.vocabulary.contexts.contracts import ContextToFetch
from malha.vocabulary.contexts.service import Context

_OWN = frozenset({"id", "@id", "type", "@type", "@context", "scope", "expiresAt", "createdAt", "modifiedAt", "deletedAt"})
#: the operation for many, the one for each where a source takes only that, and its method and path
_SINGLE = {
    "create": ("createBatch", "createEntity", "POST", "/entities"), "upsert": ("upsertBatch", "createEntity", "POST", "/entities"), "update": ("updateBatch", "appendAttrs", "POST", "/attrs"),
    "merge": ("mergeBatch", "mergeEntity", "PATCH", ""), "delete": ("deleteBatch", "deleteEntity", "DELETE", ""),
}  # fmt: skip


@dataclass(slots=True)
class Deal:
    """What of a batch goes to one source: by URI the part, with the words that it came in."""

    source: Source
    items: dict[str, tuple[dict[str, Any], Context]] = field(default_factory=dict)


@dataclass(slots=True)
class Dealt:
    """A batch divided: parts by source, what this broker keeps, and the ids that some source alone answers for."""

    deals: dict[tuple[int, int], Deal] = field(default_factory=dict)
    own: list[Any] = field(default_factory=list)
    proxied: set[str] = field(default_factory=set)
    order: list[str] = field(default_factory=list)


def batch(verb: str) -> Road:
    """The road of a batch."""

    async def road(request: Request, found: Diverted, handler: Handler) -> Response:
        media = reading.media_type(request)
        payload = reading.decode(await reading.body_of(request))
        items = list(reading.uris(payload) if verb == "delete" else reading.items(payload))
        link = reading.linked(request)

        def look(conn: psycopg.Connection[Any], who: Asked) -> tuple[Session, Dealt]:
            session = conversation.opened(request, conn, who)
            return session, _dealt(conn, session, found, items, media, link, verb)

        session, dealt = await door.allowed(request, Capability.DATA_WRITE, look, link)
        if not dealt.deals:
            return await handler(request)
        work = [_at_source(session, verb, deal) for deal in dealt.deals.values()]
        if dealt.own:
            request.scope["malha.body"] = msgspec.json.encode(dealt.own)
            work.append(_at_home(request, handler))
        return _answer(verb, dealt, [one for several in await conversation.together(work) for one in several])

    return road


def _dealt(conn: psycopg.Connection[Any], session: Session, found: Diverted, items: Sequence[Any], media: str, link: Any, verb: str) -> Dealt:
    """Divide every item; one that cannot be read is left to this broker's own handler, which says why."""
    who = session.who
    ids = [item if isinstance(item, str) else item.get("id") if isinstance(item, dict) else None for item in items]
    with database.tenant_transaction(conn, [who.tenant_id]):
        known = store.by_uris(conn, who.tenant_id, [uri for uri in ids if isinstance(uri, str)])
    sources = conversation.usable(found, session.request, session.alias)
    many, single, _, _ = _SINGLE[verb]
    dealt = Dealt()
    for item, uri in zip(items, ids, strict=True):
        try:
            payload: dict[str, Any] = {} if isinstance(item, str) else item
            context = who.context if isinstance(item, str) else door.words(conn, who, reading.item_source(item, media, link))
            types = tuple(dict.fromkeys((*(known[uri].types if uri in known else ()), *(reading.types_of(payload, context) if payload else ()))))
            if verb != "delete":
                door.require_reach(who, types or ("*",))
            names = {context.expand(member): member for member in payload if member not in _OWN}
        except ContextToFetch:
            raise
        except (MalhaError, AttributeError, TypeError):
            dealt.own.append(item)
            continue
        if not isinstance(uri, str):
            dealt.own.append(item)
            continue
        dealt.order.append(uri)
        spread.refuse_loop(session.request, found, session.alias, uri, types, names)
        division = spread.divided(sources, uri, types, frozenset(names), {many, single, *([_existing(session)[0]] if verb == "upsert" else [])})
        for source, part in division.parts:
            kept = {member: value for member, value in payload.items() if member in _OWN or member in {names[name] for name in part}}
            dealt.deals.setdefault(source.key, Deal(source)).items[uri] = (kept, context)
            if source.mode in PROXIED:
                dealt.proxied.add(uri)
        if division.own or (verb == "delete" and uri in known):
            left = {names[name] for name in division.left}
            dealt.own.append(item if isinstance(item, str) else {member: value for member, value in payload.items() if member in _OWN or member in left})
    return dealt


async def _at_source(session: Session, verb: str, deal: Deal) -> list[tuple[str, Result]]:
    """A source's part: as one batch, else one by one where it takes only that."""
    source = deal.source
    many, single, method, path = _SINGLE[verb]
    if not source.takes(many, single, *([_existing(session)[0]] if verb == "upsert" else [])):
        return [(uri, writes.unsupported(session.request, source)) for uri in deal.items]
    speech = await conversation.speech_to(session, source)
    if verb == "upsert" and not source.takes(many):
        return await conversation.together([_upserted(session, deal, speech, uri) for uri in deal.items])
    params = {name: value for name, value in session.request.query_params.items() if name != "local"}
    if not source.takes(many):
        return await conversation.together([_alone(session, deal, speech, uri, method, path, params) for uri in deal.items])
    body: Any = list(deal.items) if verb == "delete" else [_said(speech, *item) for item in deal.items.values()]
    headers_only = speech if verb != "delete" else Speech(speech.context, speech.headers, speech.link)
    answer = await session.ask(source, headers_only, "POST", f"/entityOperations/{verb}", params, body)
    result = writes.of_answer(session.request, source, answer)
    failed = {}
    if result.status == 207 and isinstance(result.body, dict):
        failed = {str(each.get("entityId")): each.get("error") for each in result.body.get("errors", ()) if isinstance(each, dict)}
    return [
        (uri, Result(source, 400, failed[uri] if isinstance(failed[uri], dict) else {"title": str(failed[uri])}) if uri in failed else result)
        for uri in deal.items
    ]


def _existing(session: Session) -> tuple[str, str, str]:
    """What an upsert does to an entity that is there, one by one: the operation, its method and its path (§5.6.8.4)."""
    updates = "update" in session.request.query_params.get("options", "").split(",")
    return ("updateEntity", "PATCH", "/attrs") if updates else ("replaceEntity", "PUT", "")


async def _upserted(session: Session, deal: Deal, speech: Speech, uri: str) -> tuple[str, Result]:
    """One entity at a source that takes no batches of them: made there, and replaced or updated where it is there already."""
    operation, method, path = _existing(session)
    if deal.source.takes("createEntity"):
        made = await _alone(session, deal, speech, uri, "POST", "/entities", {})
        if not made[1].there:
            return made
        if not deal.source.takes(operation):
            return uri, writes.unsupported(session.request, deal.source)
    return await _alone(session, deal, speech, uri, method, path, {})


async def _alone(session: Session, deal: Deal, speech: Speech, uri: str, method: str, path: str, params: dict[str, str]) -> tuple[str, Result]:
    payload = None if method == "DELETE" else _said(speech, *deal.items[uri])
    answer = await session.ask(deal.source, speech, method, path if path == "/entities" else speaking.entity_path(uri, path), params, payload)
    return uri, writes.of_answer(session.request, deal.source, answer)


def _said(speech: Speech, payload: Mapping[str, Any], context: Context) -> dict[str, Any]:
    return speaking.renamed(payload, context, speech)


async def _at_home(request: Request, handler: Handler) -> list[tuple[str, Result]]:
    return [("", await spread.at_home(request, handler))]


def _answer(verb: str, dealt: Dealt, results: Sequence[tuple[str, Result]]) -> Response:
    """One answer: what succeeded everywhere, and each error (§5.2.16)."""
    errors: list[dict[str, Any]] = []
    done: dict[str, None] = {}
    created: dict[str, None] = {}
    excused = {uri for uri, one in results if one.ok and one.proxied}
    for uri, one in results:
        if one.source is not None:
            if not one.ok:
                errors.append(writes.error_of(uri, one))
                continue
            done[uri] = None
            if one.status == 201 and (not isinstance(one.body, list) or uri in one.body):
                created[uri] = None
            continue
        _own(one, dealt, done, created, errors, excused)
    failed = {each.get("entityId") for each in errors}
    good = [uri for uri in dict.fromkeys((*dealt.order, *done)) if uri in done and uri not in failed]
    if errors:
        return rendering.plain({"success": good, "errors": errors}, status=207)
    if verb == "create":
        return rendering.plain(good, status=201)
    if verb == "upsert" and created:
        return rendering.plain(list(created), status=201)
    return Response(status_code=204)


def _own(one: Result, dealt: Dealt, done: dict[str, None], created: dict[str, None], errors: list[dict[str, Any]], excused: set[str]) -> None:
    """Take in what this broker did itself; that it does not have what lies elsewhere is no error."""
    if not one.ok:
        errors.append(writes.error_of("", one))
        return
    if one.status == 207 and isinstance(one.body, dict):
        done |= dict.fromkeys(one.body["success"])
        errors += [each for each in one.body["errors"] if not (each["entityId"] in excused and each["error"].get("status") == 404)]
        return
    done |= dict.fromkeys(str(item if isinstance(item, str) else item.get("id")) for item in dealt.own)
    if isinstance(one.body, list):
        created |= dict.fromkeys(one.body)
