"""What happened in the town: planted on the signals, and listed, so that an alarm can be shown to find each."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np

from malha.packs.demo_town import devices, noise
from malha.packs.demo_town.contracts import SEED, Device, DeviceKind, EventKind, Measure, PlantedEvent
from malha.packs.demo_town.noise import Integers, Numbers

DRIFT_PER_DAY = 0.25


def planted(end: datetime, seed: int = SEED) -> list[PlantedEvent]:
    """The events of the year that ends at `end`, oldest first."""
    of = {kind: [device.uri for device in devices.of_kind(kind, seed)] for kind in DeviceKind}
    air, sound, weather, waste, river, parking = (of[kind] for kind in DeviceKind)
    above, day = EventKind.ABOVE, timedelta(days=1)

    def event(
        name: str, title: str, attribute: str, uris: list[str], ago_days: float, hours: float, bound: float, level: float, kind: EventKind = above
    ) -> PlantedEvent:
        start = _on_the_hour(end - ago_days * day)
        model = uris[0].split(":")[2]
        return PlantedEvent(name, title, kind, model, attribute, tuple(uris), start, start + timedelta(hours=hours), bound, level)

    return sorted(
        [
            event("poeiras", "Poeiras do deserto sobre toda a vila", "pm10", air, 61, 54, 110, 150),
            event("no2-avenida", "Trânsito parado: dióxido de azoto alto", "no2", air[3:4], 22, 5, 200, 240),
            event("no2-ontem", "Dióxido de azoto alto junto à escola", "no2", air[7:8], 1.1, 3, 200, 225),
            event("festa", "Festa da Urdidura: ruído pela noite dentro", "LAeq", sound[:6], 98, 7, 75, 86),
            event("obra", "Obra na via: martelos todo o dia", "LAeq", sound[11:13], 34, 9, 80, 88),
            event("ruido-ontem", "Ruído persistente de noite", "LAeq", sound[20:21], 0.9, 3, 70, 78),
            event("onda-de-calor", "Onda de calor", "temperature", weather, 112, 30, 38, 40.5),
            event("chuva-forte", "Chuva muito forte", "precipitation", weather, 41, 4, 8, 11),
            event("cheia", "Cheia na Ponte Velha e a jusante", "currentLevel", river[4:], 40.8, 14, devices.DANGER_LEVEL_M, 2.6),
            event("cheia-ontem", "A ribeira subiu na Ponte Velha", "currentLevel", river[4:5], 1.3, 4, devices.DANGER_LEVEL_M, 2.31),
            event("recolha-falhada", "Recolha que não se fez: contentores cheios", "fillingLevel", waste[30:55], 12, 40, 0.95, 0.99),
            event("contentor-cheio", "Contentor cheio há mais de um dia", "fillingLevel", waste[101:103], 1.5, 36, 0.95, 0.99),
            event("feira", "Feira anual: parques cheios", "occupancy", parking[:5], 75, 10, 0.95, 0.98),
            event("sem-sinal-ruido", "Sonómetro sem dar sinal", "LAeq", sound[33:34], 1.2, 1.2 * 24, 0, 0, EventKind.SILENCE),
            event("sem-sinal-ribeira", "Sensor da ribeira esteve sem dar sinal", "currentLevel", river[8:9], 18, 30, 0, 0, EventKind.SILENCE),
            event("deriva", "Sensor de partículas a derivar", "pm25", air[12:13], 60, 60 * 24, 0, 0, EventKind.DRIFT),
        ],
        key=lambda one: (one.start, one.id),
    )


def plant(device: Device, what: Measure, seconds: Integers, values: Numbers, events: list[PlantedEvent], seed: int = SEED) -> Numbers:
    """`values` with what happened to this device put on top."""
    for event in events:
        if event.attribute != what.name or device.uri not in event.uris:
            continue
        during = _during(event, seconds)
        if not during.any():
            continue
        if event.kind is EventKind.ABOVE:
            wobble = 0.25 * (event.level - event.bound) * np.abs(noise.bell(seed, 5_000 + device.index, seconds))
            shown = np.clip(event.level + wobble, event.bound + 10.0**-what.decimals, 1.0 if event.bound < 1 else None)
            values = np.where(during, np.round(shown, what.decimals), values)
        elif event.kind is EventKind.DRIFT:
            days = (seconds - event.start.timestamp()) / 86_400
            values = np.where(during, np.round(values + DRIFT_PER_DAY * days, what.decimals), values)
    return values


def silenced(device: Device, seconds: Integers, events: list[PlantedEvent]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Where a planted silence takes the device's values away."""
    silent = np.zeros(len(seconds), dtype=np.bool_)
    for event in events:
        if event.kind is EventKind.SILENCE and device.uri in event.uris:
            silent |= _during(event, seconds)
    return silent


def kept_whole(device: Device, what: Measure, seconds: Integers, events: list[PlantedEvent]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Where no gap may fall, so that the planted event can be found from its first value to its last."""
    whole = np.zeros(len(seconds), dtype=np.bool_)
    for event in events:
        if event.kind is EventKind.ABOVE and event.attribute == what.name and device.uri in event.uris:
            whole |= _during(event, seconds)
    return whole


def _during(event: PlantedEvent, seconds: Integers) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.asarray((seconds >= event.start.timestamp()) & (seconds < event.end.timestamp()), dtype=np.bool_)


def _on_the_hour(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
