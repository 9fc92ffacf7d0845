"""Organisations as the rest of the house sees them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from malha.kernel.errors import BadInput, Conflict, MalhaError, NotFound
from malha.kernel.text import msg
from malha.kernel.time import parse_instant


class OrganisationKind(StrEnum):
    """What an organisation is; only some kinds are tenants with data of their own."""

    NATION = "nation"
    CENTRAL_BODY = "central_body"
    INTERMUNICIPAL_COMMUNITY = "intermunicipal_community"
    METROPOLITAN_AREA = "metropolitan_area"
    AUTONOMOUS_REGION = "autonomous_region"
    ASSOCIATION = "association"
    MUNICIPALITY = "municipality"
    SERVICE = "service"
    PARISH = "parish"
    COMPANY = "company"
    CONCESSIONAIRE = "concessionaire"
    SUPPLIER = "supplier"


#: what people call each kind
KIND_WORDS: dict[OrganisationKind, str] = {
    OrganisationKind.NATION: msg("Nação"),
    OrganisationKind.CENTRAL_BODY: msg("Organismo central"),
    OrganisationKind.INTERMUNICIPAL_COMMUNITY: msg("Comunidade intermunicipal"),
    OrganisationKind.METROPOLITAN_AREA: msg("Área metropolitana"),
    OrganisationKind.AUTONOMOUS_REGION: msg("Região autónoma"),
    OrganisationKind.ASSOCIATION: msg("Associação ou grupo"),
    OrganisationKind.MUNICIPALITY: msg("Município"),
    OrganisationKind.SERVICE: msg("Serviço"),
    OrganisationKind.PARISH: msg("Freguesia"),
    OrganisationKind.COMPANY: msg("Empresa"),
    OrganisationKind.CONCESSIONAIRE: msg("Concessionária"),
    OrganisationKind.SUPPLIER: msg("Fornecedor"),
}


@dataclass(frozen=True, slots=True)
class Tenant:
    """One municipality, community or nation with data of its own.

    `centre` is (longitude, latitude) and `extent` (west, south, east, north), both in EPSG:4326 degrees;
    `crs` is the projected system of its maps (EPSG:3763 on the mainland); `zone` an IANA time zone.
    """

    id: int
    slug: str
    name: str
    kind: OrganisationKind
    zone: ZoneInfo
    crs: str
    centre: tuple[float, float] | None = None
    extent: tuple[float, float, float, float] | None = None
    dico: str = ""
    hostname: str = ""
    is_demo: bool = False
    theme: dict[str, str] = field(default_factory=dict)

    @property
    def clock(self) -> datetime | None:
        """Where the clock of its pages stands when they show a recording; None: they show today."""
        said = self.theme.get("clock", "") if self.theme else ""
        return parse_instant(said, zone=self.zone) if said else None


class TenancyError(MalhaError):
    """Something about organisations does not hold."""

    slug = "tenancy"


class UnknownTenant(TenancyError, NotFound):
    """No tenant has that name."""

    slug = "unknown-tenant"


#: kinds that stand above municipalities and may be asked to run their service
COMMUNITIES = frozenset(
    {
        OrganisationKind.INTERMUNICIPAL_COMMUNITY,
        OrganisationKind.METROPOLITAN_AREA,
        OrganisationKind.AUTONOMOUS_REGION,
        OrganisationKind.ASSOCIATION,
    }
)


@dataclass(frozen=True, slots=True)
class Organisation:
    """Anybody in the tree; a tenant when `is_tenant`."""

    id: int
    slug: str
    name: str
    kind: OrganisationKind
    is_tenant: bool
    parent_id: int | None = None
    dico: str = ""


@dataclass(frozen=True, slots=True)
class DelegationCard:
    """One delegation as its two sides see it: `tenant` lets `delegate` run its service."""

    id: int
    tenant: Organisation
    delegate: Organisation
    valid_from: datetime
    valid_until: datetime | None
    in_force: bool


@dataclass(frozen=True, slots=True)
class Entity:
    """A community of municipalities by law: CIM, metropolitan area or autonomous region."""

    slug: str
    kind: OrganisationKind
    name: str


@dataclass(frozen=True, slots=True)
class Nuts3:
    """A NUTS III region of 2024 with the NUTS II that holds it."""

    code: str
    name: str
    nuts2: str
    nuts2_name: str


@dataclass(frozen=True, slots=True)
class Municipality:
    """One of the 308, as facts. `centre` and `extent` in degrees of EPSG:4326, to two decimals."""

    dico: str
    name: str
    slug: str
    district: str
    island: str
    nuts3: str
    entity: str
    time_zone: str
    crs: str
    centre: tuple[float, float]
    extent: tuple[float, float, float, float]


class UnknownMunicipality(TenancyError, NotFound):
    """No municipality has that DICO code."""

    slug = "unknown-municipality"


class UnknownOrganisation(TenancyError, NotFound):
    """No organisation has that name."""

    slug = "unknown-organisation"


class AddressTaken(TenancyError, Conflict):
    """The address belongs to another tenant, or to the platform itself."""

    slug = "address-taken"


class WrongPlace(TenancyError, BadInput):
    """An organisation of that kind cannot stand there in the tree."""

    slug = "wrong-place"


class UnusableArms(TenancyError, BadInput):
    """The file is no image that can stand for a municipality."""

    slug = "unusable-arms"
