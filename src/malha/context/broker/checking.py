"""Entities against their data model at the broker's door: refused with the reason of each property, or let in with a warning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import psycopg

from malha.context.broker.contracts import Asked, Unfit
from malha.context.broker.places import PRESENT
from malha.context.store.contracts import EntityDocument
from malha.foundation.access import reach
from malha.kernel.text import in_header, msg
from malha.vocabulary.models import policy
from malha.vocabulary.models.contracts import Finding
from malha.vocabulary.models.policy import Mode
from malha.vocabulary.territory import service as territory

WARNING_LENGTH = 400


def checked(conn: psycopg.Connection[Any], who: Asked, doc: EntityDocument) -> str:
    """What the models of the entity's types have to say, as the value of NGSILD-Warning; "" for nothing.

    Raises Unfit where a rule of the tenant enforces a model that does not let the entity through.
    """
    if not policy.of_tenant(conn, who.tenant_id).any:
        return ""
    doc, hidden = _with_hidden(conn, who, doc)
    verdict = policy.judged(conn, who.tenant_id, doc.types, _entity(doc))
    errors = [found for found in verdict.errors if found.path.split(".")[0] not in hidden] if verdict is not None else []
    if verdict is None or not errors:
        return ""
    if verdict.mode is Mode.ENFORCE:
        said = msg("A entidade “{uri}” não cumpre o modelo {type}: veja em “findings” as razões ({count}).")
        raise Unfit(said, errors, uri=doc.uri, type=verdict.type, count=len(errors))
    if who.place is PRESENT:
        policy.warned(conn, who.tenant_id, verdict.type, doc.uri, errors)
    return _warning(errors)


def _with_hidden(conn: psycopg.Connection[Any], who: Asked, doc: EntityDocument) -> tuple[EntityDocument, frozenset[str]]:
    """The entity with the attributes that its writer may not see, and their names: what is there does not lack, and nothing is told of it."""
    parts = reach.current()
    shown = reach.allowed(parts, doc.types) if parts is not None else None
    if shown is None:
        return doc, frozenset()
    with reach.limited():
        stored = who.place.by_uris(conn, who.tenant_id, [doc.uri]).get(doc.uri)
    hidden = {name: attribute for name, attribute in stored.attributes.items() if name not in shown} if stored is not None else {}
    return replace(doc, attributes={**hidden, **doc.attributes}), frozenset(hidden) - doc.attributes.keys()


def completed(conn: psycopg.Connection[Any], who: Asked, doc: EntityDocument) -> EntityDocument:
    """The entity with the address that its place tells, where a rule of the tenant asks for it and the address lacks it."""
    rules = policy.of_tenant(conn, who.tenant_id)
    if not rules.any or not any(rules.of(entity_type).complete_address for entity_type in doc.types):
        return doc
    point = _point(doc.attributes.get("location"))
    address = doc.attributes.get("address")
    if point is None or isinstance(address, list):
        return doc
    told = territory.complete_address(conn, point, who.tenant_id, dico=rules.dico)
    has = address.get("value") if isinstance(address, dict) else {}
    if not told or not isinstance(has, dict) or not any(name not in has for name in told):
        return doc
    whole = {**(address if isinstance(address, dict) else {"type": "Property"}), "value": {**told, **has}}
    return replace(doc, attributes={**doc.attributes, "address": whole})


def _point(location: object) -> tuple[float, float] | None:
    value = location.get("value") if isinstance(location, dict) else None
    if not isinstance(value, dict) or value.get("type") != "Point" or not isinstance(value.get("coordinates"), list):
        return None
    return float(value["coordinates"][0]), float(value["coordinates"][1])


def _entity(doc: EntityDocument) -> Mapping[str, Any]:
    return {"id": doc.uri, "type": list(doc.types) if len(doc.types) > 1 else doc.types[0], **doc.attributes}


def _warning(errors: list[Finding]) -> str:
    """The first fault and how many there are, in the characters that a header takes (RFC 9110 §5.5)."""
    more = f" (+{len(errors) - 1})" if len(errors) > 1 else ""
    return f'199 malha "{in_header(f"{errors[0].path}: {errors[0].message}{more}", WARNING_LENGTH)}"'
