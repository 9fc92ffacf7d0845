"""Fill a snapshot: its queries asked as any other is, of this broker and of its sources, after the answer that it is being made (§5.16.1.4)."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import psycopg
from starlette.datastructures import MutableHeaders
from starlette.requests import Request

from malha.context.broker import door, pool, questions
from malha.context.broker.contracts import ERRORS, OperationNotSupported, TooComplex
from malha.context.broker.query import Asking
from malha.context.broker.questions import Question
from malha.context.federation.gathering import gather
from malha.context.snapshots import service, telling
from malha.context.snapshots.background import Background
from malha.context.snapshots.contracts import Evolutions, Found, Full, Missing, Snapshot, Status
from malha.context.store.contracts import StoredEntity
from malha.foundation.database import service as database
from malha.foundation.language import service as language
from malha.kernel.errors import MalhaError
from malha.kernel.text import msg
from malha.vocabulary.contexts.service import Context

logger = logging.getLogger(__name__)

#: entities of one query
MOST = 5_000
_TOO_MANY = msg("São mais de {most} entidades, que é o máximo de um instantâneo; restrinja a pergunta.")
_PATH = "/ngsi-ld/v1/entityOperations/query"

_background = Background()


def begin(request: Request, source: Any, one: Snapshot, evolutions: Evolutions) -> None:
    """Fill a snapshot that was just made, for whoever made it; goes on after the answer."""
    _background.begin(_fill(request, source, one, evolutions))


async def stop() -> None:
    """Leave what is being filled, at shutdown: it is told as a failure after a while."""
    await _background.stop()
    await telling.stop()


async def _fill(request: Request, source: Any, one: Snapshot, evolutions: Evolutions) -> None:
    try:
        found = [await _found(request, source, query) for query in one.document.get("snapshotQueries", ())]
        past = [await _evolved(request, source, query, evolutions) for query in one.document.get("snapshotTemporalQueries", ())]
        kept, evolved = _together(found), [each for one_ in past for each in one_.evolved]
        status = _status([*found, *past])
        tongue = language.of_request(request.headers, request.cookies)
        details, temporal = ([_detail(each, tongue) for each in these] for these in (found, past))

        def keep() -> Snapshot:
            with pool.connection() as conn, database.tenant_transaction(conn, [one.tenant_id]):
                try:
                    with conn.transaction():
                        service.filled(conn, one, kept, evolved, status, details, temporal)
                except Full as error:
                    wrong = _detail(Found(error=error), tongue)
                    service.filled(conn, one, [], [], Status.FAILURE, [wrong] * len(found), [wrong] * len(past))
                return service.find(conn, one.tenant_id, one.uri)

        telling.begin(await pool.run(keep))
    except Missing:
        return  # ended meanwhile
    except (MalhaError, psycopg.Error):
        logger.exception("snapshot %s of tenant %s could not be filled", one.id, one.tenant_id)


async def _found(request: Request, source: Any, query: Mapping[str, Any]) -> Found:
    """What one query gives; never raises for what is wrong with it."""
    try:
        asked, page, more, warnings = await gather.every(_asked_of(request), _asking(query, source))
    except MalhaError as error:
        return Found(error=error)
    except psycopg.errors.QueryCanceled:
        return Found(error=TooComplex(msg("A pergunta demora demasiado; restrinja-a por tipo, lugar ou atributo.")))
    if more or len(page.entities) >= asked.query.limit:
        return Found(error=TooComplex(_TOO_MANY, most=MOST))
    return Found(page.entities, tuple(dict.fromkeys(f"{each.source}: {each.reason}" for each in warnings)))


async def _evolved(request: Request, source: Any, query: Mapping[str, Any], evolutions: Evolutions) -> Found:
    """What one temporal query gives; never raises for what is wrong with it."""
    try:
        return Found(evolved=await evolutions(_asked_of(request), source, query))
    except MalhaError as error:
        return Found(error=error)
    except psycopg.errors.QueryCanceled:
        return Found(error=TooComplex(msg("A pergunta demora demasiado; restrinja-a por tipo, lugar ou atributo.")))


def _asked_of(request: Request) -> Request:
    """The request that made the snapshot, as one that asks a query."""
    scope = {**request.scope, "path": _PATH, "raw_path": _PATH.encode(), "query_string": b"", "headers": list(request.scope["headers"])}
    headers = MutableHeaders(scope=scope)
    for name in ("accept", "prefer"):
        if name in headers:
            del headers[name]
    return Request(scope)


def _asking(query: Mapping[str, Any], source: Any) -> Asking:
    params, selectors = questions.of_body(dict(query), {})
    for name in ("join", "orderBy"):
        if name in params:
            raise OperationNotSupported(msg("Um instantâneo guarda as entidades como estão; “{name}” ainda não."), name=name)

    def ask(context: Context) -> Question:
        question = questions.with_selectors(params, selectors, context)
        return replace(question, query=replace(question.query, limit=MOST + 1))

    return Asking(ask, source, params)


def _together(found: Sequence[Found]) -> list[StoredEntity]:
    """The entities of all queries, each once."""
    out: dict[str, StoredEntity] = {}
    for each in found:
        for entity in each.entities:
            out.setdefault(entity.uri, entity)
    return list(out.values())


def _status(found: Sequence[Found]) -> Status:
    if all((each.entities or each.evolved) and not each.amiss for each in found):
        return Status.SUCCESS
    if any(each.entities or each.evolved for each in found):
        return Status.PARTIAL
    return Status.FAILURE if any(each.error for each in found) else Status.EMPTY


def _detail(found: Found, tongue: str) -> dict[str, Any]:
    """How one query went (§5.2.42)."""
    if found.error is not None:
        etsi = door.etsi_of(found.error)
        problem = {
            "type": ERRORS + etsi, "title": language.translate(door.TITLES[etsi], tongue),
            "detail": language.explain(found.error, tongue), "status": found.error.status,
        }  # fmt: skip
        return {"resultStatus": "failure", "problemDetails": problem}
    out: dict[str, Any] = {"resultStatus": "success" if found.entities or found.evolved else "empty"}
    if found.amiss:
        out["problemDetails"] = {"title": language.translate(msg("Houve fontes que não responderam"), tongue), "detail": "; ".join(found.amiss)[:500]}
    return out
