"""One search over places, entities, data sets, occurrences and pages: each room answers for its own things."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from django.db import DatabaseError, transaction
from django.http import HttpRequest
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from malha.kernel.errors import MalhaError
from malha.kernel.text import normalise
from malha.ui import navigation

LIMIT = 8
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Hit:
    """One thing that was found, with the page that shows it."""

    title: str
    url: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """What one room found; `failed` when it could not look just now."""

    label: str | Promise
    hits: Sequence[Hit]
    failed: bool = False


Provider = Callable[[HttpRequest, str, int], Sequence[Hit]]
_providers: dict[str, tuple[str | Promise, Provider, int]] = {}


def register(key: str, label: str | Promise, provider: Provider, *, order: int = 100) -> None:
    """Let `provider(request, text, limit)` answer for the things called `label`, within what the reader may see."""
    _providers[key] = (label, provider, order)


def find(request: HttpRequest, text: str, limit: int = LIMIT) -> list[Group]:
    """What every room finds for `text`; a room that fails says so and does not silence the others."""
    groups = []
    for label, provider, _order in sorted(_providers.values(), key=lambda known: known[2]):
        try:
            with transaction.atomic():
                hits = provider(request, text, limit)
        except (MalhaError, DatabaseError):
            log.exception("search in %s", label)
            groups.append(Group(label, (), failed=True))
        else:
            if hits:
                groups.append(Group(label, hits))
    return groups


def find_pages(request: HttpRequest, text: str, limit: int) -> list[Hit]:
    """The pages of the rooms whose name or sentence holds every word of `text`."""
    words = normalise(text).split()
    hits = []
    for room in navigation.ROOMS:
        for entry in navigation.entries(request, room):
            said = normalise(f"{navigation.ROOMS[room].label} {entry.label} {entry.text}")
            if all(word in said for word in words):
                hits.append(Hit(str(entry.label), entry.url(), str(entry.text or navigation.ROOMS[room].label)))
    return hits[:limit]


register("pages", _("Páginas"), find_pages, order=900)
