"""How entities evolved, here and at other sources (§5.7.3, §5.7.4): instances put together in order of time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import msgspec
import psycopg
from starlette.requests import Request
from starlette.responses import Response

from malha.context.broker import door, entity_maps, projection, questions, reading, rendering
from malha.context.broker.contracts import Asked
from malha.context.broker.door import Handler
from malha.context.federation.asking import answers, conversation, speaking, wire
from malha.context.federation.asking.answers import Warning_
from malha.context.federation.asking.conversation import Session
from malha.context.federation.asking.speaking import Speech
from malha.context.federation.contracts import Mode
from malha.context.federation.distribute import distributed
from malha.context.federation.gathering import sums
from malha.context.federation.registrations.matching import Share
from malha.context.federation.registrations.registry import Diverted
from malha.context.store import service as store
from malha.context.store.contracts import EntityQuery
from malha.foundation.access.contracts import Capability
from malha.kernel.errors import MalhaError, NotFound

#: members of a question that list names of attributes
_NAMES = ("attrs", "pick", "omit")
_HEAD = frozenset({"id", "type", "scope", "@context", "createdAt", "modifiedAt", "deletedAt", "expiresAt"})


def around(handler: Handler) -> Handler:
    """A temporal reading of this broker with other sources in it."""
    return distributed(handler, _road)


async def _road(request: Request, found: Diverted, handler: Handler) -> Response:
    uri = str(request.path_params.get("id", ""))
    operations = ("retrieveTemporal",) if uri else ("queryTemporal",)
    said, source = await _said(request)

    def look(conn: psycopg.Connection[Any], who: Asked) -> tuple[Session, EntityQuery]:
        return conversation.opened(request, conn, who), _by_body(said, who) if said is not None else _by_parameters(request, uri, who)

    session, asked = await door.allowed(request, Capability.DATA_READ, look, source)
    shares = [
        share for source in conversation.usable(found, request, session.alias)
        if source.mode is not Mode.AUXILIARY and source.takes(*operations) and (share := source.of_question(asked, asked.attrs)) is not None
    ]  # fmt: skip
    summed = _summed(request, said) if shares else None
    own, refused, headers = await _own(request if summed is None else _for_sums(request, said, summed), handler)
    if not shares:
        if refused is not None:
            raise refused
        return _answer(request, session, own, headers, single=bool(uri))
    told = await conversation.together([_told(session, share, uri, said, summed) for share in shares])
    whole = {str(each.get("id")): each for each in own}
    left_out: dict[str, None] = {}
    for share, speech, entities in told:
        for entity in entities:
            read = _readable(_renamed(entity, share, speech, session), session)
            if read is not None:
                key = str(read.get("id"))
                if key not in whole:
                    whole[key] = read
                elif summed is None:
                    whole[key] = merged(whole[key], read)
                else:
                    whole[key], lost = _added(whole[key], read, summed)
                    left_out |= dict.fromkeys([sums.NOT_TOGETHER] * lost + [sums.NOT_ALIGNED] * (not summed.aligned))
                    session.warnings += [Warning_(wire.SILENT, share.source.registration.uri, reason) for reason in left_out]
    if summed is not None:
        whole = {key: _only(each, summed) for key, each in whole.items()}
    if not whole and refused is not None:
        return session.warn(door.problem(refused, request))
    return session.warn(_answer(request, session, list(whole.values()), headers, single=bool(uri)))


@dataclass(frozen=True, slots=True)
class Summed:
    """A question for sums: which, of how many buckets at most, whether of the whole period at once, and whether buckets begin at one instant everywhere."""

    methods: tuple[str, ...]
    last: int | None
    whole: bool
    aligned: bool


def _summed(request: Request, said: Mapping[str, Any] | None) -> Summed | None:
    """What is asked for in sums, None for anything else; the broker's own handler refuses what cannot be asked."""
    params: dict[str, Any] = dict(request.query_params)
    named = params.get("aggrMethods", "").split(",") if "aggregatedValues" in {params.get("format"), *params.get("options", "").split(",")} else []
    if said is not None:
        params |= {**_dict(said, "temporalQ"), **_dict(said, "aggrParams")}
        listed = params.get("aggrMethods") or ()
        named = listed.split(",") if isinstance(listed, str) else listed
    methods = tuple(dict.fromkeys(name.strip() for name in named if isinstance(name, str) and name.strip() in sums.METHODS))
    if not methods:
        return None
    last, duration = str(params.get("lastN") or ""), str(params.get("aggrPeriodDuration") or "PT0S")
    whole = not any(digit in "123456789" for digit in duration)
    return Summed(methods, int(last) if last.isdigit() else None, whole, whole or params.get("timerel") in {"after", "between"})


def _dict(said: Mapping[str, Any], member: str) -> dict[str, Any]:
    found = said.get(member)
    return found if isinstance(found, dict) else {}


def _for_sums(request: Request, said: Mapping[str, Any] | None, summed: Summed) -> Request:
    """The request, asking too for what is needed to put sums together."""
    if said is None:
        params = {**request.query_params, "aggrMethods": ",".join(sums.needed(summed.methods))}
        return Request({**request.scope, "query_string": urlencode(params).encode()}, request.receive)
    return Request({**request.scope, "malha.body": msgspec.json.encode(_with_needed(said, summed))}, request.receive)


def _with_needed(said: Mapping[str, Any], summed: Summed) -> dict[str, Any]:
    out = dict(said)
    for member in ("temporalQ", "aggrParams"):
        if "aggrMethods" in _dict(said, member):
            out[member] = {**said[member], "aggrMethods": sums.needed(summed.methods)}
    return out


def _added(one: Mapping[str, Any], other: Mapping[str, Any], summed: Summed) -> tuple[dict[str, Any], bool]:
    """Two answers of sums about an entity as one; whether something had to be left out."""
    out, left_out = dict(one), False
    for member, value in other.items():
        known = out.get(member)
        if member not in out:
            out[member] = value
        elif sums.are(known) and sums.are(value):
            out[member], lost = sums.together(known, value, whole=summed.whole)
            left_out |= lost
    return out, left_out


def _only(entity: Mapping[str, Any], summed: Summed) -> dict[str, Any]:
    """The entity with the sums that were asked for."""
    return {member: sums.only(value, summed.methods, summed.last) if sums.are(value) else value for member, value in entity.items()}


async def _said(request: Request) -> tuple[dict[str, Any] | None, Any]:
    """The Query of a POST and its @context; the broker's own handler has read it before and refused what is none."""
    if request.method == "GET":
        return None, None
    payload = reading.decode(await reading.body_of(request))
    return payload, reading.source_of(request, reading.media_type(request), payload)


def _by_parameters(request: Request, uri: str, who: Asked) -> EntityQuery:
    selected = request.query_params.get("type", "")
    types = store.rename_in_types(selected, who.context.expand) if selected and selected != "*" else ""
    uris = (uri,) if uri else tuple(each for each in request.query_params.get("id", "").split(",") if each)
    params = request.query_params
    wanted = _expanded((params.get("attrs") or params.get("pick", "")).split(","), who)
    return EntityQuery(type_selection=types, uris=uris, id_pattern=params.get("idPattern", ""), attrs=wanted)


def _by_body(said: Mapping[str, Any], who: Asked) -> EntityQuery:
    return EntityQuery(any_of=questions.selectors_of(said.get("entities", []), who.context), attrs=_expanded(said.get("attrs") or said.get("pick", ()), who))


def _expanded(names: Iterable[str], who: Asked) -> tuple[str, ...]:
    return tuple(who.context.expand(name.strip()) for name in names if name.strip() and name.strip() not in projection.OWN)


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


async def _told(session: Session, share: Share, uri: str, said: Mapping[str, Any] | None, summed: Summed | None) -> tuple[Share, Speech, list[dict[str, Any]]]:
    source = share.source
    speech = await conversation.speech_to(session, source)
    params = {name: value for name, value in session.request.query_params.items() if name not in {"local", "count", "offset", *entity_maps.WISHES}}
    if summed is not None and said is None:
        params["aggrMethods"] = ",".join(sums.needed(summed.methods))
    if said is not None:
        asked = said if summed is None else _with_needed(said, summed)
        answer = await session.ask(source, speech, "POST", "/temporal/entityOperations/query", params, _query_for(asked, session, share, speech))
    else:
        path = speaking.entity_path(uri) if uri else "/entities"
        answer = await session.ask(source, speech, "GET", f"/temporal{path}", _parameters_for(params, session, share, speech))
    if (amiss := answers.warning_of(source, answer)) is not None:
        session.warnings.append(amiss)
    if not answer.ok or not answer.body.strip():
        return share, speech, []
    try:
        return share, speech, answers.objects(answer)
    except ValueError:
        session.warnings.append(answers.invalid(source))
        return share, speech, []


def _parameters_for(params: Mapping[str, str], session: Session, share: Share, speech: Speech) -> dict[str, str]:
    """The parameters of a question that say names, in the words of a source."""
    rename = _renaming(session, speech)
    out = {**params, **{name: ",".join(map(rename, params[name].split(","))) for name in _NAMES if params.get(name)}}
    if params.get("type", "*") != "*":
        out["type"] = store.rename_in_types(params["type"], rename)
    if "q" in params:
        out["q"] = store.rename_in_question(params["q"], rename)
    return out if share.attributes is None else {**_less(out), "attrs": ",".join(_held(share, speech))}


def _query_for(said: Mapping[str, Any], session: Session, share: Share, speech: Speech) -> dict[str, Any]:
    """The Query of a request (§5.2.23) in the words of a source."""
    rename = _renaming(session, speech)
    out = {name: value for name, value in said.items() if name not in {"@context", *entity_maps.WISHES}} | {
        name: list(map(rename, said[name])) for name in _NAMES if said.get(name)
    }
    if "entities" in said:
        out["entities"] = [each if each["type"] == "*" else {**each, "type": store.rename_in_types(each["type"], rename)} for each in said["entities"]]
    if "q" in said:
        out["q"] = store.rename_in_question(said["q"], rename)
    if "geoproperty" in said.get("geoQ", {}):
        out["geoQ"] = {**said["geoQ"], "geoproperty": rename(said["geoQ"]["geoproperty"])}
    return out if share.attributes is None else {**_less(out), "attrs": _held(share, speech)}


def _held(share: Share, speech: Speech) -> list[str]:
    return sorted(map(speech.name, share.attributes or ()))


def _less[T](asked: Mapping[str, T]) -> dict[str, T]:
    """Without pick and omit, which do not go with attrs; what a source sends beyond its part is left out anyway."""
    return {name: value for name, value in asked.items() if name not in {"pick", "omit"}}


def _renaming(session: Session, speech: Speech) -> Callable[[str], str]:
    def rename(name: str) -> str:
        return name if name in projection.OWN else speech.name(session.who.context.expand(name.strip()))

    return rename


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
    """Two evolutions of an entity as one: instances of both, each once, in order of time."""
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
