"""A data model: declared once, used by every room (validation, entities, history, metrics, maps, exports, feeds).

Names are those of the national catalogue (CNMD) or Smart Data Models, byte for byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from malha.kernel.errors import BadInput, MalhaError, NotFound


class AttributeKind(StrEnum):
    """The kind of NGSI-LD attribute (GS CIM 009 §4.5)."""

    PROPERTY = "Property"
    RELATIONSHIP = "Relationship"
    GEO_PROPERTY = "GeoProperty"
    LANGUAGE_PROPERTY = "LanguageProperty"
    VOCAB_PROPERTY = "VocabProperty"
    JSON_PROPERTY = "JsonProperty"
    LIST_PROPERTY = "ListProperty"
    LIST_RELATIONSHIP = "ListRelationship"


class ValueType(StrEnum):
    """What the value of a property is."""

    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    TEXT = "text"
    URI = "uri"
    INSTANT = "instant"
    DATE = "date"
    DURATION = "duration"
    OBJECT = "object"
    LIST = "list"
    GEOMETRY = "geometry"


class Role(StrEnum):
    """What a reader does with a property: measure it, group by it, name things with it, or just read it."""

    MEASURE = "measure"
    DIMENSION = "dimension"
    IDENTIFIER = "identifier"
    TIME = "time"
    PLACE = "place"
    TEXT = "text"


class Aggregation(StrEnum):
    """How values of a measure are put together."""

    AVERAGE = "average"
    SUM = "sum"
    MINIMUM = "minimum"
    MAXIMUM = "maximum"
    COUNT = "count"
    LAST = "last"


@dataclass(frozen=True, slots=True)
class Label:
    """A text in both languages; English may be empty and then Portuguese serves."""

    pt: str
    en: str = ""

    def in_language(self, language: str) -> str:
        """The text for `language` ("pt-pt", "en", …)."""
        return self.en if language.startswith("en") and self.en else self.pt


@dataclass(frozen=True, slots=True)
class ModelProperty:
    """One property of a data model.

    `unit` is a UN/CEFACT code ("CEL", "GQ") or empty; `minimum` and `maximum` are in that unit;
    `choices` are the allowed values, byte for byte; `code_list` names a list in `vocabulary.codelists`.
    `personal` properties never leave by default. `filterable` ones get an index. `members` are the properties inside an
    object, or inside each object of a list; `also` are other types that the value may have ("moderate" or 4000 metres). An open bound is not itself allowed.
    """

    name: str
    kind: AttributeKind = AttributeKind.PROPERTY
    type: ValueType = ValueType.TEXT
    label: Label = field(default_factory=lambda: Label(""))
    description: Label = field(default_factory=lambda: Label(""))
    role: Role = Role.TEXT
    unit: str = ""
    required: bool = False
    personal: bool = False
    aggregation: Aggregation | None = None
    choices: tuple[str, ...] = ()
    choice_labels: tuple[Label, ...] = ()
    code_list: str = ""
    minimum: float | None = None
    maximum: float | None = None
    pattern: str = ""
    item_type: ValueType | None = None
    filterable: bool = False
    iri: str = ""
    members: tuple[ModelProperty, ...] = ()
    also: tuple[ValueType, ...] = ()
    minimum_items: int = 0
    unique_items: bool = False
    open_minimum: bool = False
    open_maximum: bool = False


@dataclass(frozen=True, slots=True)
class DataModel:
    """One entity type. `time_property` names the property that says when an observation was made, if any.

    `constraints` are rules between properties, as JSON Schema 2020-12 fragments over the simplified entity;
    `example` is one entity in key-values form; `tenant_id` is who keeps the model (None: everybody's). `keep` is how long
    each value is kept (ISO 8601: "P90D", "P18M", "P5Y"; empty: for good); sums by hour and longer stay.
    """

    type: str
    version: str
    label: Label
    description: Label
    properties: tuple[ModelProperty, ...]
    theme: str = ""
    time_property: str = ""
    source: str = ""
    iri: str = ""
    constraints: tuple[dict[str, object], ...] = ()
    example: dict[str, object] | None = None
    tenant_id: int | None = None
    keep: str = ""

    def find(self, name: str) -> ModelProperty | None:
        """The property called `name`, if the model has one."""
        return next((p for p in self.properties if p.name == name), None)

    @property
    def measures(self) -> tuple[ModelProperty, ...]:
        """Properties that can be averaged, summed or plotted over time."""
        return tuple(p for p in self.properties if p.role is Role.MEASURE)


class Severity(StrEnum):
    """Whether a finding keeps an entity out."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing wrong with one property of one entity, and how to mend it; both sentences in Portuguese.

    `code` is stable ("missing", "type", "choice", "range", "format", "empty", "unit", "geometry", …): quarantine groups by it.
    """

    path: str
    code: str
    message: str
    mend: str
    severity: Severity = Severity.ERROR
    params: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ColumnFinding:
    """One thing wrong in a column, once for all the rows (from 0) that share it; `finding` quotes the first of them."""

    finding: Finding
    rows: Sequence[int]


@dataclass(frozen=True, slots=True)
class ColumnFindings:
    """What is wrong with a batch of `row_count` rows, grouped by property and sentence."""

    row_count: int
    groups: tuple[ColumnFinding, ...] = ()

    @property
    def refused(self) -> frozenset[int]:
        """The rows that an error keeps out."""
        return frozenset(row for group in self.groups if group.finding.severity is Severity.ERROR for row in group.rows)

    def by_row(self) -> dict[int, list[Finding]]:
        """The findings of each row that has any."""
        found: dict[int, list[Finding]] = {}
        for group in self.groups:
            for row in group.rows:
                found.setdefault(row, []).append(group.finding)
        return found


class ModelError(MalhaError):
    """Something about data models does not hold."""

    slug = "data-model"


class UnknownModel(ModelError, NotFound):
    """No data model has that type."""

    slug = "unknown-data-model"


class UnusableModel(ModelError, BadInput):
    """A schema that was imported cannot be understood."""

    slug = "unusable-data-model"
