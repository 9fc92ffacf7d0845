"""What a snapshot is (GS CIM 009 §5.2.41, §5.2.42), and what is refused about one.

SnapshotError
├── Unusable 400        the snapshot says something that cannot be, or there are too many
├── NotReady 409        it is still being filled
├── Full 413            it would hold more than a snapshot may
└── Missing 404         no such snapshot, or it has ended
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from starlette.requests import Request

from malha.context.broker.contracts import BrokerError
from malha.context.store.contracts import StoredEntity
from malha.kernel.errors import MalhaError

HEADER = "NGSILD-Snapshot"


class Status(StrEnum):
    """How the filling went (§5.16.1.4)."""

    PREPARING = "preparing"
    SUCCESS = "success"
    PARTIAL = "partial"
    EMPTY = "empty"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Said:
    """What a payload says of a snapshot; None for what it does not name. `lifetime` in seconds; `told` says whom it tells how it fares."""

    uri: str | None
    priority: int | None
    lifetime_seconds: int | None
    lifetime: str | None
    queries: tuple[Mapping[str, Any], ...]
    temporal: tuple[Mapping[str, Any], ...]
    told: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot as it is kept: `document` has its queries as they came."""

    tenant_id: int
    id: int
    uri: str
    subject: str
    document: Mapping[str, Any]
    priority: int
    status: Status
    details: Sequence[Mapping[str, Any]]
    temporal_details: Sequence[Mapping[str, Any]]
    created_at: datetime
    modified_at: datetime
    last_used_at: datetime
    expires_at: datetime


class Lasting(Protocol):
    """One value of how an entity evolved: numbers of names as the store has them, `op` an `Operation`; None as `received_at` is now."""

    @property
    def attr_id(self) -> int: ...
    @property
    def dataset_id(self) -> int: ...
    @property
    def observed_at(self) -> str | datetime: ...
    @property
    def received_at(self) -> str | datetime | None: ...
    @property
    def kind(self) -> int: ...
    @property
    def op(self) -> int: ...
    @property
    def num(self) -> float | None: ...
    @property
    def txt(self) -> str | None: ...
    @property
    def unit_id(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Told:
    """One value of how an entity evolved, with the names of its attribute and unit; `op` an `Operation`, `kind` an `ObservationKind`."""

    attribute: str
    dataset_id: int
    observed_at: datetime
    received_at: datetime
    kind: int
    op: int
    num: float | None
    txt: str | None
    unit: str


@dataclass(frozen=True, slots=True)
class Evolved:
    """An entity, of which only what it is called and its types and scopes count, and how it evolved."""

    entity: StoredEntity
    told: Sequence[Told]


#: what one of snapshotTemporalQueries gives, for whoever made the snapshot by a request, with the @context that it came with; history lies further down the road
type Evolutions = Callable[[Request, Any, Mapping[str, Any]], Awaitable[Sequence[Evolved]]]


@dataclass(frozen=True, slots=True)
class Found:
    """What one query gave: its entities or how they evolved, what was amiss at some sources, or why it could not be answered."""

    entities: Sequence[StoredEntity] = ()
    amiss: Sequence[str] = ()
    error: MalhaError | None = None
    evolved: Sequence[Evolved] = ()


class SnapshotError(BrokerError):
    """Snapshots refuse."""

    slug = "snapshot"


class Unusable(SnapshotError):
    """The snapshot says something that cannot be."""

    slug, status, etsi = "snapshot-unusable", 400, "BadRequestData"


class NotReady(SnapshotError):
    """The snapshot is still being filled."""

    slug, status, etsi = "snapshot-not-ready", 409, "Conflict"


class Full(SnapshotError):
    """The snapshot would hold more than it may."""

    slug, status, etsi = "snapshot-full", 413, "BadRequestData"


class Missing(SnapshotError):
    """No such snapshot."""

    slug, status, etsi = "snapshot-missing", 404, "ResourceNotFound"
