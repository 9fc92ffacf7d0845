"""The five steps of the first day, and how well the sources speak."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what, why, where, how long it takes, whether it is done."""

    key: str
    title: str
    text: str
    href: str
    minutes: int
    done: bool
    #: something that the page offers beside it: where it is sent, and what the button says
    offer_href: str = ""
    offer_label: str = ""


@dataclass(frozen=True, slots=True)
class Health:
    """When a kind of thing last spoke; late when that is longer ago than it usually takes."""

    type: str
    label: str
    count: int
    last: datetime
    late: bool


@dataclass(frozen=True, slots=True)
class Latest:
    """A record that changed just now."""

    uri: str
    type: str
    name: str
    at: datetime
    label: str = ""
    text: str = ""
