"""Which entities of a type changed since a snapshot, and what they say: what `columns` keeps in memory is read and renewed by (sql/migrations/0014_columns.sql, 0016_words.sql).

A watch begins in three steps, each by whoever comes next: its row is written; once everybody sees it, `since` is; once all who began before
that are done, no change goes unsaid any more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from malha.context.store import binary, state
from malha.context.store.binary import Ints
from malha.context.store.q import Path
from malha.context.store.words import Said

type Key = tuple[int, int]  # tenant, type

#: the instant, in microseconds of Unix time, of what never ends; what has gone ended at 0
NEVER = 2**63 - 1

_WATCH = """
SELECT pg_current_xact_id_if_assigned() IS NULL AND current_setting('transaction_isolation') = 'read committed' AND current_setting('transaction_read_only') = 'off'
        AND coalesce(k.tenant_id = ANY (nullif(current_setting('malha.tenants', true), '')::bigint[]), false),
    w.type_id IS NOT NULL, w.since::text, coalesce(w.since < pg_snapshot_xmin(pg_current_snapshot()), false), coalesce(w.since >= pg_snapshot_xmax(pg_current_snapshot()), true)
FROM (SELECT %s::bigint AS tenant_id, %s::int AS type_id) AS k LEFT JOIN entity_watch w USING (tenant_id, type_id)
"""
_BEGIN = "INSERT INTO entity_watch (tenant_id, type_id) VALUES (%s, %s) ON CONFLICT DO NOTHING"
_SEEN = "UPDATE entity_watch SET since = pg_current_xact_id() WHERE tenant_id = %s AND type_id = %s AND since IS NOT DISTINCT FROM %s::xid8"
_ASKED = "UPDATE entity_watch SET asked_at = now() WHERE tenant_id = %s AND type_id = %s AND asked_at < now() - interval '10 minutes'"
_OF_TYPE = "e.tenant_id = %s AND (e.type_id = %s OR (cardinality(e.types) > 1 AND %s = ANY (e.types)))"
_ENDS = f"CASE WHEN e.id IS NULL THEN 0 WHEN e.expires_at IS NULL THEN {NEVER} ELSE (extract(epoch FROM e.expires_at) * 1000000)::bigint END"
#: by how many names lead there
_WORDS = {
    1: "array_agg(entity_word(e.doc -> %s))",
    2: "array_agg(CASE WHEN jsonb_typeof(e.doc -> %s) = 'array' THEN '?' ELSE entity_word(e.doc -> %s -> %s) END)",
}
_READ = """
SELECT pg_current_snapshot()::text, pg_snapshot_xmin(pg_current_snapshot())::text, (extract(epoch FROM now()) * 1000000)::bigint,
    pg_current_xact_id_if_assigned() IS NULL AND current_setting('transaction_isolation') = 'read committed', w.since::text,
    w.kept_from <= %s::xid8, w.asked_at < now() - interval '10 minutes', d.*
FROM ({rows}) AS d JOIN entity_watch w ON w.tenant_id = %s AND w.type_id = %s
"""
_WHOLE = f"SELECT array_agg(e.id), array_agg({_ENDS}), {{words}} FROM entities e WHERE {_OF_TYPE}"
_CHANGED = f"""
SELECT array_agg(s.id), array_agg({_ENDS}), {{words}} FROM (
    SELECT DISTINCT c.id FROM entity_changed_ids n CROSS JOIN unnest(n.ids) AS c (id)
    WHERE n.tenant_id = %s AND n.type_id = %s AND n.xid >= %s::xid8 AND NOT pg_visible_in_snapshot(n.xid, %s::pg_snapshot)
) AS s LEFT JOIN entities e ON e.id = s.id AND {_OF_TYPE}
"""
_FORGET = """
WITH unasked AS (DELETE FROM entity_watch WHERE tenant_id = %(tenant)s AND asked_at < now() - interval '1 hour' RETURNING type_id),
    moved AS (UPDATE entity_watch SET kept_from = next_kept_from, next_kept_from = pg_snapshot_xmin(pg_current_snapshot())
        WHERE tenant_id = %(tenant)s AND asked_at >= now() - interval '1 hour' RETURNING type_id, kept_from)
DELETE FROM entity_changed_ids n WHERE n.tenant_id = %(tenant)s
    AND (n.type_id IN (SELECT type_id FROM unasked) OR EXISTS (SELECT FROM moved m WHERE m.type_id = n.type_id AND n.xid < m.kept_from))
"""


@dataclass(frozen=True, slots=True)
class Reading:
    """Entities with the words of their attributes as of one snapshot, in no order. `oldest`: no transaction before it was still at work; `moment` in microseconds of Unix time."""

    snapshot: str
    oldest: str
    moment: int
    since: str
    ids: Ints
    ends: Ints
    said: dict[Path, Said]


def watched(conn: psycopg.Connection[Any], key: Key) -> bool:
    """Whether every change of a type is said; if not, one step is done towards it. Not in a transaction that has written, or may not, or looks at a moment of its own."""
    usable, there, since, settled, foreign = state.execute(conn, _WATCH, key).fetchone() or (False, False, None, False, False)
    if not usable or settled:
        return bool(usable)
    if not there:
        state.execute(conn, _BEGIN, key)
    elif foreign:  # none yet, or of another server, whose backup this was
        state.execute(conn, _SEEN, (*key, since))
    return False


def whole(conn: psycopg.Connection[Any], key: Key, about: Sequence[Path]) -> Reading | None:
    """All entities of a watched type, with what they say at these paths."""
    return _read(conn, key, about, _WHOLE, [key[0], key[1], key[1]], "0")


def changed(conn: psycopg.Connection[Any], key: Key, about: Sequence[Path], snapshot: str, oldest: str) -> Reading | None:
    """Those that changed since a snapshot; None where what changed is not known any more."""
    return _read(conn, key, about, _CHANGED, [key[0], key[1], oldest, snapshot, key[0], key[1], key[1]], oldest, needs_log=True)


def _read(
    conn: psycopg.Connection[Any], key: Key, about: Sequence[Path], rows: str, params: Sequence[object], oldest: str, *, needs_log: bool = False
) -> Reading | None:  # fmt: skip
    statement = _READ.format(rows=rows.format(words=", ".join(_WORDS[len(path.names)] for path in about)))
    named = [name for path in about for name in (path.names if len(path.names) == 1 else (path.names[0], *path.names))]
    cursor = binary.cursor(conn)
    cursor.execute(statement.encode(), [oldest, *named, *params, *key], binary=True, prepare=needs_log)
    row = cursor.fetchone()
    if row is None:
        return None
    snapshot, oldest_now, moment, usable, since, known, unasked = row[:7]
    if not usable or since is None or (needs_log and not known):
        return None
    ids, ends, *said = binary.arrays(cursor, 7)
    if unasked:
        state.execute(conn, _ASKED, key)
    return Reading(snapshot, oldest_now, moment, since, ids, ends, dict(zip(about, said, strict=True)))


def forget(conn: psycopg.Connection[Any], tenant_id: int) -> None:
    """End the watches that nobody asked for in an hour, and let go what changed before this was done the last time but one."""
    state.execute(conn, _FORGET, {"tenant": tenant_id})
