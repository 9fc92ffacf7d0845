"""What each role may do: one table, read by pages, plane and tests alike."""

from __future__ import annotations

from collections.abc import Iterable

from malha.foundation.access.contracts import Capability, RoleName

_C = Capability
_READ = {_C.DATA_READ}
_ANALYSE = _READ | {_C.DATA_EXPORT, _C.DASHBOARDS_EDIT}
_HANDLE = _READ | {_C.DATA_EXPORT, _C.ALERTS_HANDLE}

#: nobody reads a tenant from above: the platform's operator makes tenants and sees no row of theirs
_PLATFORM = {_C.PLATFORM_OPERATE, _C.TENANT_CREATE}
#: columns about people stay with the data-protection officer, who is named apart from the manager (RGPD art. 38)
_MANAGER = frozenset(_C) - _PLATFORM - {_C.PERSONAL_READ}

ROLES: dict[RoleName, frozenset[Capability]] = {
    RoleName.PLATFORM_OPERATOR: frozenset(_PLATFORM),
    RoleName.TENANT_MANAGER: _MANAGER,
    RoleName.ANALYST: frozenset(_ANALYSE | {_C.DATA_LOAD, _C.MODELS_MANAGE, _C.TERRITORY_MANAGE, _C.SOURCES_MANAGE, _C.ALERTS_MANAGE, _C.DATASETS_PREPARE}),
    RoleName.OPERATOR: frozenset(_HANDLE | {_C.ALERTS_MANAGE}),
    RoleName.FIELD_WORKER: frozenset(_READ | {_C.ALERTS_HANDLE}),
    RoleName.PUBLISHER: frozenset(_READ | {_C.DATA_EXPORT, _C.DATASETS_PREPARE, _C.DATASETS_PUBLISH}),
    RoleName.DATA_PROTECTION_OFFICER: frozenset(_READ | {_C.DATA_EXPORT, _C.PERSONAL_READ, _C.AUDIT_READ, _C.AGREEMENTS_MANAGE}),
    RoleName.VIEWER: frozenset(_READ),
    RoleName.CITIZEN: frozenset(),
    RoleName.MACHINE: frozenset(_READ | {_C.DATA_WRITE}),
    RoleName.SUPPLIER: frozenset(_READ),
}

#: what a delegation never carries: a tenant keeps its people's data and its agreements in its own hands
NOT_DELEGABLE = frozenset({_C.PERSONAL_READ, _C.AGREEMENTS_MANAGE, _C.PLATFORM_OPERATE})


def capabilities(role: RoleName, *, of_community: bool = False) -> frozenset[Capability]:
    """What `role` may do in its tenant; the manager of a community also creates tenants for its members."""
    if of_community and role == RoleName.TENANT_MANAGER:
        return ROLES[role] | {Capability.TENANT_CREATE}
    return ROLES[role]


def delegated(roles: Iterable[RoleName]) -> frozenset[Capability]:
    """What people with these roles in a community may do in a tenant that delegated to it."""
    return frozenset().union(*(ROLES[role] for role in roles)) - NOT_DELEGABLE
