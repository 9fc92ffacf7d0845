"""Other sources of context information: what they hold, how they take part (GS CIM 009 §4.3.6, §4.20, §5.2.9).

FederationError
├── Unusable 400          the registration says something that cannot be
├── Missing 404           no such registration
├── Exists 409            that id is taken
├── Conflicts 409         another source, or this broker itself, answers for the same thing
├── MethodNotAllowed 405  the path names none
├── BadGateway 502        the source that alone holds the data answered with an error
├── GatewayTimeout 504    the source that alone holds the data did not answer in time
└── LoopDetected 508      the request came back to where it had been
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from malha.context.broker.contracts import BrokerError


class Mode(StrEnum):
    """How a source takes part (§4.3.6.2, §4.3.6.3)."""

    INCLUSIVE = "inclusive"
    EXCLUSIVE = "exclusive"
    REDIRECT = "redirect"
    AUXILIARY = "auxiliary"


#: sources whose data is held nowhere else
PROXIED = frozenset({Mode.EXCLUSIVE, Mode.REDIRECT})

_DISCOVERY = (
    "retrieveEntityTypes", "retrieveEntityTypeDetails", "retrieveEntityTypeInfo", "retrieveAttrTypes", "retrieveAttrTypeDetails", "retrieveAttrTypeInfo",
)  # fmt: skip
_MAPS = ("retrieveEntityMap", "updateEntityMap", "deleteEntityMap", "createEntityMapQueryEntity")
_SUBSCRIBING = ("createSubscription", "updateSubscription", "retrieveSubscription", "querySubscription", "deleteSubscription")
#: names for several operations at once (§4.20, table 2)
GROUPS: dict[str, frozenset[str]] = {
    "federationOps": frozenset({"retrieveEntity", "queryEntity", "queryBatch", *_DISCOVERY, *_SUBSCRIBING, *_MAPS, "retrieveContextSourceIdentity"}),
    "associationOps": frozenset({"retrieveEntity", "queryEntity", "queryBatch", *_DISCOVERY, *_SUBSCRIBING, "retrieveContextSourceIdentity"}),
    "updateOps": frozenset({"updateEntity", "updateAttrs", "replaceEntity", "replaceAttrs"}),
    "retrieveOps": frozenset({"retrieveEntity", "queryEntity"}),
    "redirectionOps": frozenset({
        "createEntity", "updateEntity", "appendAttrs", "updateAttrs", "deleteAttrs", "deleteEntity", "mergeEntity", "replaceEntity", "replaceAttrs", "purgeEntity",
        "retrieveEntity", "queryEntity", *_DISCOVERY, *_MAPS, "retrieveContextSourceIdentity",
    }),
}  # fmt: skip
#: every operation that a source may say it takes (§4.20, table 1)
OPERATIONS = frozenset().union(*GROUPS.values()) | {
    "createBatch", "upsertBatch", "updateBatch", "deleteBatch", "mergeBatch", "queryBatch", "upsertTemporal", "appendAttrsTemporal", "deleteAttrsTemporal",
    "updateAttrsTemporal", "deleteAttrInstanceTemporal", "deleteTemporal", "retrieveTemporal", "queryTemporal", "queryBatchTemporal",
    "updateAttrInstanceTemporal", "createEntityMapQueryTemporal", "createEntityMap", "queryEntityMap", "createSnapshot", "retrieveSnapshot", "deleteSnapshot",
}  # fmt: skip
READING = frozenset({"retrieveEntity", "queryEntity"})


@dataclass(frozen=True, slots=True)
class Registration:
    """A source as it is kept: `document` in internal names, `headers` what goes with each request, `context` the @context it came with."""

    tenant_id: int
    id: int
    uri: str
    document: Mapping[str, Any]
    headers: Mapping[str, str]
    context: Any
    agreement_id: int | None
    giver_id: int | None
    expires_at: datetime | None
    created_at: datetime
    modified_at: datetime


@dataclass(frozen=True, slots=True)
class State:
    """How a source answers."""

    times_sent: int = 0
    times_failed: int = 0
    last_success: datetime | None = None
    last_failure: datetime | None = None
    failing_since: datetime | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a source said: `status` 0 when it said nothing usable, with the warning (§6.3.17) and its reason."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    warning: int = 0
    reason: str = ""
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether it did what it was asked."""
        return 200 <= self.status < 300


class FederationError(BrokerError):
    """Federation refuses."""

    slug = "federation"


class Unusable(FederationError):
    """The registration says something that cannot be."""

    slug, status, etsi = "registration-unusable", 400, "BadRequestData"


class Missing(FederationError):
    """No such registration."""

    slug, status, etsi = "registration-missing", 404, "ResourceNotFound"


class Exists(FederationError):
    """A registration with that id exists."""

    slug, status, etsi = "registration-exists", 409, "AlreadyExists"


class Conflicts(FederationError):
    """Somebody else answers for the same thing, or the source does not take the operation."""

    slug, status, etsi = "registration-conflict", 409, "Conflict"


class MethodNotAllowed(FederationError):
    """The path names no registration, and the method needs one."""

    slug, status, etsi = "registration-method", 405, "InvalidRequest"


class BadGateway(FederationError):
    """The source that alone holds the data answered with an error."""

    slug, status, etsi = "bad-gateway", 502, "InternalError"


class GatewayTimeout(FederationError):
    """The source that alone holds the data did not answer in time."""

    slug, status, etsi = "gateway-timeout", 504, "InternalError"


class LoopDetected(FederationError):
    """The request came back to where it had been."""

    slug, status, etsi = "loop-detected", 508, "LoopDetected"
