"""The 300 devices: where each stands and what is always true of it."""

from __future__ import annotations

from functools import cache

import numpy as np

from malha.packs.demo_town import geography, noise
from malha.packs.demo_town.contracts import KINDS, MARK, SEED, Device, DeviceKind, KindSpec

ORGANISATION = "vila-de-malha"
_WORDS = {
    DeviceKind.AIR: "Qualidade do ar",
    DeviceKind.NOISE: "Ruído",
    DeviceKind.WEATHER: "Estação meteorológica",
    DeviceKind.WASTE: "Contentor",
    DeviceKind.RIVER: "Ribeira da Lançadeira",
    DeviceKind.PARKING: "Parque de estacionamento",
}
_BRIDGES = ("Nascente", "Moinho Alto", "Açude de Cima", "Ponte Nova", "Ponte Velha", "Lavadouro", "Cais", "Açude de Baixo", "Moinho do Meio", "Foz")
DANGER_LEVEL_M = 2.0
ALERT_LEVEL_M = 1.5
#: from the bed of the stream to the sensor
REFERENCE_LEVEL_M = 4.0


@cache
def all_devices(seed: int = SEED) -> tuple[Device, ...]:
    """Every device, kind by kind."""
    return tuple(device for spec in KINDS for device in _of(spec, seed))


def of_kind(kind: DeviceKind, seed: int = SEED) -> list[Device]:
    """The devices of one kind, in order of their index."""
    return [device for device in all_devices(seed) if device.kind is kind]


def spec_of(kind: DeviceKind) -> KindSpec:
    """How devices of that kind speak."""
    return next(spec for spec in KINDS if spec.kind is kind)


def address(device: Device) -> dict[str, object]:
    """Where it is, in the form of the catalogue; the region is invented for a place that is nowhere."""
    return place_address(device.street)


def place_address(street: str) -> dict[str, object]:
    """The address of a street of the town."""
    return {
        "addressLocality": f"Vila de Malha {MARK}", "addressRegion": "Oeste e Vale do Tejo", "district": "Leiria",
        "addressCountry": "PT", "streetAddress": street,
    }  # fmt: skip


def _of(spec: KindSpec, seed: int) -> list[Device]:
    town = geography.town(seed)
    stream = 700 + list(DeviceKind).index(spec.kind)
    picks = noise.uniform(seed, stream, np.arange(spec.count, dtype=np.int64))
    river = geography.river_places(spec.count)
    devices = []
    for i in range(spec.count):
        street = town.streets[int((i + picks[i] * 0.8) / spec.count * len(town.streets)) % len(town.streets)]
        _, place = street.doors[int(picks[i] * len(street.doors))] if street.doors else (0, town.centre)
        where = street.name.removesuffix(f" {MARK}")
        if spec.kind is DeviceKind.RIVER:
            place, where = river[i], _BRIDGES[i]
        local = f"{spec.kind.name.lower()}-{i + 1:03d}"
        size = {DeviceKind.WASTE: (800, 1000, 1100, 2500, 3000)[i % 5], DeviceKind.PARKING: 40 + 20 * (i % 7)}.get(spec.kind, 0)
        name = f"{_WORDS[spec.kind]} — {where}" if spec.kind is not DeviceKind.WASTE else f"{_WORDS[spec.kind]} {i + 1} — {where}"
        devices.append(Device(spec.kind, i, f"urn:{ORGANISATION}:{spec.kind}:{local}", f"{name} {MARK}", place, street.name, street.parish, size))
    return devices
