"""Hot rows after a tenant's watermark, as Arrow: what the next lake commit takes.

Rows that came in arrays cross the wire as arrays, and names as numbers: unpacked and named by the server, half a million
rows took it six seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import pyarrow as pa
import pyarrow.compute as pc

from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.history.engines.service import Connection
from malha.history.lake import catalogue, shapes
from malha.history.lake.contracts import Watermark
from malha.history.lake.shapes import Shapes
from malha.history.rollups import ordering

#: rows that came in arrays are at least so many values each, or the commit becomes smaller
PACKED = 8
#: of a commit that arrays would fill, such a part is left to rows that came one by one
LEAST_SHARE = 4
#: rows of known shapes take so much less room than others, and so many more of them go into a commit
LEAN = 2
_SINGLE = "SELECT * FROM postgres_query('hot', ?)"
_UNPACKED = """SELECT type_id, attr_id, entity_id, 0::INTEGER AS dataset_id, observed_at, kind, num, txt, unit_id, NULL::SMALLINT AS quality,
    0::SMALLINT AS op, received_at, run_id, row_no, seq FROM (
        SELECT type_id, attr_id, entity_id, unnest(observed_at) AS observed_at, kind, unnest(num) AS num, unnest(txt) AS txt, unit_id, received_at, run_id,
            unnest(row_no)::BIGINT AS row_no, seq + unnest(range(len(observed_at))) AS seq, seq + passed AS first
        FROM postgres_query('hot', ?)) WHERE seq >= first"""
#: columns that come as numbers, and where their names are
_NAMED = {"type_id": ("type", "t"), "attr_id": ("attribute", "a"), "unit_id": ("unit", "u")}


@dataclass(slots=True)
class Tail:
    """Rows in the columns of `compaction.COLUMNS` (texts as dictionaries), the last of them, and whether there are more."""

    rows: pa.Table
    reached: Watermark
    more: bool = False

    def take(self) -> pa.Table:
        """The rows, which are then no longer held here: whoever sorts them needs the room."""
        rows, self.rows = self.rows, self.rows.slice(0, 0)
        return rows


def read(lake: Connection, tenant_id: int, after: Watermark, limit: int, names: Names) -> Tail | None:
    """About `limit` rows in order of commit (`LEAN` times as many of known shapes), rows of arrays whole. None where there is nothing.

    Rows of transactions still open, and all that began after them, wait.
    """
    given: dict[str, object] = {"tenant_id": int(tenant_id), "xid": after.xid, "seq": after.seq, "limit": limit, "packed": PACKED}
    asked = _sql("hot_horizon", given | {"looked_at": shapes.LOOKED_AT})
    horizon, xid, last, values, more, told = lake.execute(_SINGLE, [asked]).fetchone() or ("0", None, 0, 0, False, None)
    arrays = Watermark(int(xid), int(last)) if xid else None
    known = Shapes.of(told)
    lean = LEAN if known and not known.read and arrays is None else 1
    most = max(limit - values, limit // LEAST_SHARE, 1) * lean
    bound = f"(xid, seq) <= ('{xid}'::xid8, {last})" if more else f"xid < '{horizon}'::xid8"
    parts, end, cut = _one_by_one(lake, given | {"bound": bound, "limit": most}, known) if told else ([], None, False)
    reached = arrays
    if end is not None:
        reached = end if cut or arrays is None or (not more and end > arrays) else arrays
        more = more or cut
    if reached is None:
        return None
    if arrays is not None:
        parts.append(lake.execute(_UNPACKED, [_sql("hot_packed", given | {"until": reached.xid, "last": reached.seq})]).to_arrow_table())
    parts = [_named(lake, part, tenant_id, names) for part in parts if part.num_rows]
    if not parts:  # taken out since
        return None
    return Tail(_together(parts), reached, bool(more))


def _one_by_one(lake: Connection, given: Mapping[str, object], known: Shapes | None) -> tuple[list[pa.Table], Watermark | None, bool]:
    """Rows that came one by one, the last of them, and whether the limit cut them off. All questions of a lake transaction see the same rows."""
    asked = _sql("hot_shaped", {**given, "shape": known.number(), "more": known.more()}) if known else _sql("hot_single", {**given, "unlike": "true"})
    rows = lake.execute(_SINGLE, [asked]).to_arrow_table()
    if not rows.num_rows:
        return [], None, False
    last = {name: rows.column(name)[-1].as_py() for name in ("entity_id", "observed_at", "received_at", "seq")}
    place = lake.execute(_SINGLE, [_sql("hot_place", {**given, **last, "last": last["seq"]})]).fetchone()
    assert place is not None  # of the same snapshot as the row itself
    end, cut = Watermark(int(place[0]), last["seq"]), rows.num_rows >= int(str(given["limit"]))
    if known is None:
        return [rows], end, cut
    others, parts = rows.column("shape").null_count, list[pa.Table]()
    if others < rows.num_rows:
        parts.append(known.complete(rows.filter(pc.is_valid(rows.column("shape"))) if others else rows))
    if others:
        until = f"(xid, seq) <= ('{end.xid}'::xid8, {end.seq})"
        parts.append(lake.execute(_SINGLE, [_sql("hot_single", {**given, "bound": until, "unlike": f"({known.number()}) IS NULL"})]).to_arrow_table())
    return parts, end, cut


def _together(parts: list[pa.Table]) -> pa.Table:
    """Parts as one table: what one of them says at once of all its rows is said row by row, where another differs."""
    if len(parts) == 1:
        return parts[0]
    shown = parts[0].column_names
    plain = [pa.table([_plain(part.column(name)) for name in shown], shown) for part in parts]
    return pa.concat_tables(plain, promote_options="permissive").unify_dictionaries()


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) and not pa.types.is_string(column.type.value_type) else column


def waits(tenant_id: int, attributes: Iterable[str]) -> bool:
    """Whether hot rows of any of these attributes may still wait for the lake."""
    with database.connect(Role.COMPACTOR, autocommit=True) as hot:
        row = hot.execute(_text("hot_waits"), {"tenant_id": tenant_id, "attributes": list(attributes)}).fetchone()
    return bool(row and row[0])


@dataclass(slots=True)
class Names:
    """What the numbers in hot rows stand for, by kind: asked for again where one is not known yet."""

    known: dict[str, dict[int, str]] = field(default_factory=dict)

    def of(self, lake: Connection, what: str, numbers: Sequence[int | None]) -> list[str | None]:
        """The names of these numbers."""
        if not self.known.get(what, {}).keys() >= {number for number in numbers if number is not None}:
            self.known = {what: {} for _, what in _NAMED.values()}
            for kind, number, name in lake.execute(_SINGLE, [_sql("hot_names", {})]).fetchall():
                self.known[kind][number] = name
        return [None if number is None else self.known[what][number] for number in numbers]


def _named(lake: Connection, rows: pa.Table, tenant_id: int, names: Names) -> pa.Table:
    """The names in place of the numbers, and the tenant's own."""
    for column, (shown, what) in _NAMED.items():
        numbers = rows.column(column).combine_chunks()
        coded = numbers if pa.types.is_dictionary(numbers.type) else numbers.dictionary_encode()
        there = pa.array(names.of(lake, what, coded.dictionary.to_pylist()), pa.string())
        rows = rows.set_column(rows.column_names.index(column), shown, pa.DictionaryArray.from_arrays(coded.indices, there))
    return rows.append_column("tenant_id", ordering.same(tenant_id, pa.int64(), rows.num_rows))


@cache
def _text(name: str) -> str:
    return (catalogue.SQL / f"{name}.sql").read_text(encoding="utf-8")


def _sql(name: str, given: Mapping[str, object]) -> str:
    return _text(name).format(**given)
