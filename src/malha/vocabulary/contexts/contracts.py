"""Words of the contexts room."""

from __future__ import annotations

from malha.kernel.errors import BadInput, MalhaError, Unavailable


class ContextError(MalhaError):
    """Something about a JSON-LD context does not hold."""

    slug = "jsonld-context"


class UnusableContext(ContextError, BadInput):
    """The context is not one that NGSI-LD allows."""

    slug = "unusable-context"


class ContextNotAvailable(ContextError, Unavailable):
    """A remote context is not among those that this version knows; nothing is fetched."""

    slug = "context-not-available"
    status = 504
