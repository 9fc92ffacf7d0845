"""How entities evolved, here and at other sources (§5.7.3, §5.7.4): instances put together in order of time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import psycopg
from starlette.requests import Request
from starlette.responses import Response

from malha.context.broker import door, rendering
from malha.context.broker.contracts import Asked
from malha.context.broker.door import Handler
from malha.context.federation import answers, gather, service, speaking
from malha.context.federation.contracts import Mode
from malha.context.federation.distribute import distributed
from malha.context.federation.gather import Session
from malha.context.federation.matching import Share
from malha.context.federation.registry import Diverted
from malha.context.federation.speaking import Speech
from malha.context.store import service as store
from malha.context.store.contracts import EntityQuery
from malha.foundation.access.contracts import Capability
from malha.kernel.errors import MalhaError, NotFound

_HEAD = frozenset({"id", "type", "scope", "@context", "createdAt", "modifiedAt", "deletedAt", "expiresAt"})


def around(handler: Handler) -> Handler:
    """A temporal reading of this broker with other sources in it."""
    return distributed(handler, _road)


async def _road(request: Request, found: Diverted, handler: Handler) -> Response:
    uri = str(request.path_params.get("id", ""))
    operations = ("retrieveTemporal",) if uri else ("queryTemporal",)
    if request.method != "GET":
        return await handler(request)  # a question in a body is asked of this broker alone

    def look(conn: psycopg.Connection[Any], who: Asked) -> tuple[Session, EntityQuery]:
        session = Session(request, who, service.alias_of(who.tenant_id), gather.slug_of(conn, who.tenant_id))
        selected = request.query_params.get("type", "")
        types = store.rename_in_types(selected, who.context.expand) if selected and selected != "*" else ""
        uris = (uri,) if uri else tuple(each for each in request.query_params.get("id", "").split(",") if each)
        return session, EntityQuery(type_selection=types, uris=uris, id_pattern=request.query_params.get("idPattern", ""))

    session, asked = await door.allowed(request, Capability.DATA_READ, look)
    shares = [
        share for source in gather.usable(found, request, session.alias)
        if source.mode is not Mode.AUXILIARY and source.takes(*operations) and (share := source.of_question(asked)) is not None
    ]  # fmt: skip
    own, refused, headers = await _own(request, handler)
    if not shares:
        if refused is not None:
            raise refused
        return _answer(request, session, own, headers, single=bool(uri))
    told = await gather.together([_told(session, share, uri) for share in shares])
    whole = {str(each.get("id")): each for each in own}
    for share, speech, entities in told:
        for entity in entities:
            said = _readable(_renamed(entity, share, speech, session), session)
            if said is not None:
                key = str(said.get("id"))
                whole[key] = merged(whole[key], said) if key in whole else said
    if not whole and refused is not None:
        return session.warn(door.problem(refused, request))
    return session.warn(_answer(request, session, list(whole.values()), headers, single=bool(uri)))


async def _own(request: Request, handler: Handler) -> tuple[list[dict[str, Any]], MalhaError | None, Mapping[str, str]]:
    try:
        response = await handler(request)
    except MalhaError as error:
        if error.status != NotFound.status:
            raise
        return [], error, {}
    payload = msgspec.json.decode(bytes(response.body))
    listed = payload if isinstance(payload, list) else [payload]
    kept = {"Content-Range": response.headers["content-range"]} if "content-range" in response.headers else {}
    return [{name: value for name, value in each.items() if name != "@context"} for each in listed], None, kept


async def _told(session: Session, share: Share, uri: str) -> tuple[Share, Speech, list[dict[str, Any]]]:
    source, expand = share.source, session.who.context.expand
    speech = await gather.speech_to(session, source)
    params = {name: value for name, value in session.request.query_params.items() if name not in {"local", "count", "offset"}}

    def rename(name: str) -> str:
        return speech.name(expand(name))

    if params.get("type", "*") != "*":
        params["type"] = store.rename_in_types(params["type"], rename)
    if "q" in params:
        params["q"] = store.rename_in_question(params["q"], rename)
    if "attrs" in params or share.attributes is not None:
        asked = [expand(name.strip()) for name in params.get("attrs", "").split(",") if name.strip()] or sorted(share.attributes or ())
        params["attrs"] = ",".join(speech.name(name) for name in asked if share.attributes is None or name in share.attributes)
    path = speaking.entity_path(uri) if uri else "/entities"
    answer = await session.ask(source, speech, "GET", f"/temporal{path}", params)
    if (amiss := answers.warning_of(source, answer)) is not None:
        session.warnings.append(amiss)
    if not answer.ok or not answer.body.strip():
        return share, speech, []
    try:
        return share, speech, answers.objects(answer)
    except ValueError:
        session.warnings.append(answers.invalid(source))
        return share, speech, []


def _renamed(entity: Mapping[str, Any], share: Share, speech: Speech, session: Session) -> dict[str, Any]:
    """An entity in the words of the reader, with those attributes only that its source is registered for."""
    here = session.who.context
    out: dict[str, Any] = {}
    for member, value in entity.items():
        if member == "@context":
            continue
        if member == "type":
            names = [here.compact(speech.context.expand(str(name))) for name in (value if isinstance(value, list) else [value])]
            out[member] = names if isinstance(value, list) else names[0]
        elif member in _HEAD:
            out[member] = value
        else:
            name = speech.context.expand(member)
            if share.attributes is None or name in share.attributes:
                out[here.compact(name)] = value
    return out


def _readable(entity: dict[str, Any], session: Session) -> dict[str, Any] | None:
    """The entity without what the reader may not see; None beyond the reader's types."""
    who, types = session.who, entity.get("type")
    names = tuple(who.context.expand(str(name)) for name in (types if isinstance(types, list) else [types]) if name)
    if not door.within_reach(who, names):
        return None
    hidden = {who.context.compact(name) for name in door.personal(who, names)}
    return {member: value for member, value in entity.items() if member not in hidden}


def merged(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Two evolutions of an entity as one: instances of both, each once, in order of time; sums cannot be put together and the first stay."""
    out = dict(one)
    for member, value in other.items():
        known = out.get(member)
        if known is None:
            out[member] = value
        elif member not in _HEAD and isinstance(known, list | dict) and isinstance(value, list | dict):
            out[member] = _instances(known, value)
    return out


def _instances(one: Any, other: Any) -> Any:
    if isinstance(one, dict) and "values" in one and isinstance(other, dict) and "values" in other:
        pairs = {msgspec.json.encode(pair): pair for pair in (*one["values"], *other["values"])}
        return {**one, "values": sorted(pairs.values(), key=lambda pair: str(pair[-1]))}
    first, second = (each if isinstance(each, list) else [each] for each in (one, other))
    if not all(isinstance(each, dict) and "type" in each and set(each) & {"observedAt", "createdAt", "modifiedAt", "instanceId"} for each in (*first, *second)):
        return one
    told = {_key(each): each for each in (*second, *first)}
    return sorted(told.values(), key=lambda each: str(each.get("observedAt", each.get("modifiedAt", ""))))


def _key(instance: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode({name: value for name, value in instance.items() if name != "instanceId"})


def _answer(request: Request, session: Session, whole: list[dict[str, Any]], headers: Mapping[str, str], *, single: bool) -> Response:
    want = rendering.Wanted(context=session.who.context, media=rendering.negotiated(request, places=False))
    told = {"NGSILD-Results-Count": str(len(whole))} if request.query_params.get("count") == "true" else {}
    status = 206 if headers else 200
    return rendering.answer(whole[0] if single else whole, want, status=status, headers={**headers, **told})
