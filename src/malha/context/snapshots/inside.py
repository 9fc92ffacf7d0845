"""Retrieve and query inside a snapshot (GS CIM 009 §5.5.15, §6.3.22): its entities alone, by the rights of whoever reads them now."""

from __future__ import annotations

from typing import Any

import psycopg
from starlette.requests import Request
from starlette.responses import Response

from malha.context.broker import attributes, door, entities, entity_maps, linked, projection, query, questions, rendering
from malha.context.broker.contracts import Asked, NotPermitted, OperationNotSupported
from malha.context.broker.questions import Question
from malha.context.broker.rendering import Join, Wanted
from malha.context.federation.asking import sifting
from malha.context.snapshots import service
from malha.context.snapshots.contracts import HEADER
from malha.context.store import service as store
from malha.context.store.contracts import EntityNotFound, EntityPage, StoredEntity
from malha.foundation.access import reach
from malha.kernel.text import msg


def named(request: Request) -> str:
    """The snapshot that a request is about. Raises BadRequestData for what is no URI."""
    return attributes.uri(HEADER, request.headers[HEADER])


def _require_whole(who: Asked) -> None:
    """A snapshot is not cut to an area, nor read under an agreement. Raises NotPermitted."""
    if not reach.only_types(who.principal.reach):
        raise NotPermitted(msg("O seu acesso é limitado a uma parte dos dados, e assim não abrange instantâneos."))


def _require_plain(request: Request, want: Wanted, question: Question | None = None) -> None:
    """Raise OperationNotSupported for what leads out of the snapshot, or is not worked out in it."""
    asked = question.query if question is not None else None
    if want.join is not Join.NONE or (asked is not None and asked.q and store.links_in_question(asked.q)):
        raise OperationNotSupported(msg("Dentro de um instantâneo não se seguem ligações."))
    if entity_maps.meant(request) or (asked is not None and (asked.order or asked.after_id or asked.text)):
        raise OperationNotSupported(msg("Dentro de um instantâneo não há ordem, nem mapas, nem procura por texto."))


async def question(request: Request) -> Response:
    """GET /entities and POST /entityOperations/query"""
    uri = named(request)
    asking = await query.asking(request)

    def work(conn: psycopg.Connection[Any], who: Asked) -> Response:
        _require_whole(who)
        asked, want = query.understood(request, who, asking)
        _require_plain(request, want, asked)
        page = _page(conn, who, uri, asked)
        return query.written(request, page, asked, want, linked.Joined())

    return _echoed(await door.look(request, work, asking.source), uri)


def _page(conn: psycopg.Connection[Any], who: Asked, uri: str, asked: Question) -> EntityPage:
    one = service.use(conn, who.tenant_id, uri)
    narrowed = questions.narrowed(asked.query, who.principal.types)
    if narrowed is None:
        return EntityPage([], 0 if asked.count else None)
    questions.refuse_personal(conn, who, narrowed)
    test = sifting.holds(narrowed)
    held = service.entities(conn, one, narrowed.types, narrowed.uris)
    found = [door.shown(who, each) for each in held if sifting.answers(who, narrowed, each, test, remote=True)]
    return EntityPage(found[narrowed.offset : narrowed.offset + narrowed.limit], len(found) if asked.count else None)


async def retrieve(request: Request) -> Response:
    """GET /entities/{id}"""
    uri, name = entities.uri_of(request), named(request)
    projection.check_parameters(request, projection.RETRIEVE)

    def work(conn: psycopg.Connection[Any], who: Asked) -> tuple[StoredEntity, Wanted]:
        _require_whole(who)
        want = rendering.wanted(request, who.context)
        _require_plain(request, want)
        held = service.entities(conn, service.use(conn, who.tenant_id, name), uris=[uri])
        if not held or not door.within_reach(who, held[0].types):
            raise EntityNotFound(msg("Não há nenhuma entidade “{uri}”."), uri=uri)
        return door.shown(who, held[0]), want

    found, want = await door.look(request, work)
    return _echoed(entities.written(found, want, linked.Joined()), name)


def _echoed(response: Response, uri: str) -> Response:
    response.headers[HEADER] = uri
    return response
