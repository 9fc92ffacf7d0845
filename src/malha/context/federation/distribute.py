"""The road that a request takes where other sources take part, around the broker's own handlers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from malha.context.broker.door import Handler
from malha.context.federation.registrations import registry
from malha.context.federation.registrations.registry import Diverted

type Road = Callable[[Request, Diverted, Handler], Awaitable[Response]]


def distributed(handler: Handler, road: Road) -> Handler:
    """The handler, or where the tenant has sources and the request is not limited to this broker (§6.3.18), the other road."""

    async def answer(request: Request) -> Response:
        if request.query_params.get("local") == "true":
            return await handler(request)
        request.scope["malha.divert"] = registry.divert
        try:
            return await handler(request)
        except Diverted as found:
            taken = found
        finally:
            request.scope.pop("malha.divert", None)
        return await road(request, taken, handler)

    return answer
