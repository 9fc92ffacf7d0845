"""GET /history/values: history for people and their tools, as JSON, CSV, Arrow or Parquet, in pages from the newest back."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import msgspec
import pyarrow as pa
from pyarrow import csv, ipc, parquet
from starlette.requests import Request
from starlette.responses import Response

from malha.context.broker.contracts import InvalidRequest
from malha.history.temporal import asking
from malha.history.temporal.contracts import Correction, Grain, Series, SeriesQuery
from malha.kernel.text import msg, worded
from malha.kernel.time import format_instant

MOST, DEFAULT = 100_000, 10_000
#: forms by name, with their media types
FORMS = {
    "json": "application/json", "csv": "text/csv; charset=utf-8",
    "arrow": "application/vnd.apache.arrow.stream", "parquet": "application/vnd.apache.parquet",
}  # fmt: skip
_STEP = timedelta(microseconds=1)


def read(params: Mapping[str, str]) -> SeriesQuery:
    """The chart's parameters, and `quantile` (0 to 1) and `limit` (rows of a page). Raises InvalidRequest."""
    query = asking.chart(params)
    limit, quantile = params.get("limit", str(DEFAULT)), params.get("quantile")
    if not limit.isdigit() or not 0 < int(limit) <= MOST:
        raise InvalidRequest(msg("limit vai de 1 a {most} linhas por página."), most=MOST)
    try:
        part = float(quantile) if quantile else None
    except ValueError:
        part = -1.0
    if part is not None and not 0 <= part <= 1:
        raise InvalidRequest(msg("quantile vai de 0 a 1, como 0.95."))
    return replace(query, limit=int(limit), quantile=part)


def form(request: Request) -> str:
    """The form that was asked for, by `format` or by Accept. Raises InvalidRequest."""
    name = request.query_params.get("format", "")
    if not name:
        accepted = request.headers.get("accept", "")
        return next((known for known, media in FORMS.items() if media.split(";")[0] in accepted), "json")
    if name not in FORMS:
        raise InvalidRequest(msg("format pode ser {known}."), known=", ".join(FORMS))
    return name


def page(found: Sequence[Series], query: SeriesQuery) -> tuple[list[tuple[Any, ...]], Any]:
    """Rows (entity, instant, value, count) in order of time, and where the next page ends (None: there is none).

    A full page lets the rows of its oldest instant go, so that the next one has them whole.
    """
    rows = sorted((at, one.uri, value, count) for one in found for at, value, count in one.points)
    if len(rows) < query.limit:
        return [(uri, at, value, count) for at, uri, value, count in rows], None
    oldest = rows[0][0]
    kept = [(uri, at, value, count) for at, uri, value, count in rows if at > oldest]
    if not kept:
        raise InvalidRequest(msg("Num só instante há mais do que {limit} linhas: peça um limit maior ou menos entidades."), limit=query.limit)
    return kept, oldest + _STEP


@dataclass(frozen=True, slots=True)
class Corrected:
    """Values that took the place of others, by thing and instant; of the loads that did so, who asked for them and what they were called; and what the reader may call those."""

    found: Mapping[tuple[str, datetime], Correction]
    loads: Mapping[int, tuple[str, str]]
    names: Mapping[str, str]

    def of(self, uri: str, at: datetime) -> dict[str, Any] | None:
        """What was corrected in one value: what it was, when, by whom and why (None: nobody said it)."""
        one = self.found.get((uri, at))
        if one is None:
            return None
        who, why = one.told(self.loads)
        return {"from": one.value, "at": format_instant(one.replaced_at), "by": self.names.get(who), "why": worded(why, lambda text: text) or None}


def respond(request: Request, query: SeriesQuery, found: Sequence[Series], corrected: Corrected, *, unit: str, zone: ZoneInfo) -> Response:
    """The page in its form; the next page is in the header Link, and in JSON also in `next`. Values one by one say what was corrected."""
    rows, end = page(found, query)
    name = form(request)
    following = f"{request.url.path}?{urlencode({**request.query_params, 'to': format_instant(end)})}" if end else None
    headers = {"Cache-Control": "private, max-age=30", "X-Time-Zone": str(zone)} | ({"Link": f'<{following}>; rel="next"'} if following else {})
    if name == "json":
        shown = {
            "type": query.type, "attribute": query.attribute, "unit": unit, "timeZone": str(zone), "grain": query.grain.value,
            "values": [
                {"entity": uri, "at": format_instant(at), "local": at.astimezone(zone).isoformat(), "value": value, "count": count}
                | ({"corrected": was} if (was := corrected.of(uri, at)) else {}) for uri, at, value, count in rows
            ],
            "next": following,
        }  # fmt: skip
        return Response(msgspec.json.encode(shown), media_type=FORMS[name], headers=headers)
    if name != "csv":
        headers["Content-Disposition"] = f'attachment; filename="historico.{"arrows" if name == "arrow" else name}"'
    table = _table(rows, unit, zone, local=name == "csv")
    if query.grain is Grain.RAW:
        table = _with_corrections(table, rows, corrected, guard=name == "csv")
    return Response(_bytes(table, name), media_type=FORMS[name], headers=headers)


def _table(rows: Sequence[tuple[Any, ...]], unit: str, zone: ZoneInfo, *, local: bool) -> pa.Table:
    texts = any(isinstance(row[2], str) for row in rows)
    columns: dict[str, pa.Array] = {
        "entity": pa.array([_safe(row[0]) if local else row[0] for row in rows], pa.string()),
        "at": pa.array([format_instant(row[1]) for row in rows], pa.string()) if local else pa.array([row[1] for row in rows], pa.timestamp("us", "UTC")),
    }
    if local:
        columns["local"] = pa.array([row[1].astimezone(zone).isoformat() for row in rows], pa.string())
    values = [_text(row[2], guard=local) for row in rows] if texts else [row[2] for row in rows]
    columns["value"] = pa.array(values, pa.string() if texts else pa.float64())
    columns |= {"unit": pa.array([unit] * len(rows), pa.string()), "count": pa.array([row[3] for row in rows], pa.int64())}
    return pa.table(columns).replace_schema_metadata({"timeZone": str(zone)})


def _with_corrections(table: pa.Table, rows: Sequence[tuple[Any, ...]], corrected: Corrected, *, guard: bool) -> pa.Table:
    """The table with what each corrected value was, when it was corrected, by whom and why; empty for the others."""
    told = [corrected.of(row[0], row[1]) or {} for row in rows]
    for name in ("from", "at", "by", "why"):
        texts = [_text(one.get(name), guard=guard) for one in told]
        table = table.append_column(f"corrected_{name}", pa.array(texts, pa.string()))
    return table


def _text(value: object, *, guard: bool) -> str | None:
    if value is None:
        return None
    return _safe(value) if guard and isinstance(value, str) else str(value)


def _safe(text: str) -> str:
    """A text that no spreadsheet runs as a formula."""
    return f"'{text}" if text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text


def _bytes(table: pa.Table, name: str) -> bytes:
    sink = io.BytesIO()
    if name == "csv":
        csv.write_csv(table, sink)
    elif name == "parquet":
        parquet.write_table(table, sink, compression="zstd")
    else:
        with ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
    return sink.getvalue()
