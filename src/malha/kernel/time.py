"""Instants: always aware, kept in UTC, shown in the zone of the municipality."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from time import time
from zoneinfo import ZoneInfo

LISBON = ZoneInfo("Europe/Lisbon")
#: how far ahead of this clock an observation may lie: forecasts look months ahead, a device whose clock went wrong decades
AHEAD = timedelta(days=366)


def now() -> datetime:
    """This instant in UTC."""
    return datetime.now(UTC)


def furthest_day() -> str:
    """The last day, as `2027-11-27`, on which an observation may lie."""
    return _furthest_day(int(time()) // 3600)


@lru_cache(maxsize=2)
def _furthest_day(_hour: int) -> str:
    return (now() + AHEAD).date().isoformat()


def parse_instant(text: str, *, zone: ZoneInfo = LISBON) -> datetime:
    """The instant that an ISO 8601 `text` names, in UTC; a text without offset is in `zone`.

    Raises ValueError where the text is no date and time (`2025-01-2T10:00`), or one before the year 1 or after 9999 in UTC.
    """
    value = datetime.fromisoformat(text)
    if value.tzinfo is None:
        value = value.replace(tzinfo=zone)
    try:
        return value.astimezone(UTC)
    except OverflowError as reason:
        raise ValueError(text) from reason


def format_instant(value: datetime) -> str:
    """ISO 8601 in UTC ending in `Z`, fractions only where there are some (GS CIM 009 §4.6.3)."""
    utc = value.astimezone(UTC).replace(tzinfo=None)
    text = utc.isoformat(timespec="seconds" if not utc.microsecond else "milliseconds" if utc.microsecond % 1000 == 0 else "microseconds")
    return f"{text}Z"
