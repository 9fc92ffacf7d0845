"""What the broker refuses, in the words of GS CIM 009 §5.5.2 and §6.3.2, and what a request carries.

BrokerError
├── InvalidRequest 400           the bytes are not a request: broken JSON, unknown parameter
├── BadRequestData 400           the request says something that cannot be
│   └── Unfit 400                the entity does not fit its data model
├── NotSignedIn 401              no token, or none that holds
├── NotPermitted 403             known, but may not
├── ResourceMissing 404          no such entity, attribute or type for this reader
├── NonexistentTenant 404        no such tenant
├── AlreadyExists 409            an entity with that id exists
├── MethodNotAllowed 405         the address is there, not for this verb
├── LengthRequired 411           a body without a length
├── TooComplex 403               the question would take too long
├── OperationNotSupported 422    the operation makes no sense for this thing
├── TooLarge 413                 the body is over the limit
├── UnsupportedMedia 415         not JSON
└── NotAcceptable 406            no form of answer that the reader takes
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from malha.context.broker.places import PRESENT, Place
from malha.foundation.access.contracts import Principal
from malha.kernel.errors import MalhaError
from malha.vocabulary.contexts.service import Context
from malha.vocabulary.models.contracts import Finding

ERRORS = "https://uri.etsi.org/ngsi-ld/errors/"


class BrokerError(MalhaError):
    """The broker refuses."""

    slug = "broker"
    etsi: ClassVar[str] = "InternalError"


class InvalidRequest(BrokerError):
    """The request itself cannot be read."""

    slug, status, etsi = "invalid-request", 400, "InvalidRequest"


class BadRequestData(BrokerError):
    """What the request says cannot be."""

    slug, status, etsi = "bad-request-data", 400, "BadRequestData"


class Unfit(BadRequestData):
    """The entity does not fit its data model; `findings` say why, property by property."""

    slug = "unfit-entity"

    def __init__(self, message: str, findings: Sequence[Finding], **params: object) -> None:
        self.findings = tuple(findings)
        super().__init__(message, **params)


class NotSignedIn(BrokerError):
    """There is no token, or it does not hold."""

    slug, status, etsi = "not-signed-in", 401, "Unauthorized"


class NotPermitted(BrokerError):
    """The reader is known and may not."""

    slug, status, etsi = "not-permitted", 403, "AccessDenied"


class TooManyRequests(BrokerError):
    """The tenant has spent its share of requests; `retry_seconds` says when the next may come."""

    slug, status, etsi = "too-many-requests", 429, "TooManyRequests"


class Busy(BrokerError):
    """More wait than can be served soon; `seconds` says when to come back."""

    slug, status, etsi = "busy", 503, "InternalError"


class ResourceMissing(BrokerError):
    """Nothing of that name is there for this reader."""

    slug, status, etsi = "resource-missing", 404, "ResourceNotFound"


class NonexistentTenant(BrokerError):
    """No tenant has that name."""

    slug, status, etsi = "nonexistent-tenant", 404, "NonexistentTenant"


class AlreadyExists(BrokerError):
    """An entity with that id exists."""

    slug, status, etsi = "already-exists", 409, "AlreadyExists"


class OperationNotSupported(BrokerError):
    """The operation makes no sense for this thing."""

    slug, status, etsi = "operation-not-supported", 422, "OperationNotSupported"


class TooComplex(BrokerError):
    """The question would take too long."""

    slug, status, etsi = "too-complex-query", 403, "TooComplexQuery"


class LengthRequired(BrokerError):
    """The body has no length."""

    slug, status, etsi = "length-required", 411, "InvalidRequest"


class MethodNotAllowed(BrokerError):
    """The address is there, and not for this verb."""

    slug, status, etsi = "method-not-allowed", 405, "InvalidRequest"


class NotAcceptable(BrokerError):
    """The reader takes no form in which this can be answered."""

    slug, status, etsi = "not-acceptable", 406, "InvalidRequest"


class TooLarge(BrokerError):
    """The body is over the limit."""

    slug, status, etsi = "too-large", 413, "BadRequestData"


class UnsupportedMedia(BrokerError):
    """The body is neither JSON nor JSON-LD."""

    slug, status, etsi = "unsupported-media", 415, "InvalidRequest"


#: problem type of errors of other rooms, by status, where their slug has none of its own (the rest is BadRequestData below 500)
ETSI_BY_STATUS = {401: "Unauthorized", 403: "AccessDenied", 404: "ResourceNotFound"}
ETSI_BY_SLUG = {
    "context-not-available": "LdContextNotAvailable",
    "unknown-organisation": "NonexistentTenant",
    "entity-exists": "AlreadyExists",
    "sensorthings-not-offered": "OperationNotSupported",
    "hub-not-supported": "OperationNotSupported",
}


type Failures = dict[str, MalhaError]
"""Contexts that could not be fetched for this request, by address, with the reason."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks, of which tenant, in which words, of entities where. `tenant_named` is the header NGSILD-Tenant, to be echoed."""

    tenant_id: int
    principal: Principal
    context: Context
    language: str
    tenant_named: str = ""
    failures: Failures = field(default_factory=dict)
    place: Place = PRESENT
