"""Agreements as the rest of the house sees them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from malha.foundation.access.contracts import Grain
from malha.kernel.errors import BadInput, Forbidden, MalhaError


@dataclass(frozen=True, slots=True)
class Terms:
    """What may be read. Without `attributes`, all of the types that are not about people; without `area` (GeoJSON
    polygon, EPSG:4326), everywhere.
    """

    types: tuple[str, ...]
    purpose: str
    until: datetime
    attributes: tuple[str, ...] = ()
    area: dict[str, object] | None = None
    grain: Grain = Grain.RAW
    area_name: str = ""


@dataclass(frozen=True, slots=True)
class Agreement:
    """One agreement: `tenant_id` gives, `grantee_id` may read."""

    id: int
    tenant_id: int
    tenant_name: str
    grantee_id: int
    grantee_name: str
    types: tuple[str, ...]
    attributes: tuple[str, ...]
    area: dict[str, object] | None
    grain: Grain
    purpose: str
    valid_from: datetime
    valid_until: datetime
    signed_by: str
    ended_at: datetime | None
    readings: int
    last_read_at: datetime | None
    area_name: str = ""

    def in_force(self, at: datetime) -> bool:
        """Whether it counts at that instant."""
        return self.valid_from <= at < self.valid_until and (self.ended_at is None or at < self.ended_at)


@dataclass(frozen=True, slots=True)
class Reading:
    """Somebody read something under an agreement."""

    agreement_id: int
    at: datetime
    reader: str
    what: str


class AgreementError(MalhaError):
    """Something about agreements does not hold."""

    slug = "agreement"


class UnusableTerms(AgreementError, BadInput):
    """Terms that nobody could hold: no type, no purpose, an end in the past, reading one's own data."""

    slug = "agreement-terms"


class NoAgreement(AgreementError, Forbidden):
    """No agreement in force allows this reading."""

    slug = "no-agreement"
