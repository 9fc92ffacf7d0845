"""What a subscription says, and what is told to those who subscribed (GS CIM 009 §5.2.12–5.2.15, §5.2.22, §5.8).

SubscriptionError
├── Unusable 400        the subscription says something that cannot be
├── Missing 404         no such subscription of this client
├── Exists 409          that id is taken
├── MethodNotAllowed 405 the path names none
├── RefusedEndpoint 400 notifications may not go to that address
└── CameBack 508        it came back to where it had been
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

import psycopg

from malha.context.broker.contracts import BrokerError
from malha.context.store.contracts import StoredEntity
from malha.foundation.access.contracts import Principal

#: where one subscription waits for its turn: (tenant, subscription)
type Lane = tuple[int, int]


#: what a subscription is about
ENTITIES, REGISTRATIONS = "entities", "registrations"


class Trigger(StrEnum):
    """What sets a notification off (§5.2.12)."""

    ENTITY_CREATED = "entityCreated"
    ENTITY_UPDATED = "entityUpdated"
    ENTITY_DELETED = "entityDeleted"
    ATTRIBUTE_CREATED = "attributeCreated"
    ATTRIBUTE_UPDATED = "attributeUpdated"
    ATTRIBUTE_DELETED = "attributeDeleted"


class Operation:
    """What happened to an entity, as `entity_change.operation` keeps it."""

    CREATED, UPDATED, DELETED = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription as it is kept: `document` in internal names, `context` the @context that it came with."""

    tenant_id: int
    id: int
    uri: str
    subject: str
    document: Mapping[str, Any]
    context: Any
    active: bool
    expires_at: datetime | None
    since: datetime
    created_at: datetime
    modified_at: datetime
    about: str = ENTITIES
    through: Sequence[str] = ()


#: what is told now of registrations to whoever subscribed to them; None for nothing
type Registrations = Callable[[psycopg.Connection[Any], Subscription], Mapping[str, Any] | None]


@dataclass(frozen=True, slots=True)
class State:
    """How its delivery fares."""

    times_sent: int = 0
    times_failed: int = 0
    times_dropped: int = 0
    last_notification: datetime | None = None
    last_success: datetime | None = None
    last_failure: datetime | None = None
    failing_since: datetime | None = None
    error: str = ""
    recent: tuple[Mapping[str, Any], ...] = ()
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """One entity that changed: its state afterwards (before, when it was deleted), and each changed attribute as it was.

    `only` names the one subscription that it is for: what another source told of.
    """

    seq: int
    xid: int
    tenant_id: int
    operation: int
    entity: StoredEntity
    before: Mapping[str, Any]
    at: datetime
    size: int = 0
    only: int | None = None


@dataclass(frozen=True, slots=True)
class Queued:
    """One notification that waits: the changes that it tells of, or what is `told` of registrations."""

    tenant_id: int
    id: int
    subscription_id: int
    changes: tuple[int, ...]
    attempts: int = 0
    told: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """A notification ready to leave: where to, and its bytes. `headers` are those of HTTP, or the metadata of MQTT.

    `parts` stand for `body` where it is published as several: what follows the topic, and the bytes.
    """

    uri: str
    body: bytes
    headers: Mapping[str, str]
    media: str
    timeout_seconds: float
    notifier: Mapping[str, str] = field(default_factory=dict)
    parts: Sequence[tuple[str, bytes]] = ()


@dataclass(frozen=True, slots=True)
class Delivery:
    """How one attempt ended; `permanent` says that trying again will not help."""

    ok: bool
    error: str = ""
    status: int = 0
    permanent: bool = False
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Reader:
    """For whom notifications are made; None as `principal` when the client may no longer read."""

    principal: Principal | None
    slug: str = ""


class SubscriptionError(BrokerError):
    """Subscriptions refuse."""

    slug = "subscription"


class Unusable(SubscriptionError):
    """The subscription says something that cannot be."""

    slug, status, etsi = "subscription-unusable", 400, "BadRequestData"


class Missing(SubscriptionError):
    """No such subscription of this client."""

    slug, status, etsi = "subscription-missing", 404, "ResourceNotFound"


class Exists(SubscriptionError):
    """A subscription with that id exists."""

    slug, status, etsi = "subscription-exists", 409, "AlreadyExists"


class RefusedEndpoint(SubscriptionError):
    """Notifications may not go to that address."""

    slug, status, etsi = "subscription-endpoint", 400, "BadRequestData"


class MethodNotAllowed(SubscriptionError):
    """The path names no subscription, and the method needs one."""

    slug, status, etsi = "subscription-method", 405, "InvalidRequest"


class CameBack(SubscriptionError):
    """The subscription came back to where it had been."""

    slug, status, etsi = "subscription-loop", 508, "LoopDetected"
