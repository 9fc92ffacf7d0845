"""Numbers for names: types, attributes, units and instances are stored as small integers that never change."""

from __future__ import annotations

from collections.abc import Iterable

import psycopg

from malha.context.store.contracts import UnusableEntity
from malha.kernel.text import msg
from malha.vocabulary.contexts import service as contexts

NAME_BYTES = 1024
#: name → id by table; only rows that every transaction sees are kept, so that a rolled back insert leaves no trace
_known: dict[str, dict[str, int]] = {"entity_type": {}, "attribute": {}, "unit": {}, "attribute_dataset": {}}
_names: dict[str, dict[int, str]] = {"entity_type": {}, "attribute": {}, "unit": {}, "attribute_dataset": {}}
#: names of whole arrays, as PostgreSQL writes them, by table; of names in `_names` only
_arrays: dict[tuple[str, bytes], tuple[str, ...]] = {}
_ARRAYS = 10_000
_WITH_IRI = frozenset({"entity_type", "attribute"})
_SETTLED = "age(xmin) > age((pg_snapshot_xmin(pg_current_snapshot()))::xid)"


def forget() -> None:
    """Empty the cache: for tests that change databases."""
    for known in _known.values():
        known.clear()
    for kept in _names.values():
        kept.clear()
    _arrays.clear()


def numbers(conn: psycopg.Connection, table: str, names: Iterable[str]) -> dict[str, int]:
    """The id of each name in `table`, made where it is new. Raises UnusableEntity for a name that is too long."""
    known = _known[table]
    wanted = sorted(set(names))
    missing = [name for name in wanted if name not in known]
    if not missing:
        return {name: known[name] for name in wanted}
    found = _look_up(conn, table, missing)
    new = [name for name in missing if name not in found]
    if new:
        _insert(conn, table, new)
        found |= _look_up(conn, table, new)
    return {name: known[name] if name in known else found[name] for name in wanted}


def existing(conn: psycopg.Connection, table: str, names: Iterable[str]) -> dict[str, int]:
    """The ids of those names that are known already: for queries, which must not make names."""
    wanted = set(names)
    missing = [name for name in wanted if name not in _known[table]]
    found = _look_up(conn, table, missing) if missing else {}
    return {name: id_ for name in wanted if (id_ := _known[table].get(name, found.get(name))) is not None}


def names(conn: psycopg.Connection, table: str, ids: Iterable[int]) -> dict[int, str]:
    """The name of each id in `table`."""
    cache = _names[table]
    wanted = set(ids)
    missing = [id_ for id_ in wanted if id_ not in cache]
    found: dict[int, str] = {}
    if missing:
        rows = conn.execute(f"SELECT id, name, {_SETTLED} FROM {table} WHERE id = ANY(%s)", [missing]).fetchall()
        found = {row[0]: row[1] for row in rows}
        cache.update({row[0]: row[1] for row in rows if row[2]})
    return {id_: cache.get(id_) or found[id_] for id_ in wanted}


def of_array(conn: psycopg.Connection, table: str, ids: bytes) -> tuple[str, ...]:
    """The names of the ids in an array as PostgreSQL writes it (`{1,2}`), in its order."""
    known = _arrays.get((table, ids))
    if known is not None:
        return known
    numbers_ = [int(one) for one in ids[1:-1].split(b",")]
    found = names(conn, table, numbers_)
    made = tuple(found[one] for one in numbers_)
    if _names[table].keys() >= set(numbers_):
        if len(_arrays) >= _ARRAYS:
            _arrays.clear()
        _arrays[table, ids] = made
    return made


def _look_up(conn: psycopg.Connection, table: str, wanted: list[str]) -> dict[str, int]:
    rows = conn.execute(f"SELECT name, id, {_SETTLED} FROM {table} WHERE name = ANY(%s)", [wanted]).fetchall()
    _known[table].update({row[0]: row[1] for row in rows if row[2]})
    return {row[0]: row[1] for row in rows}


def _insert(conn: psycopg.Connection, table: str, new: list[str]) -> None:
    for name in new:
        if not name or len(name.encode()) > NAME_BYTES or "\x00" in name:
            raise UnusableEntity(msg("O nome “{name}” não serve para tipo ou atributo: tem de ter entre 1 e 1024 octetos."), name=name[:80])
    if table in _WITH_IRI:
        statement = f"INSERT INTO {table} (name, iri) SELECT * FROM unnest(%s::text[], %s::text[]) ON CONFLICT DO NOTHING"
        conn.execute(statement, [new, [contexts.iri_of(name) for name in new]])
    else:
        conn.execute(f"INSERT INTO {table} (name) SELECT unnest(%s::text[]) ON CONFLICT DO NOTHING", [new])
