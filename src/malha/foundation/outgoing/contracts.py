"""What can go wrong on the way out."""

from __future__ import annotations

from malha.kernel.errors import BadInput, MalhaError, Unavailable


class OutgoingError(MalhaError):
    """An address cannot be reached."""

    slug = "outgoing"


class RefusedAddress(OutgoingError, BadInput):
    """The address may not be fetched."""

    slug = "refused-address"


class NoAnswer(OutgoingError, Unavailable):
    """Nobody answers there now."""

    slug = "no-answer"
