"""A table of history walked in the order of its key, a stretch of series at a time: a page reads what it shows and little more.

The lake keeps rows by attribute and entity; only the names of entities have another order than their numbers. So the
series are put in order once for each snapshot of the lake, with how many rows each has, and no page sorts the whole table.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from malha.history.engines.service import Connection
from malha.share.questions.expressions import Binary, In, Literal, Name, Node, conjuncts

#: a stretch that had too few rows that answer is followed by one that many times as long
LONGER = 8


@dataclass(frozen=True, slots=True)
class Series:
    """Every series of a table in the order of its key: attribute, URI and number of the entity, rows at most."""

    attributes: Sequence[str]
    uris: Sequence[str]
    ids: Sequence[int]
    rows: Sequence[int]


@dataclass(frozen=True, slots=True)
class Stretch:
    """Series that follow one another: the entities of each attribute, None for all that it has."""

    ids: tuple[int, ...]
    parts: tuple[tuple[str, tuple[int, ...] | None], ...]


def series(cursor: Connection, stored: pa.Table, hot: str) -> Series:
    """The series of a table: `stored` (attribute, entity_id, rows) of the lake, and those of the rows that the statement `hot` gives."""
    cursor.register("hub_stored", stored)
    found = cursor.execute(
        f"""SELECT s.attribute, e.uri, s.entity_id, sum(s.rows)::BIGINT AS rows
        FROM (SELECT attribute, entity_id, rows FROM hub_stored UNION ALL SELECT attribute, entity_id, count(*) FROM ({hot}) GROUP BY ALL) AS s
        JOIN hub_entity AS e ON e.entity_id = s.entity_id GROUP BY ALL ORDER BY s.attribute, e.uri"""
    ).to_arrow_table()
    return Series(*(found.column(name).to_pylist() for name in ("attribute", "uri", "entity_id", "rows")))


def stretches(known: Series, where: Node | None, after: Sequence[object], limit: int) -> Iterator[Stretch]:
    """What to read for `limit` rows that come after a place, one stretch after the other until there are enough."""
    first = bisect_left(range(len(known.ids)), tuple(after[:2]), key=lambda at: (known.attributes[at], known.uris[at])) if after else 0
    named = _named(where) if where is not None else []
    positions: Sequence[int] = range(first, len(known.ids))
    for names, values in named:
        positions = [at for at in positions if (known.attributes if names == "attribute" else known.uris)[at] in values]
    begun, most = 0, limit
    while begun < len(positions):
        end = begun + 1
        held = 0 if after and not begun else known.rows[positions[begun]]  # of the series that the place is in nobody knows how much is left
        while held < most and end < len(positions):
            held, end = held + known.rows[positions[end]], end + 1
        yield _stretch(known, positions[begun:end])
        begun, most = end, most * LONGER


def _stretch(known: Series, positions: Sequence[int]) -> Stretch:
    found: dict[str, list[int]] = {}
    for at in positions:
        found.setdefault(known.attributes[at], []).append(known.ids[at])
    every = {name: bisect_right(known.attributes, name) - bisect_left(known.attributes, name) for name in found}
    return Stretch(
        tuple(sorted({id_ for ids in found.values() for id_ in ids})),
        tuple((name, None if len(ids) == every[name] else tuple(ids)) for name, ids in found.items()),
    )


def _named(where: Node) -> list[tuple[str, frozenset[object]]]:
    """The attributes and entities that rows have to be of, as far as conditions that all have to hold name them."""
    found: list[tuple[str, frozenset[object]]] = []
    for part in conjuncts(where):
        if isinstance(part, Binary) and part.operator == "eq" and isinstance(part.left, Name) and isinstance(part.right, Literal):
            found.append((part.left.name, frozenset([part.right.value])))
        elif isinstance(part, In) and isinstance(part.item, Name):
            found.append((part.item.name, frozenset(value.value for value in part.values)))
    return [(name, values) for name, values in found if name in {"attribute", "entity"}]
