"""What the frame shows: the rooms of the rail, the bell, the tenants that a person may move between.

Rooms register themselves in their `AppConfig.ready`; what stands beside `ui` in the layers (tenancy,
identity) is registered by the composition root.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from django.http import HttpRequest
from django.urls import NoReverseMatch, get_script_prefix, reverse
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

Visible = Callable[[HttpRequest], bool]


def _always(_request: HttpRequest) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Room:
    """One of the five doors of the rail, or the administration behind the person."""

    key: str
    label: str | Promise
    icon: str
    path: str


@dataclass(frozen=True, slots=True)
class Entry:
    """A page that a room offers: the first visible one opens the room, all are its index."""

    room: str
    label: str | Promise
    url_name: str
    visible: Visible = _always
    text: str | Promise = ""
    icon: str = ""
    order: int = 100

    def url(self) -> str:
        """Its address in the current tenant; empty when nobody serves it."""
        return _address(self.url_name, get_script_prefix())


@lru_cache(maxsize=4096)
def _address(url_name: str, _prefix: str) -> str:
    """Addresses do not change while a process runs; each tenant's path has its own."""
    try:
        return reverse(url_name)
    except NoReverseMatch:
        return ""


@dataclass(frozen=True, slots=True)
class TenantLink:
    """A municipality or community that the person may move to."""

    name: str
    url: str
    current: bool = False
    text: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that waits for this person behind the bell: an export that is ready."""

    text: str
    url: str


@dataclass(frozen=True, slots=True)
class Alarms:
    """What the bell says of alarms: how many ask for somebody, the newest one's number, their list."""

    count: int
    newest: int
    url: str


@dataclass(slots=True)
class Registry:
    """Everything that was registered in this process."""

    entries: list[Entry] = field(default_factory=list)
    bell: Callable[[HttpRequest], Alarms] | None = None
    notices: list[Callable[[HttpRequest], Iterable[Notice]]] = field(default_factory=list)
    tenants: Callable[[HttpRequest], Iterable[TenantLink]] | None = None
    operator: tuple[str, str] = ("", "")
    ribbons: list[Callable[[HttpRequest], str | Promise | None]] = field(default_factory=list)


ROOMS = {
    room.key: room
    for room in (
        Room("hoje", _("Hoje"), "today", "/"),
        Room("mapa", _("Mapa"), "map", "/mapa/"),
        Room("dados", _("Dados"), "data", "/dados/"),
        Room("paineis", _("Painéis"), "dashboards", "/paineis/"),
        Room("agir", _("Agir"), "act", "/agir/"),
        Room("gestao", _("Gestão"), "manage", "/gestao/"),
    )
}
RAIL = ("hoje", "mapa", "dados", "paineis", "agir")
registry = Registry()


def register(room: str, label: str | Promise, url_name: str, visible: Visible = _always, *, text: str | Promise = "", icon: str = "", order: int = 100) -> None:
    """Offer the page `url_name` in `room` (hoje, mapa, dados, paineis, agir, gestao) to whom `visible(request)` allows.

    A room shows in the rail when at least one of its pages is visible. `text` is one sentence for the
    room's index. Registering the same page again changes nothing.
    """
    if room not in ROOMS:
        raise ValueError(f"unknown room {room!r}: one of {', '.join(ROOMS)}")
    if not any(entry.url_name == url_name and entry.room == room for entry in registry.entries):
        registry.entries.append(Entry(room, label, url_name, visible, text, icon, order))


def register_bell(alarms: Callable[[HttpRequest], Alarms]) -> None:
    """`alarms(request)` gives how many alarms ask for somebody, and the address of their list."""
    registry.bell = alarms


def register_notices(notices: Callable[[HttpRequest], Iterable[Notice]]) -> None:
    """`notices(request)` gives what else waits for the person who asks: told by the bell, each with its address."""
    registry.notices.append(notices)


def notices(request: HttpRequest) -> list[Notice]:
    """Everything but alarms that waits for this person."""
    return [one for given in registry.notices for one in given(request)]


def bell_label(alarms: int, waiting: int) -> str:
    """What the bell says to whoever does not see it."""
    said = ngettext("%(count)s alarme por atender", "%(count)s alarmes por atender", alarms) % {"count": alarms}
    more = ngettext("%(count)s aviso para si", "%(count)s avisos para si", waiting) % {"count": waiting}
    return f"{said}, {more}" if waiting else said


def register_tenants(tenants: Callable[[HttpRequest], Iterable[TenantLink]]) -> None:
    """`tenants(request)` lists the municipalities that the person may move between."""
    registry.tenants = tenants


def register_operator(name: str, url: str) -> None:
    """Who operates the programme that this installation belongs to: named at the foot of every page."""
    registry.operator = (name, url)


def register_ribbon(ribbon: Callable[[HttpRequest], str | Promise | None]) -> None:
    """`ribbon(request)` gives a sentence for the top of every page ("gravação de …", "fictício"), or None."""
    registry.ribbons.append(ribbon)


def entries(request: HttpRequest, room: str) -> list[Entry]:
    """The pages of `room` that this reader may open, in order."""
    found = [entry for entry in registry.entries if entry.room == room and entry.url() and entry.visible(request)]
    return sorted(found, key=lambda entry: entry.order)


def current_room(request: HttpRequest) -> str:
    """The room that the address of this request belongs to; empty outside of them."""
    path = request.path_info
    if path == "/":
        return "hoje"
    first = path.removeprefix("/").partition("/")[0]
    return first if first in ROOMS else ""


@dataclass(frozen=True, slots=True)
class RailLink:
    """A room as the rail shows it."""

    room: Room
    url: str
    current: bool
    entries: list[Entry]


def rail(request: HttpRequest) -> list[RailLink]:
    """The rooms with something inside for this reader; at most five."""
    links: list[RailLink] = []
    here = current_room(request)
    for key in RAIL:
        pages = entries(request, key)
        if pages:
            room = ROOMS[key]
            prefix = request.META.get("SCRIPT_NAME", "")
            has_index = len(pages) > 1 or any(page.url() == f"{prefix}{room.path}" for page in pages)
            links.append(RailLink(room, f"{prefix}{room.path}" if has_index else pages[0].url(), key == here, pages if key == here else []))
    return links
