"""A small town with two days of data, packs on, for tests that look at boards."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from malha.context.store import service as store
from malha.context.store.contracts import Column, EntityTable, WriteOptions
from malha.foundation.database import service as database
from malha.foundation.events import queries as outbox
from malha.insight.alerts import events
from malha.kernel import time
from malha.packs.registry import service as packs

WEST, SOUTH, EAST, NORTH = -8.95, 39.40, -8.85, 39.46
RIVER = "urn:vila:FloodMonitoring:ponte-velha"


def rows_of(conn, tenant, entity_type, attribute, names, values, *, unit="", step_minutes=30, hours=50, live=False, at=None, extra=()):
    """Write a series for each name: `values(thing, hour)`; places lie on a grid within the extent."""
    now = at or time.now()
    uris, moments, numbers, labels, places = [], [], [], [], []
    for index, name in enumerate(names):
        place = {"type": "Point", "coordinates": [WEST + 0.01 + (index * 37 % 80) / 1000, SOUTH + 0.008 + (index * 53 % 45) / 1000]}
        for step in range(int(hours * 60 / step_minutes), -1, -1):
            moment = now - timedelta(minutes=step * step_minutes)
            uris.append(f"urn:vila:{entity_type}:{name.lower().replace(' ', '-')}")
            moments.append(moment)
            numbers.append(values(index, moment.hour + moment.minute / 60))
            labels.append(name)
            places.append(place)
    columns = [Column(attribute, numbers, unit=unit), Column("name", labels), Column("location", places, kind="GeoProperty"), *extra]
    store.upsert_table(conn, tenant.id, EntityTable(entity_type, uris, columns, observed_at=moments), WriteOptions(live=live))


def fill(tenant) -> None:
    """Two days of air, noise, weather, waste and river; all three packs on."""
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        for name in ("air_noise", "waste", "civil_protection"):
            packs.switch_on(conn, tenant.id, name)
        rows_of(
            conn,
            tenant,
            "AirQualityObserved",
            "pm10",
            ["Escola Nova", "Rossio", "Zona Industrial", "Hospital"],
            lambda i, h: round(18 + 6 * i + 8 * math.sin(h / 3.8), 1),
            unit="GQ",
        )
        rows_of(
            conn,
            tenant,
            "AirQualityObserved",
            "no2",
            ["Escola Nova", "Rossio", "Zona Industrial", "Hospital"],
            lambda i, h: round(22 + 5 * i + 12 * math.sin(h / 4), 1),
            unit="GQ",
        )
        rows_of(
            conn,
            tenant,
            "NoiseLevelObserved",
            "LAeq",
            ["Avenida", "Mercado", "Largo da Igreja"],
            lambda i, h: round(58 + 3 * i + 6 * math.sin((h - 9) / 4), 1),
            unit="2N",
        )
        rows_of(
            conn, tenant, "WeatherObserved", "temperature", ["Aeródromo", "Castelo"], lambda i, h: round(14 - i + 5 * math.sin((h - 9) / 3.8), 1), unit="CEL"
        )
        rows_of(
            conn,
            tenant,
            "WasteContainer",
            "fillingLevel",
            [f"Contentor {n}" for n in range(1, 41)],
            lambda i, h: round(min(1.0, (i % 10) / 10 + h / 60), 2),
            step_minutes=120,
        )
        rows_of(
            conn,
            tenant,
            "FloodMonitoring",
            "currentLevel",
            ["Ponte Velha", "Moinho", "Foz"],
            lambda i, h: round(0.8 + 0.2 * i + 0.1 * math.sin(h / 4), 2),
            unit="MTR",
            step_minutes=15,
        )


def speak(tenant, level: float, at: datetime | None = None) -> list[int]:
    """The river says a level now, and alerts hear of it as the worker would; gives the alarms that changed."""
    moment = at or time.now()
    with database.connect() as conn:
        with database.tenant_transaction(conn, [tenant.id]):
            table = EntityTable("FloodMonitoring", [RIVER], [Column("currentLevel", [level], unit="MTR")], observed_at=[moment])
            store.upsert_table(conn, tenant.id, table, WriteOptions(live=True))
        with database.tenant_transaction(conn, [tenant.id]):
            newest = outbox.settled_of_tenant(conn, tenant.id, (0, 0), ["entities.changed"], 1000)[-1]
            return events.on_entities_changed(conn, newest)
