"""A registration as it came, checked clause by clause, under internal names (§5.2.9–5.2.11, §5.2.34, §5.9.2.4)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from malha.context.broker.attributes import usable_name
from malha.context.federation.contracts import GROUPS, OPERATIONS, READING, Mode, Unusable
from malha.context.store import geometry
from malha.context.store.contracts import UnusableEntity
from malha.context.subscriptions import patterns
from malha.context.subscriptions.contracts import Unusable as UnusablePattern
from malha.context.subscriptions.reading import is_uri
from malha.kernel.text import msg
from malha.kernel.time import format_instant, now, parse_instant
from malha.vocabulary.contexts.service import Context

TYPE = "ContextSourceRegistration"
#: what stands in an answer for a value that is not told; sent back it leaves the value as it was
HIDDEN = "urn:malha:hidden"
#: pairs of contextSourceInfo that say how to ask, and are no secrets (§4.3.6.6)
PROCESSED = frozenset({"jsonldContext", "contentType", "accept"})
#: headers that nobody may set for us (§4.3.6.5)
OURS = frozenset({"ngsild-tenant", "via", "content-length", "content-type", "host", "connection", "transfer-encoding", "te", "trailer", "upgrade", "expect", "link", "accept"})  # fmt: skip
#: worked out here and ignored when they are sent back
COMPUTED = frozenset({"status", "timesSent", "timesFailed", "lastSuccess", "lastFailure", "createdAt", "modifiedAt", "deletedAt", "@context"})
NULL = "urn:ngsi-ld:null"
MOST_INFORMATION, MOST_ENTITIES = 1000, 10_000
_DURATION = re.compile(r"P(?!$)(\d+Y)?(\d+M)?(\d+W)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+(\.\d+)?S)?)?")
_SCOPE = re.compile(r"/?[^\W\d_]\w*(?:/[^\W\d_]\w*)*")


def document(payload: Any, context: Context) -> dict[str, Any]:
    """The whole registration. Raises Unusable, naming the member that cannot be."""
    out = fragment(payload, context)
    if payload.get("type") != TYPE:
        raise Unusable(msg("Um registo de fonte tem o type “ContextSourceRegistration”."))
    for member in ("information", "endpoint"):
        if out.get(member) is None:
            raise Unusable(msg("Ao registo falta “{member}”."), member=member)
    together(out)
    return out


def fragment(payload: Any, context: Context) -> dict[str, Any]:
    """Those members that a payload names; None stands for one that is taken away."""
    if not isinstance(payload, dict):
        raise Unusable(msg("Um registo de fonte é um objeto JSON."))
    if payload.get("type", TYPE) != TYPE:
        raise Unusable(msg("Um registo de fonte tem o type “ContextSourceRegistration”."))
    out: dict[str, Any] = {}
    for name, value in payload.items():
        if name in COMPUTED or name == "type":
            continue
        if value == NULL or (value is None and name == "expiresAt"):
            out[name] = None
        elif value is None:
            raise Unusable(msg("“{member}” não tem valor; omita-o."), member=name[:80])
        elif name in _READERS:
            out[name] = _READERS[name](name, value, context)
        else:
            out.setdefault("properties", {})[_property(name, context)] = value
    return out


def together(out: Mapping[str, Any]) -> None:
    """What depends on several members (§4.3.6.3, §5.9.2.4). Raises Unusable."""
    mode = out.get("mode", Mode.INCLUSIVE)
    if mode == Mode.EXCLUSIVE:
        for one in out["information"]:
            if not one.get("entities") or any("id" not in entity for entity in one["entities"]):
                raise Unusable(msg("Uma fonte exclusiva diz de que entidade se trata: id, sem idPattern."))
            if not attributes_of(one):
                raise Unusable(msg("Uma fonte exclusiva diz que atributos tem (propertyNames ou relationshipNames)."))
    if mode == Mode.AUXILIARY and out.get("operations") and not set(out["operations"]) <= READING | {"retrieveOps"}:
        raise Unusable(msg("Uma fonte auxiliar só serve para ler: retrieveOps, retrieveEntity, queryEntity."))


def attributes_of(information: Mapping[str, Any]) -> frozenset[str]:
    """The attributes that a piece of information names; none means all."""
    return frozenset((*information.get("propertyNames", ()), *information.get("relationshipNames", ()), *information.get("attributeNames", ())))


def operations_of(out: Mapping[str, Any]) -> frozenset[str]:
    """The single operations that a source takes: those named, with groups spelt out, else federationOps (§4.20)."""
    named = out.get("operations") or ["federationOps"]
    return frozenset(each for name in named for each in GROUPS.get(name, (name,)))


def _property(name: str, context: Context) -> str:
    if not usable_name(name):
        raise Unusable(msg("“{member}” não serve para nome de uma propriedade da fonte."), member=name[:80])
    return context.expand(name)


def _text(name: str, value: Any, _context: Context) -> str:
    if not isinstance(value, str) or not value:
        raise Unusable(msg("“{member}” é um texto que não pode ser vazio."), member=name)
    return value


def _flag(name: str, value: Any, _context: Context) -> bool:
    if not isinstance(value, bool):
        raise Unusable(msg("“{member}” é true ou false."), member=name)
    return value


def _uri(name: str, value: Any, context: Context) -> str:
    text = _text(name, value, context)
    if not is_uri(text):
        raise Unusable(msg("“{member}” tem de ser um URI."), member=name)
    return text


def _endpoint(name: str, value: Any, context: Context) -> str:
    return endpoint(_text(name, value, context))


def endpoint(text: str) -> str:
    """The address of a source, without a slash at its end. Raises Unusable for what is none."""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0 and not any(c.isspace() for c in text)
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment:
        raise Unusable(msg("O endereço “{uri}” não serve: tem de começar por http:// ou https://, sem perguntas."), uri=text[:120])
    if parts.username or parts.password:
        raise Unusable(msg("O endereço traz um nome ou uma senha; mande-os em contextSourceInfo (Authorization)."))
    return text.rstrip("/")


def _instant(name: str, value: Any, context: Context) -> str:
    try:
        return format_instant(parse_instant(_text(name, value, context)))
    except ValueError as reason:
        raise Unusable(msg("“{member}” é uma data e hora (ISO 8601)."), member=name) from reason


def _expiry(name: str, value: Any, context: Context) -> str:
    text = _instant(name, value, context)
    if parse_instant(text) <= now():
        raise Unusable(msg("“{member}” já passou."), member=name)
    return text


def _interval(name: str, value: Any, context: Context) -> dict[str, str]:
    if not isinstance(value, dict) or "startAt" not in value or not set(value) <= {"startAt", "endAt"}:
        raise Unusable(msg("“{member}” é um objeto com startAt e, se acabou, endAt."), member=name)
    out = {member: _instant(member, each, context) for member, each in value.items()}
    if out.get("endAt", "9") < out["startAt"]:
        raise Unusable(msg("“{member}” acaba antes de começar."), member=name)
    return out


def _geometry(_name: str, value: Any, _context: Context) -> dict[str, Any]:
    said = value.get("value", value) if isinstance(value, dict) else value
    try:
        return dict(geometry.parse(said).geojson)
    except UnusableEntity as reason:
        raise Unusable(reason.message, **reason.params) from reason


def _names(name: str, value: Any, context: Context) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) and usable_name(one) for one in value):
        raise Unusable(msg("“{member}” é uma lista de nomes."), member=name)
    return list(dict.fromkeys(context.expand(one) for one in value))


def _information(name: str, value: Any, context: Context) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not value or len(value) > MOST_INFORMATION or not all(isinstance(one, dict) and one for one in value):
        raise Unusable(msg("“{member}” é uma lista, não vazia, do que a fonte tem."), member=name)
    out: list[dict[str, Any]] = []
    for one in value:
        if unknown := set(one) - {"entities", "propertyNames", "relationshipNames", "attributeNames"}:
            raise Unusable(msg("“{member}” não é membro de information."), member=min(unknown)[:80])
        kept: dict[str, Any] = {member: _names(member, one[member], context) for member in one if member != "entities"}
        if "entities" in one:
            kept["entities"] = _entities("entities", one["entities"], context)
        out.append(kept)
    return out


def _entities(name: str, value: Any, context: Context) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not value or len(value) > MOST_ENTITIES or not all(isinstance(one, dict) for one in value):
        raise Unusable(msg("“{member}” é uma lista de objetos com type, id ou idPattern."), member=name)
    out: list[dict[str, Any]] = []
    for one in value:
        if unknown := set(one) - {"id", "idPattern", "type"}:
            raise Unusable(msg("“{member}” não é membro de entities."), member=min(unknown)[:80])
        types = one.get("type")
        listed = types if isinstance(types, list) else [types]
        if not listed or not all(isinstance(each, str) and usable_name(each) for each in listed):
            raise Unusable(msg("Cada entidade de information pede o type."))
        kept: dict[str, Any] = {"type": [context.expand(each) for each in listed]}
        if "id" in one:
            kept["id"] = _uri("id", one["id"], context)
        elif "idPattern" in one:  # an id says more than a pattern (§5.2.8)
            kept["idPattern"] = _pattern(_text("idPattern", one["idPattern"], context))
        out.append(kept)
    return out


def _pattern(text: str) -> str:
    try:
        return patterns.check(text)
    except UnusablePattern as reason:
        raise Unusable(reason.message, **reason.params) from reason


def _mode(name: str, value: Any, _context: Context) -> str:
    if value not in set(Mode):
        raise Unusable(msg("“{member}” tem de ser: {known}."), member=name, known=", ".join(Mode))
    return str(value)


def _operations(name: str, value: Any, _context: Context) -> list[str]:
    listed = value if isinstance(value, list) else [value]
    if not listed or not all(isinstance(one, str) and (one in OPERATIONS or one in GROUPS) for one in listed):
        raise Unusable(msg("“{member}” é uma lista de operações ou de grupos: {known}."), member=name, known=", ".join(GROUPS))
    return list(dict.fromkeys(listed))


def _pairs(name: str, value: Any, _context: Context) -> list[dict[str, str]]:
    good = isinstance(value, list) and all(
        isinstance(one, dict) and set(one) == {"key", "value"} and all(isinstance(text, str) for text in one.values()) and one["key"] for one in value
    )
    if not good or any(c in text for one in value for text in one.values() for c in "\r\n\x00"):
        raise Unusable(msg("“{member}” é uma lista de pares com key e value, ambos texto."), member=name)
    return [dict(one) for one in value]


def _management(name: str, value: Any, context: Context) -> dict[str, Any]:
    if not isinstance(value, dict) or not set(value) <= {"localOnly", "cacheDuration", "timeout", "cooldown"}:
        raise Unusable(msg("“{member}” é um objeto com localOnly, cacheDuration, timeout ou cooldown."), member=name)
    for member in ("timeout", "cooldown"):
        said = value.get(member, 1)
        if isinstance(said, bool) or not isinstance(said, int | float) or not 0 < said < 10**9:
            raise Unusable(msg("“{member}” é um número de milissegundos maior do que zero."), member=member)
    if "localOnly" in value:
        _flag("localOnly", value["localOnly"], context)
    if "cacheDuration" in value:
        _duration("cacheDuration", value["cacheDuration"], context)
    return dict(value)


def _duration(name: str, value: Any, _context: Context) -> str:
    if not isinstance(value, str) or not _DURATION.fullmatch(value):
        raise Unusable(msg("“{member}” é uma duração ISO 8601, como PT5M."), member=name)
    return value


def _scope(_name: str, value: Any, _context: Context) -> list[str]:
    listed = value if isinstance(value, list) else [value]
    if not listed or not all(isinstance(one, str) and _SCOPE.fullmatch(one) for one in listed):
        raise Unusable(msg("O “scope” é um texto ou uma lista de textos, como /Bairro/Rua."))
    return list(dict.fromkeys(one if one.startswith("/") else f"/{one}" for one in listed))


def _datasets(name: str, value: Any, context: Context) -> list[str]:
    listed = value if isinstance(value, list) else [value]
    if not listed:
        raise Unusable(msg("“{member}” é uma lista de URI, ou @none."), member=name)
    return [each if each == "@none" else _uri(name, each, context) for each in listed]


_READERS: dict[str, Callable[[str, Any, Context], Any]] = {
    "id": _uri, "registrationName": _text, "description": _text, "information": _information, "tenant": _text, "observationInterval": _interval,
    "managementInterval": _interval, "location": _geometry, "observationSpace": _geometry, "operationSpace": _geometry, "expiresAt": _expiry, "endpoint": _endpoint,
    "contextSourceInfo": _pairs, "scope": _scope, "mode": _mode, "operations": _operations, "refreshRate": _duration, "management": _management, "localOnly": _flag,
    "hostAlias": _text, "contextSourceAlias": _text, "datasetId": _datasets,
}  # fmt: skip


def apart(out: dict[str, Any], known: Mapping[str, str]) -> dict[str, str]:
    """Take what is secret out of contextSourceInfo: header → value. A value that was hidden from its reader stays as `known` has it."""
    headers: dict[str, str] = {}
    kept: list[dict[str, str]] = []
    for pair in out.get("contextSourceInfo") or ():
        if pair["key"] in PROCESSED:
            kept.append(pair)
            continue
        value = known.get(pair["key"], "") if pair["value"] == HIDDEN else pair["value"]
        headers[pair["key"]] = value
        kept.append({"key": pair["key"], "value": value if value == "urn:ngsi-ld:request" else HIDDEN})
    if kept:
        out["contextSourceInfo"] = kept
    return headers


def copy(document_: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of a document that may be changed."""
    return msgspec.json.decode(msgspec.json.encode(dict(document_)), type=dict[str, Any])
