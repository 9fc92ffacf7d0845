"""Days and months of a municipality's zone as instants."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo


@lru_cache(maxsize=20_000)
def day_start(day: date, zone: ZoneInfo) -> datetime:
    """The instant (UTC) at which `day` starts in `zone`.

    Where the clock jumps over midnight (Azores in March) the day starts at the jump; where midnight comes twice
    (Azores in October) it starts at the first.
    """
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)


def local_days(first: datetime, last: datetime, zone: ZoneInfo) -> list[tuple[datetime, datetime]]:
    """Start and end (UTC) of every day of `zone` that touches [first, last]."""
    day = first.astimezone(zone).date()
    until = last.astimezone(zone).date()
    days = []
    while day <= until:
        days.append((day_start(day, zone), day_start(day + timedelta(days=1), zone)))
        day += timedelta(days=1)
    return days


def local_months(first: datetime, last: datetime, zone: ZoneInfo) -> list[tuple[datetime, datetime]]:
    """Start and end (UTC) of every month of `zone` that touches [first, last]."""
    month = first.astimezone(zone).date().replace(day=1)
    until = last.astimezone(zone).date()
    months = []
    while month <= until:
        following = (month + timedelta(days=31)).replace(day=1)
        months.append((day_start(month, zone), day_start(following, zone)))
        month = following
    return months
