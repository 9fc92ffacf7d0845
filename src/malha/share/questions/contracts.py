"""What questions are about: fields of tables, and how a question is refused.

QuestionError
├── BadFilter 400       the question cannot be read, or names what is not there
└── NotSupported 501    the standard has it, this door does not
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from malha.kernel.errors import BadInput, MalhaError


class FieldType(StrEnum):
    """What a field holds; GEOMETRY is shown as WKT text where the reader has no geometry of its own."""

    TEXT = "text"
    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    INSTANT = "instant"
    DATE = "date"
    GEOMETRY = "geometry"


@dataclass(frozen=True, slots=True)
class Field:
    """One field. `name` is an identifier in every feed; `attribute` what the entity calls it; `member` where its value lies."""

    name: str
    type: FieldType
    attribute: str = ""
    member: str = "value"
    label: str = ""
    unit: str = ""
    description: str = ""
    required: bool = False


class Fields(Protocol):
    """A table as far as a question goes: it has a name, and fields by name."""

    @property
    def name(self) -> str:
        """What the table is called."""

    def find(self, name: str) -> Field | None:
        """The field called `name`."""


class QuestionError(MalhaError):
    """A question is refused."""

    slug = "question"


class BadFilter(QuestionError, BadInput):
    """The question cannot be read, or names what is not there."""

    slug = "hub-bad-filter"
    status = 400


class NotSupported(QuestionError):
    """The standard has it, this door does not."""

    slug = "hub-not-supported"
    status = 501
