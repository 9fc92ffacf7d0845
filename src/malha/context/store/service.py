"""The door of the store: write entities in batches, read them back, find them, undo a load.

Every function takes a connection inside a tenant's transaction (`foundation.database.service.tenant_transaction`, or
Django's own by `foundation.database.django.current`). State, history and event of a write share that transaction.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import psycopg

from malha.context.store import (
    applied,
    columns,
    documents,
    evolution,
    expiry,
    filterable,
    inventory,
    names,
    packed,
    pages,
    predicate,
    q,
    reading,
    records,
    selections,
    state,
    undo,
    watching,
    writing,
)
from malha.context.store import table as tables
from malha.context.store.contracts import (
    ArrowTable,
    AttributeUse,
    EntityDocument,
    EntityPage,
    EntityQuery,
    EntityTable,
    InstanceKey,
    PastInstance,
    PlacedEntity,
    StoredEntity,
    WriteOptions,
    WriteOutcome,
)
from malha.foundation.access import reach
from malha.foundation.access.contracts import BeyondReach
from malha.foundation.database import service as database
from malha.kernel.text import msg

_DEFAULTS = WriteOptions()


def upsert_table(conn: psycopg.Connection[Any], tenant_id: int, table: EntityTable, options: WriteOptions = _DEFAULTS) -> WriteOutcome:
    """Write a batch of one type given as columns: made for 5,000 rows and more at a time.

    The outcome counts entities; `observations` counts new values. A value that an entity has already makes no row, no
    history and no event; one older than the present is history only; one at the same instant corrects it. Rows that
    cannot be stored are named in `refused` and the rest goes in. Raises UnusableEntity where columns differ in length.
    """
    if reach.current() is not None:
        raise BeyondReach(msg("O seu acesso é limitado a uma parte dos dados, e assim não pode carregar tabelas."))
    return tables.upsert_table(conn, tenant_id, table, options)


def upsert_arrow(conn: psycopg.Connection[Any], tenant_id: int, table: ArrowTable, options: WriteOptions = _DEFAULTS) -> WriteOutcome:
    """`upsert_table` for loads: with many values per series, history goes in as arrays, at a tenth of the cost.

    What is not plain (objects, places, few rows per thing) takes the road of `upsert_table`; the outcome is the same.
    """
    if reach.current() is not None:
        raise BeyondReach(msg("O seu acesso é limitado a uma parte dos dados, e assim não pode carregar tabelas."))
    return packed.upsert_arrow(conn, tenant_id, table, options)


def upsert_documents(conn: psycopg.Connection[Any], tenant_id: int, docs: Sequence[EntityDocument], options: WriteOptions = _DEFAULTS) -> WriteOutcome:
    """Write entities given as internal documents, of any types; the same URI twice is applied in order.

    In mode UPDATE attributes that are not named stay and instances are matched by datasetId; in mode REPLACE they go.
    Entities that cannot be stored are named in `refused` and the rest goes in. Raises BeyondReach where one lies, or
    would lie, beyond what the writer may see.
    """
    if reach.current() is not None:
        writing.require_reach(conn, tenant_id, docs, options)
    return documents.upsert_documents(conn, tenant_id, docs, options)


def applied_to(
    conn: psycopg.Connection[Any], tenant_id: int, doc: EntityDocument, before: StoredEntity | None, options: WriteOptions = _DEFAULTS
) -> applied.Applied:  # fmt: skip
    """What `doc` makes of an entity that somebody else keeps, by the rules of `upsert_documents`; nothing but names is written. Raises UnusableEntity."""
    return applied.applied(conn, tenant_id, doc, before, options)


def living(entity: StoredEntity) -> StoredEntity | None:
    """The entity without attributes that have ended, None where it has ended itself (§4.22): for entities that somebody else keeps."""
    return records.living(entity)


def record_past(conn: psycopg.Connection[Any], tenant_id: int, entity: StoredEntity, past: Sequence[PastInstance], options: WriteOptions = _DEFAULTS) -> int:
    """Add instances to the history of an entity; its current state stays as it is. Returns how many rows that made.

    Raises UnusableEntity for an instance that cannot be stored.
    """
    return evolution.record(conn, tenant_id, entity, past, options)


def hide_past(conn: psycopg.Connection[Any], tenant_id: int, entity: StoredEntity, keys: Sequence[InstanceKey], options: WriteOptions = _DEFAULTS) -> int:
    """Take instances out of the history of an entity; its current state stays as it is. Returns how many."""
    return evolution.hide(conn, tenant_id, entity, keys, options)


def authors(conn: psycopg.Connection[Any], tenant_id: int, seqs: Sequence[int]) -> dict[int, tuple[str, str]]:
    """Who wrote values that took the place of others, and why if they said it, by their number in history; those that a load brought are left out."""
    return state.authors(conn, tenant_id, seqs)


def answering(
    conn: psycopg.Connection[Any], found: Mapping[int, Mapping[str, Sequence[Mapping[str, Any]]]], question: EntityQuery
) -> set[int]:  # fmt: skip
    """Those of the entities whose instances, by id and attribute, answer `question.q` and its places (GS CIM 009 §5.7.4.4).

    Raises UnusableQuery where the question cannot be understood.
    """
    return evolution.answering(conn, found, question)


def retrieve(conn: psycopg.Connection[Any], tenant_id: int, uri: str, *, lock: bool = False) -> StoredEntity:
    """The entity with that URI, with `lock` kept from other writers to the end of the transaction. Raises EntityNotFound."""
    return reading.retrieve(conn, tenant_id, uri, lock=lock)


def exists(conn: psycopg.Connection[Any], tenant_id: int, uri: str) -> bool:
    """Whether the tenant has an entity with that URI."""
    return reading.exists(conn, tenant_id, uri)


def existing(conn: psycopg.Connection[Any], tenant_id: int, uris: Sequence[str]) -> set[str]:
    """Those of `uris` that the tenant has entities with."""
    return reading.existing(conn, tenant_id, uris)


def by_uris(conn: psycopg.Connection[Any], tenant_id: int, uris: Sequence[str], *, lock: bool = False) -> dict[str, StoredEntity]:
    """The entities with those URIs that there are, with `lock` kept from other writers."""
    return reading.by_uris(conn, tenant_id, uris, lock=lock)


def rename_in_question(
    text: str, rename: Callable[[str], str], word: Callable[[str], str] | None = None, expanded: frozenset[str] = frozenset()
) -> str:  # fmt: skip
    """A `q` with the names of its attributes changed, ready for `EntityQuery.q`. Raises UnusableQuery.

    Texts compared with an attribute in `expanded` (as the sender names it) are words of a vocabulary: `word` gives their IRI.
    """

    def value(path: q.Path, said: q.Scalar) -> q.Scalar:
        return word(said) if word and isinstance(said, str) and path.names[0] in expanded else said

    return q.write(q.renamed(q.parse(text), rename, value if expanded else None))


def links_in_question(text: str) -> int:
    """How many relationships a `q` follows one after the other. Raises UnusableQuery."""
    return q.depth(q.parse(text))


def type_holds(selection: str, types: Sequence[str]) -> bool:
    """Whether an entity of `types` is of a selection of types (internal names). Raises UnusableQuery."""
    return selections.holds(selections.parse(selection), lambda name: name in types)


def names_in_question(text: str) -> set[str]:
    """The attributes that a `q` names. Raises UnusableQuery."""
    return q.names(q.parse(text))


def names_beyond_links(text: str) -> set[str]:
    """The attributes that a `q` names of entities which relationships lead to. Raises UnusableQuery."""
    return q.names_beyond(q.parse(text))


def query(conn: psycopg.Connection[Any], tenant_ids: Sequence[int], question: EntityQuery) -> EntityPage:
    """A page of entities in order of their id. Raises UnusableQuery where the question cannot be understood.

    To walk over everything, pass the last entity's id as `after_id`: the cost of a page stays the same.
    """
    return pages.query(conn, tenant_ids, question)


def condition(text: str) -> tuple[str, dict[str, object]]:
    """What a `q` asks of a row `e` of the entities, as SQL, and its values by name. Raises UnusableQuery; who asks keeps to a reach."""
    params: list[object] = []
    sql = predicate.compile_node(q.parse(text), params, predicate.Look())
    names = iter(f"q{number}" for number in range(len(params)))
    return re.sub(r"%s", lambda _: f"%({next(names)})s", sql), {f"q{number}": value for number, value in enumerate(params)}


def uris(conn: psycopg.Connection[Any], tenant_id: int, question: EntityQuery) -> list[str]:
    """As `pages.uris`."""
    return pages.uris(conn, tenant_id, question)


def placed(
    conn: psycopg.Connection[Any], tenant_id: int, entity_type: str, box: tuple[float, float, float, float], *, limit: int
) -> list[PlacedEntity]:  # fmt: skip
    """Entities of a type whose box meets `box`, for drawing."""
    return pages.placed(conn, tenant_id, entity_type, box, limit)


def fingerprint(conn: psycopg.Connection[Any], tenant_id: int, entity_type: str, box: tuple[float, float, float, float]) -> str:
    """A text that changes when anything of the type within `box` does."""
    return pages.fingerprint(conn, tenant_id, entity_type, box)


def types(conn: psycopg.Connection[Any], tenant_id: int) -> list[tuple[str, int, datetime]]:
    """Each type that the tenant has entities of: (type, how many, last change)."""
    return inventory.types(conn, tenant_id)


def holds_anything(conn: psycopg.Connection[Any], tenant_id: int) -> bool:
    """Whether the tenant has an entity at all."""
    return inventory.holds_anything(conn, tenant_id)


def type_names(conn: psycopg.Connection[Any], tenant_id: int) -> list[str]:
    """The types that the tenant has entities of, in order: as `types`, without counting."""
    return inventory.type_names(conn, tenant_id)


def type_number(conn: psycopg.Connection[Any], entity_type: str) -> int | None:
    """The number under which a type is stored, None where nobody has used it."""
    return names.existing(conn, "entity_type", [entity_type]).get(entity_type)


def attribute_uses(conn: psycopg.Connection[Any], tenant_id: int, entity_type: str = "", name: str = "") -> list[AttributeUse]:
    """Which attributes entities of which types have now: all, those of one type, or one attribute."""
    return inventory.attribute_uses(conn, tenant_id, entity_type, name)


def uses_of(entities: Iterable[StoredEntity], entity_type: str = "", name: str = "") -> list[AttributeUse]:
    """As `attribute_uses`, of these entities instead of those in the store."""
    return inventory.uses_of(entities, entity_type, name)


def attribute_names(conn: psycopg.Connection[Any], tenant_id: int, entity_type: str) -> set[str]:
    """The names of the attributes that entities of the type have now. Reads them all: for exports, not for pages."""
    return inventory.attribute_names(conn, tenant_id, entity_type)


def dataset_numbers(conn: psycopg.Connection[Any], uris: Sequence[str]) -> dict[str, int]:
    """The numbers that history gives to those of these datasetIds that were ever used."""
    return names.existing(conn, "attribute_dataset", uris)


def dataset_names(conn: psycopg.Connection[Any], numbers: Iterable[int]) -> dict[int, str]:
    """The datasetIds of these numbers."""
    return names.names(conn, "attribute_dataset", set(numbers))


def delete(conn: psycopg.Connection[Any], tenant_id: int, uris: Sequence[str], run_id: int | None = None) -> int:
    """Take entities away, with their history hidden. Returns how many there were. Raises BeyondReach."""
    if reach.current() is not None:
        writing.require_whole(conn, tenant_id, uris)
    return len(undo.delete(conn, tenant_id, uris, run_id))


def scope_test(selection: str) -> Callable[[Iterable[str]], bool]:
    """Whether an entity of some scopes is of a selection of scopes. Raises UnusableQuery."""
    return selections.scopes(selection)


def rename_in_types(text: str, rename: Callable[[str], str]) -> str:
    """A selection of types with the names changed, ready for `EntityQuery.type_selection`. Raises UnusableQuery."""
    return selections.write(selections.renamed(selections.parse(text), rename))


def types_in(text: str) -> set[str]:
    """The types that a selection names. Raises UnusableQuery."""
    return selections.names(selections.parse(text))


def plain_types(selection: str) -> tuple[str, ...]:
    """The types of a selection that means any of them; () where it says more. Raises UnusableQuery."""
    return selections.plain(selections.parse(selection)) if selection else ()


def keep_filterable(conn: psycopg.Connection[Any], tenant_id: int) -> bool:
    """Keep up with the models of a tenant: the values of properties that they declare filterable lie ready to be asked for.

    `conn` is in autocommit, outside of any transaction: several follow each other here. False where a writer of before is still at work.
    """
    with database.tenant_transaction(conn, [tenant_id]):
        new, left = filterable.declare(conn, tenant_id, inventory.type_names(conn, tenant_id))
    if not left:
        return True
    if new:
        with database.tenant_transaction(conn, [tenant_id]):
            filterable.seen(conn, tenant_id)
    with database.tenant_transaction(conn, [tenant_id]):
        return filterable.keep(conn, tenant_id)


def forget_changes(conn: psycopg.Connection[Any], tenant_id: int) -> None:
    """Let go what changed too long ago for any reader's figures in memory, and watch no more what nobody asks for, in the tenant's transaction."""
    watching.forget(conn, tenant_id)


def figures_kept_bytes() -> int:
    """How much memory is taken by what this process keeps to count by."""
    return columns.size_bytes()


def take_ended(conn: psycopg.Connection[Any], tenant_id: int) -> int:
    """Take away entities and attributes whose time has come (§4.22), in the tenant's transaction. Returns how many entities changed."""
    return expiry.take_ended(conn, tenant_id)


def undo_run(conn: psycopg.Connection[Any], tenant_id: int, run_id: int) -> tuple[int, int, int]:
    """Undo what a run wrote: (entities deleted, entities put back, hot observations removed).

    Entities that the run made go unless somebody wrote them since; values that it set go back to what they were before
    it. Readers of the lake leave its observations out at once (`undone_run`), and the event `run.undone` has them removed.
    """
    return undo.undo_run(conn, tenant_id, run_id)


def partitions_ahead(conn: psycopg.Connection[Any], days: int = 7) -> int:
    """Make the hot partitions of the coming days; run by the tick. Returns how many were new."""
    row = conn.execute("SELECT observation_partitions_ahead(%s)", [days]).fetchone()
    return int(row[0]) if row else 0
