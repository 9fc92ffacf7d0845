"""Subscribe to registrations over HTTP (§5.11, §6.12, §6.13): kept and delivered as other subscriptions are."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import psycopg
from starlette.requests import Request
from starlette.responses import Response

from malha.context.broker import door, pool
from malha.context.broker.contracts import Asked
from malha.context.federation import service
from malha.context.federation.registrations import queries, telling
from malha.context.subscriptions import operations
from malha.context.subscriptions import service as subscriptions
from malha.context.subscriptions.contracts import REGISTRATIONS
from malha.foundation.database import service as database


async def create(request: Request) -> Response:
    """POST /csourceSubscriptions: what matches already is told at once (§5.11.7)."""
    response = await operations.create(request)
    await _tell(request, unquote(response.headers["location"].rsplit("/csourceSubscriptions/", 1)[-1]))
    return response


async def change(request: Request) -> Response:
    """PATCH /csourceSubscriptions/{id}: what matches it as it is now is told (§5.11.7)."""
    response = await operations.change(request)
    await _tell(request, str(request.path_params["id"]))
    return response


async def _tell(request: Request, uri: str) -> None:
    def inside() -> None:
        with pool.connection() as conn:
            who: Asked = door.asked(conn, request)
            with database.tenant_transaction(conn, [who.tenant_id]):
                _begin(conn, who.tenant_id, uri)

    await pool.run(inside)


def _begin(conn: psycopg.Connection[Any], tenant_id: int, uri: str) -> None:
    queries.touch(conn, tenant_id)
    made, _state = subscriptions.find(conn, tenant_id, uri, about=REGISTRATIONS)
    if made.active:
        telling.begun(conn, made, [one for one, _ in service.every(conn, tenant_id)])
