"""One request with other sources in it: who asks, whom it may ask, what each said (§4.3.6, §6.3.17, §6.3.18)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import psycopg
from starlette.requests import Request
from starlette.responses import Response

from malha.context.broker import door, express, pool, reading, tenants
from malha.context.broker.contracts import Asked
from malha.context.federation.asking import answers, caching, credentials, inside, speaking, wire
from malha.context.federation.asking.answers import Told, Warning_
from malha.context.federation.asking.merging import Part
from malha.context.federation.asking.speaking import Speech
from malha.context.federation.contracts import Answer
from malha.context.federation.registrations import outcomes
from malha.context.federation.registrations.matching import Share, Source
from malha.context.federation.registrations.registry import Diverted
from malha.context.store.contracts import StoredEntity
from malha.foundation.access.contracts import Capability
from malha.kernel.text import msg
from malha.vocabulary.contexts import service as contexts

_LOOP = msg("o pedido já passou por aqui: as fontes apontam umas para as outras; registe-as com contextSourceAlias")


@dataclass(slots=True)
class Session:
    """One request with its sources: who asks, the names it came through and goes on with, what was amiss."""

    request: Request
    who: Asked
    alias: str
    slug: str
    warnings: list[Warning_] = field(default_factory=list)

    async def ask(self, source: Source, speech: Speech, method: str, path: str, params: dict[str, str], payload: Any = None) -> Answer:
        """One request to a source, noted."""
        if source.registration.agreement_id is not None:
            return await pool.run(partial(inside.ask, self.who, source, speech, method, path, params, payload))
        known = caching.key(source, method, path, params, speech.headers, payload) if source.cache_seconds else None
        if known is not None and (kept := caching.kept.find(known)) is not None:
            return kept
        headers, body = speech.for_writing(payload) if payload is not None else (speech.for_reading(), b"")
        address = speaking.address(source, path, params)
        patient = method != "GET" and not path.endswith("/query")
        token = await credentials.bearer(source.registration.headers, self.slug)
        answer = await wire.current().ask(source, method, address, headers | token, body, self.slug, patient=patient)
        if answer.status == 401 and token:
            token = await credentials.bearer(source.registration.headers, self.slug, fresh=True)
            answer = await wire.current().ask(source, method, address, headers | token, body, self.slug, patient=patient)
        if (answer.status or answer.seconds) and outcomes.gathered.note(source, answer):
            outcomes.gathered.write_soon()
        self.warnings += answers.passed_on(source, answer)
        if known is not None:
            caching.kept.keep(known, answer, source.cache_seconds)
        elif source.cache_seconds and patient:
            caching.kept.forget(source)
        return answer

    def warn(self, response: Response) -> Response:
        """The response with what was amiss."""
        return answers.warn(response, self.warnings, self.alias, self.who.language)


def usable(found: Diverted, request: Request, alias: str) -> list[Source]:
    """The sources that may still be asked: none that the request came through, none at all when it came back to us (§6.3.18)."""
    through = reading.passed_through(request)
    return [] if alias in through else [source for source in found.sources if not source.alias or source.alias not in through]


def opened(request: Request, conn: psycopg.Connection[Any], who: Asked) -> Session:
    """A request that is about to ask sources; the tenant's slug is what the operator lists internal hosts by."""
    alias = tenants.alias(who.tenant_id)
    amiss = [Warning_(wire.SILENT, alias, _LOOP)] if alias in reading.passed_through(request) else []
    return Session(request, who, alias, tenants.slug(conn, who.tenant_id), amiss)


async def begun[T](request: Request, look: Callable[[psycopg.Connection[Any], Asked], T], source: Any = None) -> T:
    """What `look` makes ready for a reader: at once where memory tells who asks and all that `look` wants to know, else as `door.read`."""
    here = express.lane()
    if here is not None and here.memory is not None:
        try:
            who = express.asked(here, request, Capability.DATA_READ, source)
            if who is not None:
                return look(here.memory, who)
        except express.NotAtHand:
            pass
    return await door.read(request, look, source)


async def together[T](works: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Everything at the same time."""
    return list(await asyncio.gather(*works))


async def spoken(session: Session, shares: Sequence[Share]) -> list[Speech]:
    """How to speak to each source."""
    return [await speech_to(session, share.source) for share in shares]


async def speech_to(session: Session, source: Source) -> Speech:
    """How to speak to a source; a context of its own may have to be fetched first, which happens apart."""
    make = partial(speaking.to, source, session.request, session.who, session.alias)
    return await pool.run_apart(make) if source.pairs.get("jsonldContext") else make()


async def read(session: Session, share: Share, speech: Speech, answer: Answer) -> Told:
    """An answer with its entities, or the warning that it deserves; an empty body says nothing and is no fault."""
    told = Told(share, speech, answer)
    if (amiss := answers.warning_of(share.source, answer)) is not None:
        session.warnings.append(amiss)
    if not answer.ok or not answer.body.strip():
        return told
    try:
        raws = answers.objects(answer)
    except ValueError:
        session.warnings.append(answers.invalid(share.source))
        return told
    said = next((raw["@context"] for raw in raws if "@context" in raw), None)
    if said is not None and said != speech.context.source:
        from_there = await pool.run_apart(lambda: contexts.of_tenant(session.who.tenant_id, said))
        told.speech = replace(speech, context=from_there)
    told.entities = raws
    total = answer.headers.get("ngsild-results-count", "")
    told.total = int(total) if total.isdigit() else None
    return told


def parts(session: Session, told: Sequence[Told]) -> list[Part]:
    """What sources say of entities, to be merged; what cannot be read is warned about."""
    out: list[Part] = []
    for each in told:
        found, bad = answers.readable(each.entities, each.speech, session.who.tenant_id)
        if bad:
            session.warnings.append(answers.invalid(each.source))
        out += answered(each, found)
    return out


def answered(told: Told, found: Sequence[StoredEntity]) -> list[Part]:
    """Those entities that the source is registered for, each with its attributes only."""
    mine = (entity for entity in found if told.source.has(entity.uri, entity.types))
    return [Part(_cut(entity, told.share), told.source.mode, told.share.attributes) for entity in mine]


def _cut(entity: StoredEntity, share: Share) -> StoredEntity:
    """The entity with those attributes only that its source is registered for."""
    if share.attributes is None:
        return entity
    return replace(entity, attributes={name: each for name, each in entity.attributes.items() if name in share.attributes})
