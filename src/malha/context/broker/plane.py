"""The broker's routes on the plane. `/ngsi-ld/v1/temporal/…` belongs to `history.temporal`."""

from __future__ import annotations

from starlette.routing import BaseRoute, Route

from malha.context.broker import batch, discovery, entities, query
from malha.context.broker.door import Handler, guarded

ROOT = "/ngsi-ld/v1"


def routes() -> list[BaseRoute]:
    """Every operation, each guarded."""
    table: list[tuple[str, str, Handler]] = [
        ("GET", "/entities", query.query),
        ("POST", "/entities", entities.create),
        ("GET", "/entities/{id}", entities.retrieve),
        ("PUT", "/entities/{id}", entities.replace),
        ("PATCH", "/entities/{id}", entities.merge),
        ("DELETE", "/entities/{id}", entities.delete),
        ("POST", "/entities/{id}/attrs", entities.append),
        ("PATCH", "/entities/{id}/attrs", entities.update),
        ("PATCH", "/entities/{id}/attrs/{attr}", entities.change_attribute),
        ("PUT", "/entities/{id}/attrs/{attr}", entities.replace_attribute),
        ("DELETE", "/entities/{id}/attrs/{attr}", entities.delete_attribute),
        ("POST", "/entityOperations/create", batch.create),
        ("POST", "/entityOperations/upsert", batch.upsert),
        ("POST", "/entityOperations/update", batch.update),
        ("POST", "/entityOperations/merge", batch.merge),
        ("POST", "/entityOperations/delete", batch.delete),
        ("POST", "/entityOperations/query", query.query_by_body),
        ("GET", "/types", discovery.types),
        ("GET", "/types/{type}", discovery.type_),
        ("GET", "/attributes", discovery.attributes),
    ]
    longest_first = sorted(table, key=lambda row: -row[1].count("/"))  # an id may hold a slash
    return [Route(ROOT + path.replace("{id}", "{id:path}"), guarded(handler, limited=True), methods=[method]) for method, path, handler in longest_first]
