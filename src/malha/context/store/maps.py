"""Entity maps (GS CIM 009 §5.2.39, §5.14): which entities answered a question, kept for a while for whoever asked it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

#: maps that one subject may have at a time; the ones that would have ended first make room
MOST_MAPS = 100
_KEEP = """
WITH ended AS (DELETE FROM entity_map WHERE tenant_id = %(tenant)s AND expires_at <= now()),
    room AS (DELETE FROM entity_map WHERE tenant_id = %(tenant)s AND id IN (
        SELECT id FROM entity_map WHERE tenant_id = %(tenant)s AND subject = %(subject)s AND expires_at > now() ORDER BY expires_at DESC OFFSET %(most)s))
INSERT INTO entity_map (tenant_id, id, subject, temporal, uris, places, linked, expires_at)
VALUES (%(tenant)s, %(id)s, %(subject)s, %(temporal)s, %(uris)s, %(places)s, %(linked)s, %(expires)s)
"""
_MINE = "tenant_id = %s AND id = %s AND subject = %s AND expires_at > now()"


@dataclass(frozen=True, slots=True)
class EntityMap:
    """The entities in their order. `places` names, by URI, the registrations that have a part of an entity; `@none` is this broker.

    `linked` has, by registration, the map that its source keeps of its own part of the answer: its id, or where it is.
    """

    id: str
    uris: tuple[str, ...]
    places: Mapping[str, Sequence[str]]
    expires_at: datetime
    linked: Mapping[str, str] = field(default_factory=dict)


def keep(
    conn: psycopg.Connection[Any], tenant_id: int, subject: str, uris: Sequence[str], expires_at: datetime, *, temporal: bool = False,
    places: Mapping[str, Sequence[str]] | None = None, linked: Mapping[str, str] | None = None,
) -> EntityMap:  # fmt: skip
    """A new map; maps that have ended go."""
    name = f"urn:ngsi-ld:entitymap:{secrets.token_hex(12)}"
    conn.execute(_KEEP, {
        "tenant": tenant_id, "id": name, "subject": subject, "temporal": temporal, "uris": list(uris), "places": Jsonb(dict(places or {})), "linked": Jsonb(dict(linked or {})),
        "expires": expires_at, "most": MOST_MAPS - 1,
    })  # fmt: skip
    return EntityMap(name, tuple(uris), dict(places or {}), expires_at, dict(linked or {}))


def find(conn: psycopg.Connection[Any], tenant_id: int, subject: str, name: str, *, temporal: bool | None = None) -> EntityMap | None:
    """A map of a subject that has not ended; `temporal` says of which kind it has to be."""
    row = conn.execute(
        f"SELECT id, uris, places, expires_at, linked FROM entity_map WHERE {_MINE} AND (%s::bool IS NULL OR temporal = %s)",
        [tenant_id, name, subject, temporal, temporal],
    ).fetchone()
    return EntityMap(row[0], tuple(row[1]), row[2], row[3], row[4]) if row else None


def prolong(conn: psycopg.Connection[Any], tenant_id: int, subject: str, name: str, expires_at: datetime | None) -> bool:
    """Let a map end at another moment, or as it was to; whether it is there."""
    statement = f"UPDATE entity_map SET expires_at = coalesce(%s, expires_at) WHERE {_MINE}"
    return conn.execute(statement.encode(), [expires_at, tenant_id, name, subject]).rowcount == 1


def prune(conn: psycopg.Connection[Any], tenant_id: int, subject: str, name: str, uris: Sequence[str]) -> None:
    """Leave only those entities in a map that still answer."""
    conn.execute(f"UPDATE entity_map SET uris = %s WHERE {_MINE}".encode(), [list(uris), tenant_id, name, subject])


def relink(conn: psycopg.Connection[Any], tenant_id: int, subject: str, name: str, linked: Mapping[str, str]) -> None:
    """The maps that sources keep, as they are now."""
    conn.execute(f"UPDATE entity_map SET linked = %s WHERE {_MINE}".encode(), [Jsonb(dict(linked)), tenant_id, name, subject])


def drop(conn: psycopg.Connection[Any], tenant_id: int, subject: str, name: str) -> bool:
    """End a map; whether it was there."""
    return conn.execute(f"DELETE FROM entity_map WHERE {_MINE}".encode(), [tenant_id, name, subject]).rowcount == 1
