"""What a connector declares and gives: bytes in, batches out; the core owns schedule, retry and history.

SourceError
├── NotReady          the other side does not answer now; the core tries again later
├── SourceChanged     the answer no longer has the shape we know; the core stops and says so
└── RefusedAddress    the address may not be fetched (private network, unknown scheme, too large)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from malha.context.store.contracts import EntityDocument, EntityTable
from malha.foundation.outgoing import contracts as outgoing
from malha.kernel.errors import BadInput, MalhaError, Unavailable
from malha.vocabulary.models.contracts import Label


class SourceError(MalhaError):
    """Something about a source does not hold."""

    slug = "source"


class NotReady(SourceError, Unavailable):
    """The source does not answer now. `retry_after_seconds` is what it asked for, or None."""

    slug = "source-not-ready"

    def __init__(self, message: str, *, retry_after_seconds: float | None = None, **params: object) -> None:
        super().__init__(message, **params)
        self.retry_after_seconds = retry_after_seconds


class SourceChanged(SourceError, BadInput):
    """The answer of the source has another shape than the documented one."""

    slug = "source-changed"


class RefusedAddress(SourceError, outgoing.RefusedAddress):
    """The address may not be fetched."""

    slug = "refused-address"


@dataclass(frozen=True, slots=True)
class SettingField:
    """One thing that a person sets on the page of a source. `kind` is text, url, number, flag, choice or secret."""

    name: str
    label: Label
    help: Label
    kind: str = "text"
    default: str = ""
    choices: tuple[tuple[str, Label], ...] = ()
    required: bool = False


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a connector is: who publishes, under what licence, how often, and which entity types come out.

    `every_seconds` is the usual time between two fetches, `silent_after_seconds` when a silence is worth an alarm.
    """

    name: str
    version: str
    label: Label
    description: Label
    publisher: str
    licence: str
    website: str
    types: tuple[str, ...]
    every_seconds: int = 0
    silent_after_seconds: int = 0
    incremental: bool = False
    personal_data: bool = False
    settings: tuple[SettingField, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """One thing of a source that was left out, with the reason: it waits in quarantine, it is not dropped.

    `code` groups; `message` and `mend` are Portuguese sentences; `cells` is what came, as it came.
    """

    row_number: int
    code: str
    message: str
    path: str = ""
    mend: str = ""
    cells: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SourceBatch:
    """What one step of a fetch gives. `state` is what the connector wants back the next time."""

    table: EntityTable | None = None
    documents: tuple[EntityDocument, ...] = ()
    refused: tuple[Refused, ...] = ()
    state: Mapping[str, object] = field(default_factory=dict)
    live: bool = True
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tenancy:
    """What a connector may know of the tenant: for ids, places and zones."""

    slug: str
    name: str
    dico: str = ""
    zone: str = "Europe/Lisbon"
    extent: tuple[float, float, float, float] | None = None


class Fetcher(Protocol):
    """How a connector reaches the world: guarded, limited, and replaceable in tests."""

    def get_json(self, url: str) -> object:
        """The JSON at `url`. Raises NotReady, SourceChanged or RefusedAddress."""
        ...


class Connector(Protocol):
    """One external system."""

    @property
    def manifest(self) -> Manifest:
        """What this connector is."""
        ...

    def fetch(self, fetcher: Fetcher, settings: Mapping[str, str], state: Mapping[str, object], tenancy: Tenancy) -> Iterator[SourceBatch]:
        """Batches of what is new since `state`. Raises NotReady; never waits and never retries by itself."""
        ...
