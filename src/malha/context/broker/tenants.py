"""Tenants by address, remembered for half a minute: the plane asks for one at every request."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from typing import Any

import psycopg

from malha.foundation.settings import service as settings

REMEMBER_SECONDS = 30.0
QUERY = """
SELECT id, slug, time_zone FROM organisation WHERE is_tenant AND (slug = %(name)s OR (hostname <> '' AND hostname = %(name)s) OR id::text = %(name)s) LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Address:
    """A tenant as the plane knows it."""

    id: int
    slug: str
    time_zone: str


_known: dict[tuple[str, str], tuple[float, Address | None]] = {}


def find(conn: psycopg.Connection[Any], name: str) -> Address | None:
    """The tenant with that slug, host name or id; None where there is none."""
    key = (f"{conn.info.host}/{conn.info.dbname}", name)
    read_at, found = _known.get(key, (0.0, None))
    if not read_at or time.monotonic() - read_at > REMEMBER_SECONDS:
        row = conn.execute(QUERY, {"name": name[:253]}).fetchone()
        found = Address(*row) if row else None
        if len(_known) > 10_000:
            _known.clear()
        if found is not None:  # what is not there is asked again: a new tenant is there at once
            _known[key] = (time.monotonic(), found)
    return found


def slug(conn: psycopg.Connection[Any], tenant_id: int) -> str:
    """The first step of a tenant's addresses."""
    found = find(conn, str(tenant_id))
    if found is not None and found.id == tenant_id:  # not one whose slug is that number
        return found.slug
    row = conn.execute("SELECT slug FROM organisation WHERE id = %s", [tenant_id]).fetchone()
    return str(row[0]) if row else ""


def alias(tenant_id: int) -> str:
    """The name by which this broker knows requests that passed through it (GS CIM 009 §6.3.18): no two tenants or installations share one."""
    return "malha-" + hashlib.sha256(f"{settings.secret_key()}/{tenant_id}".encode()).hexdigest()[:16]
