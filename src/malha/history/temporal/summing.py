"""Sums of values that other places told (GS CIM 009 §4.5.19), by the engine and the statement that sum what lies here. Django-free."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any

import pyarrow as pa

from malha.context.federation.gathering import pairs
from malha.context.federation.gathering.pairs import Line, Pair
from malha.context.store import cells
from malha.history.engines import service as engines
from malha.history.temporal import evolution, rendering, temporal_query
from malha.history.temporal.temporal_query import Form, TemporalQuery

_COLUMNS = {
    "entity_id": pa.int64(), "attribute": pa.string(), "kind": pa.int16(), "num": pa.float64(), "txt": pa.string(), "told_at": pa.timestamp("us", "UTC"),
}  # fmt: skip
#: what the simplified form puts around a value (§4.5.9), or JSON-LD around an instant
_WRAPPERS = ("languageMap", "vocab", "json", "@value")
_ENDED = (rendering.NULL, {"@none": rendering.NULL})


def of_told(told: Mapping[tuple[str, str], Sequence[Line]], params: Mapping[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """Sums by entity and attribute, of pairs of a value and an instant; `params` is the temporal part of the question, by parameters or by a body."""
    query = _query(params)
    series = list(told)
    rows = [
        (n, name, *cells.observed(line.kind, value), pairs.instant(pair))
        for n, (_, name) in enumerate(series) for line in told[series[n]] for pair in line.pairs if (value := _value(pair)) is not None
    ] if query.methods else []  # fmt: skip
    if not rows:
        return {}
    columns = zip(*rows, strict=True)
    table = pa.table({name: pa.array(column, kind) for (name, kind), column in zip(_COLUMNS.items(), columns, strict=True)})
    origin = query.start if query.relation in {"after", "between"} else None
    end = query.end if query.relation in {"before", "between"} else None
    with closing(engines.without_lake()) as reader:
        reader.register("told", table)
        found = reader.execute(evolution.summed("WITH found AS (SELECT * FROM told)", query.methods, query.duration), {"origin": origin}).fetchall()
    by_series = evolution.buckets_of(found, query.methods, query.duration, end)
    return {series[n]: rendering.sums(buckets, query.methods) for n, of_entity in by_series.items() for buckets in of_entity.values()}


def _query(params: Mapping[str, Any]) -> TemporalQuery:
    said = temporal_query.of_body({name: value for name, value in params.items() if name in temporal_query.PARAMETERS and name != "lastN"})
    return temporal_query.read({**said, "options": Form.AGGREGATES.value})


def _value(pair: Pair) -> Any:
    """The value of a pair; None for one that says that the attribute ended."""
    value = pair[0]
    if isinstance(value, dict):
        value = next((value[name] for name in _WRAPPERS if name in value), value)
    return None if value in _ENDED else value
