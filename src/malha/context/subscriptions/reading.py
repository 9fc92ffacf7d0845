"""A subscription as it came, checked clause by clause, under internal names (§5.2.12–5.2.15, §5.8.1.4)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from malha.context.store import geometry
from malha.context.store.contracts import GeoRelation, UnusableEntity, UnusableQuery
from malha.context.store.q import Node, parse, renamed, write
from malha.context.store.shapes import RELATIONS, GeoFilter
from malha.context.subscriptions import patterns, selection
from malha.context.subscriptions.contracts import Trigger, Unusable
from malha.kernel.text import msg
from malha.kernel.time import format_instant, now, parse_instant
from malha.vocabulary.contexts import service as contexts
from malha.vocabulary.contexts.service import Context

TYPE = "Subscription"
#: what §5.2.12 lets a client say; the rest of a subscription is worked out here and ignored when it is sent back
MEMBERS = frozenset({
    "id", "type", "subscriptionName", "description", "entities", "watchedAttributes", "notificationTrigger", "timeInterval", "q", "geoQ", "csf", "isActive",
    "notification", "expiresAt", "throttling", "temporalQ", "scopeQ", "lang", "datasetId", "jsonldContext", "localOnly", "splitEntities", "jsonKeys", "expandValues",
})  # fmt: skip
COMPUTED = frozenset({"status", "createdAt", "modifiedAt", "@context"})
_NOTIFICATION = frozenset({"attributes", "pick", "omit", "sysAttrs", "format", "showChanges", "join", "joinLevel", "endpoint"})
_NOTIFICATION_COMPUTED = frozenset({"status", "timesSent", "timesFailed", "lastNotification", "lastFailure", "lastSuccess", "notificationTrigger"})
_ENDPOINT = frozenset({"uri", "accept", "receiverInfo", "notifierInfo", "timeout", "cooldown"})
FORMATS = ("normalized", "concise", "simplified", "keyValues")
SIMPLE = ("simplified", "keyValues")
MEDIA = ("application/json", "application/ld+json", "application/geo+json")
JOINS = ("flat", "inline", "@none")
#: ids of entities are no attributes but may be picked (§4.21)
ENTITY_MEMBERS = frozenset({"id", "type", "scope", "createdAt", "modifiedAt", "deletedAt", "expiresAt"})
JOIN_LEVELS = 5
#: carriers of MQTT take topics of up to 65,535 bytes; addresses on the web are rarely read beyond this
LONGEST_ADDRESS = 2_048
TIMES = ("observedAt", "createdAt", "modifiedAt", "deletedAt")
_ENCODED = re.compile(r"%[0-9A-Fa-f]{2}")
_NEAR = re.compile(r"near;(?:max|min)[dD]istance==\d+(?:\.\d+)?")


def document(payload: Any, context: Context) -> dict[str, Any]:
    """The whole subscription. Raises Unusable, naming the member that cannot be."""
    if not isinstance(payload, dict):
        raise Unusable(msg("Uma subscrição é um objeto JSON."))
    if payload.get("type") != TYPE:
        raise Unusable(msg("Uma subscrição tem o type “Subscription”."))
    out = fragment(payload, context)
    if "entities" not in out and "watchedAttributes" not in out and "timeInterval" not in out:
        raise Unusable(msg("Diga que entidades (entities) ou que atributos (watchedAttributes) quer acompanhar."))
    if "notification" not in out or "endpoint" not in out["notification"]:
        raise Unusable(msg("Falta a notificação (notification) com o seu endereço (endpoint)."))
    together(out)
    return out


def fragment(payload: Any, context: Context) -> dict[str, Any]:
    """Those members that a payload names; None stands for one that is taken away (§5.8.2)."""
    if not isinstance(payload, dict):
        raise Unusable(msg("Uma subscrição é um objeto JSON."))
    if payload.get("type", TYPE) != TYPE:
        raise Unusable(msg("Uma subscrição tem o type “Subscription”."))
    out: dict[str, Any] = {}
    for name, value in payload.items():
        if name in COMPUTED:
            continue
        if name not in MEMBERS:
            raise Unusable(msg("“{member}” não é membro de uma subscrição."), member=name[:80])
        if value == "urn:ngsi-ld:null":
            out[name] = None
        elif value is None:
            raise Unusable(msg("“{member}” não tem valor; omita-o."), member=name)
        else:
            out[name] = _READERS[name](name, value, context)
    return out


def together(out: Mapping[str, Any]) -> None:
    """What depends on several members. Raises Unusable."""
    if out.get("timeInterval") is not None:
        for other in ("throttling", "watchedAttributes"):
            if out.get(other) is not None:
                raise Unusable(msg("timeInterval e {other} não vão juntos."), other=other)
        if not out.get("entities"):
            raise Unusable(msg("Com timeInterval diga que entidades quer (entities)."))
    notification = out.get("notification") or {}
    if notification.get("showChanges") and notification.get("format") in SIMPLE:
        raise Unusable(msg("showChanges não vai com a representação simplificada."))


def _text(name: str, value: Any, _context: Context) -> str:
    if not isinstance(value, str) or not value:
        raise Unusable(msg("“{member}” é um texto que não pode ser vazio."), member=name)
    return value


def _flag(name: str, value: Any, _context: Context) -> bool:
    if not isinstance(value, bool):
        raise Unusable(msg("“{member}” é true ou false."), member=name)
    return value


def _seconds(name: str, value: Any, _context: Context) -> float | int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 10**9:
        raise Unusable(msg("“{member}” é um número de segundos maior do que zero."), member=name)
    return value


def _uri(name: str, value: Any, context: Context) -> str:
    text = _text(name, value, context)
    if not is_uri(text):
        raise Unusable(msg("“{member}” tem de ser um URI."), member=name)
    return text


def is_uri(text: str) -> bool:
    """Whether a text is an absolute URI of at most 2,048 bytes."""
    scheme, colon, rest = text.partition(":")
    return bool(colon and rest and scheme and scheme[0].isalpha()) and not any(c.isspace() or c in '<>"{}|\\^`' for c in text) and len(text.encode()) <= 2048


def _instant(name: str, value: Any, context: Context) -> str:
    try:
        moment = parse_instant(_text(name, value, context))
    except ValueError as reason:
        raise Unusable(msg("“{member}” é uma data e hora (ISO 8601)."), member=name) from reason
    if moment <= now():
        raise Unusable(msg("“{member}” já passou."), member=name)
    return format_instant(moment)


def _names(name: str, value: Any, context: Context) -> list[str]:
    if not isinstance(value, list) or not value or not all(isinstance(one, str) and one for one in value):
        raise Unusable(msg("“{member}” é uma lista de nomes que não pode ser vazia."), member=name)
    return list(dict.fromkeys(context.expand(one) for one in value))


def _members(name: str, value: Any, context: Context) -> list[str]:
    found = _names(name, value, contexts.CORE)
    return [one if one in ENTITY_MEMBERS else context.expand(one) for one in dict.fromkeys(found)]


def _triggers(name: str, value: Any, _context: Context) -> list[str]:
    if not isinstance(value, list) or not value or not all(one in set(Trigger) for one in value):
        raise Unusable(msg("“{member}” é uma lista de: {known}."), member=name, known=", ".join(Trigger))
    return list(dict.fromkeys(value))


def _entities(name: str, value: Any, context: Context) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not value or not all(isinstance(one, dict) for one in value):
        raise Unusable(msg("“{member}” é uma lista de objetos com type, id ou idPattern."), member=name)
    return [_selector(one, context) for one in value]


def _selector(value: Mapping[str, Any], context: Context) -> dict[str, Any]:
    unknown = [member for member in value if member not in {"id", "idPattern", "type"}]
    if unknown:
        raise Unusable(msg("“{member}” não é membro de um seletor de entidades."), member=unknown[0][:80])
    if "type" not in value:
        raise Unusable(msg("Cada seletor de entidades pede o type."))
    out: dict[str, Any] = {}
    chosen = ",".join(value["type"]) if isinstance(value["type"], list) and all(isinstance(t, str) for t in value["type"]) else value["type"]
    text = _text("type", chosen, context)
    selection.types(text)
    out["type"] = "*" if text == "*" else selection.rename(text, context.expand)
    if "id" in value:
        ids = value["id"] if isinstance(value["id"], list) else [value["id"]]
        if not ids:
            raise Unusable(msg("“{member}” tem de ser um URI."), member="id")
        out["id"] = [_uri("id", one, context) for one in ids]
    if "idPattern" in value:
        out["idPattern"] = patterns.check(_text("idPattern", value["idPattern"], context))
    return out


def _q(name: str, value: Any, context: Context) -> str:
    try:
        node = parse(_decoded(_text(name, value, context)))
        _check_patterns(node)
        return write(renamed(node, context.expand))
    except UnusableQuery as reason:
        raise Unusable(reason.message, **reason.params) from reason


def _decoded(text: str) -> str:
    """A condition without its percent-encoding: senders write it in a body as they do in an address."""
    return unquote(text) if _ENCODED.search(text) else text


def _csf(name: str, value: Any, context: Context) -> str:
    try:
        parse(_text(name, value, context))
    except UnusableQuery as reason:
        raise Unusable(reason.message, **reason.params) from reason
    return str(value)


def _check_patterns(node: Node) -> None:
    for part in getattr(node, "parts", ()):
        _check_patterns(part)
    if getattr(node, "operator", "") in {"~=", "!~="}:
        for value in node.values:  # type: ignore[union-attr]  # only terms have an operator
            patterns.check(str(value))


def _geo(name: str, value: Any, context: Context) -> dict[str, Any]:
    if not isinstance(value, dict) or not {"georel", "geometry", "coordinates"} <= set(value):
        raise Unusable(msg("“{member}” pede geometry, coordinates e georel."), member=name)
    relation = str(value["georel"])
    if relation.partition(";")[0] not in RELATIONS or (relation.startswith("near") and not _NEAR.fullmatch(relation)):
        raise Unusable(msg("A relação geográfica “{relation}” não existe."), relation=relation[:40])
    kept = {**value, "geoproperty": context.expand(str(value.get("geoproperty", "location")))}
    try:
        geometry.require_sound(geo_filter(kept).relation.geometry)
    except (UnusableQuery, UnusableEntity) as reason:
        raise Unusable(reason.message, **reason.params) from reason
    return kept


def geo_filter(value: Mapping[str, Any]) -> GeoFilter:
    """The question about places that a `geoQ` asks. Raises UnusableQuery."""
    relation, _, distance = str(value["georel"]).partition(";")
    coordinates = value["coordinates"]
    if isinstance(coordinates, str):
        try:
            coordinates = msgspec.json.decode(coordinates)
        except msgspec.DecodeError as reason:
            raise UnusableQuery(msg("A geometria da pergunta não é GeoJSON.")) from reason
    geometry = {"type": value["geometry"], "coordinates": coordinates}
    metres = float(distance.partition("==")[2]) if distance else None
    near, far = (metres, None) if distance.lower().startswith("max") else (None, metres)
    return GeoFilter(GeoRelation(relation, geometry, near, far, str(value.get("geoproperty", "location"))))


def _scope(name: str, value: Any, context: Context) -> str:
    text = _text(name, value, context)
    selection.scopes(text)
    return text


def _context(name: str, value: Any, context: Context) -> str:
    return _uri(name, value, context)


def _datasets(name: str, value: Any, context: Context) -> list[str]:
    listed = value if isinstance(value, list) else [value]
    if not listed:
        raise Unusable(msg("“{member}” é uma lista de nomes que não pode ser vazia."), member=name)
    return [one if one == "@none" else _uri(name, one, context) for one in listed]


def _notification(name: str, value: Any, context: Context) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Unusable(msg("“{member}” é um objeto."), member=name)
    unknown = [member for member in value if member not in _NOTIFICATION | _NOTIFICATION_COMPUTED]
    if unknown:
        raise Unusable(msg("“{member}” não é membro de uma notificação."), member=unknown[0][:80])
    readers: dict[str, Callable[[str, Any, Context], Any]] = {
        "attributes": _names, "pick": _members, "omit": _members, "sysAttrs": _flag, "showChanges": _flag, "format": _format, "join": _join,
        "joinLevel": _level, "endpoint": _endpoint,
    }  # fmt: skip
    if "endpoint" not in value:  # in a change too, which puts the whole member in the place of the one that is there (§5.5.8)
        raise Unusable(msg("Falta a notificação (notification) com o seu endereço (endpoint)."))
    out = {member: read(member, value[member], context) for member, read in readers.items() if member in value}
    if "attributes" in out and ("pick" in out or "omit" in out):
        raise Unusable(msg("Use attributes, ou então pick e omit."))
    if both := set(out.get("pick", ())) & set(out.get("omit", ())):
        raise Unusable(msg("“{member}” está em pick e em omit."), member=min(both))
    if out.get("joinLevel") is not None and "join" not in out:
        raise Unusable(msg("joinLevel pede join."))
    return out


def _format(name: str, value: Any, _context: Context) -> str:
    if not isinstance(value, str) or value not in FORMATS:
        raise Unusable(msg("“{member}” tem de ser: {known}."), member=name, known=", ".join(FORMATS))
    return value


def _join(name: str, value: Any, _context: Context) -> str:
    if value not in JOINS:
        raise Unusable(msg("“{member}” tem de ser: {known}."), member=name, known=", ".join(JOINS))
    return str(value)


def _level(name: str, value: Any, _context: Context) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= JOIN_LEVELS:
        raise Unusable(msg("“{member}” vai de 1 a {most}."), member=name, most=JOIN_LEVELS)
    return value


def _endpoint(name: str, value: Any, context: Context) -> dict[str, Any]:
    if not isinstance(value, dict) or "uri" not in value:
        raise Unusable(msg("“{member}” é um objeto com o endereço em “uri”."), member=name)
    unknown = [member for member in value if member not in _ENDPOINT]
    if unknown:
        raise Unusable(msg("“{member}” não é membro de um endpoint."), member=unknown[0][:80])
    out: dict[str, Any] = {"uri": address(_text("uri", value["uri"], context))}
    if "accept" in value:
        if value["accept"] not in MEDIA:
            raise Unusable(msg("“{member}” tem de ser: {known}."), member="accept", known=", ".join(MEDIA))
        out["accept"] = value["accept"]
    for member in ("receiverInfo", "notifierInfo"):
        if member in value:
            out[member] = pairs(member, value[member])
    for member in ("timeout", "cooldown"):
        if member in value:
            out[member] = _seconds(member, value[member], context)
    _notifier(out)
    return out


def address(uri: str) -> str:
    """The address of an endpoint: http(s), or mqtt(s) with a topic. Raises Unusable."""
    if len(uri) > LONGEST_ADDRESS:
        raise Unusable(msg("O endereço tem mais de {most} carateres."), most=LONGEST_ADDRESS)
    try:
        parts = urlsplit(uri)
        port_ok = parts.port is None or parts.port > 0
    except ValueError:
        parts, port_ok = None, False
    if parts is None or not port_ok or not parts.hostname or parts.scheme not in {"http", "https", "mqtt", "mqtts"} or any(c.isspace() for c in uri):
        raise Unusable(msg("O endereço “{uri}” não serve: http://, https://, mqtt:// ou mqtts://."), uri=uri[:120])
    if parts.scheme.startswith("http") and (parts.username or parts.password):
        raise Unusable(msg("O endereço traz um nome ou uma senha; mande-os em receiverInfo (Authorization)."))
    if parts.scheme.startswith("mqtt"):
        topic = parts.path.removeprefix("/")
        if not topic or "#" in uri or any(c in topic for c in "+\x00") or topic.startswith("$"):
            raise Unusable(msg("O endereço MQTT pede um tópico sem + nem #: mqtt://servidor/topico."))
    return uri


def pairs(name: str, value: Any) -> list[dict[str, str]]:
    """Headers to send along. Raises Unusable."""
    good = isinstance(value, list) and all(
        isinstance(one, dict) and set(one) == {"key", "value"} and all(isinstance(text, str) for text in one.values()) and one["key"] for one in value
    )
    if not good or any(c in text for one in value for text in one.values() for c in "\r\n\x00"):
        raise Unusable(msg("“{member}” é uma lista de pares com key e value, ambos texto."), member=name)
    return [dict(one) for one in value]


def _notifier(endpoint: Mapping[str, Any]) -> None:
    said = {one["key"]: one["value"] for one in endpoint.get("notifierInfo", ())}
    if said.get("MQTT-Version", "mqtt5.0") not in {"mqtt3.1.1", "mqtt5.0"}:
        raise Unusable(msg("MQTT-Version é mqtt3.1.1 ou mqtt5.0."))
    if said.get("MQTT-QoS", "0") not in {"0", "1", "2"}:
        raise Unusable(msg("MQTT-QoS é 0, 1 ou 2."))
    if "Malha-Form" in said and (said["Malha-Form"] != "SensorThings" or not endpoint["uri"].startswith("mqtt")):
        raise Unusable(msg("Malha-Form é SensorThings, e só para endereços mqtt:// ou mqtts://."))


def _temporal(name: str, value: Any, context: Context) -> dict[str, Any]:
    """Which times of sources are meant (§4.11, §5.2.21)."""
    if not isinstance(value, dict) or value.get("timerel") not in {"before", "after", "between"}:
        raise Unusable(msg("“{member}” é um objeto com timerel (before, after ou between) e timeAt."), member=name)
    if value.get("timeproperty", "observedAt") not in TIMES:
        raise Unusable(msg("“{member}” tem de ser: {known}."), member="timeproperty", known=", ".join(TIMES))
    for member in ("timeAt", "endTimeAt") if value["timerel"] == "between" else ("timeAt",):
        try:
            parse_instant(_text(member, value.get(member), context))
        except ValueError as reason:
            raise Unusable(msg("“{member}” é uma data e hora (ISO 8601)."), member=member) from reason
    return value


def _any(_name: str, value: Any, _context: Context) -> Any:
    return value


_READERS: dict[str, Callable[[str, Any, Context], Any]] = {
    "id": _uri, "type": _text, "subscriptionName": _text, "description": _text, "entities": _entities, "watchedAttributes": _names, "notificationTrigger": _triggers,
    "timeInterval": _seconds, "q": _q, "geoQ": _geo, "csf": _csf, "isActive": _flag, "notification": _notification, "expiresAt": _instant, "throttling": _seconds,
    "temporalQ": _temporal, "scopeQ": _scope, "lang": _text, "datasetId": _datasets, "jsonldContext": _context, "localOnly": _flag, "splitEntities": _flag,
    "jsonKeys": _any, "expandValues": _any,
}  # fmt: skip
