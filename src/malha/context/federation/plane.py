"""Routes of federation: registrations, who this broker is, and the broker's own operations with other sources in them."""

from __future__ import annotations

from starlette.routing import BaseRoute, Route

from malha.context.broker.door import Handler, guarded
from malha.context.federation.distribute import Road, distributed
from malha.context.federation.gathering import listing, mapped
from malha.context.federation.partners import handshake
from malha.context.federation.passing_on import forwarding, hearing
from malha.context.federation.registrations import operations, subscribing
from malha.context.federation.spreading import batches
from malha.context.federation.spreading.spread import Verb, purge, written
from malha.context.subscriptions import operations as subscriptions

ROOT = "/ngsi-ld/v1"


def routes() -> list[BaseRoute]:
    """Every operation, each guarded."""
    base, told = f"{ROOT}/csourceRegistrations", f"{ROOT}/csourceSubscriptions"
    return [
        *(Route(base + end, guarded(operations.create), methods=["POST"]) for end in ("", "/")),
        *(Route(base + end, guarded(operations.query), methods=["GET"]) for end in ("", "/")),
        Route(base + "/{id:path}", guarded(operations.retrieve), methods=["GET"]),
        Route(base + "/{id:path}", guarded(operations.change), methods=["PATCH"]),
        Route(base + "/{id:path}", guarded(operations.delete), methods=["DELETE"]),
        *(Route(told + end, guarded(subscribing.create), methods=["POST"]) for end in ("", "/")),
        *(Route(told + end, guarded(subscriptions.query), methods=["GET"]) for end in ("", "/")),
        Route(told + "/{id:path}", guarded(subscriptions.retrieve), methods=["GET"]),
        Route(told + "/{id:path}", guarded(subscribing.change), methods=["PATCH"]),
        Route(told + "/{id:path}", guarded(subscriptions.delete), methods=["DELETE"]),
        Route(f"{ROOT}/info/sourceIdentity", guarded(operations.identity), methods=["GET"]),
        Route(forwarding.HEARD, guarded(hearing.hear), methods=["POST"]),
        Route("/federation/offer", guarded(handshake.offer, limited=True), methods=["GET"]),
        Route("/federation/join", guarded(handshake.join, limited=True), methods=["POST"]),
        Route("/federation/join", guarded(handshake.part, limited=True), methods=["DELETE"]),
    ]


#: operations of the broker that other sources take part in
_ROADS: dict[tuple[str, str], Road] = {
    ("GET", "/entities"): mapped.question,
    ("GET", "/entities/{id}"): mapped.retrieve,
    ("POST", "/entityOperations/query"): mapped.question,
    ("GET", "/entityMaps"): mapped.create,
    ("PATCH", "/entityMaps/{id}"): mapped.change,
    ("DELETE", "/entityMaps/{id}"): mapped.delete,
    ("GET", "/types"): listing.listed(listing.TYPES),
    ("GET", "/types/{type:path}"): listing.listed(listing.TYPE),
    ("GET", "/attributes"): listing.listed(listing.ATTRIBUTES),
    ("GET", "/attributes/{attr:path}"): listing.listed(listing.ATTRIBUTE),
    ("POST", "/entities"): written(Verb("createEntity", whole=True)),
    ("PUT", "/entities/{id}"): written(Verb("replaceEntity", whole=True)),
    ("PATCH", "/entities/{id}"): written(Verb("mergeEntity", fragment=True)),
    ("DELETE", "/entities/{id}"): written(Verb("deleteEntity", deletes=True)),
    ("POST", "/entities/{id}/attrs"): written(Verb("appendAttrs", fragment=True, by_attribute=True)),
    ("PATCH", "/entities/{id}/attrs"): written(Verb("updateEntity", fragment=True, by_attribute=True)),
    ("PATCH", "/entities/{id}/attrs/{attr}"): written(Verb("updateAttrs")),
    ("PUT", "/entities/{id}/attrs/{attr}"): written(Verb("replaceAttrs")),
    ("DELETE", "/entities/{id}/attrs/{attr}"): written(Verb("deleteAttrs", deletes=True)),
    ("DELETE", "/entities"): purge,
    **{("POST", f"/entityOperations/{verb}"): batches.batch(verb) for verb in ("create", "upsert", "update", "merge", "delete")},
}


def around(method: str, path: str, handler: Handler) -> Handler:
    """The broker's handler of an operation, with other sources in it where they take part."""
    road = _ROADS.get((method, path.rstrip("/")))
    return distributed(handler, road) if road is not None else handler
