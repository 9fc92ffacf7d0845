"""What a source is to be told of a subscription (GS CIM 009 §5.8.1.4): its part of it, with its notifications sent here. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from malha.context.federation.asking.speaking import Speech
from malha.context.federation.contracts import Mode
from malha.context.federation.registrations.matching import Share, Source
from malha.context.store import service as store
from malha.context.store.contracts import EntityQuery, Selector
from malha.context.subscriptions import selection
from malha.context.subscriptions.contracts import Subscription

NULL = "urn:ngsi-ld:null"
#: members that go along as they are, in internal names; what is left out is done here: how often, in which words and form it is told
_ALONG = ("notificationTrigger", "datasetId", "expiresAt", "splitEntities")
_FILTERS = ("q", "geoQ", "scopeQ")
_OF_SYSTEM = frozenset({"createdAt", "modifiedAt"})


def wanted(one: Subscription, source: Source, own: str) -> dict[str, Any] | None:
    """What the source is to have of a subscription, in internal names; None where it has no part in it.

    `own` is this broker's name. One that is told by the clock is asked here, not at its sources; what an agreement lets one
    read is read, and never told.
    """
    said = one.document
    if said.get("localOnly") or said.get("timeInterval") or source.registration.agreement_id is not None or source.mode is Mode.AUXILIARY:
        return None
    if not source.takes("createSubscription") or (source.alias and source.alias in one.through) or own in one.through:
        return None
    share = source.of_question(question(said.get("entities", ())), said.get("watchedAttributes") or ())
    if share is None:
        return None
    out: dict[str, Any] = {"entities": _entities(said.get("entities", ()), source, share)}
    out |= {name: said[name] for name in _ALONG if name in said}
    watched = [name for name in said.get("watchedAttributes") or sorted(share.attributes or ()) if share.attributes is None or name in share.attributes]
    if watched:
        out["watchedAttributes"] = watched
    if not split(said, share.attributes):
        out |= {name: said[name] for name in _FILTERS if name in said}
    if source.local_only:
        out["localOnly"] = True
    return {"said": out, "active": one.active, "context": one.context, "through": [*one.through, own]}


def split(said: Mapping[str, Any], attributes: Collection[str] | None) -> bool:
    """Whether only the whole entity tells if it is meant: its parts may lie in several places, so the source does not judge (§5.8.6)."""
    if said.get("q") and store.links_in_question(said["q"]):
        return True  # what it leads to may lie anywhere
    return bool(said.get("splitEntities")) or (attributes is not None and not _asked(said) <= frozenset(attributes))


def _asked(said: Mapping[str, Any]) -> frozenset[str]:
    """The attributes that decide whether an entity is meant."""
    names = store.names_in_question(said["q"]) - _OF_SYSTEM if said.get("q") else set()
    return frozenset(names | ({said["geoQ"]["geoproperty"]} if said.get("geoQ") else set()))


def question(entities: Sequence[Mapping[str, Any]]) -> EntityQuery:
    """The entities that a subscription names, as a question."""
    return EntityQuery(
        any_of=tuple(Selector("" if each.get("type", "*") == "*" else each["type"], tuple(each.get("id", ())), each.get("idPattern", "")) for each in entities)
    )


def _entities(entities: Sequence[Mapping[str, Any]], source: Source, share: Share) -> list[dict[str, Any]]:
    """Those entities of the subscription that the source has."""
    if share.uris:
        kind = ",".join(share.types) or "*"
        return [{"type": kind, "id": [uri]} for uri in share.uris]
    any_ = ",".join(share.types) or "*"
    named = [dict(each) for each in entities or ({"type": "*"},) if source.of_question(question([each])) is not None]
    return [{**each, "type": any_} if each.get("type", "*") == "*" else each for each in named]


def payload(told: Mapping[str, Any], speech: Speech, uri: str, callback: str) -> dict[str, Any]:
    """The subscription as the source is to read it, its notifications coming back to `callback`."""
    said = told["said"]
    out: dict[str, Any] = {"id": uri, "type": "Subscription", **said, "isActive": told["active"]}
    out["entities"] = [_selector(each, speech) for each in said["entities"]]
    if "watchedAttributes" in said:
        out["watchedAttributes"] = [speech.name(name) for name in said["watchedAttributes"]]
    if "q" in said:
        out["q"] = store.rename_in_question(said["q"], speech.name)
    if "geoQ" in said:
        out["geoQ"] = {**said["geoQ"], "geoproperty": speech.name(said["geoQ"]["geoproperty"])}
    out["notification"] = {"format": "normalized", "sysAttrs": True, "endpoint": {"uri": callback, "accept": "application/json"}}
    return out


def _selector(each: Mapping[str, Any], speech: Speech) -> dict[str, Any]:
    ids = {"id": each["id"][0] if len(each["id"]) == 1 else each["id"]} if each.get("id") else {}
    return {**each, **ids, "type": each["type"] if each["type"] == "*" else selection.rename(each["type"], speech.name)}


def change(before: Mapping[str, Any], told: Mapping[str, Any], speech: Speech, uri: str, callback: str) -> dict[str, Any]:
    """What makes the subscription that the source has into the one that it is to have: all of it, and null for what is gone."""
    gone = {name: NULL for name in before["said"] if name not in told["said"]}
    return {name: value for name, value in payload(told, speech, uri, callback).items() if name != "id"} | gone
