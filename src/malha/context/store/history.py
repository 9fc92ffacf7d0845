"""What hot history holds already: asked for a whole load at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import psycopg

from malha.context.store import binary
from malha.context.store.binary import Ints
from malha.context.store.cells import array_of
from malha.context.store.series import Rows, Series

KNOWN = """
SELECT (s.n - 1)::int, (extract(epoch FROM h.observed_at) * 1000000)::bigint, h.num, h.txt, h.seq
FROM unnest(%(entities)s::bigint[], %(attrs)s::int[]) WITH ORDINALITY AS s (entity_id, attr_id, n)
JOIN observation_hot h ON h.tenant_id = %(tenant)s AND h.attr_id = s.attr_id AND h.entity_id = s.entity_id
    AND h.observed_at BETWEEN %(first)s::timestamptz AND %(last)s::timestamptz AND h.dataset_id = 0
"""
KNOWN_PACKED = """
SELECT (s.n - 1)::int, p.seq, p.observed_at, p.num, p.txt
FROM unnest(%(entities)s::bigint[], %(attrs)s::int[]) WITH ORDINALITY AS s (entity_id, attr_id, n)
JOIN observation_packed p ON p.tenant_id = %(tenant)s AND p.attr_id = s.attr_id AND p.entity_id = s.entity_id
    AND p.first_at <= %(last)s::timestamptz AND p.last_at >= %(first)s::timestamptz
"""


def drop_known(conn: psycopg.Connection[Any], tenant_id: int, rows: Rows, past: list[tuple[Series, Ints]], ids: Ints, attr_ids: dict[str, int]) -> None:
    """Of the late values (`past`: positions in a series' rows), take out those that history has already, word by word."""
    for one, late in past:
        entities = rows.entity[one.rows[late]]
        at = rows.at[one.rows[late]]
        numbers, which = np.unique(entities, return_inverse=True)
        held = _held(conn, tenant_id, ids[numbers], attr_ids[one.column.name], int(at.min()), int(at.max()), numeric=one.numeric)
        if held is None:
            continue
        series, instants, values = held
        times = np.unique(np.concatenate([instants, at]))
        keys = series * len(times) + np.searchsorted(times, instants)
        wanted = which * len(times) + np.searchsorted(times, at)
        found = np.searchsorted(keys, wanted, side="right") - 1  # of several at one instant the newest, which is the last
        hit = (found >= 0) & (keys[np.maximum(found, 0)] == wanted)
        said = hit & (values[np.maximum(found, 0)] == one.values[late])
        keep = np.ones(len(one.rows), bool)
        keep[late[said.astype(bool)]] = False
        one.keep(keep)


def _held(
    conn: psycopg.Connection[Any], tenant_id: int, entity_ids: Ints, attr_id: int, first: int, last: int, *, numeric: bool
) -> tuple[Ints, Ints, np.ndarray[Any, Any]] | None:
    """What is hot of these series between two instants: series (as positions in `entity_ids`), instants, values, in order of series, instant, number."""
    count = len(entity_ids)
    params = {
        "tenant": tenant_id, "entities": array_of(entity_ids.tolist()), "attrs": array_of([attr_id] * count),
        "first": binary.moment(first), "last": binary.moment(last),
    }  # fmt: skip
    series: list[Ints] = []
    instants: list[Ints] = []
    numbers: list[Ints] = []
    values: list[np.ndarray[Any, Any]] = []
    kind: Any = np.float64 if numeric else object
    plain = binary.cursor(conn).execute(KNOWN, params, binary=True).fetchall()
    if plain:
        series.append(np.array([row[0] for row in plain], np.int64))
        instants.append(np.array([row[1] for row in plain], np.int64))
        values.append(np.array([row[2] if numeric else row[3] for row in plain], kind))
        numbers.append(np.array([row[4] for row in plain], np.int64))
    for n, seq, when, figures, texts in binary.packs(binary.cursor(conn).execute(KNOWN_PACKED, params, binary=True)):
        content = figures if numeric else texts
        if content is None:
            continue
        series.append(np.full(len(when), n, np.int64))
        instants.append(when)
        values.append(content)
        numbers.append(seq + np.arange(len(when)))
    if not series:
        return None
    which, at, order = np.concatenate(series), np.concatenate(instants), np.concatenate(numbers)
    sort = np.lexsort((order, at, which))
    return which[sort], at[sort], np.concatenate(values)[sort]
