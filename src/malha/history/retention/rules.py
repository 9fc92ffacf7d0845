"""Periods of retention as instants: pure."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from malha.history.retention.contracts import UnusablePeriod
from malha.kernel.text import msg

_PERIOD = re.compile(r"P([1-9]\d{0,3})([DMY])")
#: shorter would take away what charts and alarms of the day still read
SHORTEST_DAYS = 7


def cutoff(keep: str, now: datetime, zone: ZoneInfo) -> datetime | None:
    """The start of the local day before which values go; None where they stay for good. Raises UnusablePeriod."""
    if not keep:
        return None
    met = _PERIOD.fullmatch(keep)
    if met is None:
        raise UnusablePeriod(msg("“{keep}” não é um período: escreva por exemplo P90D, P18M ou P5Y."), keep=keep)
    count, unit = int(met[1]), met[2]
    today = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    if unit == "D":
        day = (today.replace(tzinfo=None) - timedelta(days=count)).replace(tzinfo=zone)
    else:
        months = today.year * 12 + today.month - 1 - count * (12 if unit == "Y" else 1)
        day = _on(months // 12, months % 12 + 1, today)
    if now - day < timedelta(days=SHORTEST_DAYS):
        raise UnusablePeriod(msg("O mais curto são {days} dias."), days=SHORTEST_DAYS)
    return day


def _on(year: int, month: int, today: datetime) -> datetime:
    for day in (today.day, 30, 29, 28):
        try:
            return today.replace(year=year, month=month, day=day)
        except ValueError:
            continue
    raise AssertionError
