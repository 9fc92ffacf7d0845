"""The road that a request takes where other sources take part, around the broker's own handlers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

from starlette.requests import Request
from starlette.responses import Response

from malha.context.broker import door, express, pool
from malha.context.broker.door import Handler
from malha.context.federation.registrations import registry
from malha.context.federation.registrations.registry import Diverted
from malha.vocabulary.contexts.contracts import ContextToFetch

type Road = Callable[[Request, Diverted, Handler], Awaitable[Response]]


def _early(request: Request) -> None:
    """Raise Diverted before the handler of a reading begins, where memory tells that the tenant has sources: a thread and a connection less."""
    here = express.lane()
    if here is None or here.memory is None or not (request.method == "GET" or request.scope["path"].rstrip("/").endswith("/query")):
        return
    if registry.concerns(here.memory, pool.account.get()):
        here.used = True
        with suppress(express.NotAtHand, ContextToFetch):
            door.asked(here.memory, request)


def distributed(handler: Handler, road: Road) -> Handler:
    """The handler, or where the tenant has sources and the request is not limited to this broker (§6.3.18), the other road."""

    async def answer(request: Request) -> Response:
        if request.query_params.get("local") == "true":
            return await handler(request)
        request.scope["malha.divert"] = registry.divert
        try:
            _early(request)
            return await handler(request)
        except Diverted as found:
            taken = found
        finally:
            request.scope.pop("malha.divert", None)
        return await road(request, taken, handler)

    return answer
