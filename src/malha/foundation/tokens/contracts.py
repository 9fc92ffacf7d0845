"""What a token says, and the ways in which it can be refused."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from malha.kernel.errors import MalhaError, Misconfigured

#: the `aud` of every token that Malha's doors accept
AUDIENCE = "malha"
#: the longest life of a token
LIFETIME_SECONDS = 15 * 60


@dataclass(frozen=True, slots=True)
class Claims:
    """A verified token.

    `subject` is `client:<id>` or `person:<id>`; `types`, when not None, are the only entity types within reach;
    `scoped` says that more than types is limited, and that the limits are to be looked up.
    """

    subject: str
    tenants: tuple[int, ...]
    capabilities: frozenset[str]
    generation: int
    expires_at: datetime
    types: frozenset[str] | None = None
    name: str = ""
    scoped: bool = False


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A key that can sign, with the time in which it may."""

    kid: str
    pem: str
    not_before: datetime
    expires_at: datetime
    created_at: datetime


class TokensError(MalhaError):
    """Something about tokens does not hold."""

    slug = "tokens"


class TokenRefused(TokensError):
    """The token is not ours, is no longer valid, or was revoked."""

    slug = "token-refused"
    status = 401


class KeyUnreadable(TokensError, Misconfigured):
    """A private key was sealed with another secret."""

    slug = "signing-key-unreadable"
