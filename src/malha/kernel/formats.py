"""How numbers, instants and spans of time are written for people: pt-PT first, English too.

One formatter of our own, because the locale of a machine or browser varies by version: `12 345,6` with a
no-break space from five digits on, `22 nov. 2026, 14:05`. `web/src/formats.ts` writes the same, by a test.
"""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal
from zoneinfo import ZoneInfo

from malha.kernel.time import LISBON, now

#: wide enough for the largest float written out
_EXACT = Context(prec=400, rounding=ROUND_HALF_UP)
NO_VALUE = "—"
NBSP = "\u00a0"
MONTHS = {
    "pt": ("jan.", "fev.", "mar.", "abr.", "mai.", "jun.", "jul.", "ago.", "set.", "out.", "nov.", "dez."),
    "en": ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sept", "Oct", "Nov", "Dec"),
}
#: how the zones of the country are called where two meet
ZONES = {
    "pt": {"Europe/Lisbon": "hora de Lisboa", "Atlantic/Azores": "hora dos Açores", "Atlantic/Madeira": "hora da Madeira", "UTC": "UTC"},
    "en": {"Europe/Lisbon": "Lisbon time", "Atlantic/Azores": "Azores time", "Atlantic/Madeira": "Madeira time", "UTC": "UTC"},
}
SEASONS = {"pt": ("hora de verão", "hora de inverno"), "en": ("summer time", "winter time")}
#: seconds, singular and plural of each span
SPANS = {
    "pt": ((31536000, "ano", "anos"), (2592000, "mês", "meses"), (86400, "dia", "dias"), (3600, "hora", "horas"), (60, "minuto", "minutos")),
    "en": ((31536000, "year", "years"), (2592000, "month", "months"), (86400, "day", "days"), (3600, "hour", "hours"), (60, "minute", "minutes")),
}
#: UN/CEFACT Recommendation 20 codes as people write them
UNITS = {
    "CEL": "°C", "FAH": "°F", "KEL": "K", "P1": "%", "GQ": "µg/m³", "GP": "mg/m³", "59": "ppm", "61": "ppb", "2N": "dB", "MTR": "m", "CMT": "cm",
    "MMT": "mm", "KMT": "km", "MTK": "m²", "KMK": "km²", "HAR": "ha", "MTQ": "m³", "LTR": "l", "MTS": "m/s", "KMH": "km/h", "DD": "°", "A97": "hPa", "PAL": "Pa",
    "MBR": "mbar", "KGM": "kg", "GRM": "g", "TNE": "t", "WTT": "W", "KWT": "kW", "KWH": "kWh", "MWH": "MWh", "VLT": "V", "AMP": "A", "LUX": "lx", "D54": "W/m²",
    "SEC": "s", "MIN": "min", "HUR": "h", "DAY": "d", "ANN": "a", "MQS": "m³/s", "L2": "l/min", "HTZ": "Hz", "C62": "", "EUR": "€", "JOU": "J", "28": "kg/m²",
    "E1": "", "H67": "mm/h",
}  # fmt: skip


def _short(language: str) -> str:
    return "en" if language.startswith("en") else "pt"


def number(value: float | Decimal | None, decimals: int | None = None, language: str = "pt") -> str:
    """`value` as people write it: `1234,5`, `12 345,6`; without `decimals`, at most two and no trailing zeros.

    Halves are rounded away from zero, on the digits that were sent. None and NaN are "—".
    """
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return NO_VALUE
    exact = value if isinstance(value, Decimal) else Decimal(repr(value) if isinstance(value, float) else value)
    rounded = _EXACT.quantize(exact, Decimal(1).scaleb(-(2 if decimals is None else decimals)))
    whole, _, fraction = f"{rounded.copy_abs():f}".partition(".")
    if decimals is None:
        fraction = fraction.rstrip("0")
    english = _short(language) == "en"
    if len(whole) > (3 if english else 4):
        whole = f"{int(whole):,}".replace(",", "," if english else NBSP)
    text = f"{whole}{'.' if english else ','}{fraction}" if fraction else whole
    return f"-{text}" if rounded < 0 else text


def unit(code: str | None) -> str:
    """The symbol of a UN/CEFACT unit code; a code that is not known is shown as it is."""
    return UNITS.get(code, code) if code else ""


def quantity(value: float | Decimal | None, unit_code: str | None, decimals: int | None = None, language: str = "pt") -> str:
    """A number with its unit, held together by a no-break space."""
    symbol = unit(unit_code)
    text = number(value, decimals, language)
    return f"{text}{NBSP}{symbol}" if symbol and text != NO_VALUE else text


def day(value: date, language: str = "pt") -> str:
    """A calendar day: `22 nov. 2026`."""
    return f"{value.day} {MONTHS[_short(language)][value.month - 1]} {value.year}"


def clock(value: datetime, zone: ZoneInfo = LISBON, language: str = "pt", *, seconds: bool = False) -> str:
    """The time of day in `zone`: `14:05`; in the doubled hour of October it says which of the two."""
    local = value.astimezone(zone)
    text = local.strftime("%H:%M:%S" if seconds else "%H:%M")
    other = local.replace(fold=1 - local.fold)
    if other.utcoffset() != local.utcoffset() and other.astimezone(UTC).astimezone(zone).replace(fold=0, tzinfo=None) == local.replace(fold=0, tzinfo=None):
        return f"{text} ({SEASONS[_short(language)][local.fold]})"
    return text


def zone_name(zone: ZoneInfo, language: str = "pt") -> str:
    """What people call a time zone: "hora dos Açores"."""
    return ZONES[_short(language)].get(zone.key, zone.key)


def instant(value: datetime | None, zone: ZoneInfo = LISBON, language: str = "pt", *, seconds: bool = False, named: bool = False) -> str:
    """An aware instant in `zone`: `22 nov. 2026, 14:05`; with `named`, also whose hour it is."""
    if value is None:
        return NO_VALUE
    local = value.astimezone(zone)
    text = f"{day(local, language)}, {clock(value, zone, language, seconds=seconds)}"
    return f"{text}, {zone_name(zone, language)}" if named else text


def ago(value: datetime | None, language: str = "pt", *, at: datetime | None = None) -> str:
    """How long before (or after) `at`, default now: `há 5 minutos`, `daqui a 3 dias`, `agora mesmo`."""
    if value is None:
        return NO_VALUE
    short = _short(language)
    seconds = ((at or now()) - value).total_seconds()
    for size, one, many in SPANS[short]:
        count = int(abs(seconds) // size)
        if count:
            span = f"{count} {one if count == 1 else many}"
            if short == "en":
                return f"{span} ago" if seconds > 0 else f"in {span}"
            return f"há {span}" if seconds > 0 else f"daqui a {span}"
    return "just now" if short == "en" else "agora mesmo"


def _tenths(value: float, language: str = "pt") -> str:
    """One decimal, and none where it would be zero."""
    return number(_EXACT.quantize(Decimal(repr(value)), Decimal("0.1")), None, language)


def duration(span: timedelta | float | None, language: str = "pt") -> str:
    """A span of time: `45 s`, `12 min`, `2 h 05 min`, `3 dias`. A number is in seconds."""
    if span is None:
        return NO_VALUE
    seconds = span.total_seconds() if isinstance(span, timedelta) else span
    if seconds < 60:
        return f"{_tenths(seconds, language) if seconds < 10 else number(seconds, 0, language)}{NBSP}s"
    if seconds < 3600:
        return f"{int(seconds // 60)}{NBSP}min"
    if seconds < 86400:
        hours, minutes = divmod(int(seconds // 60), 60)
        return f"{hours}{NBSP}h {minutes:02d}{NBSP}min" if minutes else f"{hours}{NBSP}h"
    days = int(seconds // 86400)
    one, many = SPANS[_short(language)][2][1:]
    return f"{days} {one if days == 1 else many}"


def size(count: float | None, language: str = "pt") -> str:
    """A number of bytes: `512 B`, `1,5 MB` (steps of 1000)."""
    if count is None:
        return NO_VALUE
    value, steps = float(count), ("B", "kB", "MB", "GB", "TB", "PB")
    for step in steps:
        if value < 1000 or step == steps[-1]:
            return f"{_tenths(value, language) if step != 'B' else number(value, 0, language)}{NBSP}{step}"
        value /= 1000
    raise AssertionError("unreachable")
