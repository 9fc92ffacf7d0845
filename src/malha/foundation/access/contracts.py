"""Who may do what: capabilities, and the roles that bundle them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from malha.kernel.errors import Forbidden, MalhaError


class Capability(StrEnum):
    """One thing that somebody may do in one tenant."""

    PLATFORM_OPERATE = "platform.operate"
    TENANT_CREATE = "tenant.create"
    TENANT_MANAGE = "tenant.manage"
    PEOPLE_MANAGE = "people.manage"
    AGREEMENTS_MANAGE = "agreements.manage"
    AUDIT_READ = "audit.read"
    PERSONAL_READ = "personal.read"
    MODELS_MANAGE = "models.manage"
    TERRITORY_MANAGE = "territory.manage"
    SOURCES_MANAGE = "sources.manage"
    CLIENTS_MANAGE = "clients.manage"
    PACKS_MANAGE = "packs.manage"
    DATA_READ = "data.read"
    DATA_LOAD = "data.load"
    DATA_WRITE = "data.write"
    DATA_EXPORT = "data.export"
    DASHBOARDS_EDIT = "dashboards.edit"
    ALERTS_MANAGE = "alerts.manage"
    ALERTS_HANDLE = "alerts.handle"
    DATASETS_PREPARE = "datasets.prepare"
    DATASETS_PUBLISH = "datasets.publish"


class RoleName(StrEnum):
    """The roles that a person or a machine may have in a tenant."""

    PLATFORM_OPERATOR = "platform_operator"
    TENANT_MANAGER = "tenant_manager"  # the gestor do serviço TERRIS
    ANALYST = "analyst"
    OPERATOR = "operator"
    FIELD_WORKER = "field_worker"
    PUBLISHER = "publisher"
    DATA_PROTECTION_OFFICER = "data_protection_officer"
    VIEWER = "viewer"
    CITIZEN = "citizen"
    MACHINE = "machine"
    SUPPLIER = "supplier"


class Grain(StrEnum):
    """The finest step of time that may be read; RAW is each value as it was measured, and the state as it is now."""

    RAW = "raw"
    QUARTER = "15min"
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


_COARSER = {grain: tuple(Grain)[place:] for place, grain in enumerate(Grain)}


@dataclass(frozen=True, slots=True)
class Reach:
    """A part of a tenant's data: these types, these attributes of them, in this area, not finer than this grain.

    None is all of them. `area` is a GeoJSON (Multi)Polygon in EPSG:4326; `agreement_id` says by which agreement.
    """

    types: frozenset[str] | None = None
    attributes: frozenset[str] | None = None
    area: dict[str, Any] | None = None
    grain: Grain = Grain.RAW
    agreement_id: int | None = None

    def allows(self, grain: Grain) -> bool:
        """Whether values of that grain, or of none coarser, may be read."""
        return grain in _COARSER[self.grain]


@dataclass(frozen=True, slots=True)
class Principal:
    """Who acts: a person (`person_id`), a machine (`client_id`), or nobody (the public).

    `capabilities` are those in `tenant_id`; `types`, when not None, are the only entity types within reach, and
    `reach`, when not None, the only parts of the tenant's data. `datasets`, when not None, are the slugs of the only
    open datasets that they may prepare, publish or withdraw.
    """

    tenant_id: int | None
    capabilities: frozenset[Capability] = frozenset()
    person_id: int | None = None
    client_id: str = ""
    name: str = ""
    types: frozenset[str] | None = None
    reach: tuple[Reach, ...] | None = None
    datasets: frozenset[str] | None = None

    @property
    def actor(self) -> str:
        """The principal as what was done is kept with: `client:<id>`, `person:<number>`, empty for nobody."""
        return f"client:{self.client_id}" if self.client_id else f"person:{self.person_id}" if self.person_id is not None else ""

    def may(self, capability: Capability) -> bool:
        """Whether this principal has `capability` here."""
        return capability in self.capabilities

    def require(self, capability: Capability) -> None:
        """Raise NotAllowed without `capability`."""
        if capability not in self.capabilities:
            raise NotAllowed("Não tem permissão para isto ({capability}). Peça-a a quem gere o serviço no seu município.", capability=capability)


class AccessError(MalhaError):
    """Something about rights does not hold."""

    slug = "access"


class NotAllowed(AccessError, Forbidden):
    """The principal lacks the capability."""

    slug = "not-allowed"


class BeyondReach(AccessError, Forbidden):
    """What was asked lies beyond what the principal may see."""

    slug = "beyond-reach"
