"""What holds for people and machines, without a database."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta
from typing import Any

from malha.foundation.access.contracts import Capability, RoleName
from malha.foundation.mail.rules import beyond_loopback
from malha.foundation.settings.contracts import Settings

INVITATION_LASTS = timedelta(days=7)
MACHINE_LASTS = timedelta(days=365)

#: what a machine may be given; managing people is for people, and tenants come by a machine only where the operator says how many
MACHINE_CAPABILITIES = (
    Capability.DATA_READ,
    Capability.DATA_WRITE,
    Capability.DATA_LOAD,
    Capability.DATA_EXPORT,
    Capability.MODELS_MANAGE,
    Capability.ALERTS_HANDLE,
    Capability.TENANT_CREATE,
)
#: roles that a manager gives; the platform's operator is named on the server, machines have a page of their own
INVITABLE = (
    RoleName.TENANT_MANAGER,
    RoleName.ANALYST,
    RoleName.OPERATOR,
    RoleName.FIELD_WORKER,
    RoleName.PUBLISHER,
    RoleName.DATA_PROTECTION_OFFICER,
    RoleName.VIEWER,
    RoleName.SUPPLIER,
)


def may_enter(person: Any, conf: Settings) -> bool:
    """Whether this person exists here: those of the demonstration only on a computer that nobody else reaches."""
    return bool(person.is_active) and not (person.is_demo and beyond_loopback(conf))


def new_secret() -> str:
    """192 bits, safe in an address."""
    return secrets.token_urlsafe(24)


def hash_secret(secret: str) -> str:
    """What is kept of a secret that only its holder knows. High entropy: a plain SHA-256 suffices."""
    return hashlib.sha256(secret.encode()).hexdigest()
