"""The root of every error that Malha raises on purpose.

    MalhaError                  what, where and what to do, in the reader's language
    ├── BadInput                the caller sent something that cannot be used
    ├── NotFound                the thing is not there, or not for this reader
    ├── Forbidden               the reader is known but may not
    ├── Conflict                the thing exists, or changed in between
    ├── Unavailable             a part that we need does not answer now; trying later may work
    └── Misconfigured           the operator has to change a setting

Each room grows its own tree below these. The message is the Portuguese sentence itself (the key of
the English catalogue); its parameters stay apart, so that a door can say it in the reader's language.
"""

from __future__ import annotations

from typing import ClassVar, Self

from malha.kernel.text import parts_of, sentence


class MalhaError(Exception):
    """Something went wrong that the reader can understand and mend."""

    #: last path segment of the RFC 9457 problem type, stable across releases
    slug: ClassVar[str] = "internal"
    #: HTTP status that the doors answer with
    status: ClassVar[int] = 500

    def __init__(self, message: str, **params: object) -> None:
        self.message = message
        self.params = params
        super().__init__(message)

    @classmethod
    def of_kept(cls, kept: str) -> Self:
        """The error that says a sentence that was kept (`kept`)."""
        message, params = parts_of(kept)
        return cls(message, **params)

    def kept(self) -> str:
        """The sentence with its parameters apart, to be stored and worded for each reader (`kernel.text.parts_of`)."""
        return sentence(self.message, **self.params)

    def __str__(self) -> str:
        return self.message.format(**self.params) if self.params else self.message


class BadInput(MalhaError):
    """What was sent cannot be used; nothing of it was kept except in quarantine."""

    slug = "bad-input"
    status = 400


class NotFound(MalhaError):
    """Nothing with that name is visible to this reader."""

    slug = "not-found"
    status = 404


class Forbidden(MalhaError):
    """The reader is known, but has no right to this."""

    slug = "forbidden"
    status = 403


class Conflict(MalhaError):
    """It exists already, or somebody changed it in between."""

    slug = "conflict"
    status = 409


class Unavailable(MalhaError):
    """A part that is needed does not answer now."""

    slug = "unavailable"
    status = 503


class Misconfigured(MalhaError):
    """A setting has to be changed by the operator before this can work."""

    slug = "misconfigured"
    status = 500
