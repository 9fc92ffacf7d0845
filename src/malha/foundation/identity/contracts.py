"""People and machines as the rest of the house sees them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from malha.foundation.access.contracts import Capability
from malha.kernel.errors import BadInput, Conflict, Forbidden, MalhaError, NotFound


@dataclass(frozen=True, slots=True)
class PersonCard:
    """Somebody who can sign in, as a list shows them."""

    id: int
    email: str
    name: str
    language: str
    is_demo: bool
    has_second_factor: bool = False


@dataclass(frozen=True, slots=True)
class Machine:
    """A program with client credentials. `types`, when not None, are the only entity types within its reach."""

    id: int
    client_id: str
    name: str
    capabilities: frozenset[Capability]
    types: frozenset[str] | None
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None
    scope: dict[str, Any] = field(default_factory=dict)  # `attributes`, `area`, `places`: what else limits it


@dataclass(frozen=True, slots=True)
class InvitationCard:
    """An invitation as its tenant's manager sees it."""

    id: int
    tenant_id: int
    email: str
    name: str
    role: str
    created_at: datetime
    expires_at: datetime
    accepted_at: datetime | None
    revoked_at: datetime | None
    role_until: datetime | None = None

    def is_open(self, moment: datetime) -> bool:
        """Whether it still lets somebody in at `moment`."""
        return self.accepted_at is None and self.revoked_at is None and moment < self.expires_at


class IdentityError(MalhaError):
    """Something about people or machines does not hold."""

    slug = "identity"


class UnknownMachine(IdentityError, NotFound):
    """No such machine in this tenant."""

    slug = "unknown-machine"


class UnknownPerson(IdentityError, NotFound):
    """No such person in this tenant."""

    slug = "unknown-person"


class InvitationSpent(IdentityError, Forbidden):
    """The invitation was used, withdrawn, or is older than seven days."""

    slug = "invitation-spent"
    status = 410


class InvitationForAnother(IdentityError, Forbidden):
    """Somebody else's invitation."""

    slug = "invitation-for-another"


class AlreadyMember(IdentityError, Conflict):
    """The person is in the tenant already."""

    slug = "already-member"


class DemoElsewhere(IdentityError, BadInput):
    """People of the demonstration do not exist on an address that others reach."""

    slug = "demo-beyond-loopback"
