"""One line of *Ligações*."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Kind(StrEnum):
    """What speaks."""

    PROGRAM = "programa"
    KEY = "chave"
    DOOR = "porta"
    SUBSCRIPTION = "subscricao"
    SOURCE = "fonte"


class Status(StrEnum):
    """How it fares; the order is that of the page."""

    FAILING = "failing"
    EXPIRED = "expired"
    ACTIVE = "active"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class Action:
    """A button: where it posts, what it says; `final` for what cannot be taken back."""

    url: str
    value: str
    label: str
    final: bool = False


@dataclass(frozen=True, slots=True)
class Connection:
    """One connection. `heard_at` is when it was last heard, or when something last reached it; `error` is in words."""

    kind: Kind
    name: str
    what: str
    status: Status
    heard_at: datetime | None
    until: datetime | None
    url: str = ""
    error: str = ""
    actions: tuple[Action, ...] = ()
