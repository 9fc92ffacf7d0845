"""The broker's routes on the plane. `/ngsi-ld/v1/temporal/…` belongs to `history.temporal`."""

from __future__ import annotations

import re
from collections.abc import Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from malha.context.broker import batch, discovery, editing, entities, entity_maps, jsonld_contexts, query
from malha.context.broker.contracts import MethodNotAllowed, ResourceMissing
from malha.context.broker.door import Handler, guarded, problem
from malha.context.broker.heads import Headed
from malha.kernel.text import msg

ROOT = "/ngsi-ld/v1"


async def not_found(request: Request, _error: Exception) -> Response:
    """What is no address of the API, said as its problems are."""
    return problem(ResourceMissing(msg("Não há nada neste endereço.")), request)


async def not_allowed(request: Request, _error: Exception) -> Response:
    """An address that does not take the verb: what it takes, in Allow; OPTIONS is answered with that."""
    allowed = {"OPTIONS"}
    for route in request.app.routes:
        if isinstance(route, Route) and route.matches({**request.scope, "method": "OPTIONS"})[0] is not Match.NONE:
            allowed |= route.methods or set()
    headers = {"Allow": ", ".join(sorted(allowed))}
    if "PATCH" in allowed:
        headers["Accept-Patch"] = "application/json, application/ld+json, application/merge-patch+json"
    if request.method == "OPTIONS":
        return Response(status_code=204, headers=headers)
    response = problem(MethodNotAllowed(msg("Este endereço não aceita {method}."), method=request.method), request)
    response.headers.update(headers)
    return response


type Around = Callable[[str, str, Handler], Handler]


def _as_it_is(_method: str, _path: str, handler: Handler) -> Handler:
    return handler


#: what is asked for most, found without a walk over every route: one entity, one attribute of it
_STRAIGHT = re.compile(re.escape(ROOT) + r"/entities(?:/([^/]+)(?:/attrs/([^/]+))?)?")
_MOST_ASKED = {
    ("GET", 1): ("/entities/{id}", entities.retrieve), ("POST", 0): ("/entities", entities.create),
    ("PATCH", 2): ("/entities/{id}/attrs/{attr}", editing.change_attribute),
}  # fmt: skip


#: every write of entities and their attributes, by method and path
WRITES: dict[tuple[str, str], Handler] = {
    ("POST", "/entities"): entities.create,
    ("DELETE", "/entities"): query.purge,
    ("PUT", "/entities/{id}"): entities.replace,
    ("PATCH", "/entities/{id}"): editing.merge,
    ("DELETE", "/entities/{id}"): entities.delete,
    ("POST", "/entities/{id}/attrs"): editing.append,
    ("PATCH", "/entities/{id}/attrs"): editing.update,
    ("PATCH", "/entities/{id}/attrs/{attr}"): editing.change_attribute,
    ("PUT", "/entities/{id}/attrs/{attr}"): editing.replace_attribute,
    ("DELETE", "/entities/{id}/attrs/{attr}"): editing.delete_attribute,
    ("POST", "/entityOperations/create"): batch.create,
    ("POST", "/entityOperations/upsert"): batch.upsert,
    ("POST", "/entityOperations/update"): batch.update,
    ("POST", "/entityOperations/merge"): batch.merge,
    ("POST", "/entityOperations/delete"): batch.delete,
}
#: what stays outside of snapshots (§6.3.22)
_NOT_IN_SNAPSHOTS = ("/entityMaps", "/jsonldContexts")


def in_snapshots(path: str) -> bool:
    """Whether what the path is for may be asked inside a snapshot (§5.5.15): all that is about entities."""
    return not path.startswith(_NOT_IN_SNAPSHOTS)


def straight(around: Around = _as_it_is) -> Callable[[Scope], ASGIApp | None]:
    """Finds the handler of a request for one entity or one of its attributes; None for what the routes have to say. As `routes`."""
    handlers = {key: guarded(around(key[0], path, handler), limited=True, snapshots=in_snapshots(path)) for key, (path, handler) in _MOST_ASKED.items()}

    def find(scope: Scope) -> ASGIApp | None:
        found = _STRAIGHT.fullmatch(scope["path"])
        uri, name = found.groups() if found else (None, None)
        handler = handlers.get((scope["method"], (uri is not None) + (name is not None))) if found else None
        if handler is None:
            return None
        params = {"id": uri, "attr": name} if name else {"id": uri} if uri else {}

        async def run(scope: Scope, receive: Receive, send: Send) -> None:
            scope["path_params"] = params
            response = await handler(Headed(scope, receive))
            await response(scope, receive, send)

        return run

    return find


def routes(around: Around = _as_it_is) -> list[BaseRoute]:
    """Every operation, each guarded; `around` may put something around the handler of a method and a path."""
    table: list[tuple[str, str, Handler]] = [
        *((method, path, handler) for (method, path), handler in WRITES.items()),
        ("GET", "/entities", query.query),
        ("GET", "/entities/{id}", entities.retrieve),
        ("POST", "/entityOperations/query", query.query),
        ("GET", "/entityMaps", query.create_map),
        ("GET", "/entityMaps/{id}", entity_maps.retrieve),
        ("PATCH", "/entityMaps/{id}", entity_maps.change),
        ("DELETE", "/entityMaps/{id}", entity_maps.delete),
        ("GET", "/types", discovery.types),
        ("GET", "/types/{type:path}", discovery.type_),
        ("GET", "/attributes", discovery.attributes),
        ("GET", "/attributes/{attr:path}", discovery.attribute),
        ("GET", "/jsonldContexts", jsonld_contexts.list_all),
        ("POST", "/jsonldContexts", jsonld_contexts.add),
        ("GET", "/jsonldContexts/{id}", jsonld_contexts.serve),
        ("DELETE", "/jsonldContexts/{id}", jsonld_contexts.delete),
    ]
    table += [(method, f"{path}/", handler) for method, path, handler in table if not path.endswith("}")]
    longest_first = sorted(table, key=lambda row: ("{" in row[1], -row[1].rstrip("/").count("/")))  # an id may hold a slash
    return [
        Route(
            ROOT + path.replace("{id}", "{id:path}"),
            guarded(around(method, path, handler), limited=handler.__module__ != jsonld_contexts.__name__, snapshots=in_snapshots(path)),
            methods=[method],
        )
        for method, path, handler in longest_first
    ]
