"""How entities evolved, here and at other sources (§5.7.3, §5.7.4): instances put together in order of time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import msgspec
import psycopg
from starlette.requests import Request
from starlette.responses import Response

from malha.context.broker import door, rendering
from malha.context.broker.contracts import Asked, BadRequestData
from malha.context.broker.door import Handler
from malha.context.federation.asking import answers, conversation, evolutions, wire
from malha.context.federation.asking.answers import Warning_
from malha.context.federation.asking.conversation import Session
from malha.context.federation.asking.evolutions import Past
from malha.context.federation.asking.speaking import Speech
from malha.context.federation.gathering import linking, pairs, recounting, sums
from malha.context.federation.gathering.linking import Links
from malha.context.federation.gathering.recounting import Summing
from malha.context.federation.gathering.sums import Summed
from malha.context.federation.registrations import discovering
from malha.context.federation.registrations.matching import Share
from malha.context.federation.registrations.registry import Diverted
from malha.foundation.access.contracts import Capability
from malha.kernel.errors import MalhaError, NotFound
from malha.kernel.text import msg

_HEAD = frozenset({"id", "type", "scope", "@context", "createdAt", "modifiedAt", "deletedAt", "expiresAt"})
_DATED = frozenset({"observedAt", "createdAt", "modifiedAt", "instanceId"})
_CUT = msg("a fonte não deu tudo o que tem do período; restrinja-o")

type Entity = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Alone:
    """What this broker has of the past by itself: the answer to the request, the ids of a question, and sums of values (history lies further down the road)."""

    answer: Handler
    ids: Callable[[Request], Awaitable[list[str]]]
    sums: Summing


@dataclass(slots=True)
class Heard:
    """What one place said: entities by their ids, in the reader's words and within the reader's reach. `share` None is this broker.

    `cut` is the Content-Range of an answer that is not whole, `refused` why there is none.
    """

    share: Share | None
    entities: dict[str, Entity] = field(default_factory=dict)
    cut: str = ""
    refused: MalhaError | None = None
    spoken: bool = True


@dataclass(frozen=True, slots=True)
class Gathered:
    """The entities put together, and what each place said; this broker is the first, where it was asked."""

    entities: dict[str, Entity]
    heard: Sequence[Heard]

    @property
    def headers(self) -> dict[str, str]:
        """Of an answer that is not whole (§6.3.10), as this broker's own part is not."""
        cut = next((each.cut for each in self.heard if each.share is None and each.cut), "")
        return {"Content-Range": cut} if cut else {}


@dataclass(frozen=True, slots=True)
class Gathering:
    """A question about the past with those it goes to."""

    session: Session
    past: Past
    shares: Sequence[Share]
    alone: Alone

    def of(self, past: Past, shares: Sequence[Share] | None = None) -> Gathering:
        """The same with another question, or of fewer sources."""
        return replace(self, past=past, shares=self.shares if shares is None else shares)


async def opened(request: Request, found: Diverted, alone: Alone) -> Gathering:
    """Who asks what of whom. Raises BadRequestData for an order among several sources (§5.7.4.4)."""
    past = await evolutions.read(request)

    def look(conn: psycopg.Connection[Any], who: Asked) -> Session:
        return conversation.opened(request, conn, who)

    session = await door.allowed(request, Capability.DATA_READ, look, past.source)
    question = past.asked(session.who)
    period = None
    with suppress(MalhaError):  # the broker's own handler refuses it
        period = discovering.period({name: str(value) for name, value in past.temporal.items() if value})
    shares = [
        share for source in conversation.usable(found, request, session.alias)  # an auxiliary one takes no temporal operation (§5.9.2.4)
        if source.takes(past.operation) and discovering.may_have(source.registration, period) and discovering.of_datasets(source.registration, past.datasets)
        and (share := source.of_question(question, question.attrs)) is not None
    ]  # fmt: skip
    if shares and "orderBy" in past.params:
        raise BadRequestData(msg("Entre várias fontes não se ordena; pergunte com local=true, ou a cada fonte."))
    return Gathering(session, past, shares, alone)


async def gathered(asked: Gathering, links: Links | None = None, *, here: bool = True) -> Gathered:
    """Everything that this broker (unless not `here`) and the sources have, each entity as one; sums too, each value counted once."""
    summed = sums.of(asked.past.temporal) if asked.shares else None
    whole = asked if summed is None else asked.of(asked.past.with_methods(sums.needed(summed.methods)))
    heard = [await hear(whole, None)] if here else []  # first: it refuses what cannot be asked
    heard += await conversation.together([hear(whole, share, links) for share in asked.shares])
    entities: dict[str, Entity] = {}
    for each in heard:
        for uri, entity in each.entities.items():
            if uri not in entities:
                entities[uri] = entity
            elif summed is None:
                entities[uri] = newest(merged(entities[uri], entity, asked.past.by), asked.past)
            else:
                entities[uri] = sums.joined(entities[uri], entity, summed)
    asked.session.warnings += [Warning_(wire.SILENT, each.share.source.registration.uri, _CUT) for each in heard if each.share is not None and each.cut]
    if summed is not None:
        entities = await _summed(asked, heard, entities, summed)
    return Gathered(entities, heard)


async def _summed(asked: Gathering, heard: Sequence[Heard], entities: dict[str, Entity], summed: Summed) -> dict[str, Entity]:
    """The entities with the sums that were asked for: where a value may lie at two places, those of the values themselves."""

    async def ask(place: int, past: Past, names: frozenset[str]) -> Heard:
        share = heard[place].share
        if share is not None:
            share = replace(share, attributes=frozenset(map(asked.session.who.context.expand, names)))
        return await hear(asked.of(past), share)

    found = await recounting.recounted([each.entities for each in heard], asked.past, summed, ask, asked.alone.sums)
    for (uri, name), attribute in found.sums.items():
        entities[uri] = {**entities[uri], name: sums.within(entities[uri][name], attribute, found.spans[uri, name])}
    for place in sorted(found.doubtful):
        share = heard[place].share
        reasons = [sums.NOT_COUNTED, *([] if summed.aligned else [sums.NOT_ALIGNED])]
        asked.session.warnings += [Warning_(wire.SILENT, share.source.registration.uri, reason) for reason in reasons if share is not None]
    return {uri: sums.wanted(entity, summed) for uri, entity in entities.items()}


async def hear(asked: Gathering, share: Share | None, links: Links | None = None) -> Heard:
    """What one place says; what is amiss with a source is warned of, what this broker refuses is raised, except that there is nothing."""
    return await _own(asked) if share is None else await _told(asked, share, links)


async def _own(asked: Gathering) -> Heard:
    try:
        response = await asked.alone.answer(asked.past.here(asked.session.request))
    except MalhaError as error:
        if error.status != NotFound.status:
            raise
        return Heard(None, refused=error)
    payload = msgspec.json.decode(bytes(response.body))
    listed = payload if isinstance(payload, list) else [payload]
    bare = ({name: value for name, value in each.items() if name != "@context"} for each in listed)
    return Heard(None, {str(each.get("id")): each for each in bare}, response.headers.get("content-range", ""))


async def _told(asked: Gathering, share: Share, links: Links | None) -> Heard:
    session, source = asked.session, share.source
    speech = await conversation.speech_to(session, source)
    told = await linking.ask(session, links, source, speech, *asked.past.there(session, share, speech))
    heard = Heard(share, cut=told.headers.get("content-range", ""), spoken=told.ok or told.status == 404)
    if (amiss := answers.warning_of(source, told)) is not None:
        session.warnings.append(amiss)
    if not told.ok or not told.body.strip():
        return heard
    try:
        listed = answers.objects(told)
    except ValueError:
        session.warnings.append(answers.invalid(source))
        heard.spoken = False
        return heard
    for entity in listed:
        read = _readable(_renamed(entity, share, speech, session), session)
        if read is not None:
            uri = str(read.get("id"))
            heard.entities[uri] = merged(heard.entities[uri], read, asked.past.by) if uri in heard.entities else read
    return heard


def _renamed(entity: Mapping[str, Any], share: Share, speech: Speech, session: Session) -> Entity:
    """An entity in the words of the reader, with those attributes only that its source is registered for."""
    here = session.who.context
    out: Entity = {}
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


def _readable(entity: Entity, session: Session) -> Entity | None:
    """The entity without what the reader may not see; None beyond the reader's types."""
    who, types = session.who, entity.get("type")
    names = tuple(who.context.expand(str(name)) for name in (types if isinstance(types, list) else [types]) if name)
    if not door.within_reach(who, names):
        return None
    hidden = {who.context.compact(name) for name in door.personal(who, names)}
    return {member: value for member, value in entity.items() if member not in hidden}


def merged(one: Mapping[str, Any], other: Mapping[str, Any], by: str) -> Entity:
    """Two evolutions of an entity as one, in order of time: of instances with one dataset and instant the newer (§4.5.5.3), else that of `one`."""
    out = dict(one)
    for member, value in other.items():
        known = out.get(member)
        if known is None:
            out[member] = value
        elif member not in _HEAD and isinstance(known, list | dict) and isinstance(value, list | dict):
            out[member] = _instances(known, value, by)
    return out


def _instances(one: Any, other: Any, by: str) -> Any:
    if pairs.are(one) and pairs.are(other):
        return pairs.union(one, other, by)
    first, second = _listed(one), _listed(other)
    if not all(isinstance(each, dict) and "type" in each and set(each) & _DATED for each in (*first, *second)):
        return one
    out = list(first)
    known = {_slot(each): n for n, each in enumerate(first)}
    for each in second:
        n = known.get(_slot(each))
        if n is None:
            out.append(each)
        elif _modified(each) > _modified(out[n]) > pairs.NEVER:
            out[n] = each
    return sorted(out, key=lambda each: _when(each, by))


def _slot(instance: Mapping[str, Any]) -> tuple[Any, ...]:
    """What tells an instance apart: its dataset and when it was observed; all that it says where that is not known."""
    if "observedAt" in instance:
        return str(instance.get("datasetId", "")), pairs.moment(instance["observedAt"])
    return (msgspec.json.encode({name: value for name, value in instance.items() if name != "instanceId"}),)


def _when(instance: Mapping[str, Any], by: str) -> datetime:
    """When an instance was, by the temporal property that was asked for, or by what it says."""
    return pairs.moment(next((instance[name] for name in (by, "observedAt", "modifiedAt", "deletedAt") if name in instance), ""))


def _modified(instance: Mapping[str, Any]) -> datetime:
    return pairs.moment(instance.get("modifiedAt", ""))


def _listed(attribute: Any) -> list[Any]:
    return attribute if isinstance(attribute, list) else [attribute]


def newest(entity: Entity, past: Past) -> Entity:
    """An entity of several places with the last N instances of each attribute, where so many are asked for: each place gave as many (§5.7.4.4)."""
    most = past.last
    if most is None:
        return entity
    return {member: value if member in _HEAD else _last(value, most) for member, value in entity.items()}


def _last(attribute: Any, most: int) -> Any:
    if pairs.are(attribute):
        return pairs.last(attribute, most)
    return attribute[-most:] if isinstance(attribute, list) else attribute


def answer(asked: Gathering, found: Sequence[Entity], headers: Mapping[str, str], total: int | None = None) -> Response:
    """The answer: the one entity of a retrieval, or a page of them, of `total` that there are."""
    request, session = asked.session.request, asked.session
    want = rendering.Wanted(context=session.who.context, media=rendering.negotiated(request, places=False))
    count = len(found) if total is None else total
    told = {"NGSILD-Results-Count": str(count)} if request.query_params.get("count") == "true" else {}
    status = 206 if "Content-Range" in headers else 200
    return rendering.answer(found[0] if asked.past.uri else found, want, status=status, headers={**headers, **told})
