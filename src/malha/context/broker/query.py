"""Many entities: query by parameters or by body (GS CIM 009 §5.7.2), pages by Link and NGSILD-Results-Count (§6.3.10, §6.3.13)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

import psycopg
from starlette.requests import Request
from starlette.responses import Response

from malha.context.broker import door, entity_maps, linked, projection, questions, reading, rendering
from malha.context.broker.contracts import Asked, BadRequestData, InvalidRequest
from malha.context.broker.questions import Question
from malha.context.store import maps
from malha.context.store import service as store
from malha.context.store.contracts import EntityDocument, EntityPage, EntityQuery, StoredEntity, WriteMode, WriteOptions
from malha.context.store.maps import EntityMap
from malha.kernel.text import msg
from malha.vocabulary.contexts.service import Context


@dataclass(frozen=True, slots=True)
class Asking:
    """A query as it came: how to ask it in the words of a context, the @context of its body, and the body as parameters."""

    ask: Callable[[Context], Question]
    source: Any = None
    body: dict[str, str] | None = None


async def asking(request: Request) -> Asking:
    """The query of a GET /entities or of a POST /entityOperations/query."""
    params = _parameters(request)
    if request.method == "GET":
        return Asking(lambda context: questions.parse(params, context))
    media = reading.media_type(request)
    payload = reading.decode(await reading.body_of(request))
    source = reading.source_of(request, media, payload)
    asked, selectors = questions.of_body(payload, params)
    entity_maps.note(request, asked)
    return Asking(lambda context: questions.with_selectors(asked, selectors, context), source, asked)


def understood(request: Request, who: Asked, asked: Asking) -> tuple[Question, rendering.Wanted]:
    """The question, and how its answer is to look. Raises BadRequestData."""
    want = rendering.wanted(request, who.context, asked.body)
    question = asked.ask(who.context)
    if asked.body and "geometryProperty" in asked.body and want.media != rendering.GEO_JSON:
        raise BadRequestData(msg("“geometryProperty” só serve com application/geo+json."))
    if want.pick and not any(name in projection.OWN for name in want.pick.names):
        question = replace(question, query=replace(question.query, having=tuple(want.pick.names)))
    return question, want


def _parameters(request: Request) -> dict[str, str]:
    """The query parameters, each at most once. Raises InvalidRequest."""
    found: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name in found:
            raise InvalidRequest(msg("O parâmetro “{name}” vem mais do que uma vez."), name=name[:40])
        found[name] = value
    return found


async def query(request: Request) -> Response:
    """GET /entities and POST /entityOperations/query"""
    asked = await asking(request)
    if entity_maps.meant(request):
        return await by_map(request, asked)

    def work(conn: psycopg.Connection[Any], who: Asked) -> Response:
        question, want = understood(request, who, asked)
        page = page_of(conn, who, question)
        return written(request, page, question, want, linked.join(conn, who, page.entities, want))  # here: a page keeps no other request waiting

    return await door.read(request, work, asked.source)


@dataclass(frozen=True, slots=True)
class Mapped:
    """A page of a map: which map, whether it was made for this request, and how many entities it has."""

    map: EntityMap
    new: bool
    total: int


async def by_map(request: Request, asked: Asking) -> Response:
    """A page of the entities of a map that still answer the question; where there is no such map it is made (§5.5.14, §6.4.3.2)."""

    def work(conn: psycopg.Connection[Any], who: Asked) -> tuple[Mapped, EntityPage, Question, rendering.Wanted, linked.Joined]:
        question, want = understood(request, who, asked)
        mapped = _mapped(conn, who, question, request)
        here = mapped.map.uris[question.query.offset : question.query.offset + question.query.limit]
        by_uri = store.by_uris(conn, who.tenant_id, here)
        page = EntityPage([door.shown(who, by_uri[uri]) for uri in here if uri in by_uri], mapped.total if question.count else None)
        return mapped, page, question, want, linked.join(conn, who, page.entities, want)

    mapped, page, question, want, joined = await door.look(request, work, asked.source)
    return written(request, page, question, want, joined, mapped)


def _mapped(conn: psycopg.Connection[Any], who: Asked, question: Question, request: Request) -> Mapped:
    """The map of a request, made or with those left that still answer."""
    narrowed = questions.narrowed(question.query, who.principal.types)
    if narrowed is not None:
        questions.refuse_personal(conn, who, narrowed)
    known = entity_maps.found(conn, who, request)
    if known is None:
        uris = [] if narrowed is None else store.uris(conn, who.tenant_id, replace(narrowed, limit=entity_maps.MOST + 1))
        return Mapped(entity_maps.kept(conn, who, request, uris), True, len(uris))
    asked = set(narrowed.uris) if narrowed is not None else set()
    left = [uri for uri in known.uris if not asked or uri in asked]
    alive = set(store.uris(conn, who.tenant_id, replace(narrowed, uris=tuple(left), order=(), limit=len(left)))) if narrowed is not None and left else set()
    kept = tuple(uri for uri in known.uris if uri in alive)
    if len(kept) < len(known.uris) and not asked:
        maps.prune(conn, who.tenant_id, entity_maps.subject(who), known.id, kept)
    return Mapped(replace(known, uris=kept), False, len(kept))


async def create_map(request: Request) -> Response:
    """GET /entityMaps: the map of a question, without the entities themselves (§5.14.4)"""
    asked = await asking(request)

    def work(conn: psycopg.Connection[Any], who: Asked) -> EntityMap:
        return _mapped(conn, who, understood(request, who, asked)[0], request).map

    return entity_maps.made(request, await door.look(request, work, asked.source))


def written(request: Request, page: EntityPage, question: Question, want: rendering.Wanted, joined: linked.Joined, mapped: Mapped | None = None) -> Response:
    """The answer that is a page of entities, with its total and the links to its neighbours; of a map with its address, 201 when it is new."""
    headers = {} if page.total is None else {"NGSILD-Results-Count": str(page.total)}
    if mapped is not None:
        headers[entity_maps.HEADER] = entity_maps.address(request, mapped.map)
    response = rendering.entities(page.entities, want, headers, joined)
    if mapped is not None and mapped.new:
        response.status_code = 201
    if links := _pages(request, replace(page, total=mapped.total) if mapped is not None else page, question):
        response.headers.append("Link", links)
    return response


def page_of(conn: psycopg.Connection[Any], who: Asked, question: Question) -> EntityPage:
    """The page that a question asks for, within the reader's reach."""
    narrowed = questions.narrowed(question.query, who.principal.types)
    if narrowed is None:
        return EntityPage([], 0 if question.count else None)
    questions.refuse_personal(conn, who, narrowed)
    page = store.query(conn, [who.tenant_id], narrowed)
    return EntityPage([door.shown(who, entity) for entity in page.entities], page.total)


_PURGE = questions.FILTERS | {"keep", "drop", "options"}


async def purge(request: Request) -> Response:
    """DELETE /entities: all that match, whole, or of each the attributes in `drop` or all but those in `keep` (§5.6.21)."""
    params = _parameters(request)
    projection.check_parameters(request, _PURGE)
    if "keep" in params and "drop" in params:
        raise BadRequestData(msg("Use keep ou drop, não os dois."))

    def work(conn: psycopg.Connection[Any], who: Asked) -> None:
        question = questions.filters(params, who.context)
        require_filter(params, question)
        keep, drop = (projection.attributes(params.get(name, ""), who.context.expand) for name in ("keep", "drop"))
        narrowed = questions.narrowed(question, who.principal.types)
        after = 0
        while narrowed is not None:
            page = who.place.query(conn, [who.tenant_id], replace(narrowed, limit=PURGE_CHUNK, after_id=after))
            _take(conn, who, page.entities, keep, drop)
            if len(page.entities) < PURGE_CHUNK:
                return
            after = page.entities[-1].id

    await door.write(request, None, work)
    return Response(status_code=204)


PURGE_CHUNK = 1000


def _take(conn: psycopg.Connection[Any], who: Asked, found: Sequence[StoredEntity], keep: frozenset[str], drop: frozenset[str]) -> None:
    if not keep and not drop:
        who.place.delete(conn, who.tenant_id, [entity.uri for entity in found])
        return
    gone = [(entity, [name for name in entity.attributes if (name in drop if drop else name not in keep)]) for entity in found]
    docs = [EntityDocument(entity.uri, entity.types, dict.fromkeys(names)) for entity, names in gone if names]
    who.place.upsert_documents(conn, who.tenant_id, docs, WriteOptions(mode=WriteMode.ATTRIBUTES))


def require_filter(params: dict[str, str], question: EntityQuery) -> None:
    """Raise BadRequestData for a purge that would take too much (§5.6.21.4)."""
    named = bool(question.q) and bool(store.names_in_question(question.q) - questions.SYSTEM)
    if question.q and store.links_in_question(question.q):
        raise BadRequestData(msg("Ao apagar, a pergunta q não segue ligações."))
    if params.get("local") == "true" or params.get("type") or named or question.geo or set(question.attrs) - questions.SYSTEM:
        return
    raise BadRequestData(msg("A pergunta é demasiado larga: dê type, attrs, q ou georel, ou local=true."))


def _pages(request: Request, page: EntityPage, question: Question) -> str:
    """The addresses of the next and the previous page, as Link header values."""
    limit, offset = question.query.limit, question.query.offset
    if not limit or request.method != "GET":
        return ""
    here = f"{request.scope.get('root_path', '')}/ngsi-ld/v1/entities"
    params = [(name, value) for name, value in request.query_params.multi_items() if name not in {"offset", "after"}]

    def page_at(name: str, value: int, way: str) -> str:
        """A page's address, its parameters in order so that it is always the same."""
        return f'<{here}?{urlencode(sorted([*params, (name, str(value))]), safe=":*,;/")}>; rel="{way}";type="{reading.JSON}"'

    found: list[str] = []
    if offset:
        found.append(page_at("offset", max(0, offset - limit), "prev"))
    more = len(page.entities) == limit and (page.total is None or offset + limit < page.total)
    if more and question.query.after_id:
        found.append(page_at("after", page.entities[-1].id, "next"))
    elif more:
        found.append(page_at("offset", offset + limit, "next"))
    return ", ".join(found)
