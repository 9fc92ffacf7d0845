"""Tags and filters of the pages: `{% load malha %}`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, cast
from zoneinfo import ZoneInfo

from django import template
from django.http import HttpRequest
from django.template.context import Context
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language, gettext

from malha.kernel import formats
from malha.kernel.text import worded
from malha.kernel.time import LISBON
from malha.ui import icons, navigation, theme
from malha.ui.assets import manifest

register = template.Library()


def _language() -> str:
    return get_language() or "pt-pt"


def _zone(place: object) -> ZoneInfo:
    """The zone that `place` names: a tenant, a zone, the name of one, or nothing (Lisbon)."""
    if isinstance(place, ZoneInfo):
        return place
    if isinstance(place, str) and place:
        return ZoneInfo(place)
    zone = getattr(place, "zone", None)
    return zone if isinstance(zone, ZoneInfo) else LISBON


@register.filter
def said(kept: str) -> str:
    """A sentence that was stored, in the reader's language: `{{ run.error|said }}`."""
    return worded(str(kept or ""), gettext)


@register.simple_tag(takes_context=True)
def asset(context: Context, entry: str) -> SafeString:
    """The style sheets and the module of one entry of `web/src/entries`: `{% asset "map" %}`. Twice on a page is once.

    What the module imports is named too, so that browsers fetch it at once and not when they have read the module.
    """
    styles, scripts, imports = manifest.files(entry)
    nonce = context.get("csp_nonce", "")
    done = cast("dict[str, set[str]]", context.render_context).setdefault("malha_assets", set())
    tags = [format_html('<link rel="stylesheet" href="{}" nonce="{}">', static(path), nonce) for path in styles if path not in done]
    tags += [format_html('<link rel="modulepreload" href="{}" nonce="{}">', static(path), nonce) for path in imports if path not in done]
    tags += [format_html('<script type="module" src="{}" nonce="{}"></script>', static(path), nonce) for path in scripts if path not in done]
    done.update(styles, scripts, imports)
    return mark_safe("\n".join(tags))  # noqa: S308 -- each part was escaped by format_html


@register.simple_tag
def icon(name: str, size: int = 20) -> SafeString:
    """One of our icons, silent to screen readers."""
    return mark_safe(icons.svg(name, size))  # noqa: S308 -- drawn in our own table


@register.filter
def instant(value: datetime | None, tenant: object = None) -> str:
    """`22 nov. 2026, 14:05` in the tenant's zone."""
    return formats.instant(value, _zone(tenant), _language())


@register.filter
def instant_named(value: datetime | None, tenant: object = None) -> str:
    """As `instant`, saying whose hour it is: for pages where two zones meet."""
    return formats.instant(value, _zone(tenant), _language(), named=True)


@register.filter
def zone(place: object) -> str:
    """What people call the hours of a tenant: `hora dos Açores`."""
    return formats.zone_name(_zone(place), _language())


@register.filter
def clock(value: datetime | None, tenant: object = None) -> str:
    """`14:05` in the tenant's zone."""
    return formats.clock(value, _zone(tenant), _language()) if value else formats.NO_VALUE


@register.filter
def day(value: date | datetime | None, tenant: object = None) -> str:
    """`22 nov. 2026`; an instant is put into the tenant's zone first."""
    if value is None:
        return formats.NO_VALUE
    return formats.day(value.astimezone(_zone(tenant)) if isinstance(value, datetime) else value, _language())


@register.filter
def iso(value: datetime | None) -> str:
    """For the `datetime` attribute of `<time>`."""
    return value.isoformat() if value else ""


@register.filter
def number(value: float | None, decimals: int | None = None) -> str:
    """`12 345,6`; without decimals at most two."""
    return formats.number(value, None if decimals is None else int(decimals), _language())


@register.filter
def unit(code: str | None) -> str:
    """The symbol of a UN/CEFACT code: `GQ` is µg/m³."""
    return formats.unit(code)


@register.filter
def quantity(value: float | None, code: str | None) -> str:
    """A number with its unit."""
    return formats.quantity(value, code, None, _language())


@register.filter
def ago(value: datetime | None, tenant: object = None) -> str:
    """`há 5 minutos`; in a tenant whose clock stands (a recording) the instant itself, so that nobody takes it for today."""
    return formats.instant(value, _zone(tenant), _language()) if getattr(tenant, "clock", None) else formats.ago(value, _language())


@register.filter
def duration(value: float | None) -> str:
    """Seconds as `2 h 05 min`."""
    return formats.duration(value, _language())


@register.filter
def size(value: float | None) -> str:
    """Bytes as `1,5 MB`."""
    return formats.size(value, _language())


@register.filter
def item(mapping: Mapping[Any, Any] | Sequence[Any], key: Any) -> Any:
    """`mapping[key]`, or nothing."""
    try:
        return mapping[key]
    except (KeyError, IndexError, TypeError):
        return None


@register.simple_tag(takes_context=True)
def query(context: Context, **changes: object) -> str:
    """The query string of this page with some of it changed (None takes out): `?{% query page=2 %}`."""
    request: HttpRequest = context["request"]
    params = request.GET.copy()
    for name, value in changes.items():
        if value is None:
            params.pop(name, None)
        else:
            params[name] = str(value)
    return params.urlencode()


@register.simple_tag
def sparkline(points: Iterable[float | None], width: int = 120, height: int = 32) -> SafeString:
    """A small line without axes beside a value that says the same in words; gaps stay gaps."""
    values = list(points)
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return SafeString("")
    low, high = min(known), max(known)
    span, step = (high - low) or 1.0, width / (len(values) - 1)
    path, pen_down = [], False
    for index, value in enumerate(values):
        if value is None:
            pen_down = False
            continue
        path.append(f"{'L' if pen_down else 'M'}{index * step:.1f} {height - 2 - (value - low) / span * (height - 4):.1f}")
        pen_down = True
    return format_html(
        '<svg class="sparkline" viewBox="0 0 {} {}" width="{}" height="{}" preserveAspectRatio="none" aria-hidden="true" focusable="false"><path d="{}"/></svg>',
        int(width), int(height), int(width), int(height), "".join(path),
    )  # fmt: skip


@register.simple_tag(takes_context=True)
def theme_style(context: Context) -> SafeString:
    """The accent of the tenant as a style element; empty where it has none, or one that could not be read on white."""
    tenant = getattr(context.get("request"), "tenant", None)
    css = theme.css(getattr(tenant, "theme", None) or {})
    return format_html('<style nonce="{}">{}</style>', context.get("csp_nonce", ""), mark_safe(css)) if css else SafeString("")  # noqa: S308 -- digits only


@register.simple_tag(takes_context=True)
def frame(context: Context) -> dict[str, Any]:
    """What the frame shows on this request: rail, tenants, bell, ribbons; worked out once, however many templates ask."""
    request: HttpRequest | None = context.get("request")
    if request is None or getattr(request, "without_frame", False):
        return {"rail": [], "tenants": [], "manage": [], "ribbons": [], "bell": None, "home": "/", "keys": "on"}
    known: dict[str, Any] | None = getattr(request, "malha_frame", None)
    if known is None:
        known = _frame(request)
        request.malha_frame = known  # type: ignore[attr-defined]
    return known


def _frame(request: HttpRequest) -> dict[str, Any]:
    signed_in = bool(getattr(getattr(request, "user", None), "is_authenticated", False))
    tenant = getattr(request, "tenant", None)
    registry = navigation.registry
    inside = signed_in and tenant is not None
    alarms = registry.bell(request) if registry.bell and inside else None
    waiting = navigation.notices(request) if alarms else []
    cookies, room = request.COOKIES, navigation.ROOMS.get(navigation.current_room(request))
    return {
        "rail": navigation.rail(request) if inside else [],
        "manage": navigation.entries(request, "gestao") if inside else [],
        "room": room,
        "room_url": request.META.get("SCRIPT_NAME", "") + room.path if room else "",
        "tenants": list(registry.tenants(request)) if registry.tenants and signed_in else [],
        "bell": {"alarms": alarms, "notices": waiting, "count": alarms.count + len(waiting), "label": navigation.bell_label(alarms.count, len(waiting))}
        if alarms
        else None,
        "operator": {"name": registry.operator[0], "url": registry.operator[1]},
        "ribbons": [text for ribbon in registry.ribbons if (text := ribbon(request))],
        "signed_in": signed_in,
        "tenant": tenant,
        "home": request.META.get("SCRIPT_NAME", "") + "/",
        "keys": "off" if cookies.get("malha_keys") == "off" else "on",
        "theme": cookies.get("malha_theme") if cookies.get("malha_theme") in {"light", "dark"} else "",
    }
