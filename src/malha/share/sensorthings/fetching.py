"""Rows of any kind: pages of a collection, and the pages of many parents at once for what is expanded."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pyproj
import shapely
from psycopg.rows import dict_row

from malha.kernel.text import msg
from malha.share.questions.compiling import Dialect, Statement
from malha.share.questions.expressions import Node
from malha.share.sensorthings import filters, observed
from malha.share.sensorthings.contracts import SETS, BadRequest, EntitySet, Link, NotOffered, Options, Page
from malha.share.sensorthings.relations import ORDER, RELATIONS, View

PAGE = 100
LARGEST_PAGE = 10_000
#: places that one condition may look at one by one
MOST_PLACES = 100_000
#: everything that there is of what hangs on one thing
ALL = Options(top=LARGEST_PAGE)
_EARTH = pyproj.Geod(ellps="WGS84")
_COMPARED = {"lt": lambda a, b: a < b, "le": lambda a, b: a <= b, "gt": lambda a, b: a > b, "ge": lambda a, b: a >= b, "eq": lambda a, b: a == b}


def page(view: View, kind: EntitySet, options: Options, *, only: tuple[str, Sequence[object]] | None = None) -> Page:
    """A page of a collection; `only` rows whose column is one of these."""
    if kind.past:
        return observed.pages(view, kind, options, only, ids_of(view), series)[None]
    return _pages(view, kind, options, only, apart=False)[None]


def pages(view: View, kind: EntitySet, options: Options, column: str, keys: Sequence[object]) -> dict[object, Page]:
    """A page for each of `keys`, the value of `column`, in one question."""
    if not keys:
        return {}
    if kind.past:
        return {**observed.pages(view, kind, options, (column, keys), ids_of(view), series, apart=True)}
    return _pages(view, kind, options, (column, keys), apart=True)


def one(view: View, kind: EntitySet, key: str) -> dict[str, Any] | None:
    """The row with that id, None where there is none."""
    found = page(view, kind, Options(top=1), only=("id", [key])).rows
    return found[0] if found else None


def size(options: Options) -> int:
    """Rows of a page."""
    return min(LARGEST_PAGE, options.top if options.top is not None else PAGE)


def _asking(view: View, kind: EntitySet) -> filters.Asking:
    return filters.Asking(Dialect.POSTGRES, kind, lambda field: field.name, dict(view.given), kind, "r", RELATIONS, ids_of(view), _placed(view))


def _pages(view: View, kind: EntitySet, options: Options, only: tuple[str, Sequence[object]] | None, *, apart: bool) -> dict[object, Page]:
    asking = _asking(view, kind)
    parts = [_only(asking, kind, *only)] if only else []
    if options.where is not None:
        parts.append(asking.condition(options.where))
    where = f" WHERE {' AND '.join(parts)}" if parts else ""
    order = ", ".join([*([asking.order(options.order)] if options.order else []), *(f"r.{name}" for name in ORDER.get(kind.name, ("n",)))])
    limit, source = size(options), f"FROM ({RELATIONS[kind.name]}) r{where}"
    if apart:
        assert only is not None
        text = f"""SELECT * FROM (SELECT r.*, row_number() OVER (PARTITION BY r."{only[0]}" ORDER BY {order}) AS place, count(*) OVER (PARTITION BY r."{only[0]}") AS every
            {source}) p WHERE p.place > {options.skip} AND p.place <= {options.skip + limit} ORDER BY p.place"""
        return _apart(_rows(view, asking, text), only[0], only[1], options, limit)
    found = _rows(view, asking, f"SELECT r.* {source} ORDER BY {order} LIMIT {limit + 1} OFFSET {options.skip}")
    total = None
    if options.count:
        asked = view.conn.execute(f"SELECT count(*) {source}", asking.given).fetchone()
        total = int(asked[0]) if asked else 0
    return {None: Page(found[:limit], len(found) > limit, total)}


def _apart(rows: list[dict[str, Any]], column: str, keys: Sequence[object], options: Options, limit: int) -> dict[object, Page]:
    found: dict[object, Page] = {key: Page(total=0 if options.count else None) for key in keys}
    for row in rows:
        into = found[row[column]]
        into.rows.append(row)
        into.more = row["every"] > options.skip + limit
        into.total = row["every"] if options.count else None
    return found


def _rows(view: View, asking: filters.Asking, text: str) -> list[dict[str, Any]]:
    with view.conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(text, asking.given).fetchall()


def _only(asking: filters.Asking, kind: EntitySet, column: str, keys: Sequence[object]) -> str:
    """The condition on a column, with what lets the index of entities serve."""
    name = f"h{len(asking.given)}"
    asking.given[name] = list(keys)
    if column == "thing":
        return f"r.thing = ANY (%({name})s::bigint[])"
    things = [int(thing) for key in keys if (thing := str(key).lstrip("e").partition(".")[0]).isdigit() and len(thing) < 19]
    if column == "id" and kind.name in {"Things", "Locations", "Datastreams"}:
        asking.given[f"{name}t"] = things
        return f"(r.thing = ANY (%({name}t)s::bigint[]) AND r.id = ANY (%({name})s::text[]))"
    return f'r."{column}" = ANY (%({name})s::text[])'


def ids_of(view: View) -> filters.Elsewhere:
    """Ids for which a condition along a link into the other engine holds."""

    def find(target: EntitySet, link: Link, node: Node) -> list[str]:
        if target.name == "Locations" and link.there == "id":
            raise NotOffered(msg("Por lugares antigos pergunte a partir da coisa: Things(id)/HistoricalLocations."))
        if target.past:
            return observed.keys(view, target, link.there, node, ids_of(view), series)
        asking = _asking(view, target)
        rows = view.conn.execute(f'SELECT DISTINCT r."{link.there}"::text FROM ({RELATIONS[target.name]}) r WHERE {asking.condition(node)}', asking.given)
        return [row[0] for row in rows]

    return find


def series(view: View, where: Node | None, only: tuple[str, Sequence[object]] | None, most: int) -> list[dict[str, Any]]:
    """The datastreams that a question about observations is of. Raises BadRequest for more than `most`."""
    kind = SETS["Datastreams"]
    asking = _asking(view, kind)
    parts = [_only(asking, kind, *only)] if only else []
    if where is not None:
        parts.append(asking.condition(where))
    given = f" WHERE {' AND '.join(parts)}" if parts else ""
    text = f"SELECT r.id, r.thing, r.attr, r.attribute, r.dataset, r.unit FROM ({RELATIONS['Datastreams']}) r{given} LIMIT {most + 1}"
    found = _rows(view, asking, text)
    if len(found) > most:
        raise BadRequest(msg("São séries a mais para uma pergunta ({most} no máximo); filtre por Datastream ou por Thing."), most=most)
    return found


def _placed(view: View) -> filters.Places:
    """Conditions on places: the boxes by index, the shapes exactly."""

    def condition(statement: Statement, kind: EntitySet, function: str, text: str, metres: bool, operator: str, number: float) -> str:
        shape = filters.shape(text) if text else None
        alias = statement.alias if isinstance(statement, filters.Asking) else "r"
        things = _holding(_candidates(view, function, shape, metres, operator, number), function, shape, metres, operator, number)
        name = f"h{len(statement.given)}"
        statement.given[name] = things
        held = f"({alias}.thing IS NOT NULL AND {alias}.thing = ANY (%({name})s::bigint[]))"
        if kind.name != "FeaturesOfInterest":
            return held
        declared = view.conn.execute(
            "SELECT id, doc ->> 'feature' FROM sensorthings_element WHERE tenant_id = %s AND kind = 'FeatureOfInterest'", [view.tenant_id]
        )
        others = [(row[0], shapely.from_geojson(row[1], on_invalid="ignore")) for row in declared.fetchall() if row[1]]
        statement.given[f"{name}f"] = _holding([one for one in others if one[1] is not None], function, shape, metres, operator, number)
        return f"({held} OR ({alias}.thing IS NULL AND {alias}.n = ANY (%({name}f)s::bigint[])))"

    return condition


def _candidates(view: View, function: str, shape: Any, metres: bool, operator: str, number: float) -> list[tuple[int, Any]]:
    """(entity, place) of those whose box may do."""
    box = None
    if shape is not None and function not in {"disjoint", "relate"} and (function != "geo.distance" or operator in {"lt", "le"}):
        west, south, east, north = shape.bounds
        more = 0.0 if function != "geo.distance" else number / 110_000 if metres else number
        narrowest = math.cos(math.radians(min(89.0, max(abs(south), abs(north)) + more)))
        wide = min(360.0, more / narrowest) if metres else more
        box = (east + wide, north + more, west - wide, south - more)
    text = """SELECT e.id, (e.bbox[1])[0], (e.bbox[1])[1], e.geom FROM entities e
        WHERE e.tenant_id = %(tenant)s AND e.bbox IS NOT NULL""" + (" AND e.bbox && box(point(%(a)s, %(b)s), point(%(c)s, %(d)s))" if box else "")
    given = {"tenant": view.tenant_id, **(dict(zip("abcd", box, strict=True)) if box else {})}
    rows = view.conn.execute(f"{text} LIMIT {MOST_PLACES + 1}", given).fetchall()
    if len(rows) > MOST_PLACES:
        raise BadRequest(msg("A condição de lugar abrange lugares a mais; junte-lhe uma área mais pequena."))
    return [(row[0], shapely.from_wkb(row[3]) if row[3] else shapely.points(row[1], row[2])) for row in rows]


def _holding(found: list[tuple[int, Any]], function: str, shape: Any, metres: bool, operator: str, number: float) -> list[int]:
    if function == "geo.length":
        return [id_ for id_, place in found if place.geom_type.endswith("LineString") and _held(abs(_EARTH.geometry_length(place)), operator, number)]
    if function == "geo.distance":
        return [id_ for id_, place in found if _held(_distance(place, shape, metres), operator, number)]
    if function == "relate":
        return [id_ for id_, place in found if shapely.relate_pattern(place, shape, operator)]
    relation = getattr(shapely, function)
    return [id_ for id_, place in found if relation(place, shape)]


def _held(value: float, operator: str, number: float) -> bool:
    compare = _COMPARED.get(operator)
    return bool(compare(value, number)) if compare else value != number


def _distance(place: Any, shape: Any, metres: bool) -> float:
    if not metres:
        return float(shapely.distance(place, shape))
    line = shapely.shortest_line(place, shape)
    return float(abs(_EARTH.geometry_length(line)))
