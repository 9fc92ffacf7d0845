"""How one value is written in the formats that hold text."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec

from malha.kernel.time import format_instant

#: what a spreadsheet would run when a text cell begins with it (OWASP, CSV injection)
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def guarded(text: str) -> str:
    """`text` that a spreadsheet shows instead of running; our own reader takes the apostrophe off again."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def canonical(value: object) -> str:
    """`value` for machines: point as decimal sign, instants in UTC, objects as JSON; a missing value is empty."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return "" if math.isnan(value) else repr(value)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, datetime):
        return format_instant(value)
    if isinstance(value, str):
        return guarded(value)
    return msgspec.json.encode(value).decode()


def readable(value: object, zone: ZoneInfo, language: str) -> str:
    """`value` for people, on paper, in the zone of the municipality: in Portuguese as its Excel has it, in English with a decimal point."""
    if not language.startswith("en"):
        return portuguese(value, zone)
    return value.astimezone(zone).strftime("%Y-%m-%d %H:%M:%S") if isinstance(value, datetime) else canonical(value)


def portuguese(value: object, zone: ZoneInfo) -> str:
    """`value` for a Portuguese Excel: decimal comma, day first, in the zone of the municipality."""
    if isinstance(value, bool):
        return "VERDADEIRO" if value else "FALSO"
    if isinstance(value, float):
        return "" if math.isnan(value) else repr(value).replace(".", ",")
    if isinstance(value, datetime):
        return value.astimezone(zone).strftime("%d/%m/%Y %H:%M:%S")
    return canonical(value)


def plain(value: object) -> object:
    """`value` as JSON has it."""
    if isinstance(value, datetime):
        return format_instant(value)
    if isinstance(value, float) and math.isnan(value):
        return None
    return value


def naive_local(value: datetime, zone: ZoneInfo) -> datetime:
    """The wall clock of `zone`, without offset, for formats that know no zones."""
    return value.astimezone(zone).replace(tzinfo=None)


def naive_utc(value: datetime) -> datetime:
    """The same instant in UTC, without offset."""
    return value.astimezone(UTC).replace(tzinfo=None)
