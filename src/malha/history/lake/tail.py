"""Hot rows after a tenant's watermark, as Arrow: what the next lake commit takes.

Rows that came in arrays cross the wire as arrays, and names as numbers: unpacked and named by the server, half a million
rows took it six seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
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


def read(lake: Connection, tenant_id: int, after: Watermark, limit: int) -> Tail | None:
    """Up to about `limit` rows, whole transactions where they are not larger than that. None where there is nothing.

    In order of neither time nor number. Rows of transactions still open, and all that began after them, wait.
    """
    given: dict[str, object] = {"tenant_id": int(tenant_id), "xid": after.xid, "seq": after.seq, "limit": limit, "packed": PACKED}
    cut = _one(lake, "hot_cut", given) or _one(lake, "hot_split", given)
    if cut is None:
        return None
    xid, seq, _, more = cut
    given |= {"until": xid, "last": seq}
    parts = [lake.execute(sql, [_sql(name, given)]).to_arrow_table() for sql, name in ((_SINGLE, "hot_single"), (_UNPACKED, "hot_packed"))]
    parts = [part for part in parts if part.num_rows]
    if not parts:  # taken out since the cut was made
        return None
    rows = pa.concat_tables(parts, promote_options="permissive")
    return Tail(_named(lake, rows, tenant_id), Watermark(int(xid), int(seq)), bool(more))


def waits(tenant_id: int, attributes: Iterable[str]) -> bool:
    """Whether hot rows of any of these attributes may still wait for the lake."""
    with database.connect(Role.COMPACTOR, autocommit=True) as hot:
        row = hot.execute(_text("hot_waits"), {"tenant_id": tenant_id, "attributes": list(attributes)}).fetchone()
    return bool(row and row[0])


def _one(lake: Connection, name: str, given: Mapping[str, object]) -> tuple[str, int, int, bool] | None:
    return lake.execute("SELECT * FROM postgres_query('hot', ?)", [_sql(name, given)]).fetchone()


def _named(lake: Connection, rows: pa.Table, tenant_id: int) -> pa.Table:
    """The names in place of the numbers, and the tenant's own."""
    names: dict[str, dict[int, str]] = {what: {} for _, what in _NAMED.values()}
    for what, number, name in lake.execute(_SINGLE, [_sql("hot_names", {})]).fetchall():
        names[what][number] = name
    for column, (shown, what) in _NAMED.items():
        rows = rows.set_column(rows.column_names.index(column), shown, _dictionary(rows.column(column), names[what]))
    return rows.append_column("tenant_id", pa.array(np.full(rows.num_rows, tenant_id, np.int64)))


def _dictionary(numbers: pa.ChunkedArray, names: Mapping[int, str]) -> pa.Array:
    coded = numbers.combine_chunks().dictionary_encode()
    there = [names[number] for number in coded.dictionary.to_pylist()]
    return pa.DictionaryArray.from_arrays(coded.indices, pa.array(there, pa.string()))


@cache
def _text(name: str) -> str:
    return (catalogue.SQL / f"{name}.sql").read_text(encoding="utf-8")


def _sql(name: str, given: Mapping[str, object]) -> str:
    return _text(name).format(**given)
