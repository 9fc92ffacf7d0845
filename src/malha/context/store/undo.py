"""Take entities away, and undo what a run did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

from malha.context.store import announce, geometry, names, state
from malha.context.store.cells import array_of, array_of_text, canonical
from malha.foundation.events import service as events

DELETE = """
WITH gone AS (DELETE FROM entities e WHERE e.tenant_id = %(tenant)s AND {which} RETURNING e.id, e.uri, e.type_id),
kept AS (INSERT INTO entity_deleted (tenant_id, entity_id, uri, type_id, run_id) SELECT %(tenant)s::bigint, id, uri, type_id, %(run)s::bigint FROM gone)
SELECT id, type_id FROM gone
"""

#: what the run changed and nobody has changed since: the attribute's newest observation is the run's, or the entity's last writer is
RESTORE = """
SELECT b.entity_id, b.before::text, e.run_id IS NOT DISTINCT FROM b.run_id,
    (SELECT coalesce(array_agg(a.name), '{}') FROM attribute a WHERE a.name IN (SELECT jsonb_object_keys(b.before)) AND b.run_id IS NOT DISTINCT FROM (
        SELECT h.run_id FROM observations h WHERE h.tenant_id = b.tenant_id AND h.attr_id = a.id AND h.entity_id = b.entity_id
        ORDER BY h.observed_at DESC, h.seq DESC LIMIT 1))
FROM entity_before_run b JOIN entities e ON e.tenant_id = b.tenant_id AND e.id = b.entity_id
WHERE b.tenant_id = %(tenant)s AND b.run_id = %(run)s AND b.entity_id > %(after)s ORDER BY b.entity_id LIMIT 1000 FOR NO KEY UPDATE OF e
"""
PUT_BACK = """
UPDATE entities e SET doc = (e.doc - n.gone::text[]) || n.doc::jsonb, run_id = NULL, modified_at = now(),
    bbox = CASE WHEN n.placed THEN n.box::box ELSE e.bbox END, geom = CASE WHEN n.placed THEN decode(n.geom, 'hex') ELSE e.geom END
FROM unnest(%(ids)s::bigint[], %(docs)s::text[], %(gone)s::text[], %(placed)s::bool[], %(boxes)s::text[], %(geoms)s::text[]) AS n (id, doc, gone, placed, box, geom)
WHERE e.tenant_id = %(tenant)s AND e.id = n.id
"""
CREATED = "e.created_run = %(run)s AND e.run_id IS NOT DISTINCT FROM %(run)s"


def delete(conn: psycopg.Connection[Any], tenant_id: int, uris: Sequence[str], run_id: int | None = None) -> list[int]:
    """Take entities away; their history is hidden with them. Returns their ids."""
    return _delete(conn, tenant_id, "e.uri = ANY (%(uris)s::text[])", {"uris": list(uris)}, run_id)


def _delete(conn: psycopg.Connection[Any], tenant_id: int, which: str, params: dict[str, object], run_id: int | None) -> list[int]:
    rows = state.execute(conn, DELETE.format(which=which), {"tenant": tenant_id, "run": run_id} | params).fetchall()
    if rows:
        types = names.names(conn, "entity_type", {row[1] for row in rows})
        announce.deleted(conn, tenant_id, [row[0] for row in rows], [types[row[1]] for row in rows], run_id)
    return [row[0] for row in rows]


def undo_run(conn: psycopg.Connection[Any], tenant_id: int, run_id: int) -> tuple[int, int, int]:
    """Undo a run. Returns how many entities went, how many were put back, and how many hot observations went."""
    gone = len(_delete(conn, tenant_id, CREATED, {}, run_id))
    restored = _restore(conn, tenant_id, run_id)
    observations = _forget(conn, tenant_id, run_id)
    state.execute(conn, "DELETE FROM entity_before_run WHERE tenant_id = %s AND run_id = %s", [tenant_id, run_id])
    state.execute(conn, "INSERT INTO undone_run (tenant_id, run_id) VALUES (%s, %s) ON CONFLICT DO NOTHING", [tenant_id, run_id])
    events.publish(conn, tenant_id, "run.undone", {"run_id": run_id, "deleted": gone, "restored": restored, "observations": observations})
    return gone, restored, observations


def _forget(conn: psycopg.Connection[Any], tenant_id: int, run_id: int) -> int:
    """Take a run's hot history away. Returns how many values it had."""
    rows = state.execute(conn, "DELETE FROM observation_hot WHERE tenant_id = %s AND run_id = %s", [tenant_id, run_id]).rowcount
    packed = "WITH gone AS (DELETE FROM observation_packed WHERE tenant_id = %s AND run_id = %s RETURNING size) SELECT coalesce(sum(size), 0) FROM gone"
    row = state.execute(conn, packed, [tenant_id, run_id]).fetchone()
    return rows + int(row[0] if row else 0)


def _restore(conn: psycopg.Connection[Any], tenant_id: int, run_id: int) -> int:
    """Give attributes back the values they had before the run, unless somebody else has written them since."""
    restored, after = 0, 0
    while True:
        rows = state.execute(conn, RESTORE, {"tenant": tenant_id, "run": run_id, "after": after}).fetchall()
        changes = [change for row in rows if (change := _before(row)) is not None]
        if changes:
            state.execute(conn, PUT_BACK, {"tenant": tenant_id} | _columns(changes))
            restored += len(changes)
        if len(rows) < 1000:
            return restored
        after = rows[-1][0]


type _Back = tuple[int, dict[str, Any], list[str], bool, str | None, str | None]


def _before(row: tuple[Any, ...]) -> _Back | None:
    """(id, attributes to set, attributes to take away, whether the place changes, its box, its WKB)."""
    entity_id, text, untouched, owned = row
    before = state.decode(text)
    names_ = list(before) if untouched else [name for name in before if name in set(owned)]
    if not names_:
        return None
    back = {name: before[name] for name in names_ if before[name] is not None}
    box = wkb = None
    if isinstance(back.get("location"), dict):
        wkb = back["location"].pop("wkb", None)
        value = bytes.fromhex(wkb) if wkb else back["location"].get("value")
        box = geometry.parse(value).box_text if value is not None else None
    return entity_id, back, [name for name in names_ if before[name] is None], "location" in names_, box, wkb


def _columns(changes: Sequence[_Back]) -> dict[str, str]:
    return {
        "ids": array_of([c[0] for c in changes]),
        "docs": array_of_text([canonical(c[1]) for c in changes]),
        "gone": array_of_text([array_of_text(c[2]) for c in changes]),
        "placed": array_of([c[3] for c in changes]),
        "boxes": array_of_text([c[4] for c in changes]),
        "geoms": array_of([c[5] for c in changes]),
    }
