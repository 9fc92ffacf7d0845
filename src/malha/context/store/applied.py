"""What a document makes of an entity that lies elsewhere than in the table of the present: by the same rules, written by whoever keeps it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import psycopg

from malha.context.store import documents, names, state
from malha.context.store.cells import canonical
from malha.context.store.contracts import EntityDocument, StoredEntity, WriteOptions
from malha.context.store.state import Change, Current, Observation


@dataclass(frozen=True, slots=True)
class Applied:
    """The entity as it becomes, None where nothing of it changes; and what history says of that, each row without the entity's number."""

    entity: StoredEntity | None
    told: tuple[Observation, ...]
    moment: datetime


def applied(conn: psycopg.Connection[Any], tenant_id: int, doc: EntityDocument, before: StoredEntity | None, options: WriteOptions) -> Applied:
    """What `doc` makes of `before` (None: there is none); nothing but names is written. Raises UnusableEntity."""
    round_ = documents.Round(conn, tenant_id, options)
    round_.read(doc)
    if before is None:
        current = None
        was = StoredEntity(0, tenant_id, doc.uri, (), {}, None, round_.moment, round_.moment)
    else:
        numbers = names.numbers(conn, "entity_type", before.types)
        extra = canonical(before.attributes), None, list(before.scopes), before.expires_at, before.expires_at, False
        current, was = Current(before.id, [numbers[name] for name in before.types], None, None, extra), before
    change = round_.change(doc, current)
    told = tuple(row for _, row in (*round_.rows, *round_.late))
    return Applied(None if change is None else _after(was, doc, change, round_.moment), told, round_.moment)


def _after(was: StoredEntity, doc: EntityDocument, change: Change, moment: datetime) -> StoredEntity:
    named = state.decode(change.doc)
    if change.shape is not None and change.shape.wkb:  # the table keeps it beside the document
        named["location"]["value"] = change.shape.geojson
    kept = {name: each for name, each in was.attributes.items() if name not in change.gone}
    return replace(
        was, attributes=kept | named, types=tuple(dict.fromkeys((*was.types, *doc.types))), scopes=was.scopes if change.scopes is None else tuple(change.scopes),
        expires_at=(datetime.fromisoformat(change.expires) if change.expires else None) if change.expiring else was.expires_at, modified_at=moment,
    )  # fmt: skip
