"""Words of tabular data sets: tables that come whole, again and again, and keep their versions as rows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from malha.kernel.errors import BadInput, MalhaError, NotFound


@dataclass(frozen=True, slots=True)
class DataSet:
    """One table. `keys` are the columns that tell its rows apart (none: a row is all of itself); `version` is the newest."""

    id: int
    title: str
    keys: tuple[str, ...]
    created_at: datetime
    version: int
    rows: int


@dataclass(frozen=True, slots=True)
class Version:
    """One coming of a table, against the one before it. `source` names the file, `actor` who brought it."""

    version: int
    at: datetime
    actor: str
    source: str
    rows: int
    added: int
    changed: int
    removed: int


class Change(StrEnum):
    """What became of a row between two versions."""

    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"


@dataclass(frozen=True, slots=True)
class Difference:
    """One row of two versions: its values before and after (None where it was not there)."""

    change: Change
    before: tuple[str | None, ...] | None
    after: tuple[str | None, ...] | None


@dataclass(frozen=True, slots=True)
class Rows:
    """A page of a version in the order of its file: names of columns, rows, and how many there are in all."""

    columns: tuple[str, ...]
    rows: list[tuple[str | None, ...]]
    total: int


class SetError(MalhaError):
    """A table cannot be kept or read as asked."""

    slug = "data-set"


class UnknownSet(SetError, NotFound):
    """There is no such table, or no such version of it."""

    slug = "unknown-data-set"


class UnusableTable(SetError, BadInput):
    """The table cannot be told apart by the columns that were named."""

    slug = "unusable-table"
