"""The readings that `bench/broker.py` asks for: what each of a hundred thousand says, and how they come into the store."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote

import _town

#: how many different codes they have
CODES = 500


def uri(number: int) -> str:
    """The id of a stored reading."""
    return f"urn:bench:Reading:{number}"


def level(number: int) -> float:
    """What a stored reading measures."""
    return float(number * 7919 % 100)


def other(number: int) -> float:
    """What else it measures."""
    return float(number * 104729 % 90)


def quoted(path: str) -> str:
    """A path whose question may travel."""
    return quote(path, safe="/?=&;!~,:*().")


def fill(tenant_id: int, count: int, kind: str = "Reading", first: int = 0) -> None:
    """Store readings by the road of loads."""
    from malha.context.store import service as store
    from malha.context.store.contracts import Column, EntityTable
    from malha.foundation.database import service as database

    def some(start: int) -> None:
        numbers = range(start, min(start + 10_000, first + count))
        columns = [
            Column("location", [{"type": "Point", "coordinates": _town.place(n)} for n in numbers], "GeoProperty"),
            Column("name", [f"Estação {n}" for n in numbers]), Column("code", [f"C{n % CODES:03}" for n in numbers]),
            Column("pm10", [level(n) for n in numbers], unit="GQ"), Column("no2", [other(n) for n in numbers], unit="GQ"),
            Column("refStation", [f"urn:bench:Station:{n % 97}" for n in numbers], "Relationship"),
        ]  # fmt: skip
        with database.connect() as conn, database.tenant_transaction(conn, [tenant_id]):
            store.upsert_table(conn, tenant_id, EntityTable(kind, [f"urn:bench:{kind}:{n}" for n in numbers], columns))

    for start in range(first, first + count, 10_000):
        some(start)


def declare(tenant_id: int, *names: str) -> None:
    """A model of the readings with these filterable properties, and what is stored of them kept as the job does."""
    from malha.context.store import service as store
    from malha.foundation.database import service as database
    from malha.vocabulary.models import service as models
    from malha.vocabulary.models.contracts import DataModel, Label, ModelProperty

    label = Label("Leitura", "Reading")
    with database.connect(autocommit=True) as conn:
        with database.tenant_transaction(conn, [tenant_id]):
            models.create_model(conn, tenant_id, DataModel("Reading", "1.0.0", label, label, tuple(ModelProperty(name, filterable=True) for name in names)))
        while not store.keep_filterable(conn, tenant_id):
            time.sleep(0.1)


def owner() -> Any:
    """A connection as the owner of the tables."""
    from malha.foundation.database import service as database
    from malha.foundation.database.contracts import Role

    return database.connect(Role.OWNER)
