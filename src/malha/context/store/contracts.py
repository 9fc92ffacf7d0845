"""What the store takes and gives: entities as documents, or a batch of one type as columns.

The internal document of an entity is normalized NGSI-LD keyed by short names:
`{"temperature": {"type": "Property", "value": 21.3, "unitCode": "CEL", "observedAt": "2026-11-23T02:00:00Z"}, …}`
without `id`, `type`, `scope` and `@context`, which have columns of their own. A name is short when its IRI is
the one that a known data model gives it, or lies in the default vocabulary; else the key is the IRI.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING, Any

from malha.kernel.errors import BadInput, Conflict, MalhaError, NotFound

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

#: which member of an attribute holds its value (GS CIM 009 §4.5)
MEMBER = {
    "Property": "value",
    "GeoProperty": "value",
    "Relationship": "object",
    "LanguageProperty": "languageMap",
    "VocabProperty": "vocab",
    "JsonProperty": "json",
    "ListProperty": "valueList",
    "ListRelationship": "objectList",
}


@dataclass(frozen=True, slots=True)
class EntityDocument:
    """One entity to be written. `attributes` is the internal document; an attribute, or an instance's value, that is None is taken away.

    No scopes and no `expires_at` leave those of a known entity as they are (in mode REPLACE they go); `gone` names
    members of the entity itself that are taken away: "scope", "expiresAt". `scopes_at` is the instant from which the
    scopes hold, None for now.
    """

    uri: str
    types: tuple[str, ...]
    attributes: dict[str, object]
    scopes: tuple[str, ...] = ()
    expires_at: datetime | None = None
    gone: frozenset[str] = frozenset()
    scopes_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """One attribute of a batch: a value per row, None where the row has none.

    Numbers, booleans and texts as they are; GeoProperty as WKB bytes or a GeoJSON dict; objects and lists as dict/list.
    A `static` column says what the thing is and not how it was at the row's instant (its address, who sends it): it
    carries no observedAt, and makes history only when it differs from what the thing has.
    """

    name: str
    values: Any
    kind: str = "Property"
    unit: str = ""
    static: bool = False


@dataclass(frozen=True, slots=True)
class EntityTable:
    """Rows of one type, column-wise: the fast road for connectors and files.

    `observed_at` holds one UTC instant per row (None: the attribute carries no observedAt). Rows may repeat a
    `uri`: they are applied in order of `observed_at`, and each makes its own observation.
    """

    type: str
    uris: Sequence[str]
    columns: Sequence[Column]
    observed_at: Sequence[datetime | None] | None = None
    row_numbers: Sequence[int] | None = None


@dataclass(frozen=True, slots=True)
class ArrowTable:
    """The same as `EntityTable` in arrays, for loads: `uris` is an Arrow array of text, `observed_at` a numpy array of
    datetime64[us] (UTC), `row_numbers` one of integers; `values` of a column is an Arrow array, or a list as in `EntityTable`.
    """

    type: str
    uris: pa.Array
    columns: Sequence[Column]
    observed_at: np.ndarray[Any, np.dtype[np.datetime64]] | None
    row_numbers: np.ndarray[Any, Any]

    def __len__(self) -> int:
        return len(self.uris)

    def lists(self) -> EntityTable:
        """The same rows as lists of Python's own values."""
        columns = [Column(one.name, plain(one.values), one.kind, one.unit, one.static) for one in self.columns]
        when = [at.replace(tzinfo=UTC) if at is not None else None for at in self.observed_at.tolist()] if self.observed_at is not None else None
        return EntityTable(self.type, self.uris.to_pylist(), columns, when, self.row_numbers.tolist())

    def take(self, rows: np.ndarray[Any, Any]) -> ArrowTable:
        """Some of the rows, in the order of `rows`."""
        columns = [Column(one.name, pick(one.values, rows), one.kind, one.unit, one.static) for one in self.columns]
        when = self.observed_at[rows] if self.observed_at is not None else None
        return ArrowTable(self.type, self.uris.take(rows), columns, when, self.row_numbers[rows])


def plain(values: Any) -> Any:
    """A list of Python's own values."""
    return values.to_pylist() if hasattr(values, "to_pylist") else values


def pick(values: Any, rows: np.ndarray[Any, Any]) -> Any:
    """Those of `values` (an Arrow array or a list) at the positions `rows`."""
    return values.take(rows) if hasattr(values, "to_pylist") else [values[row] for row in rows.tolist()]


class WriteMode(StrEnum):
    """What happens to what the sender does not name.

    UPDATE keeps other attributes and other instances; ATTRIBUTES keeps other attributes, and those named become
    exactly what is given; REPLACE removes the others.
    """

    UPDATE = "update"
    ATTRIBUTES = "attributes"
    REPLACE = "replace"


#: what colder history holds of series: (tenant, attribute, entities, first instant, last instant) → table(entity_id, observed_at, num, txt, seq)
type Past = Callable[[int, str, Sequence[int], datetime, datetime], pa.Table]


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """`run_id` is the ingest run that the values come from; `live` is False for loads of history (alerts stay silent).

    `past` is asked about late values that hot history does not know, so that what was there before is not written again.
    """

    mode: WriteMode = WriteMode.UPDATE
    run_id: int | None = None
    live: bool = True
    past: Past | None = None


@dataclass(frozen=True, slots=True)
class WriteOutcome:
    """What a write did. Unchanged rows made no history and no event."""

    created: int = 0
    updated: int = 0
    unchanged: int = 0
    observations: int = 0
    refused: tuple[tuple[str, str], ...] = ()  # (uri, reason), the reason as it is kept (`kernel.text.sentence`)


@dataclass(frozen=True, slots=True)
class StoredEntity:
    """One entity as it is now. `location` is GeoJSON in EPSG:4326 or None."""

    id: int
    tenant_id: int
    uri: str
    types: tuple[str, ...]
    attributes: dict[str, object]
    location: dict[str, object] | None
    created_at: datetime
    modified_at: datetime
    scopes: tuple[str, ...] = ()
    expires_at: datetime | None = None

    def value(self, name: str) -> object:
        """The value (or object) of the attribute `name`, None when the entity does not have it."""
        attribute = self.attributes.get(name)
        if isinstance(attribute, list):
            attribute = attribute[0] if attribute else None
        if not isinstance(attribute, dict):
            return None
        return attribute.get("value", attribute.get("object"))


@dataclass(frozen=True, slots=True)
class PastInstance:
    """One instance of an attribute at an instant of the past: `instance` is normalized and keyed as the internal document."""

    attribute: str
    at: datetime
    instance: dict[str, Any]


@dataclass(frozen=True, slots=True)
class InstanceKey:
    """What tells one instance of an entity's history from every other; 0 is the default instance."""

    attribute: str
    dataset_id: int
    at: datetime


@dataclass(frozen=True, slots=True)
class PlacedEntity:
    """An entity as a map draws it: `box` is (west, south, east, north), and for a point the point; `wkb` any other shape."""

    id: int
    uri: str
    attributes: dict[str, object]
    box: tuple[float, float, float, float]
    wkb: bytes | None = None


@dataclass(frozen=True, slots=True)
class GeoRelation:
    """A relation of GS CIM 009 §4.10 to a GeoJSON geometry: `relation` is near, within, contains, intersects, overlaps,
    disjoint or equals; distances in metres belong to near. `attribute` is the GeoProperty that is looked at.
    """

    relation: str
    geometry: dict[str, object]
    max_distance_m: float | None = None
    min_distance_m: float | None = None
    attribute: str = "location"


@dataclass(frozen=True, slots=True)
class Ordering:
    """One step of an order (GS CIM 009 §4.23): a `path` of names into the entity (`inside` its value), or the distance from `point`."""

    path: tuple[str, ...] = ()
    inside: tuple[str, ...] = ()
    descending: bool = False
    point: tuple[float, float] | None = None
    folded: bool = False  # texts without case and accents


@dataclass(frozen=True, slots=True)
class EntityQuery:
    """Which entities. `q` is the NGSI-LD query language; `bbox` is (west, south, east, north) in EPSG:4326 degrees;
    `near` is (longitude, latitude, metres). `text` searches names without accents. `run_id` finds what a load wrote.
    """

    types: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()
    id_pattern: str = ""
    attrs: tuple[str, ...] = ()
    q: str = ""
    bbox: tuple[float, float, float, float] | None = None
    near: tuple[float, float, float] | None = None
    within: dict[str, object] | None = None  # GeoJSON (Multi)Polygon
    geo: GeoRelation | None = None
    text: str = ""
    run_id: int | None = None
    limit: int = 100
    offset: int = 0
    after_id: int = 0  # keyset paging for walks over everything
    count: bool = False
    #: a selection of types as §4.17 writes it, with `,` `|` `;` and parentheses, in internal names; besides `types`
    type_selection: str = ""
    scope_selection: str = ""
    #: instances of attributes that count for `q` and `attrs`; "" is the default instance
    datasets: tuple[str, ...] = ()
    #: at least one of these attributes is there
    having: tuple[str, ...] = ()
    order: tuple[Ordering, ...] = ()
    #: several selectors, any of which may hold (§5.2.8): ids, pattern and types each
    any_of: tuple[Selector, ...] = ()


@dataclass(frozen=True, slots=True)
class Selector:
    """Some entities (§5.2.33): those with one of `uris`, or matching `id_pattern`, and of the selected types."""

    type_selection: str = ""
    uris: tuple[str, ...] = ()
    id_pattern: str = ""


@dataclass(frozen=True, slots=True)
class AttributeUse:
    """How many entities of a type have an attribute, and as which kinds."""

    type: str
    name: str
    count: int
    kinds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EntityPage:
    """One page of a query; `total` only when it was asked for."""

    entities: list[StoredEntity] = field(default_factory=list)
    total: int | None = None


class StoreError(MalhaError):
    """The store refuses."""

    slug = "store"


class EntityNotFound(StoreError, NotFound):
    """No entity has that URI in this tenant."""

    slug = "entity-not-found"


class EntityExists(StoreError, Conflict):
    """An entity with that URI exists already."""

    slug = "entity-exists"


class UnusableQuery(StoreError, BadInput):
    """The question cannot be understood."""

    slug = "unusable-query"


class UnusableEntity(StoreError, BadInput):
    """The entity cannot be stored as it was sent."""

    slug = "unusable-entity"


class ObservationKind(IntEnum):
    """What `observation_hot.kind` says about a value: numbers and booleans lie in `num`, all others in `txt`."""

    NUMBER = 0
    BOOLEAN = 1
    TEXT = 2
    URI = 3  # object of a Relationship
    INSTANT = 4  # ISO 8601 in UTC
    JSON = 5  # objects and lists as canonical JSON
    LANGUAGE_MAP = 6
    GEOMETRY = 7  # GeoJSON, 7 decimals
    VOCABULARY = 8
    RAW_JSON = 9  # of a JsonProperty
    LIST = 10  # of a ListProperty
    OBJECT_LIST = 11  # of a ListRelationship


#: text of an observation that took an attribute away at an instant which its sender gave as that of the observation (GS CIM 009 §4.5.7)
ENDED_AS_OBSERVED = "observedAt"


class Operation(IntEnum):
    """What an observation did: gave a value, took the attribute away, or took an instance out of history."""

    VALUE = 0
    DELETED = 1
    HIDDEN = 2
