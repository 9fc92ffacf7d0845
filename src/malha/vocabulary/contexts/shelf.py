"""The contexts that a tenant's broker keeps: hosted ones, and remote ones fetched once. Reading takes no round trip.

What was read from the table is remembered by process for half a minute, so that a deletion in one process is soon
known in the others; hits are counted in memory and written when somebody looks, or every minute.
"""

from __future__ import annotations

import re
import secrets
import time
from collections import Counter
from typing import Any

import msgspec
import psycopg

from malha.kernel.text import msg
from malha.vocabulary.contexts.contracts import KeptContext, Kind, UnknownContext

REMEMBER_SECONDS = 30.0
_OWN = re.compile(r"/ngsi-ld/v1/jsonldContexts/([^/?#]+)$")
_REMEMBERED = 2_000
_COLUMNS = "id, url, kind, body, created_at, last_used_at, hits"
_known: dict[tuple[str, int, str], tuple[float, Any]] = {}
_hits: dict[tuple[str, int], Counter[str]] = {}
_flushed: dict[tuple[str, int], float] = {}


def _place(conn: psycopg.Connection[Any]) -> str:
    return f"{conn.info.host}:{conn.info.port}/{conn.info.dbname}"


def find(conn: psycopg.Connection[Any], tenant_id: int, url: str) -> Any:
    """The @context of the document kept under `url`, None when it is not on the shelf."""
    place = _place(conn)
    until, body = _known.get((place, tenant_id, url), (0.0, None))
    if time.monotonic() >= until:
        row = look_up(conn, tenant_id, url)
        if row is None:
            return None
        body = row.body.get("@context")
        if len(_known) > _REMEMBERED:
            _known.clear()
        _known[place, tenant_id, url] = (time.monotonic() + REMEMBER_SECONDS, body)
    return body


def count(conn: psycopg.Connection[Any], tenant_id: int, url: str) -> None:
    """Remember that the context at `url` was used."""
    key = (_place(conn), tenant_id)
    _hits.setdefault(key, Counter())[url] += 1
    if time.monotonic() - _flushed.get(key, 0.0) > 60.0:
        flush(conn, tenant_id)


def flush(conn: psycopg.Connection[Any], tenant_id: int) -> None:
    """Write the uses counted in this process."""
    key = (_place(conn), tenant_id)
    counted = _hits.pop(key, None)
    _flushed[key] = time.monotonic()
    if counted:
        _in_scope(
            conn, tenant_id,
            "UPDATE jsonld_context c SET hits = c.hits + n.hits, last_used_at = now() FROM unnest(%s::text[], %s::bigint[]) AS n (url, hits) "
            "WHERE c.tenant_id = %s AND (c.url = n.url OR c.id = substring(n.url FROM '/jsonldContexts/([^/]+)$')) RETURNING c.id",
            [list(counted), list(counted.values()), tenant_id],
        )  # fmt: skip


def get(conn: psycopg.Connection[Any], tenant_id: int, name: str) -> KeptContext:
    """The context with that id or URL. Raises UnknownContext."""
    flush(conn, tenant_id)
    row = look_up(conn, tenant_id, name)
    if row is None:
        raise UnknownContext(msg("Não há aqui nenhum @context “{name}”."), name=name[:200])
    return row


def all_of(conn: psycopg.Connection[Any], tenant_id: int, kind: Kind | None = None) -> list[KeptContext]:
    """Every context of a tenant, oldest first."""
    flush(conn, tenant_id)
    rows = _in_scope(
        conn, tenant_id, f"SELECT {_COLUMNS} FROM jsonld_context WHERE tenant_id = %s AND (%s::text IS NULL OR kind = %s) ORDER BY created_at, id LIMIT 1000",
        [tenant_id, kind, kind],
    )  # fmt: skip
    return [_kept(row) for row in rows]


def keep(conn: psycopg.Connection[Any], tenant_id: int, url: str, body: dict[str, object], kind: Kind) -> str:
    """Put a context on the shelf, or in the place of the one with that URL; its id. `url` may hold `{id}`."""
    own = secrets.token_hex(12)
    address = url.replace("{id}", own)
    text = msgspec.json.encode(body).decode()
    rows = _in_scope(
        conn, tenant_id,
        "INSERT INTO jsonld_context (tenant_id, id, url, kind, body) VALUES (%s, %s, %s, %s, %s) "
        "ON CONFLICT (tenant_id, url) DO UPDATE SET body = excluded.body, fetched_at = now() RETURNING id", [tenant_id, own, address, kind, text],
    )  # fmt: skip
    _known.pop((_place(conn), tenant_id, address), None)
    return str(rows[0][0])


def same_body(conn: psycopg.Connection[Any], tenant_id: int, body: dict[str, object]) -> KeptContext | None:
    """The implicitly created context with that very body."""
    text = msgspec.json.encode(body).decode()
    rows = _in_scope(
        conn, tenant_id, f"SELECT {_COLUMNS} FROM jsonld_context WHERE tenant_id = %s AND kind = %s AND body = %s LIMIT 1", [tenant_id, Kind.IMPLICIT, text]
    )
    return _kept(rows[0]) if rows else None


def remove(conn: psycopg.Connection[Any], tenant_id: int, name: str) -> None:
    """Take a context away. Raises UnknownContext."""
    rows = _in_scope(conn, tenant_id, "DELETE FROM jsonld_context WHERE tenant_id = %s AND (id = %s OR url = %s) RETURNING url", [tenant_id, name, name])
    if not rows:
        raise UnknownContext(msg("Não há aqui nenhum @context “{name}”."), name=name[:200])
    for row in rows:
        _known.pop((_place(conn), tenant_id, row[0]), None)


def forget() -> None:
    """Forget what was remembered: for tests."""
    _known.clear()
    _hits.clear()


def look_up(conn: psycopg.Connection[Any], tenant_id: int, name: str) -> KeptContext | None:
    """The context with that URL or id; an address that ends as ours do means the one with its id."""
    own = _OWN.search(name)
    names = [name, own[1]] if own else [name]
    rows = _in_scope(
        conn, tenant_id, f"SELECT {_COLUMNS} FROM jsonld_context WHERE tenant_id = %s AND (id = ANY (%s::text[]) OR url = %s) LIMIT 1", [tenant_id, names, name]
    )
    return _kept(rows[0]) if rows else None


def _kept(row: tuple[Any, ...]) -> KeptContext:
    return KeptContext(row[0], row[1], Kind(row[2]), msgspec.json.decode(row[3]), row[4], row[5], row[6])


def _in_scope(conn: psycopg.Connection[Any], tenant_id: int, statement: str, params: list[object]) -> list[tuple[Any, ...]]:
    """One statement in the tenant's scope, inside the caller's transaction or one of its own."""
    with conn.transaction():
        conn.execute("SELECT set_config('malha.tenants', %s, true)", [f"{{{int(tenant_id)}}}"])
        return conn.execute(statement.encode(), params).fetchall()
