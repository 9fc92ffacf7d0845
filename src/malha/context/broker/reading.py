"""What a client sent, as the store wants it: JSON, its context, entities as internal documents."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from starlette.requests import Request

from malha.context.broker.contracts import BadRequestData, InvalidRequest, TooLarge, UnsupportedMedia
from malha.context.store.contracts import EntityDocument
from malha.kernel.text import msg
from malha.vocabulary.contexts import service as contexts
from malha.vocabulary.contexts.service import Context
from malha.vocabulary.models import service as models

BODY_LIMIT = 20 * 1024 * 1024
NULL = "urn:ngsi-ld:null"
JSON, JSON_LD, MERGE = "application/json", "application/ld+json", "application/merge-patch+json"
#: members of an entity that are no attributes
_ENTITY = frozenset({"id", "@id", "type", "@type", "@context", "scope", "createdAt", "modifiedAt", "deletedAt", "expiresAt"})
#: members of an attribute that are no sub-attributes; `coordinateSystem` is the national catalogue's
_ATTRIBUTE = frozenset({
    "type", "value", "object", "languageMap", "vocab", "json", "valueList", "objectList", "unitCode", "observedAt", "datasetId", "createdAt", "modifiedAt",
    "deletedAt", "instanceId", "lang", "objectType", "expiresAt", "coordinateSystem", "valueType", "entity", "entityList",
    "previousValue", "previousObject", "previousLanguageMap", "previousVocab", "previousJson", "previousValueList", "previousObjectList", "ngsildproof",
})  # fmt: skip
_DEPTH = 12


async def body_of(request: Request, limit: int = BODY_LIMIT) -> bytes:
    """The body, up to `limit` bytes. Raises TooLarge as soon as it is over, whatever its Content-Length says."""
    parts: list[bytes] = []
    size = 0
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise TooLarge(msg("O pedido tem mais de {limit} MB; reparta-o."), limit=limit // 1024 // 1024)
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise TooLarge(msg("O pedido tem mais de {limit} MB; reparta-o."), limit=limit // 1024 // 1024)
        parts.append(part)
    return b"".join(parts)


def decode(body: bytes) -> Any:
    """The JSON of a body. Raises InvalidRequest where it is empty or broken."""
    if not body.strip():
        raise InvalidRequest(msg("O pedido vem vazio."))
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as reason:
        raise InvalidRequest(msg("O pedido não é JSON válido: {reason}."), reason=str(reason)[:200]) from reason


def media_type(request: Request) -> str:
    """The media type of the body. Raises UnsupportedMedia unless it is JSON, JSON-LD or merge-patch JSON."""
    found = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if found not in {JSON, JSON_LD} and not (found == MERGE and request.method == "PATCH"):
        raise UnsupportedMedia(msg("Envie application/json ou application/ld+json, não “{found}”."), found=found[:80])
    return found


def linked(request: Request) -> Context | None:
    """The context of the Link header (GS CIM 009 §6.3.5), None without one. Raises BadRequestData for several."""
    found = [part for value in request.headers.getlist("link") for part in value.split(",") if "json-ld#context" in part]
    if not found:
        return None
    if len(found) > 1:
        raise BadRequestData(msg("O cabeçalho Link só pode indicar um @context."))
    address, _, _ = found[0].strip().removeprefix("<").partition(">")
    return contexts.read(address)


def context_of(request: Request, media: str, payload: Any) -> Context:
    """The context that holds for a body: in it for JSON-LD, by Link for JSON (§5.5.5, §6.3.5)."""
    link = linked(request)
    inside = isinstance(payload, dict) and "@context" in payload
    if media != JSON_LD:
        if inside:
            raise BadRequestData(msg("Um @context no corpo pede o tipo application/ld+json."))
        return link or contexts.CORE
    if link is not None:
        raise BadRequestData(msg("Com application/ld+json o @context vai no corpo, não no cabeçalho Link."))
    if isinstance(payload, dict):
        if not inside:
            raise BadRequestData(msg("Falta o @context no corpo (application/ld+json)."))
        return contexts.read(payload["@context"])
    return contexts.CORE


def item_context(item: Any, media: str, otherwise: Context) -> Context:
    """The context of one entity of a batch: its own in JSON-LD, else that of the request."""
    if not isinstance(item, dict):
        raise BadRequestData(msg("Cada entidade é um objeto JSON."))
    if media != JSON_LD:
        if "@context" in item:
            raise BadRequestData(msg("Um @context no corpo pede o tipo application/ld+json."))
        return otherwise
    if "@context" not in item:
        raise BadRequestData(msg("Falta o @context no corpo (application/ld+json)."))
    return contexts.read(item["@context"])


def document(payload: Any, context: Context, *, tenant_id: int | None = None) -> EntityDocument:
    """One entity as it came (normalized, concise or key-values) as the store takes it. Raises BadRequestData."""
    if not isinstance(payload, dict):
        raise BadRequestData(msg("Cada entidade é um objeto JSON."))
    uri = payload.get("id", payload.get("@id"))
    types = _types(payload, context)
    if not isinstance(uri, str) or ":" not in uri:
        raise BadRequestData(msg("O “id” da entidade tem de ser um URI."))
    if not types:
        raise BadRequestData(msg("Falta o “type” da entidade."))
    attributes = attributes_of(payload, context, types[0], tenant_id=tenant_id)
    return EntityDocument(uri, types, attributes, _scopes(payload))


def attributes_of(payload: Mapping[str, Any], context: Context, entity_type: str = "", *, tenant_id: int | None = None) -> dict[str, Any]:
    """The attributes of a payload, normalized and under their internal names; "urn:ngsi-ld:null" becomes None."""
    named = {"id": "urn:x:x", "type": entity_type or "Thing"}
    for member, thing in payload.items():
        if member in _ENTITY:
            continue
        if not member or thing is None:
            raise BadRequestData(msg("O atributo “{name}” não tem valor; omita-o."), name=member)
        named[context.expand(member)] = _renamed(thing, context.expand, 0)
    gone = [name for name, thing in named.items() if _is_null(thing)]
    model = models.find(entity_type, tenant_id) if entity_type else None
    attributes = models.to_document({name: thing for name, thing in named.items() if name not in gone}, model)["attributes"]
    return {**attributes, **dict.fromkeys(gone)}


def _types(payload: Mapping[str, Any], context: Context) -> tuple[str, ...]:
    found = payload.get("type", payload.get("@type"))
    listed = found if isinstance(found, list) else [found] if found is not None else []
    if not all(isinstance(each, str) and each.strip() for each in listed):
        raise BadRequestData(msg("O “type” da entidade é um nome ou uma lista de nomes."))
    return tuple(dict.fromkeys(context.expand(each) for each in listed))


def _scopes(payload: Mapping[str, Any]) -> tuple[str, ...]:
    found = payload.get("scope", [])
    listed = found if isinstance(found, list) else [found]
    if not all(isinstance(each, str) for each in listed):
        raise BadRequestData(msg("O “scope” é um texto ou uma lista de textos."))
    return tuple(each if each.startswith("/") else f"/{each}" for each in listed)


def _renamed(thing: Any, rename: Any, depth: int) -> Any:
    """An attribute with the names of its sub-attributes changed; values stay as they are."""
    if depth > _DEPTH:
        raise BadRequestData(msg("O pedido tem atributos dentro de atributos a mais."))
    if isinstance(thing, list) and thing and all(_is_attribute(each) for each in thing):
        return [_renamed(each, rename, depth) for each in thing]
    if not _is_attribute(thing):
        return thing
    out: dict[str, Any] = {}
    for member, value in thing.items():
        if value is None:
            raise BadRequestData(msg("O atributo “{name}” não tem valor; omita-o."), name=member)
        out[member if member in _ATTRIBUTE else rename(member)] = value if member in _ATTRIBUTE else _renamed(value, rename, depth + 1)
    if out.get("type") == "VocabProperty" and "vocab" in out:
        words = out["vocab"]
        out["vocab"] = [rename(word) for word in words] if isinstance(words, list) else rename(words)
    return out


def _is_attribute(thing: Any) -> bool:
    if not isinstance(thing, dict):
        return False
    kind = thing.get("type")
    if isinstance(kind, str) and kind.endswith(("Property", "Relationship")):
        return True
    return "coordinates" not in thing and not _VALUES.isdisjoint(thing)


_VALUES = frozenset({"value", "object", "languageMap", "vocab", "json", "valueList", "objectList"})


def _is_null(thing: Any) -> bool:
    if thing == NULL:
        return True
    if not isinstance(thing, dict):
        return False
    return any(thing.get(member) == NULL for member in ("value", "object", "vocab")) or thing.get("languageMap") == {"@none": NULL}


def has_value(attribute: Mapping[str, Any]) -> bool:
    """Whether an attribute fragment brings a value of any kind."""
    return not _VALUES.isdisjoint(attribute)


def names(text: str, context: Context) -> tuple[str, ...]:
    """A comma-separated list of names, expanded."""
    return tuple(dict.fromkeys(context.expand(part.strip()) for part in text.split(",") if part.strip()))


def rename_attribute(thing: Any, context: Context) -> Any:
    """An attribute of the internal document in the words of a context."""
    return _renamed(thing, context.compact, 0)


def uris(payload: Any) -> list[str]:
    """The ids of a batch delete. Raises BadRequestData."""
    if not isinstance(payload, list) or not payload or not all(isinstance(each, str) and ":" in each for each in payload):
        raise BadRequestData(msg("Envie uma lista de identificadores."))
    return list(payload)


def items(payload: Any) -> Iterable[Any]:
    """The entities of a batch. Raises BadRequestData for what is no list, an empty one, or one with a null."""
    if not isinstance(payload, list) or not payload or any(each is None for each in payload):
        raise BadRequestData(msg("Envie uma lista de entidades que não esteja vazia."))
    return payload
