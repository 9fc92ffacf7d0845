"""The road of loads: many values of each series at once, as arrays from the file to the table; nothing is done row by row.

State is written as for any batch, from the rows that are the last of some attribute (`table.Batch`). History goes into
`observation_packed`, one row per series.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import psycopg

from malha.context.store import binary, history, names, state
from malha.context.store.binary import Ints
from malha.context.store.cells import array_of, array_of_text
from malha.context.store.contracts import ArrowTable, EntityTable, WriteOptions, WriteOutcome
from malha.context.store.series import NEVER, Rows, Series, ends
from malha.context.store.table import Batch, same, upsert_table


def upsert_arrow(conn: psycopg.Connection[Any], tenant_id: int, table: ArrowTable, options: WriteOptions) -> WriteOutcome:
    """Write a batch given in arrays; see `service.upsert_arrow`."""
    fixed = [column for column in table.columns if column.static]
    if table.observed_at is None or not len(table) or not fixed:
        return _upsert_moving(conn, tenant_id, table, options)
    whole = ArrowTable(table.type, table.uris, fixed, None, table.row_numbers)
    before = upsert_table(conn, tenant_id, _last_of_each(whole, table.observed_at), options)
    moving = [column for column in table.columns if not column.static]
    if not moving:
        return before
    wrote = _upsert_moving(conn, tenant_id, ArrowTable(table.type, table.uris, moving, table.observed_at, table.row_numbers), options)
    things = before.created + before.updated + before.unchanged
    changed = max(before.updated, wrote.updated - before.created, 0)
    return WriteOutcome(before.created, changed, things - before.created - changed, before.observations + wrote.observations, (*before.refused, *wrote.refused))


def _upsert_moving(conn: psycopg.Connection[Any], tenant_id: int, table: ArrowTable, options: WriteOptions) -> WriteOutcome:
    if table.observed_at is not None and len(table):
        rows = Rows(table)
        if rows.usable():
            return Packed(conn, tenant_id, rows, options).write()
    return upsert_table(conn, tenant_id, table.lists(), options)


def _last_of_each(table: ArrowTable, observed_at: np.ndarray[Any, Any]) -> EntityTable:
    """What the things are: of each thing the row that is observed last."""
    codes = np.asarray(table.uris.dictionary_encode().indices.to_numpy(zero_copy_only=False), np.int64)
    order = np.lexsort((observed_at, codes))
    return table.take(order[ends(codes[order])]).lists()


class Packed(Batch):
    """One load's batch: `table.Batch` on the last rows for the present, arrays of all rows for history."""

    def __init__(self, conn: psycopg.Connection[Any], tenant_id: int, rows: Rows, options: WriteOptions) -> None:
        super().__init__(conn, tenant_id, rows.last(), options)
        self.rows = rows

    def _compare(self) -> None:
        super()._compare()
        number = {uri: n for n, uri in enumerate(self.rows.uris)}
        known = {number[uri]: found for uri, found in self.current.items()}
        if not known:
            return
        ids = np.zeros(len(number), np.int64)
        ids[list(known)] = [found.id for found in known.values()]
        past: list[tuple[Series, Ints]] = []
        for c, one in enumerate(self.rows.series):
            newest = _instants({n: found.extra[c] for n, found in known.items()}, len(number))[self.rows.entity[one.rows]]
            at = self.rows.at[one.rows]
            if (at == newest).any():
                self._drop_same(one, at == newest, ids)
                at, newest = self.rows.at[one.rows], _instants({n: found.extra[c] for n, found in known.items()}, len(number))[self.rows.entity[one.rows]]
            if (late := np.flatnonzero(at < newest)).size:
                past.append((one, late))
        if past:
            history.drop_known(self.conn, self.tenant_id, self.rows, past, ids, self.attr_ids, self.options.past)

    def _drop_same(self, one: Series, equal: np.ndarray[Any, Any], ids: Ints) -> None:
        """Of the values at the instant of the present one, leave out those that say the same."""
        at = np.flatnonzero(equal)
        entities = self.rows.entity[one.rows[at]]
        documents = state.documents(self.conn, self.tenant_id, ids[entities].tolist())
        values = one.array.take(one.rows[at]).to_pylist()
        keep = np.ones(len(one.rows), bool)
        member = "object" if one.column.kind == "Relationship" else "vocab" if one.column.kind == "VocabProperty" else "value"
        for position, n, value in zip(at.tolist(), entities.tolist(), values, strict=True):
            found = documents[int(ids[n])].get(one.column.name)
            current = found if isinstance(found, dict) else {}
            if same(current.get(member), value) and current.get("unitCode", "") == one.column.unit:
                keep[position] = False
        one.keep(keep)

    def _has_past(self) -> bool:
        return any(len(one.rows) for one in self.rows.series)

    def _observe(self) -> int:
        number = dict(zip(self.uris, self.ids, strict=True))
        ids = np.array([number.get(uri, 0) for uri in self.rows.uris], np.int64)
        units = names.numbers(self.conn, "unit", {one.column.unit for one in self.rows.series if one.column.unit})
        whole = [one for one in self.rows.series if len(one.rows) == len(self.rows.entity)]
        groups = [whole] if whole else []
        groups += [[one] for one in self.rows.series if 0 < len(one.rows) < len(self.rows.entity)]
        for group in groups:
            self._pack(group, ids, units)
        return sum(len(one.rows) for one in self.rows.series)

    def _span(self) -> tuple[datetime, datetime]:
        return binary.moment(int(self.rows.at.min())), binary.moment(int(self.rows.at.max()))

    def _pack(self, group: list[Series], ids: Ints, units: dict[str, int]) -> None:
        """One row per entity and attribute; the attributes of `group` have values in the same rows."""
        rows = group[0].rows
        entity = self.rows.entity[rows]
        last = ends(entity)
        begins = np.append(0, last[:-1] + 1)
        count = len(rows)
        parts: list[str] = []
        params: dict[str, object] = {
            "tenant": self.tenant_id, "type": self.type_id, "run": self.options.run_id, "first": _reserve(self.conn, count * len(group)),
            "entities": array_of(ids[entity[last]].tolist()), "lo": array_of((begins + 1).tolist()), "hi": array_of((last + 1).tolist()),
            "at": binary.instants(self.rows.at[rows]), "numbers": binary.ints(self.rows.numbers[rows]),
        }  # fmt: skip
        texts: list[str] = []
        for c, one in enumerate(group):
            unit = units.get(one.column.unit)
            head = f"{self.attr_ids[one.column.name]}, {int(one.kind)}::smallint, {unit or 'NULL::int'}, {c * count}::bigint"
            if one.numeric:
                params[f"v{c}"] = binary.floats(one.values)
                parts.append(f"({head}, (%(v{c})s::float8[])[s.lo:s.hi], NULL::text[])")
            else:
                params[f"v{c}"] = array_of_text([array_of_text(one.values[a : b + 1].tolist()) for a, b in zip(begins.tolist(), last.tolist(), strict=True)])
                texts.append(f"v{c}")
                parts.append(f"({head}, NULL::float8[], s.v{c}::text[])")
        statement = f"""
        INSERT INTO observation_packed (tenant_id, type_id, run_id, entity_id, size, first_at, last_at, seq, attr_id, kind, unit_id, observed_at, num, txt, row_no)
        SELECT %(tenant)s::bigint, %(type)s::int, %(run)s::bigint, s.entity_id, s.hi - s.lo + 1, (%(at)s::timestamptz[])[s.lo], (%(at)s::timestamptz[])[s.hi],
            %(first)s::bigint + o.after + s.lo - 1, o.attr_id, o.kind, o.unit_id, (%(at)s::timestamptz[])[s.lo:s.hi], o.num, o.txt, (%(numbers)s::int[])[s.lo:s.hi]
        FROM unnest(%(entities)s::bigint[], %(lo)s::int[], %(hi)s::int[]{"".join(f", %({name})s::text[]" for name in texts)})
            AS s (entity_id, lo, hi{"".join(f", {name}" for name in texts)})
        CROSS JOIN LATERAL (VALUES {", ".join(parts)}) AS o (attr_id, kind, unit_id, after, num, txt)"""
        binary.cursor(self.conn).execute(statement.encode(), params)


def _instants(texts: dict[int, Any], size: int) -> Ints:
    """The instants of the present values as microseconds; where there is none, earlier than all."""
    found = np.full(size, NEVER, np.int64)
    timed = {n: text for n, text in texts.items() if text is not None and text != "-"}
    if timed:
        found[list(timed)] = np.array([text.removesuffix("Z") for text in timed.values()], "datetime64[us]").astype(np.int64)
    return found


def _reserve(conn: psycopg.Connection[Any], count: int) -> int:
    row = state.execute(conn, "SELECT observation_numbers(%s)", [count]).fetchone()
    assert row is not None
    return int(row[0])
