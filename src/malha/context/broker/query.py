"""Many entities: query by parameters or by body (GS CIM 009 §5.7.2), pages by Link and NGSILD-Results-Count (§6.3.10, §6.3.13)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

import psycopg
from starlette.requests import Request
from starlette.responses import Response

from malha.context.broker import door, linked, projection, questions, reading, rendering
from malha.context.broker.contracts import Asked, BadRequestData, InvalidRequest
from malha.context.broker.questions import Question
from malha.context.store import service as store
from malha.context.store.contracts import EntityDocument, EntityPage, EntityQuery, StoredEntity, WriteMode, WriteOptions
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

    def work(conn: psycopg.Connection[Any], who: Asked) -> tuple[EntityPage, Question, rendering.Wanted, linked.Joined]:
        question, want = understood(request, who, asked)
        page = page_of(conn, who, question)
        return page, question, want, linked.join(conn, who, page.entities, want)

    page, question, want, joined = await door.read(request, work, asked.source)
    return written(request, page, question, want, joined)


def written(request: Request, page: EntityPage, question: Question, want: rendering.Wanted, joined: linked.Joined) -> Response:
    """The answer that is a page of entities, with its total and the links to its neighbours."""
    headers = {} if page.total is None else {"NGSILD-Results-Count": str(page.total)}
    response = rendering.entities(page.entities, want, headers, joined)
    if links := _pages(request, page, question):
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
            page = store.query(conn, [who.tenant_id], replace(narrowed, limit=PURGE_CHUNK, after_id=after))
            _take(conn, who, page.entities, keep, drop)
            if len(page.entities) < PURGE_CHUNK:
                return
            after = page.entities[-1].id

    await door.write(request, None, work)
    return Response(status_code=204)


PURGE_CHUNK = 1000


def _take(conn: psycopg.Connection[Any], who: Asked, found: Sequence[StoredEntity], keep: frozenset[str], drop: frozenset[str]) -> None:
    if not keep and not drop:
        store.delete(conn, who.tenant_id, [entity.uri for entity in found])
        return
    gone = [(entity, [name for name in entity.attributes if (name in drop if drop else name not in keep)]) for entity in found]
    docs = [EntityDocument(entity.uri, entity.types, dict.fromkeys(names)) for entity, names in gone if names]
    store.upsert_documents(conn, who.tenant_id, docs, WriteOptions(mode=WriteMode.ATTRIBUTES))


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
