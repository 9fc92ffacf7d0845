"""Which changes a subscription wants to hear of (§5.8.6). Pure: subscriptions and changes in, pairs out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from malha.context.store import shapes
from malha.context.store.contracts import StoredEntity
from malha.context.store.q import Node, depth, names, names_beyond, parse
from malha.context.subscriptions import conditions, patterns, reading, selection
from malha.context.subscriptions.contracts import REGISTRATIONS, Change, Operation, Subscription, Trigger
from malha.kernel.time import now, parse_instant

DEFAULT_TRIGGERS = frozenset({Trigger.ATTRIBUTE_CREATED, Trigger.ATTRIBUTE_UPDATED})
_OF_ENTITY = {Operation.CREATED: Trigger.ENTITY_CREATED, Operation.UPDATED: Trigger.ENTITY_UPDATED, Operation.DELETED: Trigger.ENTITY_DELETED}


@dataclass(frozen=True, slots=True)
class Selector:
    """Which entities: all that is named has to hold."""

    types: Callable[[Collection[str]], bool] | None
    names: frozenset[str]
    ids: frozenset[str] | None
    pattern: str

    def holds(self, entity: StoredEntity) -> bool:
        """Whether the entity is one of these."""
        return (
            (self.ids is None or entity.uri in self.ids)
            and (self.types is None or self.types(entity.types))
            and (not self.pattern or patterns.found(self.pattern, entity.uri))
        )


@dataclass(frozen=True, slots=True)
class Rule:
    """One subscription, ready to be asked."""

    subscription: Subscription
    selectors: tuple[Selector, ...]
    watched: frozenset[str]
    triggers: frozenset[str]
    q: Node | None
    geo: shapes.GeoFilter | None
    scope: Callable[[Collection[str]], bool] | None
    datasets: frozenset[str] | None
    expires_at: datetime | None
    #: the attributes that its conditions ask about
    asked: frozenset[str] = frozenset()
    #: those that they ask about in linked entities
    beyond: frozenset[str] = frozenset()

    @property
    def lane(self) -> tuple[int, int]:
        """Where its notifications wait."""
        return self.subscription.tenant_id, self.subscription.id

    @property
    def follows(self) -> bool:
        """Whether its condition follows relationships: that part is looked at when a notification is made."""
        return self.q is not None and depth(self.q) > 0

    @property
    def throttling(self) -> float:
        """Seconds that have to pass between two notifications."""
        return float(self.subscription.document.get("throttling") or 0)

    @property
    def interval(self) -> float:
        """Seconds after which it is told again and again, 0 for one that is told of changes."""
        return float(self.subscription.document.get("timeInterval") or 0)

    def wants(self, change: Change) -> bool:
        """Whether the subscriber is to be told of the change."""
        return (
            change.at >= self.subscription.since
            and not (self.expires_at and self.expires_at <= now())
            and self.set_off(change)
            and any(selector.holds(change.entity) for selector in self.selectors)
            and self.permits(change.entity)
        )

    def permits(self, entity: StoredEntity) -> bool:
        """Whether q, geoQ and scopeQ hold for the state, as far as it tells without following relationships."""
        if self.scope is not None and not self.scope(entity.scopes):
            return False
        if self.q is not None and not self.follows and not conditions.holds(self.q, entity):
            return False
        if self.geo is None:
            return True
        shape = shapes.shape_of(entity.attributes, self.geo.relation.attribute)
        return shape is not None and self.geo.holds(shape)

    def changed(self, change: Change) -> dict[str, str]:
        """Attributes that changed and are watched, and how: created, updated or deleted."""
        out: dict[str, str] = {}
        for name, was in change.before.items():
            if self.watched and name not in self.watched:
                continue
            kind = how(change, name, was, self.datasets)
            if kind:
                out[name] = kind
        return out

    def set_off(self, change: Change) -> bool:
        """Whether something happened that the subscription is told of; which entities it is about is not looked at."""
        if _OF_ENTITY[change.operation] in self.triggers and (change.operation != Operation.UPDATED or self.changed(change) or not self.watched):
            return True
        return not self.triggers.isdisjoint(self.changed(change).values())


def how(change: Change, name: str, was: Any, datasets: frozenset[str] | None = None) -> str:
    """How an attribute changed, looking at the instances of `datasets` only; empty when those did not."""
    if change.operation == Operation.DELETED:
        return Trigger.ATTRIBUTE_DELETED
    old, new = instances(was, datasets), instances(change.entity.attributes.get(name), datasets)
    if old == new:
        return ""
    if not old.keys() <= new.keys():
        return Trigger.ATTRIBUTE_DELETED
    return Trigger.ATTRIBUTE_UPDATED if any(old[key] != new[key] for key in old) else Trigger.ATTRIBUTE_CREATED


def instances(attribute: Any, datasets: frozenset[str] | None = None) -> dict[str, Any]:
    """The instances of an attribute by datasetId; the default instance is "@none"."""
    found = attribute if isinstance(attribute, list) else [attribute]
    named = {str(one.get("datasetId", "@none")): one for one in found if isinstance(one, dict)}
    return {key: one for key, one in named.items() if datasets is None or key in datasets}


def compiled(subscription: Subscription) -> Rule:
    """The rule of a subscription that was checked when it came in."""
    said = subscription.document
    q = parse(said["q"]) if said.get("q") else None
    geo = reading.geo_filter(said["geoQ"]) if said.get("geoQ") else None
    return Rule(
        subscription=subscription,
        selectors=tuple(_selector(one) for one in said.get("entities") or [{}]),
        watched=frozenset(said.get("watchedAttributes") or ()),
        triggers=frozenset(said.get("notificationTrigger") or DEFAULT_TRIGGERS),
        q=q,
        geo=geo,
        scope=selection.scopes(said["scopeQ"]) if said.get("scopeQ") else None,
        datasets=frozenset(said["datasetId"]) if said.get("datasetId") else None,
        expires_at=parse_instant(said["expiresAt"]) if said.get("expiresAt") else None,
        asked=frozenset((names(q) if q else set()) | ({geo.relation.attribute} if geo else set())),
        beyond=frozenset(names_beyond(q) if q else ()),
    )


def _selector(said: Mapping[str, Any]) -> Selector:
    wanted = said.get("type", "*")
    test, names = selection.types(wanted) if wanted != "*" else (None, frozenset())
    uris = frozenset(said["id"]) if said.get("id") else None
    return Selector(test, names, uris, "" if uris else said.get("idPattern", ""))  # an id goes before a pattern (§5.2.33)


@dataclass(slots=True)
class Index:
    """The subscriptions of one tenant that are told of changes, found by id and by type."""

    revision: int
    by_id: dict[str, list[Rule]] = field(default_factory=dict)
    by_type: dict[str, list[Rule]] = field(default_factory=dict)
    any_type: list[Rule] = field(default_factory=list)
    periodic: list[Rule] = field(default_factory=list)
    rules: dict[int, Rule] = field(default_factory=dict)

    def add(self, rule: Rule) -> None:
        """Take a subscription in."""
        self.rules[rule.subscription.id] = rule
        if rule.interval:
            self.periodic.append(rule)
            return
        if rule.subscription.about == REGISTRATIONS:
            return  # told by whoever keeps the registrations
        for selector in rule.selectors:
            if selector.ids is not None:
                for uri in selector.ids:
                    self.by_id.setdefault(uri, []).append(rule)
            elif selector.types is None:
                self.any_type.append(rule)
            else:
                for name in selector.names:
                    self.by_type.setdefault(name, []).append(rule)

    def wanting(self, change: Change) -> list[Rule]:
        """Those that are to be told, each once."""
        if change.only is not None:  # told by another source, and looked at when it came
            found = self.rules.get(change.only)
            return [found] if found is not None and not (found.expires_at and found.expires_at <= now()) else []
        seen: dict[int, Rule] = {}
        for rules in (self.by_id.get(change.entity.uri, ()), self.any_type, *(self.by_type.get(name, ()) for name in change.entity.types)):
            for rule in rules:
                seen.setdefault(rule.subscription.id, rule)
        return [rule for rule in seen.values() if rule.wants(change)]


def index(revision: int, subscriptions: Iterable[Subscription]) -> Index:
    """The index of a tenant's active subscriptions."""
    made = Index(revision)
    for subscription in subscriptions:
        made.add(compiled(subscription))
    return made


def types_watched(documents: Iterable[Mapping[str, Any]]) -> frozenset[str] | None:
    """The types that these subscriptions may be told of; None when one of them takes any."""
    found: set[str] = set()
    for said in documents:
        if said.get("timeInterval"):
            continue
        for one in said.get("entities") or [{}]:
            selector = _selector(one)
            if selector.types is None:
                return None
            found |= selector.names
    return frozenset(found)
