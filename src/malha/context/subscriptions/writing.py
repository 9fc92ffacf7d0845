"""A subscription as its client reads it back: in the words of the request, with what was worked out (§5.2.12, §5.2.14)."""

from __future__ import annotations

from typing import Any

from malha.context.store import service as store
from malha.context.subscriptions import selection, service
from malha.context.subscriptions.contracts import ENTITIES, State, Subscription
from malha.context.subscriptions.reading import ENTITY_MEMBERS
from malha.context.subscriptions.rules import DEFAULT_TRIGGERS
from malha.kernel.time import format_instant
from malha.vocabulary.contexts.service import Context


def document(subscription: Subscription, state: State, context: Context, words: str = "", *, system: bool = False) -> dict[str, Any]:
    """The subscription, without @context; `words` is the address that the context it came in got here, where it had none."""
    said = subscription.document
    out: dict[str, Any] = {"id": subscription.uri, "type": "Subscription", **said}
    if "entities" in said:
        out["entities"] = [one | {"type": selection.rename(one["type"], context.compact)} | _single(one) for one in said["entities"]]
    if "watchedAttributes" in said:
        out["watchedAttributes"] = [context.compact(name) for name in said["watchedAttributes"]]
    if "q" in said:
        out["q"] = store.rename_in_question(said["q"], context.compact)
    if "geoQ" in said:
        out["geoQ"] = said["geoQ"] | {"geoproperty": context.compact(said["geoQ"]["geoproperty"])}
    if subscription.about == ENTITIES:
        out.setdefault("notificationTrigger", sorted(DEFAULT_TRIGGERS))
    if said.get("timeInterval"):
        out.pop("notificationTrigger", None)
    if not subscription.active:
        out["isActive"] = False
    if words:
        out.setdefault("jsonldContext", words)
    out["status"] = service.status(subscription)
    out["notification"] = _notification(subscription, state, context)
    if system:
        out["createdAt"], out["modifiedAt"] = format_instant(subscription.created_at), format_instant(subscription.modified_at)
    return out


def _single(selector: dict[str, Any]) -> dict[str, Any]:
    return {"id": selector["id"][0]} if len(selector.get("id", ())) == 1 else {}


def _notification(subscription: Subscription, state: State, context: Context) -> dict[str, Any]:
    out = dict(subscription.document["notification"])
    for member in ("attributes", "pick", "omit"):
        if member in out:
            out[member] = [name if name in ENTITY_MEMBERS else context.compact(name) for name in out[member]]
    out.setdefault("format", "normalized")
    if state.times_sent or state.times_failed:
        out["status"] = "failed" if state.failing_since else "ok"
    if state.times_sent:
        out["timesSent"] = state.times_sent
    if state.times_failed:
        out["timesFailed"] = state.times_failed
    for member, moment in (("lastNotification", state.last_notification), ("lastSuccess", state.last_success), ("lastFailure", state.last_failure)):
        if moment is not None:
            out[member] = format_instant(moment)
    return out
