"""Many entities: query by parameters or by body (GS CIM 009 §5.7.2), pages by Link and NGSILD-Results-Count (§6.3.10, §6.3.13)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import psycopg
from starlette.requests import Request
from starlette.responses import Response

from malha.context.broker import door, questions, reading, rendering
from malha.context.broker.contracts import Asked
from malha.context.broker.questions import Question
from malha.context.store import service as store
from malha.context.store.contracts import EntityPage
from malha.vocabulary.contexts.service import Context


async def query(request: Request) -> Response:
    """GET /entities"""
    return await _answer(request, lambda context: questions.parse(dict(request.query_params), context))


async def query_by_body(request: Request) -> Response:
    """POST /entityOperations/query"""
    media = reading.media_type(request)
    payload = reading.decode(await reading.body_of(request))
    context = reading.context_of(request, media, payload)
    return await _answer(request, lambda _: questions.of_body(payload, context, request.query_params), context)


async def _answer(request: Request, ask: Callable[[Context], Question], context: Context | None = None) -> Response:
    def work(conn: psycopg.Connection[Any], who: Asked) -> tuple[EntityPage, Question, rendering.Wanted]:
        words = context or who.context
        want = rendering.wanted(request, words)
        question = ask(words)
        narrowed = questions.narrowed(question.query, who.principal.types)
        if narrowed is None:
            return EntityPage([], 0 if question.count else None), question, want
        questions.refuse_personal(conn, who, narrowed)
        page = store.query(conn, [who.tenant_id], narrowed)
        return EntityPage([door.shown(who, entity) for entity in page.entities], page.total), question, want

    page, question, want = await door.read(request, work)
    headers = {} if page.total is None else {"NGSILD-Results-Count": str(page.total)}
    if links := _pages(request, page, question):
        headers["Link"] = links
    response = rendering.entities(page.entities, want, {k: v for k, v in headers.items() if k != "Link"})
    if links:
        response.headers.append("Link", links)
    return response


def _pages(request: Request, page: EntityPage, question: Question) -> str:
    """The addresses of the next and the previous page, as Link header values."""
    limit, offset = question.query.limit, question.query.offset
    if not limit or request.method != "GET":
        return ""
    here = f"{request.scope.get('root_path', '')}/ngsi-ld/v1/entities"
    params = [(name, value) for name, value in request.query_params.multi_items() if name not in {"offset", "after"}]
    found: list[str] = []
    more = len(page.entities) == limit and (page.total is None or offset + limit < page.total)
    if more and question.query.after_id:
        found.append(f'<{here}?{urlencode([*params, ("after", str(page.entities[-1].id))])}>; rel="next"')
    elif more:
        found.append(f'<{here}?{urlencode([*params, ("offset", str(offset + limit))])}>; rel="next"')
    if offset:
        found.append(f'<{here}?{urlencode([*params, ("offset", str(max(0, offset - limit)))])}>; rel="prev"')
    return ", ".join(found)
