"""Routes of subscriptions."""

from __future__ import annotations

from starlette.routing import BaseRoute, Route

from malha.context.broker.door import guarded
from malha.context.subscriptions import operations

ROOT = "/ngsi-ld/v1/subscriptions"


def routes() -> list[BaseRoute]:
    """Every operation, each guarded."""
    return [
        Route(ROOT, guarded(operations.create, limited=True), methods=["POST"]),
        Route(ROOT + "/", guarded(operations.create, limited=True), methods=["POST"]),
        Route(ROOT, guarded(operations.query, limited=True), methods=["GET"]),
        Route(ROOT + "/", guarded(operations.query, limited=True), methods=["GET"]),
        Route(ROOT + "/{id:path}", guarded(operations.retrieve, limited=True), methods=["GET"]),
        Route(ROOT + "/{id:path}", guarded(operations.change, limited=True), methods=["PATCH"]),
        Route(ROOT + "/{id:path}", guarded(operations.delete, limited=True), methods=["DELETE"]),
    ]
