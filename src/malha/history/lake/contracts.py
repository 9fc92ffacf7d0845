"""Words of the lake."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import pyarrow as pa

from malha.kernel.errors import BadInput, MalhaError, Unavailable

#: columns of a bulk load. `uri` must be an entity of the tenant; `num` holds numbers and booleans (1, 0), `txt` everything else;
#: `unit` is a UN/CEFACT code or null; `row_no` the line of the source or null. `unit`, `txt` and `row_no` may be left out.
BULK_SCHEMA = pa.schema(
    [
        pa.field("uri", pa.string(), nullable=False),
        pa.field("type", pa.string(), nullable=False),
        pa.field("attribute", pa.string(), nullable=False),
        pa.field("observed_at", pa.timestamp("us", "UTC"), nullable=False),
        pa.field("num", pa.float64()),
        pa.field("txt", pa.string()),
        pa.field("unit", pa.string()),
        pa.field("row_no", pa.int64()),
    ]
)


@dataclass(frozen=True, slots=True)
class Compacted:
    """What one compaction moved. `corrected` rows replaced others that were in the lake already."""

    rows: int = 0
    corrected: int = 0
    commits: int = 0
    seconds: float = 0.0

    def __add__(self, other: Compacted) -> Compacted:
        return Compacted(self.rows + other.rows, self.corrected + other.corrected, self.commits + other.commits, self.seconds + other.seconds)


@dataclass(frozen=True, slots=True, order=True)
class Watermark:
    """Everything of a tenant up to here, in order of commit, is in the lake."""

    xid: int = 0
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Held:
    """What a tenant's schema holds before a commit: rows by table (those without any are not there), and the latest instant of its observations."""

    rows: Mapping[str, int] = field(default_factory=dict)
    newest: datetime | None = None

    def after(self, newest: datetime) -> Held:
        """The same once rows up to an instant were added in the same transaction (how many of each table is not counted)."""
        named = ("observation", "entity_dim", "rollup_quarter", "rollup_hour", "rollup_day", "rollup_month")
        return Held(dict.fromkeys(named, 1) | dict(self.rows), newest if self.newest is None else max(newest, self.newest))


class LakeError(MalhaError):
    """The lake refuses."""

    slug = "lake"


class LakeBusy(LakeError, Unavailable):
    """Another process is writing to the lake."""

    slug = "lake-busy"


class UnknownEntities(LakeError, BadInput):
    """A bulk load names entities that the tenant does not have."""

    slug = "unknown-entities"
