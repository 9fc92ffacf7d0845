"""Buckets of any length from any instant on (GS CIM 009 §4.5.19). Pure."""

from __future__ import annotations

import calendar
from datetime import datetime, timedelta

from malha.history.temporal.contracts import Duration


def months_later(start: datetime, months: int) -> datetime:
    """The same day and time `months` later; the last day of the month where it has no such day."""
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    return start.replace(year=year, month=month + 1, day=min(start.day, calendar.monthrange(year, month + 1)[1]))


def bucket_bounds(origin: datetime, n: int, duration: Duration, until: datetime) -> tuple[datetime, datetime]:
    """Start and end of the `n`th bucket from `origin`; the whole period to `until` where the duration is zero."""
    if duration.months:
        return months_later(origin, n * duration.months), months_later(origin, (n + 1) * duration.months)
    if duration.microseconds:
        width = timedelta(microseconds=duration.microseconds)
        return origin + n * width, origin + (n + 1) * width
    return origin, until
