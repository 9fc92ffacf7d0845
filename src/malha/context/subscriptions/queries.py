"""Subscriptions, changes and waiting notifications as rows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import msgspec
import psycopg
from psycopg.rows import tuple_row
from psycopg.types.json import Jsonb

from malha.context.store import geometry, names, state
from malha.context.store.cells import array_of_text
from malha.context.store.contracts import StoredEntity
from malha.context.subscriptions.contracts import ENTITIES, Change, Lane, Operation, Queued, State, Subscription

_COLUMNS = "s.tenant_id, s.id, s.uri, s.subject, s.document, s.context, s.active, s.expires_at, s.since, s.created_at, s.modified_at, s.about, s.through"
_STATE = "t.times_sent, t.times_failed, t.times_dropped, t.last_notification, t.last_success, t.last_failure, t.failing_since, coalesce(t.error, ''), coalesce(t.recent, '[]')"
_OF_CLIENT = "s.tenant_id = %(tenant)s AND s.about = %(about)s AND (%(subject)s::text IS NULL OR s.subject = %(subject)s)"
_SETTLED = "xid < pg_snapshot_xmin(pg_current_snapshot())"
_CHANGE = "seq, xid::text::bigint, tenant_id, operation, entity_id, uri, types, doc::text, geom, scopes, created_at, modified_at, before, at, subscription_id"
CONSUMER = "malha.context.subscriptions"

INSERT = """
WITH made AS (INSERT INTO subscription (tenant_id, uri, subject, document, context, active, expires_at, about, through)
    VALUES (%(tenant)s, %(uri)s, %(subject)s, %(document)s, %(context)s, %(active)s, %(expires)s, %(about)s, %(through)s) ON CONFLICT (tenant_id, uri) DO NOTHING RETURNING tenant_id, id)
INSERT INTO subscription_state (tenant_id, subscription_id) SELECT tenant_id, id FROM made RETURNING subscription_id
"""
#: `id` names one; with its state and what waits for it
FIND = f"""
SELECT {_COLUMNS}, {_STATE}, (SELECT count(*) FROM notification n WHERE n.tenant_id = s.tenant_id AND n.subscription_id = s.id)
FROM subscription s LEFT JOIN subscription_state t ON t.tenant_id = s.tenant_id AND t.subscription_id = s.id
WHERE {_OF_CLIENT} AND (%(uri)s::text IS NULL OR s.uri = %(uri)s) ORDER BY s.id LIMIT %(limit)s OFFSET %(offset)s
"""
UPDATE = "UPDATE subscription SET document = %s, context = %s, active = %s, since = CASE WHEN active THEN since ELSE now() END, expires_at = %s, modified_at = now() WHERE tenant_id = %s AND id = %s"
DELETE = f"DELETE FROM subscription s WHERE {_OF_CLIENT} AND s.uri = %(uri)s RETURNING s.id"
EMPTY = f"DELETE FROM notification n USING subscription s WHERE n.tenant_id = s.tenant_id AND n.subscription_id = s.id AND {_OF_CLIENT} AND s.uri = %(uri)s"
ACTIVE = f"SELECT {_COLUMNS} FROM subscription s WHERE s.tenant_id = %s AND s.active AND (s.expires_at IS NULL OR s.expires_at > now()) ORDER BY s.id"
LASTING = f"""
SELECT {_COLUMNS} FROM subscription s WHERE s.tenant_id = %s AND s.about = 'entities' AND (s.expires_at IS NULL OR s.expires_at > now())
    AND (%s::bigint IS NULL OR s.id = %s) ORDER BY s.id
"""
TOUCH = "INSERT INTO subscription_interest (tenant_id, revision, type_ids) VALUES (%s, pg_current_xact_id()::text::bigint, '{}') ON CONFLICT (tenant_id) DO UPDATE SET revision = excluded.revision"
#: as many as are wanted, or as fit into a few megabytes, but always one
CHANGES = f"""
SELECT {_CHANGE} FROM (
    SELECT *, row_number() OVER following AS place, sum(pg_column_size(doc) + pg_column_size(before)) OVER following AS bytes FROM (
        SELECT * FROM entity_change WHERE (xid, seq) > (%s::text::xid8, %s) AND {_SETTLED} ORDER BY xid, seq LIMIT %s) c
    WINDOW following AS (ORDER BY xid, seq)
) c WHERE place = 1 OR bytes < {8 * 2**20} ORDER BY xid, seq
"""
ADD_INTEREST = "UPDATE subscription_interest SET type_ids = (SELECT array_agg(DISTINCT t) FROM unnest(type_ids || %s::int[]) AS t) WHERE tenant_id = %s AND type_ids IS NOT NULL"
CHANGES_BY_SEQ = f"SELECT {_CHANGE} FROM entity_change WHERE tenant_id = %s AND seq = ANY (%s::bigint[]) ORDER BY seq"
NOTE = """
INSERT INTO entity_change (tenant_id, entity_id, uri, types, doc, scopes, created_at, modified_at, operation, before, subscription_id)
SELECT %(tenant)s, n.entity, n.uri, n.types::int[], n.doc::jsonb, n.scopes::text[], n.created, n.modified, n.operation, n.before::jsonb, %(subscription)s
FROM unnest(%(entities)s::bigint[], %(uris)s::text[], %(types)s::text[], %(docs)s::text[], %(scopes)s::text[], %(created)s::timestamptz[], %(modified)s::timestamptz[],
    %(operations)s::smallint[], %(befores)s::text[]) WITH ORDINALITY AS n (entity, uri, types, doc, scopes, created, modified, operation, before, n) ORDER BY n.n
"""
ENQUEUE = """
INSERT INTO notification (tenant_id, subscription_id, changes)
SELECT n.tenant, n.subscription, n.changes::bigint[] FROM unnest(%s::bigint[], %s::bigint[], %s::text[]) WITH ORDINALITY AS n (tenant, subscription, changes, n)
JOIN subscription s ON s.tenant_id = n.tenant AND s.id = n.subscription ORDER BY n.n
RETURNING tenant_id, id, subscription_id, changes, attempts
"""
WAITING = "SELECT tenant_id, id, subscription_id, changes, attempts, told FROM notification WHERE tenant_id = %s AND subscription_id = %s AND id > %s ORDER BY id LIMIT %s"
LANES = "SELECT n.tenant_id, n.subscription_id, t.not_before, t.last_notification FROM (SELECT DISTINCT tenant_id, subscription_id FROM notification) n LEFT JOIN subscription_state t USING (tenant_id, subscription_id)"
TRIM_CHANGES = """
DELETE FROM entity_change c WHERE (c.xid, c.seq) <= (%s::text::xid8, %s) AND c.at < now() - interval '30 seconds'
    AND NOT EXISTS (SELECT FROM (SELECT n.tenant_id, unnest(n.changes) AS seq FROM notification n) w WHERE w.tenant_id = c.tenant_id AND w.seq = c.seq)
"""
OUTCOMES = """
UPDATE subscription_state t SET
    times_sent = t.times_sent + n.sent, times_failed = t.times_failed + n.failed, times_dropped = t.times_dropped + n.dropped,
    last_notification = coalesce(n.last, t.last_notification), last_success = coalesce(n.success, t.last_success), last_failure = coalesce(n.failure, t.last_failure),
    failing_since = CASE WHEN n.ok THEN NULL ELSE coalesce(t.failing_since, n.failure, now()) END, error = CASE WHEN n.ok THEN NULL ELSE n.error END, not_before = n.not_before,
    recent = (SELECT coalesce(jsonb_agg(e ORDER BY p), '[]') FROM (SELECT e, p FROM jsonb_array_elements(n.recent::jsonb || t.recent) WITH ORDINALITY AS x (e, p) ORDER BY p LIMIT 10) y)
FROM unnest(%(tenants)s::bigint[], %(ids)s::bigint[], %(sent)s::int[], %(failed)s::int[], %(dropped)s::int[], %(last)s::timestamptz[], %(success)s::timestamptz[],
    %(failure)s::timestamptz[], %(ok)s::bool[], %(error)s::text[], %(not_before)s::timestamptz[], %(recent)s::text[])
    AS n (tenant, id, sent, failed, dropped, last, success, failure, ok, error, not_before, recent)
WHERE t.tenant_id = n.tenant AND t.subscription_id = n.id
"""
DONE = "DELETE FROM notification d USING unnest(%s::bigint[], %s::bigint[]) AS n (tenant, id) WHERE d.tenant_id = n.tenant AND d.id = n.id"
TRIED = (
    "UPDATE notification d SET attempts = d.attempts + 1 FROM unnest(%s::bigint[], %s::bigint[]) AS n (tenant, id) WHERE d.tenant_id = n.tenant AND d.id = n.id"
)
#: queues that are longer, or older, than they may be lose what is oldest
OVERFLOW = """
DELETE FROM notification d USING (
    SELECT tenant_id, id, row_number() OVER (PARTITION BY tenant_id, subscription_id ORDER BY id DESC) AS place FROM notification
) n WHERE d.tenant_id = n.tenant_id AND d.id = n.id AND (n.place > %s OR d.queued_at < now() - make_interval(hours => %s))
RETURNING d.tenant_id, d.subscription_id, d.id
"""


def _cursor(conn: psycopg.Connection[Any]) -> psycopg.Cursor[tuple[Any, ...]]:
    return psycopg.Cursor(conn, row_factory=tuple_row)


def insert(
    conn: psycopg.Connection[Any],
    tenant_id: int,
    uri: str,
    subject: str,
    document: Mapping[str, Any],
    context: Any,
    *,
    active: bool,
    expires: object,
    about: str = ENTITIES,
    through: Sequence[str] = (),
) -> int | None:
    """Keep a subscription; its id, or None when the URI is taken."""
    row = _cursor(conn).execute(INSERT, {
        "tenant": tenant_id, "uri": uri, "subject": subject, "document": Jsonb(document), "context": None if context is None else Jsonb(context), "active": active,
        "expires": expires, "about": about, "through": list(through),
    }).fetchone()  # fmt: skip
    return int(row[0]) if row else None


def find(
    conn: psycopg.Connection[Any], tenant_id: int, *, subject: str | None = None, uri: str | None = None, limit: int | None = None, offset: int = 0,
    about: str = ENTITIES
) -> list[tuple[Subscription, State]]:  # fmt: skip
    """Subscriptions of a tenant, of one client when `subject` is given."""
    rows = _cursor(conn).execute(FIND, {"tenant": tenant_id, "subject": subject, "uri": uri, "limit": limit, "offset": offset, "about": about})
    return [(Subscription(*row[:13]), _state(row[13:])) for row in rows]


def _state(row: Sequence[Any]) -> State:
    return State(
        times_sent=row[0] or 0, times_failed=row[1] or 0, times_dropped=row[2] or 0, last_notification=row[3], last_success=row[4], last_failure=row[5],
        failing_since=row[6], error=row[7], recent=tuple(row[8] or ()), waiting=row[9],
    )  # fmt: skip


def count(conn: psycopg.Connection[Any], tenant_id: int, subject: str | None, about: str = ENTITIES) -> int:
    """How many there are."""
    row = _cursor(conn).execute(f"SELECT count(*) FROM subscription s WHERE {_OF_CLIENT}", {"tenant": tenant_id, "subject": subject, "about": about}).fetchone()
    return int(row[0]) if row else 0


def update(conn: psycopg.Connection[Any], subscription: Subscription) -> None:
    """Write what a subscription says now."""
    _cursor(conn).execute(UPDATE, [
        Jsonb(subscription.document), None if subscription.context is None else Jsonb(subscription.context), subscription.active, subscription.expires_at,
        subscription.tenant_id, subscription.id,
    ])  # fmt: skip


def delete(conn: psycopg.Connection[Any], tenant_id: int, uri: str, subject: str | None, about: str = ENTITIES) -> bool:
    """Take a subscription away, with what waits for it: that first, in the order in which deliveries lock."""
    _cursor(conn).execute(EMPTY, {"tenant": tenant_id, "uri": uri, "subject": subject, "about": about})
    return _cursor(conn).execute(DELETE, {"tenant": tenant_id, "uri": uri, "subject": subject, "about": about}).fetchone() is not None


def active(conn: psycopg.Connection[Any], tenant_id: int) -> list[Subscription]:
    """Those that may be told of something."""
    return [Subscription(*row) for row in _cursor(conn).execute(ACTIVE, [tenant_id])]


def lasting(conn: psycopg.Connection[Any], tenant_id: int, id_: int | None = None) -> list[Subscription]:
    """Those about entities that have not ended, paused ones too; all of them, or the one of a number."""
    return [Subscription(*row) for row in _cursor(conn).execute(LASTING, [tenant_id, id_, id_])]


def touch(conn: psycopg.Connection[Any], tenant_id: int) -> None:
    """Give the tenant's subscriptions a new revision; other writers of them wait until this transaction ends."""
    _cursor(conn).execute(TOUCH, [tenant_id])


def set_interest(conn: psycopg.Connection[Any], tenant_id: int, types: Iterable[str] | None) -> None:
    """Say which types writers have to tell of."""
    ids = None if types is None else list(names.numbers(conn, "entity_type", types).values())
    _cursor(conn).execute("UPDATE subscription_interest SET type_ids = %s WHERE tenant_id = %s", [ids, tenant_id])


def add_interest(conn: psycopg.Connection[Any], tenant_id: int, types: frozenset[str] | None) -> None:
    """Say that writers have to tell of these types as well."""
    if types is None:
        set_interest(conn, tenant_id, None)
    elif types:
        _cursor(conn).execute(ADD_INTEREST, [list(names.numbers(conn, "entity_type", types).values()), tenant_id])


def revisions(conn: psycopg.Connection[Any], tenants: Iterable[int] | None = None) -> dict[int, int]:
    """The revision of each tenant's subscriptions."""
    wanted = None if tenants is None else list(tenants)
    rows = _cursor(conn).execute(
        "SELECT tenant_id, revision FROM subscription_interest WHERE %s::bigint[] IS NULL OR tenant_id = ANY (%s::bigint[])", [wanted, wanted]
    )
    return {row[0]: row[1] for row in rows}


def changes(conn: psycopg.Connection[Any], after: tuple[int, int], limit: int) -> list[Change]:
    """Settled changes of all tenants after a position, in order."""
    return _changes(conn, _cursor(conn).execute(CHANGES, [str(after[0]), after[1], limit]).fetchall())


def changes_by_seq(conn: psycopg.Connection[Any], tenant_id: int, seqs: Sequence[int]) -> list[Change]:
    """Changes of a tenant by number."""
    return _changes(conn, _cursor(conn).execute(CHANGES_BY_SEQ, [tenant_id, list(seqs)]).fetchall())


def _changes(conn: psycopg.Connection[Any], rows: Sequence[tuple[Any, ...]]) -> list[Change]:
    types = names.names(conn, "entity_type", {id_ for row in rows for id_ in row[6]})
    return [_change(row, types) for row in rows]


def _change(row: tuple[Any, ...], types: Mapping[int, str]) -> Change:
    attributes = state.whole(row[7], row[8])
    place = attributes.get("location")
    value = place.get("value") if isinstance(place, dict) else None
    entity = StoredEntity(
        id=row[4], tenant_id=row[2], uri=row[5], types=tuple(types[id_] for id_ in row[6]), attributes=attributes,
        location=value if isinstance(value, dict) else None, created_at=row[10], modified_at=row[11], scopes=tuple(row[9] or ()),
    )  # fmt: skip
    before = row[12]
    was = before.get("location")
    if isinstance(was, dict) and "wkb" in was:
        before["location"] = {**{key: one for key, one in was.items() if key != "wkb"}, "value": geometry.geojson_of(bytes.fromhex(was["wkb"]))}
    return Change(row[0], row[1], row[2], row[3], entity, before, row[13], len(row[7]), row[14])


def note(
    conn: psycopg.Connection[Any], tenant_id: int, subscription_id: int, entities: Sequence[StoredEntity], deleted: Collection[str] = (),
    before: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:  # fmt: skip
    """What another source told of, for one subscription, `deleted` those that are no more: it goes the way of every other change.

    `before` has, by URI, attributes that an entity had and has no more.
    """
    was = before or {}
    types = names.numbers(conn, "entity_type", {name for one in entities for name in one.types})
    _cursor(conn).execute(NOTE, {
        "tenant": tenant_id, "subscription": subscription_id, "entities": [one.id for one in entities], "uris": [one.uri for one in entities],
        "types": ["{" + ",".join(str(types[name]) for name in one.types) + "}" for one in entities],
        "docs": [msgspec.json.encode(one.attributes).decode() for one in entities], "scopes": [array_of_text(one.scopes) for one in entities],
        "created": [one.created_at for one in entities], "modified": [one.modified_at for one in entities],
        "operations": [Operation.DELETED if one.uri in deleted else Operation.UPDATED if was.get(one.uri) else Operation.CREATED for one in entities],
        "befores": [msgspec.json.encode(was.get(one.uri, {})).decode() for one in entities],
    })  # fmt: skip


def enqueue(conn: psycopg.Connection[Any], rows: Sequence[tuple[int, int, Sequence[int]]]) -> list[Queued]:
    """Let notifications wait: (tenant, subscription, numbers of changes). Subscriptions that are gone are left out."""
    arrays = ["{" + ",".join(map(str, row[2])) + "}" for row in rows]
    found = _cursor(conn).execute(ENQUEUE, [[row[0] for row in rows], [row[1] for row in rows], arrays])
    return sorted((_queued(row) for row in found), key=lambda one: one.id)


def tell(conn: psycopg.Connection[Any], tenant_id: int, subscription_id: int, told: Mapping[str, Any]) -> None:
    """Let what is told of registrations wait for a subscription. Whoever tells keeps others out until the end of the transaction."""
    statement = "INSERT INTO notification (tenant_id, subscription_id, changes, told) VALUES (%s, %s, '{}', %s)"
    _cursor(conn).execute(statement, [tenant_id, subscription_id, Jsonb(told)])


def told(conn: psycopg.Connection[Any]) -> list[Lane]:
    """The subscriptions for which something waits that is told of registrations."""
    found = _cursor(conn).execute("SELECT DISTINCT tenant_id, subscription_id FROM notification WHERE told IS NOT NULL")
    return [(row[0], row[1]) for row in found]


def waiting(conn: psycopg.Connection[Any], tenant_id: int, subscription_id: int, after: int, limit: int) -> list[Queued]:
    """What waits for one subscription."""
    return [_queued(row) for row in _cursor(conn).execute(WAITING, [tenant_id, subscription_id, after, limit])]


def _queued(row: tuple[Any, ...]) -> Queued:
    return Queued(row[0], row[1], row[2], tuple(row[3]), row[4], row[5] if len(row) > 5 else None)
