"""What hot history holds already: asked for a whole load at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import psycopg
import pyarrow as pa

from malha.context.store import binary
from malha.context.store.binary import Ints
from malha.context.store.cells import array_of
from malha.context.store.contracts import Past
from malha.context.store.series import Rows, Series

#: series (as positions), instants in microseconds, values: in order of series, instant, number
type Held = tuple[Ints, Ints, np.ndarray[Any, Any]]
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


def drop_known(
    conn: psycopg.Connection[Any], tenant_id: int, rows: Rows, past: list[tuple[Series, Ints]], ids: Ints, attr_ids: dict[str, int], colder: Past | None = None
) -> None:
    """Of the late values (`past`: positions in a series' rows), take out those that history has already, word by word.

    Hot rows are asked first; `colder` history only where they do not know every instant.
    """
    for one, late in past:
        entities = rows.entity[one.rows[late]]
        at = rows.at[one.rows[late]]
        numbers, which = np.unique(entities, return_inverse=True)
        first, last = int(at.min()), int(at.max())
        hot = _held(conn, tenant_id, ids[numbers], attr_ids[one.column.name], first, last, numeric=one.numeric)
        hit, said = _said(hot, which, at, one.values[late])
        if colder is not None and not hit.all():
            cold = _of_table(
                colder(tenant_id, one.column.name, ids[numbers].tolist(), binary.moment(first), binary.moment(last)), ids[numbers], numeric=one.numeric
            )
            said |= ~hit & _said(cold, which, at, one.values[late])[1]
        keep = np.ones(len(one.rows), bool)
        keep[late[said]] = False
        one.keep(keep)


def _said(held: Held | None, which: Ints, at: Ints, given: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """For each given value (its series and instant): whether something is held there, and whether it is the same."""
    if held is None:
        return np.zeros(len(at), bool), np.zeros(len(at), bool)
    series, instants, values = held
    times = np.unique(np.concatenate([instants, at]))
    keys = series * len(times) + np.searchsorted(times, instants)
    wanted = which * len(times) + np.searchsorted(times, at)
    found = np.searchsorted(keys, wanted, side="right") - 1  # of several at one instant the newest, which is the last
    hit = (found >= 0) & (keys[np.maximum(found, 0)] == wanted)
    return hit, (hit & (values[np.maximum(found, 0)] == given)).astype(bool)


def _of_table(table: pa.Table, entity_ids: Ints, *, numeric: bool) -> Held | None:
    """What colder history answered, as `_held` gives it."""
    if not len(table):
        return None
    order = np.argsort(entity_ids)
    which = order[np.searchsorted(entity_ids, table.column("entity_id").to_numpy(), sorter=order)]
    at = table.column("observed_at").cast(pa.timestamp("us")).to_numpy().astype("datetime64[us]").astype(np.int64)
    values = table.column("num").to_numpy() if numeric else np.array(table.column("txt").to_pylist(), object)
    sort = np.lexsort((table.column("seq").to_numpy(), at, which))
    return which[sort], at[sort], values[sort]


def _held(conn: psycopg.Connection[Any], tenant_id: int, entity_ids: Ints, attr_id: int, first: int, last: int, *, numeric: bool) -> Held | None:
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
