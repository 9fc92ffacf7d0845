"""The statements that read and write current state and observations, each one round trip for a whole batch.

Everything runs in the caller's transaction, through the searched view `entities`. Cursors are made here, because
the connection may be Django's, whose own cursors quote parameters and convert JSON in their own way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import psycopg
from psycopg.rows import tuple_row

from malha.context.store import binary, geometry
from malha.context.store.cells import array_of, array_of_text
from malha.foundation.access import acting
from malha.foundation.telemetry import service as telemetry

IDS_IN_EVENT = 1000
decode = msgspec.json.Decoder(dict[str, Any]).decode

LOCK = """
SELECT e.uri, e.id, e.types, e.run_id, e.created_run, {columns}
FROM entities e WHERE e.tenant_id = %s AND e.uri = ANY (%s::text[]) ORDER BY e.uri FOR NO KEY UPDATE OF e
"""
DOCUMENTS = "SELECT id, doc::text, geom FROM entities WHERE tenant_id = %s AND id = ANY (%s::bigint[])"

INSERT = """
INSERT INTO entities (tenant_id, uri, type_id, types, doc, scopes, bbox, geom, name_key, created_run, run_id, expires_at, next_expiry)
SELECT %(tenant)s::bigint, n.uri, (n.types::int[])[1], n.types::int[], n.doc::jsonb, n.scopes::text[], n.box::box, decode(n.geom, 'hex'), n.name_key,
    %(run)s::bigint, %(run)s::bigint, n.expires, n.next_expiry
FROM unnest(%(uris)s::text[], %(types)s::text[], %(docs)s::text[], %(scopes)s::text[], %(boxes)s::text[], %(geoms)s::text[], %(names)s::text[],
    %(expires)s::timestamptz[], %(next_expiries)s::timestamptz[]) AS n (uri, types, doc, scopes, box, geom, name_key, expires, next_expiry)
ON CONFLICT (tenant_id, uri) DO UPDATE
    SET doc = entities.doc || excluded.doc, bbox = coalesce(excluded.bbox, entities.bbox), geom = excluded.geom,
        name_key = coalesce(excluded.name_key, entities.name_key), run_id = excluded.run_id, modified_at = now()
RETURNING new.uri, new.id, old.id IS NULL
"""

BEFORE = """
INSERT INTO entity_before_run AS b (tenant_id, run_id, entity_id, before)
SELECT e.tenant_id, %(run)s::bigint, e.id, (SELECT jsonb_object_agg(k, CASE WHEN k = 'location' AND e.geom IS NOT NULL
    THEN (e.doc -> k) || jsonb_build_object('wkb', encode(e.geom, 'hex')) ELSE e.doc -> k END) FROM unnest(%(keys)s::text[]) AS k)
FROM entities e WHERE e.tenant_id = %(tenant)s AND e.id = ANY (%(ids)s::bigint[]) AND e.created_run IS DISTINCT FROM %(run)s::bigint
ON CONFLICT (tenant_id, run_id, entity_id) DO UPDATE SET before = excluded.before || b.before WHERE NOT b.before ?& %(keys)s::text[]
"""

UPDATE = """
UPDATE entities e SET
    doc = (CASE WHEN n.replace THEN '{}'::jsonb ELSE e.doc - n.gone::text[] END) || n.doc::jsonb,
    types = coalesce(n.types::int[], e.types),
    scopes = CASE WHEN n.scoped THEN n.scopes::text[] ELSE e.scopes END,
    expires_at = CASE WHEN n.expiring THEN n.expires ELSE e.expires_at END,
    next_expiry = CASE WHEN n.expiring THEN n.next_expiry ELSE e.next_expiry END,
    bbox = CASE WHEN n.placed THEN n.box::box ELSE e.bbox END,
    geom = CASE WHEN n.placed THEN decode(n.geom, 'hex') ELSE e.geom END,
    name_key = CASE WHEN n.named THEN n.name_key ELSE e.name_key END,
    run_id = %(run)s::bigint, modified_at = now()
FROM unnest(%(ids)s::bigint[], %(docs)s::text[], %(gone)s::text[], %(replace)s::bool[], %(types)s::text[], %(scopes)s::text[], %(placed)s::bool[], %(boxes)s::text[],
    %(geoms)s::text[], %(named)s::bool[], %(names)s::text[], %(scoped)s::bool[], %(expiring)s::bool[], %(expires)s::timestamptz[], %(next_expiries)s::timestamptz[])
    AS n (id, doc, gone, replace, types, scopes, placed, box, geom, named, name_key, scoped, expiring, expires, next_expiry)
WHERE e.tenant_id = %(tenant)s AND e.id = n.id
"""

#: how long a value that came is hot at least
HOT = timedelta(hours=48)

OBSERVE = """
INSERT INTO observation_hot (tenant_id, type_id, run_id, entity_id, attr_id, dataset_id, observed_at, kind, num, txt, unit_id, row_no, op, received_at)
SELECT %(tenant)s::bigint, n.type_id, %(run)s::bigint, n.entity_id, n.attr_id, n.dataset_id, n.observed_at, n.kind, n.num, n.txt, n.unit_id, n.row_no, n.op,
    CASE WHEN n.untimed THEN n.observed_at ELSE now() END
FROM (
    SELECT type_id, entity_id, attr_id, dataset_id, observed_at, said & 255 AS kind, nullif(num, 'NaN') AS num, txt, nullif(unit_id, 0) AS unit_id, nullif(row_no, -1) AS row_no,
        said >> 8 & 255 AS op, said >> 16 = 1 AS untimed
    FROM unnest(%(types)s, %(entities)s, %(attrs)s, %(datasets)s, %(instants)s, %(said)s, %(nums)s, %(txts)s::text[], %(units)s, %(rows)s)
        AS n (type_id, entity_id, attr_id, dataset_id, observed_at, said, num, txt, unit_id, row_no)
) AS n
"""

OBSERVE_BY = f"WITH written AS ({OBSERVE} RETURNING seq) INSERT INTO observation_author (tenant_id, seq, actor, why) SELECT %(tenant)s::bigint, seq, %(actor)s, %(why)s FROM written"

#: of values just written that correct others, who wrote them
SIGN = """
INSERT INTO observation_author (tenant_id, seq, actor, why)
SELECT %(tenant)s::bigint, max(h.seq), %(actor)s, %(why)s
FROM unnest(%(entities)s::bigint[], %(attrs)s::int[], %(datasets)s::int[], %(instants)s::timestamptz[]) AS n (entity_id, attr_id, dataset_id, observed_at)
JOIN observation_hot h ON h.tenant_id = %(tenant)s AND h.attr_id = n.attr_id AND h.entity_id = n.entity_id AND h.observed_at = n.observed_at AND h.dataset_id = n.dataset_id
GROUP BY n.entity_id, n.attr_id, n.dataset_id, n.observed_at
ON CONFLICT (tenant_id, seq) DO NOTHING
"""

KNOWN = """
SELECT n.n, o.num, o.txt, o.unit_id, o.op FROM unnest(%(entities)s::bigint[], %(attrs)s::int[], %(datasets)s::int[], %(instants)s::timestamptz[])
    WITH ORDINALITY AS n (entity_id, attr_id, dataset_id, observed_at, n)
CROSS JOIN LATERAL (
    SELECT h.num, h.txt, h.unit_id, h.op, h.seq FROM observation_hot h
    WHERE h.tenant_id = %(tenant)s AND h.attr_id = n.attr_id AND h.entity_id = n.entity_id AND h.observed_at = n.observed_at AND h.dataset_id = n.dataset_id
    UNION ALL
    SELECT v.num, v.txt, p.unit_id, 0::smallint, p.seq + v.n - 1
    FROM observation_packed p CROSS JOIN LATERAL unnest(p.observed_at, p.num, p.txt) WITH ORDINALITY AS v (observed_at, num, txt, n)
    WHERE p.tenant_id = %(tenant)s AND p.attr_id = n.attr_id AND p.entity_id = n.entity_id AND n.dataset_id = 0
        AND p.first_at <= n.observed_at AND p.last_at >= n.observed_at AND v.observed_at = n.observed_at
    ORDER BY seq DESC LIMIT 1
) o
"""


@dataclass(slots=True)
class Current:
    """An entity that exists, locked for this transaction. `extra` are the columns that the caller asked for."""

    id: int
    types: list[int]
    run_id: int | None
    created_run: int | None
    extra: tuple[Any, ...] = ()


@dataclass(slots=True)
class Change:
    """What one entity becomes: `doc` is the JSON object of the attributes that change, `gone` those that end."""

    uri: str
    doc: str
    type_ids: Sequence[int] | None = None  # all of them; None keeps those that the entity has
    id: int = 0
    gone: Sequence[str] = ()
    replace: bool = False
    scopes: Sequence[str] | None = None
    placed: bool = False
    shape: geometry.Shape | None = None
    named: bool = False
    name_key: str | None = None
    expiring: bool = False
    expires: str | None = None
    next_expiry: str | None = None


@dataclass(slots=True)
class Observation:
    """One row of history to be."""

    type_id: int
    entity_id: int
    attr_id: int
    observed_at: str
    kind: int
    num: float | None
    txt: str | None
    unit_id: int | None = None
    dataset_id: int = 0
    row_no: int | None = None
    op: int = 0
    #: the sender gave no instant: it counts as received when it is said to be observed, and history can tell
    untimed: bool = False
    #: it takes the place of another value, or may do so: whoever writes it is kept with it
    corrects: bool = False

    @property
    def received_at(self) -> str | None:
        """When it counts as received, None for now."""
        return self.observed_at if self.untimed else None


@dataclass(slots=True)
class Written:
    """What a batch did so far, for the outcome and the event."""

    type: str
    ids: list[int] = field(default_factory=list)
    attributes: set[str] = field(default_factory=set)
    observed_from: datetime | None = None
    observed_to: datetime | None = None


def execute(conn: psycopg.Connection[Any], statement: str, params: Any = None, *, prepare: bool | None = None) -> psycopg.Cursor[tuple[Any, ...]]:
    """Run one statement with a plain cursor, whatever cursor the connection makes itself.

    With `prepare` False it is planned for its values each time: a plan for any tenant and any place serves a large tenant badly.
    """
    telemetry.note(statement)
    return psycopg.Cursor(conn, row_factory=tuple_row).execute(statement.encode(), params, prepare=prepare)


def _execute(conn: psycopg.Connection[Any], statement: str, params: dict[str, object]) -> psycopg.Cursor[tuple[Any, ...]]:
    """`execute` with arrays as they lie in memory."""
    telemetry.note(statement)
    return binary.cursor(conn).execute(statement.encode(), params)


def lock(conn: psycopg.Connection[Any], tenant_id: int, uris: Sequence[str], columns: str = "1") -> dict[str, Current]:
    """Those of `uris` that exist, locked against other writers, with `columns` of each."""
    rows = execute(conn, LOCK.format(columns=columns), [tenant_id, list(uris)])
    return {row[0]: Current(row[1], row[2], row[3], row[4], row[5:]) for row in rows}


def documents(conn: psycopg.Connection[Any], tenant_id: int, ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """The whole documents of entities, shapes put back."""
    return {row[0]: whole(row[1], row[2]) for row in execute(conn, DOCUMENTS, [tenant_id, list(ids)])}


def whole(doc: str, geom: bytes | None) -> dict[str, Any]:
    """A stored document with the shape that is kept beside it."""
    document = decode(doc)
    if geom is not None and isinstance(document.get("location"), dict):
        document["location"]["value"] = geometry.geojson_of(geom)
    return document


def insert(conn: psycopg.Connection[Any], tenant_id: int, run_id: int | None, changes: Sequence[Change]) -> psycopg.Cursor[tuple[Any, ...]]:
    """Make entities: of each the URI, the id, and whether it is new (False: another writer was quicker, and both are merged)."""
    ordered = sorted(changes, key=lambda change: change.uri)
    return _execute(conn, INSERT, {"tenant": tenant_id, "run": run_id, "uris": binary.texts([c.uri for c in ordered])} | _columns(ordered))


def update(conn: psycopg.Connection[Any], tenant_id: int, run_id: int | None, changes: Sequence[Change], keys: Sequence[str]) -> None:
    """Change entities that were locked. `keys` are the attributes that the batch may touch, remembered for an undo."""
    if run_id is not None:
        execute(conn, BEFORE, {"tenant": tenant_id, "run": run_id, "ids": array_of([c.id for c in changes]), "keys": list(keys)})
    flags: dict[str, object] = {
        "ids": array_of([c.id for c in changes]),
        "gone": binary.texts([array_of_text(list(c.gone)) for c in changes]),
        "replace": array_of([c.replace for c in changes]),
        "placed": array_of([c.placed for c in changes]),
        "named": array_of([c.named for c in changes]),
        "scoped": array_of([c.scopes is not None for c in changes]),
        "expiring": array_of([c.expiring for c in changes]),
    }
    _execute(conn, UPDATE, {"tenant": tenant_id, "run": run_id} | flags | _columns(changes))


def _columns(changes: Sequence[Change]) -> dict[str, object]:
    return {
        "docs": binary.texts([c.doc for c in changes]),
        "types": binary.texts([None if c.type_ids is None else array_of(c.type_ids) for c in changes]),
        "scopes": binary.texts([array_of_text(list(c.scopes)) if c.scopes else None for c in changes]),
        "expires": array_of([c.expires for c in changes]),
        "next_expiries": array_of([c.next_expiry for c in changes]),
        "boxes": binary.texts([c.shape.box_text if c.shape else None for c in changes]),
        "geoms": array_of([c.shape.wkb.hex() if c.shape and c.shape.wkb else None for c in changes]),
        "names": binary.texts([c.name_key for c in changes]),
    }


def observe(conn: psycopg.Connection[Any], tenant_id: int, run_id: int | None, rows: Sequence[Observation]) -> None:
    """Append rows of history. Those that correct others are kept with who acts, where no load says it."""
    actor = acting.current() if run_id is None else ""
    for statement, part in ((OBSERVE, [r for r in rows if not (actor and r.corrects)]), (OBSERVE_BY, [r for r in rows if actor and r.corrects])):
        if part:
            _execute(conn, statement, {"tenant": tenant_id, "run": run_id, "actor": actor, "why": acting.why(), **_binary_columns(part)})


def sign(conn: psycopg.Connection[Any], tenant_id: int, keys: Sequence[tuple[int, int, int, str]]) -> None:
    """Keep who acts with values that were just written (entity, attribute, dataset, instant) and correct others."""
    if keys and (actor := acting.current()):
        execute(conn, SIGN, {"tenant": tenant_id, "actor": actor, "why": acting.why(), **_keyed(keys)})


def authors(conn: psycopg.Connection[Any], tenant_id: int, seqs: Sequence[int]) -> dict[int, tuple[str, str]]:
    """Who wrote rows that correct others, and why if they said it, by their number."""
    rows = execute(conn, "SELECT seq, actor, why FROM observation_author WHERE tenant_id = %s AND seq = ANY (%s::bigint[])", [tenant_id, list(seqs)])
    return {row[0]: (row[1], row[2]) for row in rows}


def history_columns(rows: Sequence[Observation]) -> dict[str, str]:
    """Rows of history by column, each an array as text."""
    return {
        "types": array_of([r.type_id for r in rows]), "attrs": array_of([r.attr_id for r in rows]), "datasets": array_of([r.dataset_id for r in rows]),
        "instants": array_of([r.observed_at for r in rows]), "kinds": array_of([int(r.kind) for r in rows]), "nums": array_of([r.num for r in rows], repr),
        "txts": array_of_text([r.txt for r in rows]), "units": array_of([r.unit_id for r in rows]), "rows": array_of([r.row_no for r in rows]),
        "ops": array_of([int(r.op) for r in rows]), "untimed": array_of([r.untimed for r in rows]),
    }  # fmt: skip


def _binary_columns(rows: Sequence[Observation]) -> dict[str, object]:
    """Rows of history by column, each an array as it lies in memory but for the texts; kind, operation and whether untimed in one number."""
    instants = {text: binary.microseconds(datetime.fromisoformat(text)) for text in {r.observed_at for r in rows}}
    return {
        "types": _ints([r.type_id for r in rows]), "entities": binary.longs(np.array([r.entity_id for r in rows], np.int64)), "attrs": _ints([r.attr_id for r in rows]),
        "datasets": _ints([r.dataset_id for r in rows]), "instants": binary.instants(np.array([instants[r.observed_at] for r in rows], np.int64)),
        "said": _ints([r.kind | r.op << 8 | r.untimed << 16 for r in rows]), "nums": binary.floats(np.array([r.num for r in rows], np.float64)),
        "txts": binary.texts([r.txt for r in rows]), "units": _ints([r.unit_id or 0 for r in rows]),
        "rows": _ints([-1 if r.row_no is None else r.row_no for r in rows]),
    }  # fmt: skip


def _ints(values: list[int]) -> binary.IntArray:
    return binary.ints(np.array(values, np.int64))


def known(conn: psycopg.Connection[Any], tenant_id: int, keys: Sequence[tuple[int, int, int, str]]) -> dict[int, tuple[Any, ...]]:
    """What hot history holds at (entity, attribute, dataset, instant): by position in `keys`, (number, text, unit, operation)."""
    rows = execute(conn, KNOWN, {"tenant": tenant_id, **_keyed(keys)})
    return {row[0] - 1: row[1:] for row in rows}


def _keyed(keys: Sequence[tuple[int, int, int, str]]) -> dict[str, str]:
    """(entity, attribute, dataset, instant) by column, each an array as text."""
    return {name: array_of([key[n] for key in keys]) for n, name in enumerate(("entities", "attrs", "datasets", "instants"))}
