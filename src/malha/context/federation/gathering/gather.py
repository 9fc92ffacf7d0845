"""Retrieve and query with other sources in them: asked in parallel, merged, and filtered again (§4.3.6, §5.7.1, §5.7.2)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import psycopg
from starlette.requests import Request
from starlette.responses import Response

from malha.context.broker import door, entities, projection, query, questions, reading, rendering
from malha.context.broker.contracts import Asked, BadRequestData
from malha.context.broker.door import Handler
from malha.context.broker.query import Asking
from malha.context.broker.questions import Question
from malha.context.broker.rendering import Wanted
from malha.context.federation.asking import answers, conversation, forms, merging, sifting, speaking, wire
from malha.context.federation.asking.answers import Told, Warning_
from malha.context.federation.asking.conversation import Session
from malha.context.federation.asking.merging import Part
from malha.context.federation.asking.speaking import Speech
from malha.context.federation.contracts import PROXIED, LoopDetected
from malha.context.federation.gathering import behind, linking
from malha.context.federation.gathering.linking import Links
from malha.context.federation.registrations import discovering, registry
from malha.context.federation.registrations.matching import Share
from malha.context.federation.registrations.registry import Diverted
from malha.context.store import service as store
from malha.context.store.contracts import EntityNotFound, EntityPage, EntityQuery, StoredEntity
from malha.kernel.text import msg

#: entities that one source gives for one page at most; an answer that needs more says that it is incomplete
MOST_ENTITIES = 5_000
SOURCE_PAGE = 1_000
READ = ("retrieveEntity", "queryEntity", "queryBatch")
_PARTIAL = msg("há mais do que se leu; restrinja a pergunta")


@dataclass(frozen=True, slots=True)
class LookedFor:
    """One entity that was looked for: what this broker has of it, what each source said, and the whole; None where there is none."""

    session: Session
    uri: str
    want: Wanted
    own: StoredEntity | None
    told: Sequence[Told]
    whole: StoredEntity | None

    def missing(self) -> Response:
        """404"""
        return self.session.warn(door.problem(EntityNotFound(msg("Não há nenhuma entidade “{uri}”."), uri=self.uri), self.session.request))

    async def written(self, found: Diverted) -> Response:
        """The answer, with what it leads to."""
        assert self.whole is not None
        shown = door.shown(self.session.who, self.whole)
        joined = await behind.join(self.session, found, [shown], self.want)
        return self.session.warn(entities.written(shown, self.want, joined))


async def retrieve(request: Request, found: Diverted, _handler: Handler) -> Response:
    """GET /entities/{id}"""
    one = await looked_for(request, found)
    return one.missing() if one.whole is None else await one.written(found)


async def looked_for(request: Request, found: Diverted, links: Links | None = None, listed: frozenset[str] | None = None) -> LookedFor:
    """One entity, from this broker and its sources; from those of the registrations in `listed` where a map says which have a part of it."""
    uri = entities.uri_of(request)
    projection.check_parameters(request, projection.RETRIEVE)

    def look(conn: psycopg.Connection[Any], who: Asked) -> tuple[Session, Wanted, StoredEntity | None]:
        want = rendering.wanted(request, who.context)
        try:
            own: StoredEntity | None = store.retrieve(conn, who.tenant_id, uri)
        except EntityNotFound:
            own = None
        return conversation.opened(request, conn, who), want, own

    session, want, own = await door.read(request, look)
    types = _types_asked(request, session.who) or (own.types if own else ())
    wanted = want.attrs or frozenset(name for name in want.pick.names if name not in projection.OWN)
    sources = [source for source in conversation.usable(found, request, session.alias) if listed is None or source.registration.uri in listed]
    datasets = [name for name in request.query_params.get("datasetId", "").split(",") if name]
    shares = [
        share for source in sources
        if source.takes(*READ) and discovering.of_datasets(source.registration, datasets) and (share := source.of_entity(uri, types, wanted))
    ]  # fmt: skip
    _refuse_loop(found, request, session.alias, uri, types)
    told = await ask_for_entity(session, shares, uri, links)
    parts = [Part(own)] if own else []
    parts += conversation.parts(session, told)
    whole = _reachable(session.who, merging.merged(parts)) if parts else None
    selected = request.query_params.get("type", "")
    if whole is not None and selected and not store.type_holds(store.rename_in_types(selected, session.who.context.expand), whole.types):
        whole = None
    return LookedFor(session, uri, want, own, told, whole)


def _types_asked(request: Request, who: Asked) -> tuple[str, ...]:
    selected = request.query_params.get("type", "")
    return tuple(store.types_in(store.rename_in_types(selected, who.context.expand))) if selected else ()


def _refuse_loop(found: Diverted, request: Request, alias: str, uri: str, types: Sequence[str]) -> None:
    """Raise LoopDetected where the data lies at a source alone and the request already came through here (§6.3.17)."""
    if alias in reading.passed_through(request) and any(
        source.mode in PROXIED and source.takes(*READ) and source.of_entity(uri, types) for source in found.sources
    ):
        raise LoopDetected(msg("O pedido já passou por aqui: as fontes apontam umas para as outras."))


def _reachable(who: Asked, entity: StoredEntity) -> StoredEntity | None:
    return entity if door.within_reach(who, entity.types) else None


async def ask_for_entity(session: Session, shares: Sequence[Share], uri: str, links: Links | None = None) -> list[Told]:
    """What each source says of one entity, by whichever operation it takes (§4.3.6.1)."""
    speeches = await conversation.spoken(session, shares)
    return await conversation.together([_ask_for_entity(session, share, speech, uri, links) for share, speech in zip(shares, speeches, strict=True)])


async def _ask_for_entity(session: Session, share: Share, speech: Speech, uri: str, links: Links | None) -> Told:
    names = {"attrs": ",".join(sorted(speech.name(name) for name in share.attributes))} if share.attributes is not None else {}
    types = ",".join(speech.name(name) for name in share.types)
    if share.source.takes("retrieveEntity"):
        answer = await linking.ask(session, links, share.source, speech, "GET", speaking.entity_path(uri), {**names, "options": "sysAttrs"})
    elif share.source.takes("queryEntity"):
        answer = await session.ask(share.source, speech, "GET", "/entities", {"id": uri, **({"type": types} if types else {}), **names, "options": "sysAttrs"})
    else:
        body = {"type": "Query", "entities": [{"id": uri, **({"type": types} if types else {})}], **({"attrs": names["attrs"].split(",")} if names else {})}
        answer = await session.ask(share.source, speech, "POST", "/entityOperations/query", {"options": "sysAttrs"}, body)
    return await conversation.read(session, share, speech, answer)


# --- queries


@dataclass(frozen=True, slots=True)
class Plan:
    """How a question is asked: `bare` leaves out what only the whole entity can answer, where entities lie in several places."""

    question: Question
    want: Wanted
    wanted: frozenset[str]
    split: bool
    shares: tuple[Share, ...]

    @property
    def asked(self) -> EntityQuery:
        """The question as each place is asked."""
        query_ = self.question.query
        if not self.split:
            return query_
        return replace(query_, q="", geo=None, near=None, bbox=None, within=None, scope_selection="", attrs=(), having=(), datasets=())

    @property
    def needed(self) -> int:
        """How many entities of each place the page may need."""
        query_ = self.question.query
        return MOST_ENTITIES if self.split else min(MOST_ENTITIES, query_.offset + query_.limit + 1)


async def question(request: Request, found: Diverted, asking: Asking) -> Response:
    """GET /entities and POST /entityOperations/query"""

    def look(conn: psycopg.Connection[Any], who: Asked) -> tuple[Session, Plan]:
        session = conversation.opened(request, conn, who)
        plan = planned(request, found, who, asking, session.alias)
        _limited(conn, who, plan)
        return session, plan

    session, plan = await conversation.begun(request, look, asking.source)
    page = assembled(session, plan, *await said(session, plan, asking))
    joined = await behind.join(session, found, page.entities, plan.want, asking.source)
    return session.warn(query.written(request, page, plan.question, plan.want, joined))


async def every(request: Request, asking: Asking) -> tuple[Question, EntityPage, bool, list[Warning_]]:
    """Every entity that answers, of this broker and of the sources that are asked over a network: what was asked, the
    entities, whether there are more than the question's limit lets through, and what was amiss. What an agreement lets
    one read is left out: it may not be kept.
    """
    request.scope["malha.divert"] = registry.divert

    def alone(conn: psycopg.Connection[Any], who: Asked) -> tuple[Question, EntityPage]:
        asked, _ = query.understood(request, who, asking)
        return asked, query.page_of(conn, who, asked)

    try:
        asked, page = await door.read(request, alone, asking.source)
        return asked, page, False, []
    except Diverted as diverted:
        found = Diverted(diverted.tenant_id, [one for one in diverted.sources if one.registration.agreement_id is None])
    finally:
        request.scope.pop("malha.divert", None)

    def look(conn: psycopg.Connection[Any], who: Asked) -> tuple[Session, Plan, EntityPage]:
        session = conversation.opened(request, conn, who)
        plan = planned(request, found, who, asking, session.alias)
        return session, plan, _own(conn, who, plan)

    session, plan, own = await door.read(request, look, asking.source)
    told = await ask_all(session, plan, asking)
    return plan.question, assembled(session, plan, own, told), any(each.more for each in told), session.warnings


def planned(request: Request, found: Diverted, who: Asked, asking: Asking, alias: str) -> Plan:
    """How a question goes to this broker and its sources. Raises BadRequestData for what cannot be asked of several."""
    asked, want = query.understood(request, who, asking)
    params = {**dict(request.query_params), **(asking.body or {})}
    wanted = frozenset(asked.query.attrs) | want.attrs | frozenset(name for name in want.pick.names if name not in projection.OWN)
    needs = filtering(asked.query)
    filter_ = discovering.csf(params["csf"], who.context) if params.get("csf") else None
    shares: list[Share] = []
    for source in conversation.usable(found, request, alias):
        if not source.takes("queryEntity", "queryBatch") or not discovering.meets(source.registration, asked.query):
            continue
        share = source.of_question(asked.query, wanted | needs if wanted else ())
        if share is not None and (filter_ is None or discovering.holds([filter_], source.registration)):
            shares.append(share)
    if shares and (asked.query.order or asked.query.after_id):  # §5.7.2.4; what lies here alone has its order
        raise BadRequestData(msg("Entre várias fontes não se ordena; pergunte com local=true, ou a cada fonte."))
    split = bool(shares) and (
        params.get("splitEntities") == "true" or "splitEntities" in params.get("options", "").split(",")
        or any(share.attributes is not None and (needs or wanted) for share in shares)
    )  # fmt: skip
    return Plan(asked, want, wanted, split, tuple(shares))


def filtering(asked: EntityQuery) -> frozenset[str]:
    """The attributes that decide whether an entity is an answer."""
    names = set(store.names_in_question(asked.q)) - questions.SYSTEM if asked.q else set()
    if asked.geo:
        names.add(asked.geo.attribute)
    if asked.bbox or asked.near:
        names.add("location")
    return frozenset(names)


def _limited(conn: psycopg.Connection[Any], who: Asked, plan: Plan) -> EntityQuery | None:
    """The question to this broker within the reader's reach, None where nothing is. Raises NotPermitted for what the reader may not ask anybody."""
    narrowed = questions.narrowed(replace(plan.asked, limit=max(plan.needed, 1), offset=0), who.principal.types)
    if narrowed is not None:
        questions.refuse_personal(conn, who, plan.question.query)
    return narrowed


def _own(conn: psycopg.Connection[Any], who: Asked, plan: Plan) -> EntityPage:
    """This broker's own entities that the page may need."""
    narrowed = _limited(conn, who, plan)
    if narrowed is None:
        return EntityPage([], 0 if plan.question.count else None)
    return store.query(conn, [who.tenant_id], narrowed)


async def said(session: Session, plan: Plan, asking: Asking, links: Links | None = None) -> tuple[EntityPage, list[Told]]:
    """What this broker and each source say to a question, asked at the same time."""
    elsewhere = asyncio.ensure_future(ask_all(session, plan, asking, links))
    try:
        own = await door.read(session.request, lambda conn, who: _own(conn, who, plan), asking.source)
        return own, await elsewhere
    finally:
        elsewhere.cancel()


async def ask_all(session: Session, plan: Plan, asking: Asking, links: Links | None = None) -> list[Told]:
    """What each source says to a question."""
    speeches = await conversation.spoken(session, plan.shares)
    return await conversation.together(
        [ask_question(session, plan, share, speech, asking, links) for share, speech in zip(plan.shares, speeches, strict=True)]
    )  # fmt: skip


async def ask_question(session: Session, plan: Plan, share: Share, speech: Speech, asking: Asking, links: Links | None = None) -> Told:
    """What one source says: as many pages as are needed, one after the other; by its map where `links` say so."""
    whole: Told | None = None
    offset = 0
    while True:
        limit = min(SOURCE_PAGE, plan.needed - offset)
        method, path, params, body = forms.question(plan.asked, plan.wanted | filtering(plan.question.query) if plan.wanted else frozenset(), share, speech)
        params |= {"limit": str(limit)} | ({"offset": str(offset)} if offset else {}) | ({"count": "true"} if plan.question.count and not offset else {})
        if datasets := _parameter(session.request, asking, "datasetId"):
            params["datasetId"] = datasets
        told = await conversation.read(session, share, speech, await linking.ask(session, links, share.source, speech, method, path, params, body))
        if whole is None:
            whole = told
        else:
            whole.entities += told.entities
        offset += limit
        if len(told.entities) < limit or offset >= plan.needed:
            whole.more = len(told.entities) >= limit
            break
    if plan.split and whole.more:
        session.warnings.append(Warning_(wire.SILENT, share.source.registration.uri, _PARTIAL))
    return whole


def _parameter(request: Request, asking: Asking, name: str) -> str:
    return (asking.body or {}).get(name) or request.query_params.get(name, "")


def assembled(session: Session, plan: Plan, own: EntityPage, told: Sequence[Told]) -> EntityPage:
    """The page: what each place has of an entity put together, filtered again, cut to the page."""
    places = _by_uri(session, own, told)
    question_ = plan.question.query
    holds = sifting.holds(question_) if plan.split else None
    more = bool(plan.wanted) and not filtering(question_) <= plan.wanted  # sources were asked for attributes that nobody wants to see
    found: list[StoredEntity] = []
    matched = 0
    last = question_.offset + question_.limit
    for uri, pieces in places.items():
        if matched >= last and not plan.split:
            matched += 1  # beyond the page: counted, not read
            continue
        entity = _whole(session, uri, pieces)
        if entity is None or not sifting.answers(
            session.who, question_, entity, holds or (sifting.holds(question_) if len(pieces) > 1 else None), remote=pieces[0][0] is not None
        ):
            continue
        if more and not sifting.named(question_, entity):
            continue
        matched += 1
        if question_.offset < matched <= last:
            found.append(door.shown(session.who, entity))
    return EntityPage(found, _total(plan, own, told, matched))


def _by_uri(session: Session, own: EntityPage, told: Sequence[Told]) -> dict[str, list[tuple[Told | None, Any]]]:
    """What each place has, by entity, in the order of the places; entities of sources still as they came."""
    places: dict[str, list[tuple[Told | None, Any]]] = {entity.uri: [(None, entity)] for entity in own.entities}
    for each in told:
        bad = False
        for raw in each.entities:
            uri = raw.get("id", raw.get("@id"))
            if isinstance(uri, str):
                places.setdefault(uri, []).append((each, raw))
            else:
                bad = True
        if bad:
            session.warnings.append(answers.invalid(each.source))
    return places


def _whole(session: Session, _uri: str, pieces: Sequence[tuple[Told | None, Any]]) -> StoredEntity | None:
    parts: list[Part] = []
    for told, raw in pieces:
        if told is None:
            parts.append(Part(raw))
            continue
        read, bad = answers.readable([raw], told.speech, session.who.tenant_id)
        if bad:
            session.warnings.append(answers.invalid(told.source))
        parts += conversation.answered(told, read)
    return merging.merged(parts) if parts else None


def _total(plan: Plan, own: EntityPage, told: Sequence[Told], matched: int) -> int | None:
    """How many entities there are: counted where all were seen, else what each place says, together."""
    if not plan.question.count:
        return None
    if plan.split or (len(own.entities) < plan.needed and not any(each.more for each in told)):
        return matched
    return (own.total or 0) + sum(each.total if each.total is not None else len(each.entities) for each in told)
