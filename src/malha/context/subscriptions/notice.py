"""The notification itself (§5.3.1, §5.8.6): data as its subscriber wants and may see it, as bytes for HTTP or MQTT."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec

from malha.context.broker import rendering
from malha.context.broker.rendering import Form, Wanted
from malha.context.store import limits
from malha.context.store.contracts import MEMBER, StoredEntity
from malha.context.subscriptions import conditions
from malha.context.subscriptions.contracts import Change, Message, Operation, Reader, Subscription
from malha.context.subscriptions.rules import Rule, instances
from malha.foundation.access.contracts import Capability
from malha.kernel.time import format_instant
from malha.vocabulary.contexts import service as contexts
from malha.vocabulary.contexts.service import Context
from malha.vocabulary.models import service as models

NULL = "urn:ngsi-ld:null"
JSON, JSON_LD, GEO_JSON = "application/json", "application/ld+json", "application/geo+json"
TIMEOUT_SECONDS = 5.0
LONGEST_SECONDS = 30.0
_NAMESPACE = uuid.UUID("4f0f8a3e-6b0b-5b53-9d0f-2f5b3f2f7a11")
_PREVIOUS = {member: f"previous{member[0].upper()}{member[1:]}" for member in MEMBER.values()}
_GONE: dict[str, Any] = {"languageMap": {"@none": NULL}, "valueList": [NULL], "objectList": [NULL]}
_encode = msgspec.json.Encoder().encode

#: entities of a tenant by their URIs, for `join`
type Linked = Callable[[Sequence[str]], Mapping[str, StoredEntity]]


def identifier(subscription: Subscription, what: object) -> str:
    """The id of a notification: the same for the same event, so that a receiver knows one that comes twice."""
    return f"urn:ngsi-ld:Notification:{uuid.uuid5(_NAMESPACE, f'{subscription.tenant_id}/{subscription.id}/{what}')}"


def _source(subscription: Subscription) -> Any:
    return subscription.document.get("jsonldContext") or subscription.context


def context_of(subscription: Subscription) -> Context:
    """The words of the notification: jsonldContext, else those of the subscription. May wait for the database, and for the network."""
    return contexts.of_tenant(subscription.tenant_id, _source(subscription))


def context_at_hand(subscription: Subscription) -> Context | None:
    """As `context_of` without waiting; None where that takes time."""
    return contexts.remembered(subscription.tenant_id, _source(subscription))


def followed(rule: Rule, changes: Sequence[Change], reader: Reader, linked: Linked) -> list[Change]:
    """Those changes of whose entity the condition holds along its relationships, by what the reader may see there (§4.9)."""

    def seen(uris: Sequence[str]) -> dict[str, StoredEntity]:
        return {uri: _projected(_within(one, one, reader), {}, reader) for uri, one in linked(uris).items() if _within_reach(one, reader)}

    return [change for change in changes if rule.q is None or conditions.holds(rule.q, change.entity, seen)]


def noticed(rule: Rule, changes: Sequence[Change], reader: Reader) -> list[Change]:
    """Those changes that set the subscription off by what the reader may know of, without the rest: that what is about people changed, and when, tells of them too."""
    found = ((change, _hidden(change.entity, reader, {*change.before, *rule.watched})) for change in changes)
    return [kept for change, hidden in found if (kept := _noticed(rule, change, hidden)) is not None]


def _noticed(rule: Rule, change: Change, hidden: frozenset[str]) -> Change | None:
    updated = change.operation == Operation.UPDATED
    if change.only is not None and updated and rule.watched and rule.watched <= hidden:  # another source says that something of it changed, not what
        return None
    if hidden.isdisjoint(change.before):
        return change
    kept = replace(change, before={name: was for name, was in change.before.items() if name not in hidden})
    if change.only is not None:
        return kept
    # where nothing else is known to have changed, a scope that did in the same write is not told either
    return kept if (kept.before or not updated) and rule.set_off(kept) else None


def of_changes(rule: Rule, changes: Sequence[Change], reader: Reader, linked: Linked, what: object, at: datetime, context: Context) -> Message | None:
    """The notification of changes; None when the reader may see nothing of them."""
    told = [(_within(_told(rule, change), change.entity, reader), change) for change in changes if _may_be_told(rule, change.entity, reader)]
    return _message(rule, told, reader, linked, what, at, context)


def of_registrations(rule: Rule, told: Mapping[str, Any], reader: Reader, what: object, at: datetime) -> Message:
    """The notification of registrations that came, changed or went (§5.3.2), in the words in which it was told."""
    endpoint = rule.subscription.document["notification"]["endpoint"]
    media = endpoint.get("accept", JSON)
    media = JSON if media == GEO_JSON else media
    headers = {one["key"]: one["value"] for one in endpoint.get("receiverInfo", ())}
    body: dict[str, Any] = {
        "id": identifier(rule.subscription, what), "type": "ContextSourceNotification", "subscriptionId": rule.subscription.uri, "notifiedAt": format_instant(at),
        "triggerReason": told["triggerReason"], "data": told["data"],
    }  # fmt: skip
    source = rule.subscription.document.get("jsonldContext") or rule.subscription.context or contexts.CORE_URL
    if media == JSON_LD:
        body["@context"] = source
    return _addressed(endpoint, body, media, headers, "" if media == JSON_LD else _link(source), reader)


def of_entities(rule: Rule, entities: Sequence[StoredEntity], reader: Reader, linked: Linked, what: object, at: datetime, context: Context) -> Message | None:
    """The periodic notification: entities as they are (timeInterval)."""
    told = [(_within(entity, entity, reader), None) for entity in entities if _may_be_told(rule, entity, reader)]
    return _message(rule, told, reader, linked, what, at, context)


def _within_reach(entity: StoredEntity, reader: Reader) -> bool:
    who = reader.principal
    return who is not None and (who.types is None or not who.types.isdisjoint(entity.types)) and limits.sight(entity, who.reach) is not None


def _within(told: StoredEntity, entity: StoredEntity, reader: Reader) -> StoredEntity:
    """What is told of an entity, within what the reader may see of it: attributes, and places cut to an area, without those where it was before."""
    limit = limits.sight(entity, reader.principal.reach) if reader.principal is not None else None
    if limit is None or limit is limits.WHOLE:
        return told
    shown = told.attributes if limit.area is None else {name: _without_past_place(one) for name, one in told.attributes.items()}
    return replace(told, attributes=limit.of(shown))


def _without_past_place(attribute: Any) -> Any:
    if isinstance(attribute, list):
        return [_without_past_place(one) for one in attribute]
    if not isinstance(attribute, dict) or attribute.get("type") != "GeoProperty":
        return attribute
    return {name: value for name, value in attribute.items() if name != "previousValue"}


def _may_be_told(rule: Rule, entity: StoredEntity, reader: Reader) -> bool:
    """Whether the reader may know that the condition holds for the entity: not where it asks about what is hidden from them."""
    if rule.beyond and (reader.principal is None or reader.principal.types is not None or reader.principal.reach is not None):
        return False
    return _within_reach(entity, reader) and (not rule.asked or rule.asked.isdisjoint(_hidden(entity, reader, rule.asked)))


def _told(rule: Rule, change: Change) -> StoredEntity:
    """The state that is told: deleted attributes as null, previous values where they are wanted (§5.8.6)."""
    changed = rule.changed(change)
    previous = bool(rule.subscription.document["notification"].get("showChanges"))
    attributes: dict[str, Any] = {} if change.operation == Operation.DELETED else dict(change.entity.attributes)
    if change.operation == Operation.CREATED:
        return change.entity
    told = change.before if previous else changed
    for name in told:
        if change.operation == Operation.DELETED and not previous and not _deletions(rule):
            continue
        attributes[name] = _with_past(change, name, previous, system=bool(rule.subscription.document["notification"].get("sysAttrs")))
    return replace(change.entity, attributes=attributes)


def _deletions(rule: Rule) -> bool:
    return bool(rule.watched) and "attributeDeleted" in rule.triggers


def _with_past(change: Change, name: str, previous: bool, *, system: bool) -> Any:
    """An attribute that changed: instances that went as null, and what each was when that is wanted."""
    old = instances(change.before.get(name))
    new = {} if change.operation == Operation.DELETED else instances(change.entity.attributes.get(name))
    if not new and not previous and len(old) > 1:
        old = {"@none": {key: value for key, value in next(iter(old.values())).items() if key != "datasetId"}}
    out: list[dict[str, Any]] = []
    for key in {**new, **old}:
        now_, was = new.get(key), old.get(key)
        one = _null(was, change.at if system else None) if now_ is None and was is not None else dict(now_ or {})
        member = MEMBER.get(str((was or {}).get("type")), "value")
        if previous and was is not None and now_ != was and member in was:  # what another source had is not known
            one[_PREVIOUS[member]] = was[member]
        out.append(one)
    return out[0] if len(out) == 1 else out


def _null(was: Mapping[str, Any], deleted_at: datetime | None) -> dict[str, Any]:
    member = MEMBER.get(str(was.get("type")), "value")
    kept = {key: was[key] for key in ("type", "datasetId", "createdAt", "modifiedAt") if key in was}
    return kept | {member: _GONE.get(member, NULL)} | ({"deletedAt": format_instant(deleted_at)} if deleted_at else {})


def _wanted(rule: Rule, context: Context, media: str) -> Wanted:
    said = rule.subscription.document["notification"]
    form = {"concise": Form.CONCISE, "simplified": Form.SIMPLIFIED, "keyValues": Form.SIMPLIFIED}.get(said.get("format", ""), Form.NORMALIZED)
    datasets = frozenset("" if name == "@none" else name for name in rule.datasets) if rule.datasets else None
    return Wanted(
        context=context, media=media, form=form, system=bool(said.get("sysAttrs")), datasets=datasets, language=str(rule.subscription.document.get("lang", ""))
    )  # fmt: skip


def _hidden(entity: StoredEntity, reader: Reader, names: Collection[str]) -> frozenset[str]:
    """Those of some attributes that the reader may not see of an entity: about people, or beyond their reach."""
    who = reader.principal
    if who is None:
        return frozenset()
    limit = limits.sight(entity, who.reach)
    beyond = frozenset(names) if limit is None else frozenset(name for name in names if not limit.shows(name))
    return beyond | _about_people(entity, reader)


def _about_people(entity: StoredEntity, reader: Reader) -> frozenset[str]:
    if reader.principal is None or reader.principal.may(Capability.PERSONAL_READ):
        return frozenset()
    found = (models.find(name, entity.tenant_id) for name in entity.types)
    return frozenset(p.name for model in found if model for p in model.properties if p.personal)


def _projected(entity: StoredEntity, said: Mapping[str, Any], reader: Reader) -> StoredEntity:
    keep = set(said.get("attributes") or said.get("pick") or ())
    drop = set(said.get("omit", ())) | _about_people(entity, reader)
    attributes = {name: one for name, one in entity.attributes.items() if (not keep or name in keep) and name not in drop}
    scopes = entity.scopes if (not said.get("pick") or "scope" in keep) and "scope" not in drop else ()
    return replace(entity, attributes=attributes, scopes=scopes)


def _shown(rule: Rule, entity: StoredEntity, change: Change | None, want: Wanted, reader: Reader) -> dict[str, Any]:
    said = rule.subscription.document["notification"]
    kept = _projected(entity, said, reader)
    out = rendering.feature(kept, want) if want.media == GEO_JSON else rendering.entity(kept, want)
    members = out["properties"] if want.media == GEO_JSON else out
    if change is not None and change.operation == Operation.DELETED:
        members["deletedAt"] = format_instant(change.at)
    if want.media != GEO_JSON:
        for name in ("id", "type"):
            if (said.get("pick") and name not in said["pick"]) or name in said.get("omit", ()):
                out.pop(name, None)
    return out


def _message(
    rule: Rule, data: Sequence[tuple[StoredEntity, Change | None]], reader: Reader, linked: Linked, what: object, at: datetime, context: Context
) -> Message | None:  # fmt: skip
    if not data:
        return None
    endpoint = rule.subscription.document["notification"]["endpoint"]
    media = endpoint.get("accept", JSON)
    want = _wanted(rule, context, media)
    shown = [_shown(rule, entity, change, want, reader) for entity, change in data]
    if media != GEO_JSON:
        shown = _joined(rule, [entity for entity, _ in data], shown, want, reader, linked)
    body: dict[str, Any] = {
        "id": identifier(rule.subscription, what), "type": "Notification", "subscriptionId": rule.subscription.uri, "notifiedAt": format_instant(at),
        "data": {"type": "FeatureCollection", "features": shown} if media == GEO_JSON else shown,
    }  # fmt: skip
    source = context.source if context.source is not None else contexts.CORE_URL
    headers = {one["key"]: one["value"] for one in endpoint.get("receiverInfo", ())}
    in_body = media == JSON_LD or (media == GEO_JSON and headers.get("Prefer") != "body=json")
    if in_body:
        body["@context"] = source
        if media == JSON_LD:  # each entity can be taken out of the notification and still be read
            body["data"] = [{**one, "@context": source} for one in shown]
    return _addressed(endpoint, body, media, headers, "" if in_body else _link(source), reader)


def visible(rule: Rule, entity: StoredEntity, reader: Reader) -> StoredEntity | None:
    """What the reader may see, and wants to see, of an entity; None for nothing of it."""
    said = rule.subscription.document["notification"]
    return _projected(_within(entity, entity, reader), said, reader) if _may_be_told(rule, entity, reader) else None


def addressed(rule: Rule, parts: Sequence[tuple[str, bytes]], reader: Reader) -> Message:
    """A notification that is published in parts, to where the subscription says."""
    return replace(_addressed(rule.subscription.document["notification"]["endpoint"], {}, JSON, {}, "", reader), parts=tuple(parts))


def _link(source: Any) -> str:
    addresses = [one for one in (source if isinstance(source, list) else [source]) if isinstance(one, str) and one != contexts.CORE_URL]
    address = addresses[0] if len(addresses) == 1 else contexts.CORE_URL
    return f'<{address}>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"'


def _addressed(endpoint: Mapping[str, Any], body: Mapping[str, Any], media: str, headers: Mapping[str, str], link: str, reader: Reader) -> Message:
    timeout = min(LONGEST_SECONDS, float(endpoint["timeout"]) / 1000 if endpoint.get("timeout") else TIMEOUT_SECONDS)
    notifier = {one["key"]: one["value"] for one in endpoint.get("notifierInfo", ())}
    named = {"Content-Type": media, **({"Link": link} if link else {}), **({"NGSILD-Tenant": reader.slug} if reader.slug else {})}
    if endpoint["uri"].startswith("mqtt"):
        return Message(endpoint["uri"], _encode({"metadata": {**named, **headers}, "body": body}), {}, JSON, timeout, notifier)
    return Message(endpoint["uri"], _encode(body), {**headers, **named}, media, timeout, notifier)


def _joined(
    rule: Rule, entities: Sequence[StoredEntity], shown: list[dict[str, Any]], want: Wanted, reader: Reader, linked: Linked
) -> list[dict[str, Any]]:  # fmt: skip
    """Linked entities beside (flat) or inside (inline) those that are told (§4.5.23)."""
    said = rule.subscription.document["notification"]
    if said.get("join", "@none") == "@none":
        return shown
    walk = _Join(want, reader, linked, int(said.get("joinLevel", 1)))
    if said["join"] == "flat":
        return shown + walk.flat([_projected(entity, said, reader) for entity in entities])
    for entity, out in zip(entities, shown, strict=True):
        walk.inline(_projected(entity, said, reader), out, frozenset({entity.uri}), walk.depth)
    return shown


class _Join:
    """A walk along relationships, as deep as was asked, never in circles."""

    def __init__(self, want: Wanted, reader: Reader, linked: Linked, depth: int) -> None:
        self.want, self.reader, self.linked, self.depth = want, reader, linked, depth

    def fetch(self, uris: Iterable[str]) -> dict[str, StoredEntity]:
        wanted = list(dict.fromkeys(uris))
        found = self.linked(wanted) if wanted else {}
        return {uri: _projected(_within(one, one, self.reader), {}, self.reader) for uri, one in found.items() if _within_reach(one, self.reader)}

    def flat(self, entities: Sequence[StoredEntity]) -> list[dict[str, Any]]:
        seen = {entity.uri for entity in entities}
        out: list[dict[str, Any]] = []
        level = list(entities)
        for _ in range(self.depth):
            found = self.fetch(uri for entity in level for uri in _targets(entity) if uri not in seen)
            level = list(found.values())
            seen |= found.keys()
            out += [rendering.entity(entity, self.want) for entity in level]
        return out

    def inline(self, entity: StoredEntity, shown: dict[str, Any], path: frozenset[str], depth: int) -> None:
        found = self.fetch(uri for uri in _targets(entity) if uri not in path) if depth else {}
        if not found:
            return
        for name, attribute in entity.attributes.items():
            inside = {uri: self._nested(found[uri], path, depth) for uri in _objects(attribute) if uri in found}
            key = self.want.context.compact(name)
            if inside and key in shown:
                shown[key] = _placed(shown[key], attribute, inside, simple=self.want.form is Form.SIMPLIFIED)

    def _nested(self, entity: StoredEntity, path: frozenset[str], depth: int) -> dict[str, Any]:
        out = rendering.entity(entity, self.want)
        self.inline(entity, out, path | {entity.uri}, depth - 1)
        return out


def _targets(entity: StoredEntity) -> list[str]:
    return [uri for attribute in entity.attributes.values() for uri in _objects(attribute)]


def _objects(attribute: Any) -> list[str]:
    """The URIs that an attribute's relationships point to."""
    out: list[str] = []
    for one in instances(attribute).values():
        value = one.get("object", one.get("objectList"))
        for each in value if isinstance(value, list) else [value]:
            target = each.get("object") if isinstance(each, dict) else each
            if isinstance(target, str) and target != NULL:
                out.append(target)
    return out


def _placed(shown: Any, attribute: Any, inside: Mapping[str, Any], *, simple: bool) -> Any:
    if simple:
        return [inside.get(uri, uri) for uri in shown] if isinstance(shown, list) else inside.get(shown, shown) if isinstance(shown, str) else shown
    if isinstance(shown, list):
        parts = list(instances(attribute).values())
        return [_placed(one, part, inside, simple=False) for one, part in zip(shown, parts, strict=False)]
    found = [inside[uri] for uri in _objects(attribute) if uri in inside]
    if not isinstance(shown, dict):
        return shown
    return {**shown, "entityList": found} if "objectList" in shown else {**shown, "entity": found[0] if len(found) == 1 else found}
