"""Words of the contexts room."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from malha.kernel.errors import BadInput, MalhaError, NotFound, Unavailable


class Kind(StrEnum):
    """How a context came to the shelf (GS CIM 009 §5.13.1)."""

    HOSTED = "Hosted"
    CACHED = "Cached"
    IMPLICIT = "ImplicitlyCreated"


@dataclass(frozen=True, slots=True)
class KeptContext:
    """A context on a tenant's shelf. `body` is the JSON document with its member @context."""

    id: str
    url: str
    kind: Kind
    body: dict[str, object]
    created_at: datetime
    last_used_at: datetime | None = None
    hits: int = 0


class ContextError(MalhaError):
    """Something about a JSON-LD context does not hold."""

    slug = "jsonld-context"


class UnusableContext(ContextError, BadInput):
    """The context is not one that NGSI-LD allows."""

    slug = "unusable-context"


class ContextNotAvailable(ContextError, Unavailable):
    """A remote context is not known here and could not be fetched."""

    slug = "context-not-available"
    status = 504


class ContextToFetch(ContextNotAvailable):
    """The context at `address` is not on the shelf yet: fetch it, then read again."""

    def __init__(self, message: str, *, address: str) -> None:
        self.address = address
        super().__init__(message, address=address[:200])


class UnknownContext(ContextError, NotFound):
    """The tenant's shelf has no such context."""

    slug = "unknown-context"
