"""What a client sent, as the store wants it: JSON, its context, entities as internal documents."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import unquote

import msgspec
from starlette.requests import Request

from malha.context.broker import attributes, heads
from malha.context.broker.contracts import BadRequestData, InvalidRequest, TooLarge, UnsupportedMedia
from malha.context.store.contracts import MEMBER, EntityDocument, StoredEntity
from malha.context.store.table import usable_uri
from malha.kernel.text import msg, sentence
from malha.vocabulary.contexts.service import Context

BODY_LIMIT = 20 * 1024 * 1024
#: characters of the reason of a correction
REASON_LIMIT = 300
NULL = attributes.NULL
JSON, JSON_LD, MERGE = "application/json", "application/ld+json", "application/merge-patch+json"
#: members of an entity that are no attributes
_ENTITY = frozenset({"id", "@id", "type", "@type", "@context", "scope", "createdAt", "modifiedAt", "deletedAt", "expiresAt"})
#: words of the core that are no types
_NO_TYPES = frozenset({"type", "id"})
#: members of an attribute that are no sub-attributes; `coordinateSystem` is the national catalogue's
_ATTRIBUTE = frozenset({
    "type", "value", "object", "languageMap", "vocab", "json", "valueList", "objectList", "unitCode", "observedAt", "datasetId", "createdAt", "modifiedAt",
    "deletedAt", "instanceId", "lang", "expiresAt", "coordinateSystem", "entityIdSealed", "valueType", "entity", "entityList",
    "previousValue", "previousObject", "previousLanguageMap", "previousVocab", "previousJson", "previousValueList", "previousObjectList", "ngsildproof",
})  # fmt: skip
#: where a reader of JSON stopped
_PLACE = re.compile(r"\(byte (\d+)\)")
_SCOPE = re.compile(r"/?[^\W\d_]\w*(?:/[^\W\d_]\w*)*")
#: the values of a Link header, commas inside <> and quotes kept
_LINK = re.compile(r'<[^>]*>(?:\s*;\s*[^,;"=]+(?:=(?:"[^"]*"|[^,;"]*))?)*')


async def body_of(request: Request, limit: int = BODY_LIMIT) -> bytes:
    """The body, up to `limit` bytes. Raises TooLarge as soon as it is over, whatever its Content-Length says."""
    kept = request.scope.get("malha.body")  # read before, or put in the place of what came
    if isinstance(kept, bytes):
        return kept
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
    request.scope["malha.body"] = b"".join(parts)
    return bytes(request.scope["malha.body"])


def decode(body: bytes) -> Any:
    """The JSON of a body. Raises InvalidRequest where it is empty or broken."""
    if not body.strip():
        raise InvalidRequest(msg("O pedido vem vazio."))
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as reason:
        raise InvalidRequest(msg("O pedido não é JSON válido: {reason}."), reason=_why_no_json(reason)) from reason


def _why_no_json(error: Exception) -> str:
    """What is wrong with a body that is no JSON, as a sentence that is kept."""
    if isinstance(error, UnicodeDecodeError):
        return msg("não está em UTF-8")
    if isinstance(error, RecursionError):
        return msg("tem níveis a mais, uns dentro dos outros")
    if "surrogate" in str(error):
        return msg("um texto tem metade de um caráter Unicode")
    if "out of range" in str(error):
        return msg("um número é grande demais")
    if "truncated" in str(error):
        return msg("acaba a meio")
    place = _PLACE.search(str(error))
    return sentence(msg("há um erro no byte {place}"), place=int(place[1]) + 1) if place else str(error)[:200]


def entity_body(body: bytes) -> Any:
    """The JSON of a body that holds one entity. Raises InvalidRequest where it is empty, broken or says nothing."""
    payload = decode(body)
    if not isinstance(payload, dict) or not payload:
        raise InvalidRequest(msg("Envie um objeto JSON com a entidade."))
    return payload


def media_type(request: Request) -> str:
    """The media type of the body. Raises UnsupportedMedia unless it is JSON, JSON-LD or merge-patch JSON."""
    found = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if found not in {JSON, JSON_LD} and not (found == MERGE and request.method == "PATCH"):
        raise UnsupportedMedia(msg("Envie application/json ou application/ld+json, não “{found}”."), found=found[:80])
    return found


@heads.by_head
def linked(request: Request) -> str | None:
    """The address of the context in the Link header (GS CIM 009 §6.3.5), None without one. Raises BadRequestData for several."""
    found = [part for value in request.headers.getlist("link") for part in _LINK.findall(value) if "json-ld#context" in part]
    if not found:
        return None
    if len(found) > 1:
        raise BadRequestData(msg("O cabeçalho Link só pode indicar um @context."))
    address, _, _ = found[0].strip().removeprefix("<").partition(">")
    return str(address).strip()


@heads.by_head
def reason(request: Request) -> str:
    """Why a value is corrected, as the header Malha-Reason says it (UTF-8, percent-encoded or not). Raises BadRequestData for more than 300 characters."""
    said = request.headers.get("malha-reason")
    if said is None:
        return ""
    words = " ".join("".join(c if c.isprintable() else " " for c in unquote(said.encode("latin-1").decode(errors="replace"))).split())
    if len(words) > REASON_LIMIT:
        raise BadRequestData(msg("O motivo, em Malha-Reason, leva no máximo {most} caracteres."), most=REASON_LIMIT)
    return words


def passed_through(request: Request) -> frozenset[str]:
    """The names of the brokers that a request came through."""
    return frozenset(part.strip().split(" ")[-1] for value in request.headers.getlist("via") for part in value.split(",") if part.strip())


def source_of(request: Request, media: str, payload: Any) -> Any:
    """The @context that holds for a body, as it was sent: in it for JSON-LD, by Link for JSON (§5.5.5, §6.3.5); None is the core alone."""
    link = linked(request)
    inside = isinstance(payload, dict) and "@context" in payload
    if media != JSON_LD:
        if inside:
            raise BadRequestData(msg("Um @context no corpo pede o tipo application/ld+json."))
        return link
    if link is not None:
        raise BadRequestData(msg("Com application/ld+json o @context vai no corpo, não no cabeçalho Link."))
    if isinstance(payload, dict):
        if not inside:
            raise BadRequestData(msg("Falta o @context no corpo (application/ld+json)."))
        return payload["@context"]
    return None


def item_source(item: Any, media: str, otherwise: Any) -> Any:
    """The @context of one entity of a batch: its own in JSON-LD, else that of the request."""
    if not isinstance(item, dict):
        raise BadRequestData(msg("Cada entidade é um objeto JSON."))
    if media != JSON_LD:
        if "@context" in item:
            raise BadRequestData(msg("Um @context no corpo pede o tipo application/ld+json."))
        return otherwise
    if "@context" not in item:
        raise BadRequestData(msg("Falta o @context no corpo (application/ld+json)."))
    return item["@context"]


def document(
    payload: Any, context: Context, *, tenant_id: int | None = None, kept: StoredEntity | None = None, nulls: bool = False, deep: bool = False,
    stamps: bool = False,
) -> EntityDocument:  # fmt: skip
    """One entity as it came (normalized, concise or key-values) as the store takes it. Raises BadRequestData.

    `kept` is the entity that it replaces or changes, whose id and types hold where it names none; with `nulls`,
    "urn:ngsi-ld:null" takes attributes away, with `deep` also members of values. `stamps` as in `attributes.Reader`.
    """
    if not isinstance(payload, dict):
        raise BadRequestData(msg("Cada entidade é um objeto JSON."))
    uri = payload.get("id", payload.get("@id", kept.uri if kept else None))
    if not isinstance(uri, str) or uri == attributes.NULL or not usable_uri(uri):
        raise BadRequestData(msg("O “id” da entidade tem de ser um URI, com até 2048 bytes."))
    types = types_of(payload, context)
    if kept is not None:
        types = (*kept.types, *(each for each in types if each not in kept.types))
    if not types:
        raise BadRequestData(msg("Falta o “type” da entidade."))
    reader = attributes.Reader(context, nulls=nulls, deep_nulls=deep, stamps=stamps)
    kinds = attributes.kinds_of(types[0], tenant_id)
    if kept is not None:
        kinds = {**kinds} | {name: each["type"] for name, each in kept.attributes.items() if isinstance(each, dict) and each["type"] != "LanguageProperty"}
    return EntityDocument(uri, types, reader.attributes(payload, _ENTITY, kinds), *_own_members(payload, nulls))


def attributes_of(payload: Mapping[str, Any], context: Context, entity_type: str = "", *, tenant_id: int | None = None) -> dict[str, Any]:
    """The attributes of a payload, normalized and under their internal names; what goes has no value."""
    return attributes.Reader(context, nulls=True).attributes(payload, _ENTITY, attributes.kinds_of(entity_type, tenant_id))


def _own_members(payload: Mapping[str, Any], nulls: bool) -> tuple[tuple[str, ...], datetime | None, frozenset[str]]:
    """(scopes, expiry, members that go) of an entity or a fragment."""
    gone: set[str] = set()
    given: tuple[str, ...] = ()
    if nulls and payload.get("scope") in (attributes.NULL, [attributes.NULL]):
        gone.add("scope")
    elif "scope" in payload:
        given = scopes(payload["scope"])
    ends: datetime | None = None
    if nulls and payload.get("expiresAt") == attributes.NULL:
        gone.add("expiresAt")
    elif "expiresAt" in payload:
        ends = datetime.fromisoformat(attributes.instant("expiresAt", payload["expiresAt"]))
    return given, ends, frozenset(gone)


def types_of(payload: Mapping[str, Any], context: Context) -> tuple[str, ...]:
    """The internal names of the types that a payload names, none where it names none. Raises BadRequestData."""
    found = payload.get("type", payload.get("@type"))
    if isinstance(found, str) and attributes.usable_name(found) and found not in _NO_TYPES:
        return (context.expand(found),)
    listed = found if isinstance(found, list) else [found] if found is not None else []
    if (isinstance(found, list) and not found) or not all(isinstance(each, str) and attributes.usable_name(each) and each not in _NO_TYPES for each in listed):
        raise BadRequestData(msg("O “type” da entidade é um nome ou uma lista de nomes."))
    return tuple(dict.fromkeys(context.expand(each) for each in listed))


def scopes(found: Any) -> tuple[str, ...]:
    """The scopes that a payload gives, a text or a list of texts. Raises BadRequestData."""
    listed = found if isinstance(found, list) else [found]
    if not listed or not all(isinstance(each, str) and _SCOPE.fullmatch(each) for each in listed):
        raise BadRequestData(msg("O “scope” é um texto ou uma lista de textos, como /Bairro/Rua."))
    return tuple(dict.fromkeys(each if each.startswith("/") else f"/{each}" for each in listed))


def _renamed(thing: Any, rename: Callable[[str], str], depth: int) -> Any:
    """A stored attribute with the names of its sub-attributes, vocabulary and types of objects changed; values stay as they are."""
    if isinstance(thing, list):
        return [_renamed(each, rename, depth) if isinstance(each, dict) and each.get("type") in MEMBER else each for each in thing]
    if not isinstance(thing, dict) or thing.get("type") not in MEMBER or depth > attributes.DEPTH + 2:
        return thing
    out: dict[str, Any] = {}
    for member, value in thing.items():
        if member in {"objectType", "entityTypeSealed"} and isinstance(value, str):
            out[member] = rename(value)
        elif member == "vocab":
            out[member] = [rename(word) for word in value] if isinstance(value, list) else rename(value)
        else:
            out[member if member in _ATTRIBUTE else rename(member)] = value if member in _ATTRIBUTE else _renamed(value, rename, depth + 1)
    return out


def names(text: str, context: Context) -> tuple[str, ...]:
    """A comma-separated list of names, expanded."""
    return tuple(dict.fromkeys(context.expand(part.strip()) for part in text.split(",") if part.strip()))


def rename_attribute(thing: Any, context: Context) -> Any:
    """An attribute of the internal document in the words of a context."""
    return _renamed(thing, context.compact, 0)


def uris(payload: Any) -> list[str]:
    """The ids of a batch delete. Raises BadRequestData."""
    if not isinstance(payload, list) or not payload or not all(isinstance(each, str) and usable_uri(each) for each in payload):
        raise BadRequestData(msg("Envie uma lista de identificadores."))
    return list(payload)


def items(payload: Any) -> Iterable[Any]:
    """The entities of a batch. Raises BadRequestData for what is no list, an empty one, or one with a null."""
    if not isinstance(payload, list) or not payload or any(each is None for each in payload):
        raise BadRequestData(msg("Envie uma lista de entidades que não esteja vazia."))
    return payload
