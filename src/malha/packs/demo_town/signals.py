"""What the devices measure: seasons, days, weeks, rain and people, as functions of seed, device and instant.

Instants are whole epoch seconds on a regular grid; every function gives one value per instant. Magnitudes are those
of a small town on the Portuguese coast: plausible, and invented.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from malha.packs.demo_town import noise
from malha.packs.demo_town.contracts import ZONE, Device, DeviceKind, Measure
from malha.packs.demo_town.noise import Integers, Numbers, as_numbers

DAY = 86_400
HOUR = 3_600
STORM_GRID = 1_800
#: the river remembers rain for this long
MEMORY_SECONDS = 72 * HOUR


class Moments:
    """Instants with what the town feels of them: local hour, weekday, season, rain."""

    def __init__(self, seed: int, seconds: Integers) -> None:
        self.seed = seed
        self.seconds = seconds
        local = seconds + _offsets(seconds)
        self.hour: Numbers = (local % DAY) / HOUR
        self.local_day: Integers = local // DAY
        self.weekday: Integers = (self.local_day + 3) % 7  # the epoch was a Thursday; 0 is Monday
        self.weekend = self.weekday >= 5
        self.season: Numbers = -np.cos(2 * np.pi * (seconds / DAY - 15) / 365.25)  # -1 in mid January, 1 in mid July
        self.sun: Numbers = np.clip(np.sin(np.pi * (self.hour - 6.5) / 13.0), 0, None) * (self.hour > 6.5) * (self.hour < 19.5)
        self.rush: Numbers = (_bump(self.hour, 8.4, 1.1) + 0.9 * _bump(self.hour, 18.2, 1.4)) * np.where(self.weekend, 0.35, 1.0)
        self.busy: Numbers = _bump(self.hour, 14.0, 4.5)
        self.night_out: Numbers = (_bump(self.hour, 23.0, 1.8) + _bump(self.hour, 0.5, 1.5)) * np.where((self.weekday >= 4), 1.0, 0.25)
        self.storm: Numbers = rain(seed, seconds)


def measure(device: Device, what: Measure, moments: Moments) -> Numbers:
    """What `device` would say of `what` at these moments, before events are planted and gaps torn."""
    values = _SIGNALS[device.kind](device, what.name, moments)
    return np.round(values, what.decimals)


def heard(device: Device, what: Measure, moments: Moments) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Whether the value arrived: now and then one is lost, and some weeks a device is silent for hours."""
    stream = _stream(device, 90)
    week = moments.seconds // (7 * DAY)
    failing = noise.uniform(moments.seed, stream, week) < 0.12
    begins = noise.uniform(moments.seed, stream + 1, week) * 6 * DAY
    lasts = (1 + 20 * noise.uniform(moments.seed, stream + 2, week) ** 2) * HOUR
    into = moments.seconds - week * 7 * DAY
    silent = failing & (into >= begins) & (into < begins + lasts)
    lost = noise.uniform(moments.seed, stream + 3 + _place_of(what.name), moments.seconds) < 0.003
    return ~silent & ~lost


def rain(seed: int, seconds: Integers) -> Numbers:
    """Millimetres in half an hour: storms come on some days, more of them in winter, and pass within hours."""
    total = np.zeros(len(seconds))
    first, last = int(seconds[0]) // DAY - 1, int(seconds[-1]) // DAY + 1
    days = np.arange(first, last + 1, dtype=np.int64)
    chance = 0.15 - 0.11 * -np.cos(2 * np.pi * (days - 15) / 365.25)
    stormy = days[noise.uniform(seed, 1, days) < chance]
    for day, middle, width, peak in zip(
        stormy, noise.uniform(seed, 2, stormy), 1.2 + 3 * noise.uniform(seed, 3, stormy), 0.6 + 3.2 * noise.uniform(seed, 4, stormy) ** 2, strict=True
    ):
        centre = (int(day) + middle) * DAY
        low, high = np.searchsorted(seconds, [centre - 4 * width * HOUR, centre + 4 * width * HOUR])
        total[low:high] += peak * np.exp(-0.5 * ((seconds[low:high] - centre) / (width * HOUR)) ** 2)
    return np.where(total < 0.05, 0.0, total)


def _weather(device: Device, name: str, at: Moments) -> Numbers:
    stream = _stream(device, 0)
    if name == "precipitation":
        return at.storm * (0.8 + 0.4 * noise.uniform(at.seed, stream, at.seconds))
    if name == "windSpeed":
        return np.clip(
            3.2
            + 1.6 * at.sun
            + 5 * np.clip(at.storm, 0, 2)
            + 1.3 * noise.smooth(at.seed, 11, at.seconds, 5 * HOUR)
            + 0.4 * noise.bell(at.seed, stream + 1, at.seconds),
            0,
            None,
        )
    temperature = (
        15.5 + 5.5 * at.season + (3.5 + 1.5 * at.season) * np.sin(2 * np.pi * (at.hour - 9.2) / 24) + 2.2 * noise.smooth(at.seed, 10, at.seconds, 3 * DAY)
    )
    temperature += -1.2 * np.clip(at.storm, 0, 2) + 0.5 * noise.smooth(at.seed, 12, at.seconds, 4 * HOUR) + 0.3 * (device.index - 4.5) / 4.5
    if name == "temperature":
        return temperature + 0.12 * noise.bell(at.seed, stream + 2, at.seconds)
    return np.clip(0.74 - 0.017 * (temperature - 15.5) + 0.15 * np.clip(at.storm, 0, 1.2) + 0.02 * noise.bell(at.seed, stream + 3, at.seconds), 0.12, 1.0)


def _air(device: Device, name: str, at: Moments) -> Numbers:
    stream = _stream(device, 0)
    busy = 0.6 + 0.8 * noise.uniform(at.seed, stream, np.array([0]))[0]  # how near the traffic it stands
    haze = noise.smooth(at.seed, 20, at.seconds, 30 * HOUR)
    washed = 1 / (1 + 1.5 * at.storm)
    hearth = np.clip(-at.season, 0, 1) * _bump(at.hour, 21.0, 2.5)
    if name == "no2":
        return as_numbers(np.clip((9 + 24 * busy * at.rush + 5 * at.busy + 3 * haze) * washed + 1.2 * noise.bell(at.seed, stream + 1, at.seconds), 1, None))
    if name == "o3":
        return as_numbers(
            np.clip(44 + 32 * at.sun * (1 + 0.4 * at.season) - 14 * busy * at.rush + 6 * haze + 2 * noise.bell(at.seed, stream + 2, at.seconds), 2, None)
        )
    pm10 = np.clip((15 + 9 * busy * at.rush + 4 * at.busy + 12 * hearth + 4 * haze) * washed + 1.0 * noise.bell(at.seed, stream + 3, at.seconds), 2, None)
    return as_numbers(pm10 if name == "pm10" else np.clip(0.52 * pm10 + 3 * hearth + 0.6 * noise.bell(at.seed, stream + 4, at.seconds), 1, None))


def _noise(device: Device, name: str, at: Moments) -> Numbers:
    _ = name
    stream = _stream(device, 0)
    street, bars = noise.uniform(at.seed, stream, np.arange(2, dtype=np.int64))
    quiet = 39 + 8 * street
    level = quiet + 11 * np.sqrt(at.busy) + 5 * at.rush + (9 * at.night_out if bars > 0.8 else 0) + 2.5 * np.clip(at.storm, 0, 2)
    return as_numbers(
        np.clip(level + 0.8 * noise.smooth(at.seed, stream + 1, at.seconds, 2 * HOUR) + 1.1 * noise.bell(at.seed, stream + 2, at.seconds), 30, 110)
    )


def _waste(device: Device, name: str, at: Moments) -> Numbers:
    """Fills by the day, is emptied on collection mornings; nobody comes on Sundays, and now and then a container is missed."""
    _ = name
    stream = _stream(device, 0)
    per_day = 0.20 + 0.16 * noise.uniform(at.seed, stream, np.array([0]))[0]
    last = _last_collection(device, at)
    cycle = last // DAY
    eaten = np.clip((at.seconds - last) / DAY, 0, None)
    rhythm = 0.06 * np.sin(2 * np.pi * (at.hour - 15) / 24)
    fill = per_day * (0.85 + 0.3 * noise.uniform(at.seed, stream + 1, cycle)) * (eaten + rhythm * np.clip(eaten, 0, 1))
    fill *= np.where(at.weekend, 1.08, 1.0)
    return as_numbers(np.clip(fill + 0.02 + 0.008 * noise.bell(at.seed, stream + 2, at.seconds), 0, 0.92))


def _last_collection(device: Device, at: Moments) -> Integers:
    """The latest collection before each moment: two days apart by parity of the week's days, at six in the morning."""
    turn = device.index % 2
    round_at = 5 * HOUR + (device.index % 40) * 180
    offset = at.local_day * DAY + (at.hour * HOUR).astype(np.int64) - at.seconds
    day = at.local_day
    last = np.full(len(at.seconds), -1, dtype=np.int64)
    for back in range(8):
        candidate = day - back
        weekday = (candidate + 3) % 7
        collected = (weekday != 6) & ((weekday % 2 == turn) | (weekday == 5))
        collected &= noise.uniform(at.seed, _stream(device, 5), candidate) > 0.03
        instant = candidate * DAY + round_at - offset
        last = np.where((last < 0) & collected & (instant <= at.seconds), instant, last)
    return np.where(last < 0, at.seconds - 7 * DAY, last)


def _river(device: Device, name: str, at: Moments) -> Numbers:
    """The level follows the rain of the last three days, later and higher further down."""
    _ = name
    first = int(at.seconds[0]) - MEMORY_SECONDS
    grid = np.arange(first - first % STORM_GRID, int(at.seconds[-1]) + STORM_GRID, STORM_GRID, dtype=np.int64)
    lags = np.arange(0, MEMORY_SECONDS, STORM_GRID) / HOUR
    delay = 1.0 + 0.5 * device.index
    response = np.where(lags >= delay, np.exp(-(lags - delay) / 11.0), 0.0)
    flow = np.convolve(rain(at.seed, grid), response)[: len(grid)]
    level = 0.35 + 0.02 * device.index - 0.08 * at.season + 0.016 * np.interp(at.seconds, grid, flow)
    return as_numbers(np.clip(level + 0.008 * noise.bell(at.seed, _stream(device, 0), at.seconds), 0.05, 1.45))


def _parking(device: Device, name: str, at: Moments) -> Numbers:
    _ = name
    stream = _stream(device, 0)
    want = 0.45 + 0.4 * noise.uniform(at.seed, stream, np.array([0]))[0]
    market = np.where((at.weekday == 5) & (at.hour < 14), 0.25, 0.0)
    taken = (
        0.08 + want * at.busy * np.where(at.weekend, 0.55, 1.0) + 0.18 * at.rush + market * at.busy + 0.03 * noise.smooth(at.seed, stream + 1, at.seconds, HOUR)
    )
    return as_numbers(np.round(np.clip(taken, 0, 1) * device.size) / device.size)


_SIGNALS = {
    DeviceKind.WEATHER: _weather, DeviceKind.AIR: _air, DeviceKind.NOISE: _noise,
    DeviceKind.WASTE: _waste, DeviceKind.RIVER: _river, DeviceKind.PARKING: _parking,
}  # fmt: skip


def _stream(device: Device, use: int) -> int:
    """A stream of chance of the device's own."""
    return 10_000 + 1_000_000 * list(DeviceKind).index(device.kind) + 1_000 * device.index + use


def _place_of(name: str) -> int:
    return sum(map(ord, name)) % 89


def _bump(hour: Numbers, centre: float, width: float) -> Numbers:
    away = np.abs(hour - centre)
    away = np.minimum(away, 24 - away)
    return as_numbers(np.exp(-0.5 * (away / width) ** 2))


def _offsets(seconds: Integers) -> Integers:
    """Seconds that the town's clock is ahead of UTC."""
    hours = seconds // HOUR
    unique, where = np.unique(hours, return_inverse=True)
    zone = ZoneInfo(ZONE)
    shift = np.array(
        [int((datetime.fromtimestamp(int(hour) * HOUR, UTC).astimezone(zone).utcoffset() or timedelta()).total_seconds()) for hour in unique], dtype=np.int64
    )
    return np.asarray(shift[where], dtype=np.int64)
