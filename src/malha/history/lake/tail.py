"""Hot rows after a tenant's watermark, as Arrow: what the next lake commit takes.

Rows that came in arrays cross the wire as arrays, and names as numbers: unpacked and named by the server, half a million
rows took it six seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import pyarrow as pa

from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.history.engines.service import Connection
from malha.history.lake import catalogue
from malha.history.lake.contracts import Watermark

#: rows that came in arrays are at least so many values each, or the commit becomes smaller
PACKED = 8
#: of a commit that arrays would fill, such a part is left to rows that came one by one
LEAST_SHARE = 4
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
    """About `limit` rows in order of commit, rows of arrays whole. None where there is nothing.

    Rows of transactions still open, and all that began after them, wait.
    """
    given: dict[str, object] = {"tenant_id": int(tenant_id), "xid": after.xid, "seq": after.seq, "limit": limit, "packed": PACKED}
    horizon, xid, last, values, more = lake.execute(_SINGLE, [_sql("hot_horizon", given)]).fetchone() or ("0", None, 0, 0, False)
    arrays = Watermark(int(xid), int(last)) if xid else None
    most = max(limit - values, limit // LEAST_SHARE, 1)
    bound = f"(xid, seq) <= ('{xid}'::xid8, {last})" if more else f"xid < '{horizon}'::xid8"
    single = lake.execute(_SINGLE, [_sql("hot_single", given | {"bound": bound, "limit": most})]).to_arrow_table()
    reached = arrays
    if single.num_rows:
        end = Watermark(*(int(single.column(name)[-1].as_py()) for name in ("xid", "seq")))
        cut = single.num_rows >= most
        reached = end if cut or arrays is None or (not more and end > arrays) else arrays
        more = more or cut
    if reached is None:
        return None
    parts = [single.drop_columns("xid")]
    if arrays is not None:
        parts.append(lake.execute(_UNPACKED, [_sql("hot_packed", given | {"until": reached.xid, "last": reached.seq})]).to_arrow_table())
    parts = [part for part in parts if part.num_rows]
    if not parts:  # taken out since
        return None
    rows = pa.concat_tables(parts, promote_options="permissive")
    return Tail(_named(lake, rows, tenant_id, names), reached, bool(more))


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
        coded = rows.column(column).combine_chunks().dictionary_encode()
        there = pa.array(names.of(lake, what, coded.dictionary.to_pylist()), pa.string())
        rows = rows.set_column(rows.column_names.index(column), shown, pa.DictionaryArray.from_arrays(coded.indices, there))
    return rows.append_column("tenant_id", pa.array(np.full(rows.num_rows, tenant_id, np.int64)))


@cache
def _text(name: str) -> str:
    return (catalogue.SQL / f"{name}.sql").read_text(encoding="utf-8")


def _sql(name: str, given: Mapping[str, object]) -> str:
    return _text(name).format(**given)
