"""What a snapshot holds: entities as they are, and rows of how they evolved. Django-free; in the tenant's transaction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec
import psycopg
from psycopg.rows import tuple_row

from malha.context.snapshots.contracts import Evolved, Full, Lasting, Snapshot
from malha.context.store import names
from malha.context.store import service as store
from malha.context.store.cells import array_of_text
from malha.context.store.contracts import StoredEntity
from malha.kernel.text import msg

#: what one snapshot may hold: entities, values of how they evolved, and bytes of either as they lie in the database
MOST_ENTITIES, MOST_VALUES, MOST_BYTES = 50_000, 200_000, 32 * 2**20
#: entities read at a time by whoever may not want all
BLOCK = 500
_KEY = "tenant_id = %(tenant)s AND snapshot_id = %(id)s"
#: entities that are there become what is given; what is `present` stays so
PUT = """
INSERT INTO snapshot_entity AS s (tenant_id, snapshot_id, place, uri, types, attributes, scopes, created_at, modified_at, expires_at, present)
SELECT %(tenant)s, %(id)s, n.place + (SELECT coalesce(max(place), 0) FROM snapshot_entity WHERE tenant_id = %(tenant)s AND snapshot_id = %(id)s),
    n.uri, n.types::text[], n.attributes::jsonb, n.scopes::text[], n.created, n.modified, n.expires, %(present)s
FROM unnest(%(uris)s::text[], %(types)s::text[], %(attributes)s::text[], %(scopes)s::text[], %(created)s::timestamptz[], %(modified)s::timestamptz[],
    %(expires)s::timestamptz[]) WITH ORDINALITY AS n (uri, types, attributes, scopes, created, modified, expires, place)
ON CONFLICT (tenant_id, snapshot_id, uri) DO UPDATE SET types = excluded.types, attributes = excluded.attributes, scopes = excluded.scopes,
    created_at = excluded.created_at, modified_at = excluded.modified_at, expires_at = excluded.expires_at, present = s.present OR excluded.present
    WHERE excluded.present
"""
TELL = """
INSERT INTO snapshot_observation (tenant_id, snapshot_id, place, attr_id, dataset_id, observed_at, received_at, kind, op, num, txt, unit_id)
SELECT e.tenant_id, e.snapshot_id, e.place, n.attr, n.dataset, n.observed, coalesce(n.received, now()), n.kind, n.op, n.num, n.txt, n.unit
FROM unnest(%(whose)s::text[], %(attrs)s::int[], %(datasets)s::int[], %(observed)s::timestamptz[], %(received)s::timestamptz[], %(kinds)s::smallint[],
    %(ops)s::smallint[], %(nums)s::float8[], %(txts)s::text[], %(units)s::int[]) WITH ORDINALITY
    AS n (uri, attr, dataset, observed, received, kind, op, num, txt, unit, place)
JOIN snapshot_entity e ON e.tenant_id = %(tenant)s AND e.snapshot_id = %(id)s AND e.uri = n.uri ORDER BY n.place
"""
COPY = """
INSERT INTO snapshot_entity (tenant_id, snapshot_id, place, uri, types, attributes, scopes, created_at, modified_at, expires_at, present)
SELECT tenant_id, %(to)s, place, uri, types, attributes, scopes, created_at, modified_at, expires_at, present FROM snapshot_entity WHERE tenant_id = %(tenant)s AND snapshot_id = %(id)s
"""
COPY_TOLD = """
INSERT INTO snapshot_observation (tenant_id, snapshot_id, place, attr_id, dataset_id, observed_at, received_at, kind, op, num, txt, unit_id)
SELECT tenant_id, %(to)s, place, attr_id, dataset_id, observed_at, received_at, kind, op, num, txt, unit_id FROM snapshot_observation
WHERE tenant_id = %(tenant)s AND snapshot_id = %(id)s ORDER BY seq
"""
ENTITIES = f"""
SELECT place, uri, types, attributes::text, scopes, created_at, modified_at, expires_at FROM snapshot_entity
WHERE {_KEY} AND place > %(after)s AND (present OR %(past)s) AND (%(types)s::text[] IS NULL OR types && %(types)s::text[])
    AND (%(uris)s::text[] IS NULL OR uri = ANY (%(uris)s::text[])) ORDER BY place LIMIT %(most)s
"""
TOLD = """
SELECT o.place, a.name, o.dataset_id, o.observed_at, o.received_at, o.kind, o.num, o.txt, u.name, o.op, o.seq
FROM snapshot_observation o JOIN attribute a ON a.id = o.attr_id LEFT JOIN unit u ON u.id = o.unit_id
WHERE o.tenant_id = %(tenant)s AND o.snapshot_id = %(id)s AND o.place = ANY (%(places)s::int[]) AND (%(names)s::text[] IS NULL OR a.name = ANY (%(names)s::text[]))
"""
HELD = f"""
SELECT e.number, o.number, e.bytes + o.bytes FROM (SELECT count(*) AS number, coalesce(sum(pg_column_size(attributes)), 0) AS bytes FROM snapshot_entity WHERE {_KEY}) AS e,
    (SELECT count(*) AS number, coalesce(sum(coalesce(pg_column_size(txt), 0)), 0) AS bytes FROM snapshot_observation WHERE {_KEY}) AS o
"""
_decode = msgspec.json.Decoder(dict[str, Any]).decode


def entities(
    conn: psycopg.Connection[Any], one: Snapshot, types: Sequence[str] | None = None, uris: Sequence[str] | None = None, *, past: bool = False
) -> list[StoredEntity]:  # fmt: skip
    """What it holds and has not ended by itself, of these types and URIs where they are given; with `past`, also those of which it holds only how they evolved."""
    given = _of(one) | {"types": list(types) if types else None, "uris": list(uris) if uris is not None else None, "past": past, "after": 0, "most": None}
    return _living(one, psycopg.Cursor(conn, row_factory=tuple_row).execute(ENTITIES.encode(), given))


def _living(one: Snapshot, rows: Iterable[tuple[Any, ...]]) -> list[StoredEntity]:
    found = (StoredEntity(row[0], one.tenant_id, row[1], tuple(row[2]), _decode(row[3]), None, row[5], row[6], tuple(row[4]), row[7]) for row in rows)
    return [living for each in found if (living := store.living(each)) is not None]


def walk(
    conn: psycopg.Connection[Any], one: Snapshot, types: Sequence[str] | None, uris: Sequence[str] | None, *, past: bool, after: int
) -> Iterator[StoredEntity]:  # fmt: skip
    """As `entities`, those after one, as many at a time as are wanted."""
    given = _of(one) | {"types": list(types) if types else None, "uris": list(uris) if uris is not None else None, "past": past, "most": BLOCK}
    while True:
        found = psycopg.Cursor(conn, row_factory=tuple_row).execute(ENTITIES.encode(), given | {"after": after}).fetchall()
        yield from _living(one, found)
        if len(found) < BLOCK:
            return
        after = found[-1][0]


def put(conn: psycopg.Connection[Any], one: Snapshot, found: Sequence[StoredEntity], *, present: bool = True) -> None:
    """Make entities what is given, each once; one of which only the past is held leaves one that is there as it is."""
    if not found:
        return
    conn.execute(PUT.encode(), _of(one) | {
        "present": present, "uris": [each.uri for each in found], "types": [array_of_text(each.types) for each in found],
        "attributes": [msgspec.json.encode(each.attributes).decode() for each in found], "scopes": [array_of_text(each.scopes) for each in found],
        "created": [each.created_at for each in found], "modified": [each.modified_at for each in found], "expires": [each.expires_at for each in found],
    })  # fmt: skip


def tell(conn: psycopg.Connection[Any], one: Snapshot, told: Iterable[tuple[str, Lasting]]) -> None:
    """Add values to how entities evolved, by their URI; one of the same attribute, dataset and instant as another takes its place."""
    rows = list(told)
    if not rows:
        return
    conn.execute(TELL.encode(), _of(one) | {
        "whose": [uri for uri, _ in rows], "attrs": [row.attr_id for _, row in rows], "datasets": [row.dataset_id for _, row in rows],
        "observed": [row.observed_at for _, row in rows], "received": [row.received_at for _, row in rows], "kinds": [row.kind for _, row in rows],
        "ops": [row.op for _, row in rows], "nums": [row.num for _, row in rows], "txts": [row.txt for _, row in rows], "units": [row.unit_id for _, row in rows],
    })  # fmt: skip


def evolved(conn: psycopg.Connection[Any], one: Snapshot, found: Sequence[Evolved]) -> None:
    """Add entities of which only the past is held, unless they are there, and how each evolved."""
    put(conn, one, list({each.entity.uri: replace(each.entity, attributes={}) for each in found}.values()), present=False)
    attrs = names.existing(conn, "attribute", {row.attribute for each in found for row in each.told})
    units = names.existing(conn, "unit", {row.unit for each in found for row in each.told if row.unit})
    tell(conn, one, (
        (each.entity.uri, _Row(attrs[row.attribute], row.dataset_id, row.observed_at, row.received_at, row.kind, row.op, row.num, row.txt, units.get(row.unit)))
        for each in found for row in each.told
    ))  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Row:
    attr_id: int
    dataset_id: int
    observed_at: datetime
    received_at: datetime
    kind: int
    op: int
    num: float | None
    txt: str | None
    unit_id: int | None


def told(conn: psycopg.Connection[Any], one: Snapshot, places: Sequence[int], attributes: Sequence[str] = ()) -> list[tuple[Any, ...]]:
    """How entities evolved, by their number in it: (entity, attribute, dataset, observed at, received at, kind, number, text, unit, operation, order)."""
    given = _of(one) | {"places": list(places), "names": list(attributes) or None}
    return psycopg.Cursor(conn, row_factory=tuple_row).execute(TOLD.encode(), given).fetchall()


def remove(conn: psycopg.Connection[Any], one: Snapshot, uris: Sequence[str]) -> int:
    """Take entities out, and how they evolved with them. Returns how many there were."""
    return conn.execute(f"DELETE FROM snapshot_entity WHERE {_KEY} AND uri = ANY (%(uris)s::text[])".encode(), _of(one) | {"uris": list(uris)}).rowcount


def copy(conn: psycopg.Connection[Any], one: Snapshot, to: Snapshot) -> None:
    """Put what a snapshot holds into another, which is new."""
    for statement in (COPY, COPY_TOLD):
        conn.execute(statement.encode(), _of(one) | {"to": to.id})


def require_room(conn: psycopg.Connection[Any], one: Snapshot) -> None:
    """Raise Full for a snapshot that holds more than it may: what was written last is undone with the transaction."""
    row = conn.execute(HELD.encode(), _of(one)).fetchone()
    entities_, values, size = map(int, row or (0, 0, 0))
    if entities_ > MOST_ENTITIES or values > MOST_VALUES or size > MOST_BYTES:
        raise Full(
            msg("Um instantâneo guarda no máximo {entities} entidades, {values} valores da sua evolução e {size} MB; este ficaria com mais, e nada foi escrito."),
            entities=MOST_ENTITIES, values=MOST_VALUES, size=MOST_BYTES // 2**20,
        )  # fmt: skip


def _of(one: Snapshot) -> dict[str, Any]:
    return {"tenant": one.tenant_id, "id": one.id}
