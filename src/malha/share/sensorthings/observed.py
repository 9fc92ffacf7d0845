"""What lies in the history: observations, and where things were. Hot rows and lake as one, through the history's door."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pyarrow as pa

from malha.foundation.access.contracts import Capability
from malha.history.temporal import service as temporal
from malha.history.temporal.contracts import EvolutionQuery
from malha.share.questions.compiling import Dialect
from malha.share.questions.expressions import All, Binary, Literal, Name, Node, walk
from malha.share.sensorthings import filters
from malha.share.sensorthings.contracts import EntitySet, Options, Page
from malha.share.sensorthings.relations import LOCATIONS, View

#: series that one question may be of
MOST_SERIES = 20_000
_FIRST, _LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)
_SERIES = {"id": pa.string(), "thing": pa.int64(), "attr": pa.int32(), "attribute": pa.string(), "dataset": pa.int32(), "unit": pa.string()}
_NOTE = {
    "thing": pa.int64(), "attr": pa.int32(), "dataset": pa.int32(), "at": pa.timestamp("us", "UTC"), "feature": pa.string(), "result_at": pa.timestamp("us", "UTC"),
    "until": pa.timestamp("us", "UTC"), "quality": pa.string(), "valid": pa.string(), "parameters": pa.string(),
}  # fmt: skip
_OBSERVATIONS = """wanted AS (SELECT s.id AS datastream, s.thing, s.attr, s.dataset, f.observed_at AS "phenomenonTime", coalesce(n.result_at, f.observed_at) AS "resultTime",
    f.kind, f.num, f.txt, s.id || ':' || epoch_us(f.observed_at) AS id, epoch_us(f.observed_at) AS n, coalesce(n.feature, 'e' || s.thing) AS feature,
    n.quality AS "resultQuality", n.valid AS "validTime", n.parameters AS "parameters", n.until
    FROM found f JOIN sta_series s ON s.thing = f.entity_id AND s.attribute = f.attribute AND s.dataset = f.dataset_id
    LEFT JOIN sta_note n ON n.thing = f.entity_id AND n.attr = s.attr AND n.dataset = f.dataset_id AND n.at = f.observed_at)"""
_PLACES = """wanted AS (SELECT f.entity_id AS thing, 0 AS attr, 0 AS dataset, f.observed_at AS time, epoch_us(f.observed_at) AS n,
    f.entity_id || ':' || epoch_us(f.observed_at) AS id, f.txt FROM found f WHERE f.dataset_id = 0)"""
_TYPES = "SELECT e.id, t.name FROM entities e JOIN entity_type t ON t.id = e.type_id WHERE e.tenant_id = %s AND e.id = ANY (%s::bigint[])"

type Only = tuple[str, Sequence[object]] | None
#: (view, condition on datastreams, only these, most) → their rows
type FindSeries = Callable[[View, Node | None, Only, int], list[dict[str, Any]]]


@dataclass(slots=True)
class _Source:
    """What a question is of: the series or the things, the period, the conditions that are left, and what was said beside values."""

    query: EvolutionQuery
    rest: list[Node]
    series: list[dict[str, Any]]
    notes: list[tuple[object, ...]]
    parts: list[str]


def pages(
    view: View, kind: EntitySet, options: Options, only: Only, elsewhere: filters.Elsewhere, find: FindSeries, *, apart: bool = False
) -> dict[object, Page]:  # fmt: skip
    """A page, or one for each of the values of `only`'s column."""
    asking = _asking(kind, elsewhere)
    source = _source(view, kind, filters.conjuncts(options.where), only, find, asking)
    limit = min(10_000, options.top if options.top is not None else 100)
    order = ", ".join([*([asking.order(options.order)] if options.order else []), "r.thing", "r.attr", "r.dataset", "r.n"])
    where = _where(asking, source)
    if apart:
        assert only is not None
        text = f"""SELECT * FROM (SELECT r.*, row_number() OVER (PARTITION BY r."{only[0]}" ORDER BY {order}) AS place, count(*) OVER (PARTITION BY r."{only[0]}") AS every
            FROM wanted r{where}) WHERE place > {options.skip} AND place <= {options.skip + limit} ORDER BY place"""
        return _apart(_ask(view, kind, source, asking, text)[0], only, options, limit)
    page = f"SELECT r.* FROM wanted r{where} ORDER BY {order} LIMIT {limit + 1} OFFSET {options.skip}"
    found, *counted = _ask(view, kind, source, asking, page, *([f"SELECT count(*) AS every FROM wanted r{where}"] if options.count else []))
    total = (counted[0][0]["every"] if counted[0] else 0) if options.count else None
    return {None: Page(found[:limit], len(found) > limit, total)}


def keys(view: View, kind: EntitySet, column: str, node: Node, elsewhere: filters.Elsewhere, find: FindSeries) -> list[str]:
    """The values of a column of the rows for which a condition holds."""
    asking = _asking(kind, elsewhere)
    source = _source(view, kind, filters.conjuncts(node), None, find, asking)
    rows = _ask(view, kind, source, asking, f'SELECT DISTINCT r."{column}"::VARCHAR AS found FROM wanted r{_where(asking, source)}')[0]
    return [row["found"] for row in rows]


def _asking(kind: EntitySet, elsewhere: filters.Elsewhere) -> filters.Asking:
    return filters.Asking(Dialect.DUCKDB, kind, lambda field: field.name, {}, kind, "r", {}, elsewhere)


def _apart(rows: list[dict[str, Any]], only: tuple[str, Sequence[object]], options: Options, limit: int) -> dict[object, Page]:
    found: dict[object, Page] = {key: Page(total=0 if options.count else None) for key in only[1]}
    for row in rows:
        into = found.get(row[only[0]])
        if into is not None:
            into.rows.append(row)
            into.more = row["every"] > options.skip + limit
            into.total = row["every"] if options.count else None
    return found


def _where(asking: filters.Asking, source: _Source) -> str:
    parts = [*source.parts, *(asking.condition(node) for node in source.rest)]
    return f" WHERE {' AND '.join(parts)}" if parts else ""


def _source(view: View, kind: EntitySet, nodes: list[Node], only: Only, find: FindSeries, asking: filters.Asking) -> _Source:
    start, end = _bounds(nodes, "time" if kind.name == "HistoricalLocations" else "phenomenonTime")
    if only is not None and only[0] == "id":
        instants = [_instant(str(key)) for key in only[1]]
        start, end = max(start, min(instants, default=_LAST)), min(end, max(instants, default=_FIRST) + timedelta(microseconds=1))
    parts = [_among(asking, only)] if only is not None and only[0] in {"id", "feature"} else []
    if kind.name == "HistoricalLocations":
        things = _things(view, only)
        return _Source(EvolutionQuery(tuple(things), start, end, attributes=("location",)), nodes, [], [], parts)
    of_series = [node for node in nodes if _leads_to(node, "Datastream")]
    stripped = [filters.stripped(node, "Datastream/") for node in of_series]
    where = stripped[0] if len(stripped) == 1 else All(tuple(stripped)) if stripped else None
    series = find(view, where, _of_datastreams(view, only), MOST_SERIES)
    query = EvolutionQuery(tuple({row["thing"] for row in series}), start, end, attributes=tuple({row["attribute"] for row in series}))
    return _Source(query, [node for node in nodes if node not in of_series], series, _notes(view, query.entity_ids), parts)


def _among(asking: filters.Asking, only: tuple[str, Sequence[object]]) -> str:
    name = f"h{len(asking.given)}"
    asking.given[name] = [str(key) for key in only[1]]
    return f'list_contains(${name}::VARCHAR[], r."{only[0]}")'


def _of_datastreams(view: View, only: Only) -> Only:
    """Which datastreams a condition on observations' own columns leaves."""
    if only is None or only[0] == "datastream":
        return ("id", only[1]) if only else None
    if only[0] == "id":
        return "id", [str(key).partition(":")[0] for key in only[1]]
    things = [int(str(key)[1:]) for key in only[1] if str(key).startswith("e") and str(key)[1:].isdigit()]
    declared = [int(str(key)) for key in only[1] if str(key).isdigit()]
    if declared:
        rows = view.conn.execute("SELECT DISTINCT entity_id FROM sensorthings_note WHERE tenant_id = %s AND feature_id = ANY (%s)", [view.tenant_id, declared])
        things += [row[0] for row in rows]
    return "thing", things


def _things(view: View, only: Only) -> list[int]:
    if only is None:
        rows = view.conn.execute(f"SELECT r.thing FROM ({LOCATIONS}) r LIMIT {MOST_SERIES}", view.given)
    else:
        ids = [int(part) for key in only[1] if (part := str(key).partition(":")[0]).isdigit() and len(part) < 19]
        rows = view.conn.execute(f"SELECT r.thing FROM ({LOCATIONS}) r WHERE r.thing = ANY (%(ids)s::bigint[])", {**view.given, "ids": ids})
    return [row[0] for row in rows]


def _instant(key: str) -> datetime:
    """The instant in an id; the first of all where it has none that could be."""
    text = key.rpartition(":")[2]
    try:
        return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=int(text))
    except (ValueError, OverflowError):
        return _FIRST


def _leads_to(node: Node, link: str) -> bool:
    names = [one.name for one in walk(node) if isinstance(one, Name)]
    return bool(names) and all(name.startswith(f"{link}/") for name in names)


def _bounds(nodes: list[Node], column: str) -> tuple[datetime, datetime]:
    """The period that the conditions leave, so that no more is read than that."""
    start, end = _FIRST, _LAST
    for node in nodes:
        if not isinstance(node, Binary) or not isinstance(node.left, Name) or node.left.name != column or not isinstance(node.right, Literal):
            continue
        at = node.right.value
        if isinstance(at, datetime):
            start = max(start, at) if node.operator in {"ge", "gt", "eq"} else start
            end = min(end, at + timedelta(microseconds=1)) if node.operator in {"le", "lt", "eq"} and at < _LAST else end
    return start, end


def _notes(view: View, things: Sequence[int]) -> list[tuple[object, ...]]:
    text = (
        "SELECT entity_id, attr_id, dataset_id, observed_at, feature_id, doc FROM sensorthings_note WHERE tenant_id = %s AND entity_id = ANY (%s) LIMIT 1000000"
    )
    found: list[tuple[object, ...]] = []
    for thing, attr, dataset, at, feature, doc in view.conn.execute(text, [view.tenant_id, list(things)]).fetchall() if things else []:
        said = {name: datetime.fromisoformat(doc[name]) if doc.get(name) else None for name in ("resultTime", "until")}
        rest = [msgspec.json.encode(doc[name]).decode() if name in doc else None for name in ("resultQuality", "parameters")]
        found.append(
            (thing, attr, dataset, at, str(feature) if feature is not None else None, said["resultTime"], said["until"], rest[0], doc.get("validTime"), rest[1])
        )
    return found


def _ask(view: View, kind: EntitySet, source: _Source, asking: filters.Asking, *texts: str) -> list[list[dict[str, Any]]]:
    """The rows of each statement over `wanted`, all of one reading of the history."""
    wanted = _PLACES if kind.name == "HistoricalLocations" else _OBSERVATIONS
    if not source.query.entity_ids:
        return [[] for _ in texts]

    def work(reader: Any, found: str, given: dict[str, object]) -> list[list[dict[str, Any]]]:
        if kind.name == "Observations":
            rows = [[row[name] for name in _SERIES] for row in source.series]
            reader.register("sta_series", _table(_SERIES, rows))
            reader.register("sta_note", _table(_NOTE, source.notes))
        return [_rows(reader.execute(f"{found}, {wanted} {text}", {**given, **asking.given})) for text in texts]

    told = temporal.through(view.conn, view.tenant_id, source.query, work)
    if kind.name == "HistoricalLocations":
        _follow_nobody(view, [row for rows in told for row in rows if row.get("txt")])
    return told


def _follow_nobody(view: View, rows: Sequence[dict[str, Any]]) -> None:
    """Put past places of things that follow somebody on their grid, for whoever may not read what is about people."""
    personal = view.who.principal.may(Capability.PERSONAL_READ)
    types = dict(view.conn.execute(_TYPES, [view.tenant_id, list({row["thing"] for row in rows})]).fetchall()) if rows and not personal else {}
    for row in rows:
        if grid_m := temporal.grid([types.get(row["thing"], "")], personal=personal):
            row["txt"] = temporal.on_grid(row["txt"], grid_m)


def _rows(cursor: Any) -> list[dict[str, Any]]:
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _table(kinds: dict[str, pa.DataType], rows: Sequence[Sequence[object]]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) if rows else [() for _ in kinds]
    return pa.table({name: pa.array(column, kind) for (name, kind), column in zip(kinds.items(), columns, strict=True)})
