"""Organisations as the rest of the house sees them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from zoneinfo import ZoneInfo

from malha.kernel.errors import MalhaError, NotFound


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


class TenancyError(MalhaError):
    """Something about organisations does not hold."""

    slug = "tenancy"


class UnknownTenant(TenancyError, NotFound):
    """No tenant has that name."""

    slug = "unknown-tenant"
