"""The data hub's words: tables that leave, their fields, who reads them, and what is refused.

HubError
├── TableMissing 404       no such table for this reader
├── KeyNeeded 401          no key, or none that holds
├── Withdrawn 410        a dataset that was open is no longer
├── LinkGone 410           a signed link has expired
└── NotReadyYet 503        a file is still being written; ask again
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from malha.foundation.access.contracts import Principal
from malha.kernel.errors import MalhaError, NotFound, Unavailable
from malha.share.questions.contracts import Field


class TableKind(StrEnum):
    """What the rows of a table are."""

    CURRENT = "current"  # one row an entity, as it is now
    HOURLY = "hourly"  # one row an hour (UTC) of a numeric series
    DAILY = "daily"  # one row a day of the tenant's zone
    SERIES = "series"  # one row a value observed


@dataclass(frozen=True, slots=True)
class Within:
    """The part of a type that its reader may see. `mark` tells it from what another reader sees; empty where nothing is limited."""

    attributes: frozenset[str] | None = None  # None: all
    area: bytes = b""  # a (Multi)Polygon in EPSG:4326 as WKB; empty: wherever things lie
    mark: str = ""
    chosen: str = ""  # an NGSI-LD `q` that its things answer to; empty: all of them

    def shows(self, attribute: str) -> bool:
        """Whether the attribute is seen."""
        return self.attributes is None or attribute in self.attributes


@dataclass(frozen=True, slots=True)
class Table:
    """One table of a tenant. `key` are the fields that tell rows apart, in the order in which pages walk."""

    name: str
    kind: TableKind
    entity_type: str
    fields: tuple[Field, ...]
    key: tuple[str, ...]
    label: str
    description: str
    hidden: frozenset[str] = frozenset()  # attributes that this reader does not get: about people, or telling of places beyond the area
    within: Within = Within()
    links: tuple[tuple[str, str, str], ...] = ()  # (relation, media type, address: absolute, or below the tenant's) of what goes with it

    def find(self, name: str) -> Field | None:
        """The field called `name`."""
        return next((one for one in self.fields if one.name == name), None)


@dataclass(frozen=True, slots=True)
class Reader:
    """Who reads: the tenant, the principal behind the key, and whether columns about people are in."""

    tenant_id: int
    slug: str
    tenant_name: str
    zone: str
    principal: Principal
    with_personal: bool = False
    key_id: int | None = None
    language: str = "pt-pt"
    base: str = field(default="", compare=False)  # absolute address of the tenant, without a slash at its end


@dataclass(frozen=True, slots=True)
class Key:
    """One person's key for one tool; the secret itself is not kept."""

    id: int
    tool: str
    hint: str
    with_personal: bool
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None


class HubError(MalhaError):
    """The data hub refuses."""

    slug = "hub"


class NotAcceptable(HubError):
    """No form or version that the reader takes can be given."""

    slug = "hub-not-acceptable"
    status = 406


class TableMissing(HubError, NotFound):
    """No such table, row or file for this reader."""

    slug = "hub-table-missing"
    status = 404


class Withdrawn(HubError):
    """A dataset that was open was taken back."""

    slug = "hub-withdrawn"
    status = 410


class KeyNeeded(HubError):
    """No key, or none that holds."""

    slug = "hub-key-needed"
    status = 401


class LinkRefused(HubError):
    """A signed link was changed, or its key was revoked."""

    slug = "hub-link-refused"
    status = 403


class LinkGone(HubError):
    """A signed link has expired."""

    slug = "hub-link-gone"
    status = 410


class NotReadyYet(HubError, Unavailable):
    """A file is still being written; what is done stays done."""

    slug = "hub-not-ready"
    status = 503
