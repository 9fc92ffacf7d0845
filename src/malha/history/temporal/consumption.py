"""Read how entities evolved: one, or those of a question (GS CIM 009 §5.7.3, §5.7.4, §6.18, §6.19, §6.24)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

import psycopg
from starlette.requests import Request
from starlette.responses import Response

from malha.context.broker import door, entity_maps, pool, projection, questions, reading
from malha.context.broker import rendering as entities
from malha.context.broker.contracts import Asked, BadRequestData, InvalidRequest, ResourceMissing
from malha.context.store import service as store
from malha.context.store.contracts import EntityNotFound, EntityQuery, StoredEntity
from malha.context.store.maps import EntityMap
from malha.foundation.access.contracts import Capability
from malha.foundation.access.contracts import Grain as Finest
from malha.foundation.database import service as database
from malha.history.temporal import evolution, inside, reaching, rendering, scoping, temporal_query, tracks
from malha.history.temporal.contracts import Evolution, EvolutionQuery, Held, Instance
from malha.history.temporal.temporal_query import Form, TemporalQuery
from malha.kernel.text import msg
from malha.kernel.time import format_instant
from malha.vocabulary.contexts.service import Context

#: entities whose instances are looked at in one go while a page fills
CHUNK = 200
#: asked of no attribute at all: only of the entity itself
_NOTHING = frozenset({""})
_HEAD = frozenset({"id", "type"})
_TEMPORAL = frozenset({"temporalQ", "aggrParams"})
_RETRIEVE = temporal_query.PARAMETERS | {"attrs", "pick", "omit", "datasetId", "lang", "local", "count", "sysAttrs", *entity_maps.WISHES}


@dataclass(frozen=True, slots=True)
class Asking:
    """One request: the temporal part, how to write it, which attributes and datasets of each entity.

    `keep` are the attributes that are wanted, empty for all of them; `head` what is shown of the entity itself; `scopes` of what scopes it had to be.
    `held` finds instances where they are not the tenant's history.
    """

    who: Asked
    query: TemporalQuery
    context: Context
    media: str
    keep: frozenset[str]
    head: frozenset[str]
    drop: frozenset[str]
    datasets: tuple[int, ...] | None
    language: str
    scopes: str = ""
    held: Held | None = None

    def of(self, found: Sequence[StoredEntity], attributes: Sequence[str] = ()) -> EvolutionQuery:
        """The question about the instances of these entities, without what the reader may not see."""
        hidden = frozenset().union(*(door.personal(self.who, one.types) for one in found))
        found, shown = reaching.cut(self.who.tenant_id, found, self._grain(bool(attributes)))
        asked = attributes or self.keep or shown or frozenset()
        wanted = [name for name in asked if name not in hidden and name not in self.drop and (shown is None or name in shown)]
        last = self.query.last_n
        start, end = reaching.whole(self.query.start, self.query.end, self._grain(bool(attributes)))
        if (asked or shown is not None) and not wanted:
            found = ()
        return EvolutionQuery(
            tuple(one.id for one in found), start, end, self.query.by, tuple(sorted(wanted)), tuple(sorted(hidden | self.drop)),
            self.datasets, None if last is None else min(last, evolution.MOST_VALUES), evolution.MOST_VALUES, self.query.known_at,
            ended=not attributes and self.query.form is not Form.AGGREGATES, held=self.held,
        )  # fmt: skip

    def scoped(self, found: Sequence[StoredEntity], attributes: Sequence[str] = ()) -> tuple[EvolutionQuery, dict[int, list[Instance]]]:
        """As `of`, only while the entities were of the scopes that were asked for; and those scopes of theirs."""
        question = self.of(found, attributes)
        return scoping.bounded(self.who.tenant_id, found, question, self.scopes) if self.scopes else (question, {})

    def _grain(self, each: bool) -> Finest:
        """How fine the answer looks."""
        if each or self.query.form is not Form.AGGREGATES:
            return Finest.RAW
        return reaching.grain_of(self.query.duration, self.query.start, self.query.end, self.query.methods)


async def retrieve(request: Request) -> Response:
    """GET /temporal/entities/{id}: what the entity's attributes were."""
    params = dict(request.query_params)
    if unknown := [name for name in params if name not in _RETRIEVE]:
        raise InvalidRequest(msg("O parâmetro “{name}” não existe."), name=unknown[0][:40])
    query = temporal_query.read(params)
    _refuse_linked(params)
    uri = request.path_params["id"]
    if ":" not in uri:
        raise BadRequestData(msg("O “id” da entidade tem de ser um URI, com até 2048 bytes."))

    def look(conn: psycopg.Connection[Any], who: Asked) -> tuple[Asking, StoredEntity]:
        inside.refuse(request, who, query)
        entity = who.place.retrieve(conn, who.tenant_id, uri)
        if not door.within_reach(who, entity.types):
            raise EntityNotFound(msg("Não há nenhuma entidade “{uri}”."), uri=uri)
        return _asking(conn, who, query, who.context, params, request), entity

    asking, entity = await door.read(request, look)
    (shown,), cut = await pool.run(lambda: _written(asking, [entity]))
    if not shown or (asking.keep and shown.keys() <= _HEAD | {"expiresAt"} and (asking.head == _HEAD or not asking.head)):
        raise ResourceMissing(msg("A entidade “{uri}” não tem nenhum desses atributos."), uri=uri)
    response = _answer(shown, asking, cut)
    if entity_maps.wanted(request):
        one = await door.look(request, lambda conn, who: entity_maps.kept(conn, who, request, [uri], temporal=True))
        response.headers[entity_maps.HEADER] = entity_maps.address(request, one)
    return response


async def create_map(request: Request) -> Response:
    """GET /temporal/entityMaps: the map of a temporal question, without what the entities were (§5.14.5)"""
    uris = await ids(request, needed=True)
    return entity_maps.made(request, await door.look(request, lambda conn, who: entity_maps.kept(conn, who, request, uris, temporal=True)))


async def ids(request: Request, *, needed: bool = False) -> list[str]:
    """The ids of all the entities that a temporal question has, by parameters or by a body; with `needed` it has to say a period (§5.14.5.4).

    Raises BadRequestData.
    """
    params, body = await _said(request)
    temporal_query.read(params, needed=needed)
    asking, question, _count = await understood(request, params, body)
    return await _ids(asking, question, order="")


async def _ids(asking: Asking, question: EntityQuery | None, *, order: str) -> list[str]:
    if question is None:
        return []
    whole = replace(question, offset=0, limit=entity_maps.MOST + 1)
    found, _total, _more = await pool.run(lambda: page_of(asking, whole, False, order=order))
    return [one.uri for one in found]


async def query(request: Request) -> Response:
    """GET /temporal/entities and POST /temporal/entityOperations/query"""
    return await _query(request, *await _said(request))


async def _said(request: Request) -> tuple[dict[str, str], tuple[dict[str, Any], Context] | None]:
    """The parameters of a question, with the temporal part of a Query in the body; and that Query with its @context. Raises BadRequestData."""
    if request.method == "GET":
        return dict(request.query_params), None
    media = reading.media_type(request)
    payload = reading.decode(await reading.body_of(request))
    context = await door.context_of(request, media, payload)
    if not isinstance(payload, dict) or payload.get("type") != "Query":
        raise BadRequestData(msg("Envie um objeto com type “Query”."))
    entity_maps.note(request, questions.of_body({name: each for name, each in payload.items() if name not in _TEMPORAL}, {})[0])
    temporal = temporal_query.of_body({**_object(payload, "temporalQ"), **_object(payload, "aggrParams")})
    if options := request.query_params.get("options"):
        temporal["options"] = ",".join(filter(None, [temporal.get("options", ""), options]))
    return {**dict(request.query_params), **temporal}, (payload, context)


def _object(payload: Mapping[str, Any], member: str) -> Mapping[str, Any]:
    found = payload.get(member, {})
    if not isinstance(found, dict):
        raise BadRequestData(msg("“{name}” é um objeto."), name=member)
    return found


async def _query(request: Request, params: Mapping[str, str], body: tuple[dict[str, Any], Context] | None) -> Response:
    asking, question, count = await understood(request, params, body)
    order = params.get("orderBy", "")
    known: EntityMap | None = None
    new = False
    if entity_maps.meant(request):
        known = await door.look(request, lambda conn, who: entity_maps.found(conn, who, request, temporal=True))
        new = known is None
        if known is None:
            uris = await _ids(asking, question, order=order)
            known = await door.look(request, lambda conn, who: entity_maps.kept(conn, who, request, uris, temporal=True))
        question = _among(question, known.uris)
    page: list[StoredEntity] = []
    if question is None:
        total, more = 0, False
    else:
        page, total, more = await pool.run(lambda: page_of(asking, question, count, order=order))
    written, cut = await pool.run(lambda: _written(asking, page))
    response = _answer(written, asking, cut)
    if count:
        response.headers["NGSILD-Results-Count"] = str(total)
    if known is not None:
        response.headers[entity_maps.HEADER] = entity_maps.address(request, known)
        response.status_code = 201 if new and response.status_code == 200 else response.status_code
    for link in _links(request, question, more):
        response.headers.append("Link", link)
    return response


def _among(question: EntityQuery | None, uris: Sequence[str]) -> EntityQuery | None:
    """The question about those of these entities that it names; None where there are none."""
    left = tuple(uri for uri in uris if question is not None and (not question.uris or uri in question.uris))
    return replace(question, uris=left) if question is not None and left else None


async def understood(
    request: Request, params: Mapping[str, str], body: tuple[dict[str, Any], Context] | None
) -> tuple[Asking, EntityQuery | None, bool]:  # fmt: skip
    """Who asks what: None where nothing of it is within reach; and whether the total is wanted."""
    temporal = temporal_query.read(params)
    if set(params.get("orderBy", "id").replace(";asc", "").replace(";desc", "").split(",")) != {"id"}:
        raise BadRequestData(msg("A evolução de entidades só se ordena por id."))
    rest = {name: value for name, value in params.items() if name not in temporal_query.PARAMETERS and name != "orderBy"}

    def work(conn: psycopg.Connection[Any], who: Asked) -> tuple[Asking, EntityQuery | None, bool]:
        context = body[1] if body else who.context
        question = (
            questions.by_body({name: each for name, each in body[0].items() if name not in _TEMPORAL}, rest, context)
            if body
            else questions.parse(rest, context)
        )
        asked = question.query
        if not (
            asked.types
            or asked.type_selection
            or asked.any_of
            or asked.attrs
            or asked.q
            or asked.geo
            or asked.bbox
            or asked.near
            or rest.get("local") == "true"
        ):
            raise BadRequestData(msg("A pergunta é demasiado larga: dê type, attrs, q ou georel, ou local=true."))
        wanted = {**rest, **{name: _joined(body[0][name]) for name in ("attrs", "pick", "omit", "lang", "datasetId") if body[0].get(name)}} if body else rest
        narrowed = questions.narrowed(question.query, who.principal.types)
        if narrowed is not None:
            questions.refuse_personal(conn, who, narrowed)
        inside.refuse(request, who, temporal)
        asking = replace(_asking(conn, who, temporal, context, wanted, request), scopes=asked.scope_selection)
        return asking, narrowed, question.count or temporal.count

    return await door.read(request, work)


def _joined(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _asking(conn: psycopg.Connection[Any], who: Asked, query: TemporalQuery, context: Context, params: Mapping[str, str], request: Request) -> Asking:
    pick, omit, attrs = params.get("pick", ""), params.get("omit", ""), params.get("attrs", "")
    if attrs and (pick or omit):
        raise BadRequestData(msg("Use attrs, ou então pick e omit."))
    _refuse_linked(params)
    keep, drop = _names(pick or attrs, context), _names(omit, context)
    if keep & drop:
        raise BadRequestData(msg("“{name}” está em pick e em omit."), name=min(keep & drop))
    head = (keep & _HEAD if pick else _HEAD) - drop
    return Asking(
        who,
        query,
        context,
        entities.negotiated(request, places=False),
        keep - _HEAD or (keep and _NOTHING),
        head,
        drop - _HEAD,
        _datasets(conn, params.get("datasetId", "")),
        params.get("lang", ""),
        held=inside.held(who),
    )


def _refuse_linked(params: Mapping[str, str]) -> None:
    """Raise BadRequestData where pick or omit go down relationships: no linked entity comes along (§5.7.3.4, §5.7.4.4)."""
    if any(projection.parse(params.get(name, ""), str).depth() for name in ("pick", "omit")):
        raise BadRequestData(msg("Na evolução de entidades pick e omit não descem por ligações."))


def _names(text: str, context: Context) -> frozenset[str]:
    """Members to keep or to leave out; `id`, `type` and `scope` are called so in every context."""
    plain = {"id", "type", "scope"}
    return frozenset(name if name in plain else context.expand(name) for part in text.split(",") if (name := part.partition("{")[0].strip()))


def _datasets(conn: psycopg.Connection[Any], text: str) -> tuple[int, ...] | None:
    if not text:
        return None
    named = [part.strip() for part in text.split(",")]
    known = store.dataset_numbers(conn, named)
    return tuple(0 if name == "@none" else known.get(name, -1) for name in named)


def page_of(asking: Asking, question: EntityQuery, count: bool, *, order: str) -> tuple[list[StoredEntity], int, bool]:
    """The entities of the page that had instances in the period which answer the question; how many there are, and whether more follow."""
    tenant_id = asking.who.tenant_id
    asked = store.names_in_question(question.q) if question.q else set()
    attributes = sorted(asked | ({question.geo.attribute} if question.geo else {"location"} if question.bbox or question.near else set()))
    bare = replace(question, q="", geo=None, scope_selection="", bbox=None, near=None, attrs=(), offset=0, limit=CHUNK, count=False, after_id=0)
    found: list[StoredEntity] = []
    matched = 0
    while True:
        with pool.connection() as conn, database.tenant_transaction(conn, [tenant_id]):
            chunk = asking.who.place.query(conn, [tenant_id], bare).entities
        for entity in _matching(asking, chunk, question, attributes):
            matched += 1
            if order or (matched > question.offset and len(found) <= question.limit):
                found.append(entity)
        if len(chunk) < CHUNK or (not count and not order and len(found) > question.limit):
            break
        bare = replace(bare, after_id=chunk[-1].id)
    if order:
        found = sorted(found, key=lambda one: one.uri, reverse=order.endswith(";desc"))[question.offset : question.offset + question.limit + 1]
    return found[: question.limit], matched, len(found) > question.limit


def _matching(asking: Asking, chunk: Sequence[StoredEntity], question: EntityQuery, attributes: Sequence[str]) -> list[StoredEntity]:
    """Those of the chunk that have an instance to show and whose instances answer the question."""
    ids = {one.id for one in chunk}
    if attributes:
        told = evolution.read(asking.who.tenant_id, replace(asking.scoped(chunk, attributes)[0], datasets=None)).by_entity
        names = _dataset_names(asking, told)
        by_id = {id_: {name: [rendering.as_attribute(i, names) for i in these] for name, these in entity.items()} for id_, entity in told.items()}
        with pool.connection() as conn, database.tenant_transaction(conn, [asking.who.tenant_id]):
            ids &= store.answering(conn, by_id, question)
    left = [one for one in chunk if one.id in ids]
    shown = evolution.present(asking.who.tenant_id, (replace(asking, keep=frozenset()) if asking.keep == _NOTHING else asking).scoped(left)[0])
    return [one for one in left if one.id in shown]


def _dataset_names(asking: Asking, told: Mapping[int, Mapping[str, Sequence[Instance]]]) -> dict[int, str]:
    numbers = {one.dataset_id for entity in told.values() for these in entity.values() for one in these if one.dataset_id}
    if not numbers:
        return {}
    with pool.connection() as conn, database.tenant_transaction(conn, [asking.who.tenant_id]):
        return store.dataset_names(conn, numbers)


def _written(asking: Asking, found: Sequence[StoredEntity]) -> tuple[list[dict[str, Any]], Evolution | None]:
    """Each entity in the form that was asked for; with the instances themselves where they had to be cut."""
    (question, scopes), form = asking.scoped(found), asking.query.form
    cut: Evolution | None = None
    if form is Form.AGGREGATES:
        query = asking.query
        origin = question.start if query.relation in {"after", "between"} else None
        end = question.end if query.relation in {"before", "between"} else None
        sums = evolution.aggregate(asking.who.tenant_id, question, query.methods, query.duration, origin, end)
        bodies = {one.id: rendering.aggregated(sums.get(one.id, {}), query.methods, asking.context) for one in found}
    else:
        told = evolution.read(asking.who.tenant_id, question)
        look = rendering.Look(
            asking.context, asking.who.tenant_id, asking.query.by, asking.query.system, asking.language, _dataset_names(asking, told.by_entity)
        )  # fmt: skip
        write = rendering.temporal_values if form is Form.VALUES else rendering.instances
        held = {id_: {rendering.SCOPE: these} for id_, these in scopes.items()} if scoping.shown(question) else {}
        personal = asking.who.principal.may(Capability.PERSONAL_READ)
        exact = ((one, told.by_entity.get(one.id, {})) for one in found)
        bodies = {one.id: write({**tracks.coarse(these, tracks.grid(one.types, personal=personal)), **held.get(one.id, {})}, look) for one, these in exact}
        full = asking.query.last_n is not None and asking.query.last_n >= evolution.MOST_VALUES
        cut = (
            told
            if told.cut_at is not None or (full and any(len(these) >= evolution.MOST_VALUES for e in told.by_entity.values() for these in e.values()))
            else None
        )
    return [{**_head(asking, one), **bodies[one.id]} for one in found], cut


def _head(asking: Asking, one: StoredEntity) -> dict[str, Any]:
    types = [asking.context.compact(name) for name in one.types]
    head: dict[str, Any] = {"id": one.uri, "type": types[0] if len(types) == 1 else types}
    ends = {"expiresAt": format_instant(one.expires_at)} if asking.query.system and one.expires_at else {}
    return {name: value for name, value in head.items() if name in asking.head} | ends


def _answer(payload: Any, asking: Asking, cut: Evolution | None) -> Response:
    want = entities.Wanted(context=asking.context, media=asking.media)
    if cut is None:
        return entities.answer(payload, want)
    return entities.answer(payload, want, status=206, headers={"Content-Range": _content_range(asking.query, cut)})


def _content_range(query: TemporalQuery, cut: Evolution) -> str:
    """What part of the period the answer holds (§6.3.10): from where it was asked to where it had to end."""
    instants = [evolution.told(one, query.by) for entity in cut.by_entity.values() for these in entity.values() for one in these]
    first, last = min(instants, default=query.start), max(instants, default=query.end)
    if query.last_n is not None:  # the newest come first
        start = query.end if query.relation in {"before", "between"} else last
        return f"date-time {format_instant(start)}-{format_instant(first)}/{query.last_n}"
    start = query.start if query.relation in {"after", "between"} else first
    return f"date-time {format_instant(start)}-{format_instant(last)}/*"


def _links(request: Request, question: EntityQuery | None, more: bool) -> list[str]:
    if question is None or request.method != "GET" or not question.limit:
        return []
    here = f"{request.scope.get('root_path', '')}/ngsi-ld/v1/temporal/entities"
    params = [(name, value) for name, value in request.query_params.multi_items() if name != "offset"]
    found = [f'<{here}?{urlencode([*params, ("offset", str(question.offset + question.limit))])}>; rel="next"'] if more else []
    if question.offset:
        found.append(f'<{here}?{urlencode([*params, ("offset", str(max(0, question.offset - question.limit)))])}>; rel="prev"')
    return found
