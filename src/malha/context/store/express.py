"""One entity read, made or changed in one statement: what to send and how to read the answer; whoever has the connection sends it.

Everything else is worked out from memory: `conn` may stand for one where nothing is asked, and then raises as soon as something is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import psycopg

from malha.context.store import announce, documents, names, records, state
from malha.context.store.cells import array_of, array_of_text, canonical
from malha.context.store.contracts import EntityDocument, StoredEntity, WriteOptions
from malha.context.store.state import Change, Current

_HISTORY = (
    "%(h_types)s::int[], %(h_attrs)s::int[], %(h_datasets)s::int[], %(h_instants)s::timestamptz[], %(h_kinds)s::smallint[], %(h_nums)s::float8[], "
    "%(h_txts)s::text[], %(h_units)s::int[], %(h_ops)s::smallint[], %(h_untimed)s::bool[], %(event)s::jsonb"
)
NAMED = f"SELECT {records.COLUMNS} FROM entities e WHERE e.tenant_id = %s AND e.uri = %s AND {records.ALIVE}"
MADE = (
    "SELECT made, made_at FROM entity_made(%(tenant)s, %(uri)s, %(types)s::int[], %(doc)s::jsonb, %(scopes)s::text[], %(box)s::box, decode(%(geom)s, 'hex'), %(name_key)s, "
    f"%(expires)s::timestamptz, %(next_expiry)s::timestamptz, {_HISTORY})"
)
EDITED = f"SELECT entity_edited(%(tenant)s, %(id)s, %(seen)s::timestamptz, %(keys)s::text[], %(expected)s::jsonb, %(doc)s::jsonb, %(gone)s::text[], %(named)s, %(name_key)s, {_HISTORY})"

type Row = tuple[Any, ...]
type Column = Callable[[int], bytes | None]
"""A column of a row as PostgreSQL wrote it, by its place."""

_TYPES, _DOC, _GEOM, _SCOPES, _NEXT_EXPIRY = 3, 4, 5, 6, 10


def plain(conn: psycopg.Connection[Any], column: Column) -> tuple[tuple[str, ...], bytes, bool] | None:
    """(types, attributes as JSON, whether stamps are among them) of the entity in an answer to NAMED, where these are all that there is of it; else None."""
    types, doc = column(_TYPES), column(_DOC)
    if types is None or doc is None or column(_GEOM) is not None or column(_SCOPES) is not None or column(_NEXT_EXPIRY) is not None:
        return None
    stamped = b'"createdAt"' in doc or b'"modifiedAt"' in doc or b'"deletedAt"' in doc or b'"expiresAt"' in doc
    return names.of_array(conn, "entity_type", types), doc, stamped


def stored(conn: psycopg.Connection[Any], row: Row) -> StoredEntity:
    """The entity in an answer to NAMED."""
    return records.entity_of_row(conn, row)


def make(conn: psycopg.Connection[Any], tenant_id: int, doc: EntityDocument) -> dict[str, Any]:
    """What MADE takes to make the entity. Raises UnusableEntity."""
    round_ = documents.Round(conn, tenant_id, WriteOptions())
    round_.read(doc)
    change = round_.change(doc, None) or Change(doc.uri, "{}", [round_.types[name] for name in doc.types])
    return {
        "tenant": tenant_id, "uri": doc.uri, "types": array_of(change.type_ids or ()), "doc": change.doc,
        "scopes": array_of_text(list(change.scopes)) if change.scopes else None, "box": change.shape.box_text if change.shape else None,
        "geom": change.shape.wkb.hex() if change.shape and change.shape.wkb else None, "name_key": change.name_key, "expires": change.expires,
        "next_expiry": change.next_expiry, **_history(round_, doc),
    }  # fmt: skip


def made(params: Mapping[str, Any], number: int, at: datetime) -> Row | None:
    """The row of an entity as MADE with these parameters left it; None where more than the document tells what it is."""
    if params["geom"] or params["next_expiry"] or params["scopes"]:
        return None
    ids = [int(one) for one in params["types"].strip("{}").split(",")]
    return number, params["tenant"], params["uri"], ids, params["doc"], None, None, at, at, None, None


def edit(conn: psycopg.Connection[Any], tenant_id: int, row: Row, doc: EntityDocument, options: WriteOptions) -> dict[str, Any] | None:
    """What EDITED takes to change the entity in `row` as `doc` says; {} where nothing changes, None where more than plain attributes do.

    Raises UnusableEntity.
    """
    round_ = documents.Round(conn, tenant_id, options)
    round_.read(doc)
    before = state.whole(row[4], row[5])
    change = round_.change(doc, Current(row[0], list(row[3]), None, None, (row[4], row[5], row[6], row[9], row[10], False)))
    if change is None and not round_.late:
        return {}
    if any(row.corrects for _, row in round_.rows):
        return None  # whoever corrects is kept with the value
    if change is None or round_.late or change.placed or change.scopes is not None or change.expiring or change.type_ids is not None:
        return None
    keys = [*change.gone, *(name for name in doc.attributes if name not in change.gone)]
    return {
        "tenant": tenant_id, "id": row[0], "seen": None, "keys": array_of_text(keys), "expected": canonical({name: before[name] for name in keys if name in before}),
        "doc": change.doc, "gone": array_of_text(list(change.gone)), "ended": change.gone, "named": change.named, "name_key": change.name_key, **_history(round_, doc),
    }  # fmt: skip


def edited(row: Row, params: Mapping[str, Any], modified_at: datetime) -> Row:
    """The row of an entity as EDITED with these parameters left it."""
    doc = state.decode(row[4])
    for name in params["ended"]:
        doc.pop(name, None)
    return (*row[:4], canonical(doc | state.decode(params["doc"])), *row[5:8], modified_at, *row[9:])


def _history(round_: documents.Round, doc: EntityDocument) -> dict[str, Any]:
    rows = [row for _, row in round_.rows]
    columns = state.history_columns(rows)
    return {f"h_{name}": columns[name] for name in ("types", "attrs", "datasets", "instants", "kinds", "nums", "txts", "units", "ops", "untimed")} | {
        "event": canonical(announce.payload(doc.types[0], 1, sorted(doc.attributes), *round_.period([row.observed_at for row in rows]), WriteOptions()))
    }


def known(conn: psycopg.Connection[Any], types: Sequence[str]) -> bool:
    """Whether the types have numbers already."""
    return len(names.existing(conn, "entity_type", types)) == len(set(types))
