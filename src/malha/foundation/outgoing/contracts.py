"""Words of the way out."""

from __future__ import annotations

from malha.kernel.errors import BadInput, MalhaError, Unavailable


class OutgoingError(MalhaError):
    """An address that somebody gave cannot be reached from here."""

    slug = "outgoing"


class RefusedAddress(OutgoingError, BadInput):
    """The address lies in an internal network, and nobody allowed it."""

    slug = "refused-address"


class UnknownHost(OutgoingError, Unavailable):
    """No computer has that name."""

    slug = "unknown-host"
