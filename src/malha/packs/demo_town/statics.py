"""What does not move: devices as they are registered, houses, occurrences, the stories of the civil protection."""

from __future__ import annotations

from datetime import datetime, timedelta

import numpy as np

from malha.context.store.contracts import Column, EntityTable
from malha.packs.demo_town import devices, geography, noise
from malha.packs.demo_town.contracts import KINDS, MARK, NAME, SEED, Device, DeviceKind, KindSpec

INCIDENTS = 140
_CATEGORIES = (
    ("Recolha de Lixo", "Lixo fora do contentor"),
    ("Conservação das Ruas e Pavimento", "Buraco no pavimento"),
    ("Conservação da iluminação Pública", "Candeeiro apagado"),
    ("Limpeza e Conservação de Espaços Públicos", "Ervas altas no passeio"),
    ("Manutenção e Limpeza de Contentores e Ecopontos", "Ecoponto por lavar"),
    ("Poluição Sonora", "Ruído a desoras"),
    ("Saneamento, Ruturas de Águas ou Desvio de Tampas", "Tampa de saneamento solta"),
    ("Sinalização de Trânsito", "Sinal tombado"),
    ("Animais Abandonados", "Cão sem dono"),
    ("Manutenção, Rega e Limpeza de Jardins", "Rega avariada"),
)
_URGENCIES = ("P3", "P3", "P4", "P2", "P3", "P1")
_SEVERITIES = {"P1": "high", "P2": "moderate", "P3": "low", "P4": "low"}


def registrations(spec: KindSpec, seed: int = SEED) -> EntityTable:
    """The devices of a kind as the municipality registered them, before they say anything."""
    all_of_kind = devices.of_kind(spec.kind, seed)
    columns = [
        Column("name", [device.name for device in all_of_kind]),
        Column("location", [_point(device.place) for device in all_of_kind], kind="GeoProperty"),
        Column("address", [devices.address(device) for device in all_of_kind]),
        Column("areaServed", [device.parish for device in all_of_kind]),
        Column("dataProvider", [NAME] * len(all_of_kind)),
        *(Column(name, [_fact(device, fact) for device in all_of_kind], kind=kind, unit=unit) for name, fact, kind, unit in _FACTS[spec.kind]),
    ]
    return EntityTable(spec.kind.value, [device.uri for device in all_of_kind], columns)


def all_registrations(seed: int = SEED) -> list[EntityTable]:
    """Every device, one batch a kind."""
    return [registrations(spec, seed) for spec in KINDS]


def buildings(seed: int = SEED) -> EntityTable:
    """The houses of the town."""
    houses = geography.town(seed).buildings
    return EntityTable(
        "Building",
        [f"urn:{devices.ORGANISATION}:Building:{house.number:05d}" for house in houses],
        [
            Column("name", [f"{house.street.removesuffix(f' {MARK}')}, {house.door} {MARK}" for house in houses]),
            Column("location", [house.polygon for house in houses], kind="GeoProperty"),
            Column("floorsAboveGround", [house.storeys for house in houses]),
            Column("areaServed", [house.parish for house in houses]),
        ],
    )


def incidents(end: datetime, seed: int = SEED) -> EntityTable:
    """Occurrences that inhabitants of the town reported in the last two months, most of them closed."""
    numbers = np.arange(INCIDENTS, dtype=np.int64)
    ages = noise.uniform(seed, 40, numbers) ** 1.5 * 60
    picks, speeds = noise.uniform(seed, 41, numbers), noise.uniform(seed, 42, numbers)
    streets = geography.town(seed).streets
    rows = []
    for i in numbers:
        category, what = _CATEGORIES[int(picks[i] * 7919) % len(_CATEGORIES)]
        street = streets[int(picks[i] * len(streets))]
        start = (end - timedelta(days=float(ages[i]))).replace(microsecond=0)
        closed = start + timedelta(hours=4 + 150 * float(speeds[i]))
        status = "closed" if closed < end else "in progress" if ages[i] > 1 else "dispatch"
        urgency = _URGENCIES[int(speeds[i] * 97) % len(_URGENCIES)]
        place = street.doors[int(speeds[i] * len(street.doors))][1] if street.doors else geography.CENTRE
        rows.append((int(i), category, f"{what} — {street.name}", street, start, closed if status == "closed" else None, status, urgency, place))
    return EntityTable(
        "Incident",
        [f"urn:{devices.ORGANISATION}:Incident:{row[0] + 1:04d}" for row in rows],
        [
            Column("name", [row[2] for row in rows]),
            Column("category", [row[1] for row in rows]),
            Column("status", [row[6] for row in rows]),
            Column("urgencyLevel", [row[7] for row in rows]),
            Column("severity", [_SEVERITIES[row[7]] for row in rows]),
            Column("dateCreated", [row[4] for row in rows]),
            Column("startDate", [row[4] for row in rows]),
            Column("endDate", [row[5] for row in rows]),
            Column("address", [devices.place_address(row[3].name) for row in rows]),
            Column("areaServed", [row[3].parish for row in rows]),
            Column("dataProvider", [NAME] * len(rows)),
            Column("location", [_point(row[8]) for row in rows], kind="GeoProperty"),
        ],
        observed_at=[row[5] or row[4] for row in rows],
    )


def emergencies(end: datetime, seed: int = SEED) -> EntityTable:
    """What the fire brigade of the town went out for."""
    town = geography.town(seed)
    stories = [
        ("Cheia", 2303, "Cheia na Ponte Velha", 40.7, 18, "Alto", town.centre),
        ("Vento forte", 2301, "Árvore caída na estrada da Lançadeira", 40.9, 3, "Médio", town.parishes[4].centre),
        ("Onda de calor", 2307, "Onda de calor: apoio a pessoas isoladas", 112, 40, "Médio", town.parishes[0].centre),
        ("Incêndio em edifícios habitacionais", 2101, "Incêndio numa cozinha", 15.3, 4, "Baixo", town.parishes[1].centre),
        ("Cheia", 2303, "Vigilância da ribeira na Ponte Velha", 1.25, 0, "Baixo", town.centre),
    ]
    starts = [(end - timedelta(days=story[3])).replace(microsecond=0) for story in stories]
    ends = [start + timedelta(hours=story[4]) if story[4] else None for start, story in zip(starts, stories, strict=True)]
    return EntityTable(
        "EmergencyIncident",
        [f"urn:{devices.ORGANISATION}:EmergencyIncident:{i + 1:03d}" for i in range(len(stories))],
        [
            Column("name", [f"{story[2]} {MARK}" for story in stories]),
            Column("incidentType", [story[0] for story in stories]),
            Column("incidentCode", [story[1] for story in stories]),
            Column("status", ["Encerrado" if at else "Vigilância" for at in ends]),
            Column("severity", [story[5] for story in stories]),
            Column("dateCreated", starts),
            Column("dateModified", [at or start for at, start in zip(ends, starts, strict=True)]),
            Column("startDate", starts),
            Column("endDate", ends),
            Column("resourcesDeployed", [[{"resourceType": "Operacionais", "quantity": 4 + 3 * i}] for i in range(len(stories))]),
            Column("address", [devices.place_address(f"Vila de Malha {MARK}")] * len(stories)),
            Column("dataProvider", [NAME] * len(stories)),
            Column("location", [_point(story[6]) for story in stories], kind="GeoProperty"),
        ],
        observed_at=starts,
    )


type _Fact = tuple[str, object, str, str]
_FACTS: dict[DeviceKind, tuple[_Fact, ...]] = {
    DeviceKind.AIR: (("refPointOfInterest", "poi", "Relationship", ""), ("typeofLocation", "outdoor", "Property", "")),
    DeviceKind.NOISE: (("sonometerClass", "1", "Property", ""),),
    DeviceKind.WEATHER: (),
    DeviceKind.WASTE: (
        ("binCapacity", "size", "Property", "LTR"), ("binColor", "verde", "Property", ""), ("binFullnessThreshold", 0.8, "Property", ""),
        ("status", "ok", "Property", ""), ("storedWasteKind", "kind", "Property", ""), ("binId", "number", "Property", ""),
    ),
    DeviceKind.RIVER: (
        ("referenceLevel", devices.REFERENCE_LEVEL_M, "Property", "MTR"), ("alertLevel", devices.ALERT_LEVEL_M, "Property", "MTR"),
        ("dangerLevel", devices.DANGER_LEVEL_M, "Property", "MTR"), ("stationID", "number", "Property", ""),
    ),
    DeviceKind.PARKING: (("totalSpotNumber", "size", "Property", ""), ("parkingSiteId", "number", "Property", "")),
}  # fmt: skip
_WASTE_KINDS = ("other", "other", "paper", "plastic", "glass")


def _fact(device: Device, fact: object) -> object:
    if fact == "size":
        return device.size
    if fact == "number":
        return f"{device.kind.name[0]}{device.index + 1:03d}"
    if fact == "kind":
        return _WASTE_KINDS[device.index % len(_WASTE_KINDS)]
    if fact == "poi":
        return f"urn:{devices.ORGANISATION}:PointOfInterest:{device.kind.name.lower()}-{device.index + 1:03d}"
    return fact


def _point(place: tuple[float, float]) -> dict[str, object]:
    return {"type": "Point", "coordinates": list(place)}
