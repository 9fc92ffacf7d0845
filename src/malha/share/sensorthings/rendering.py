"""Rows as SensorThings writes them: fields, addresses of what they lead to, what was expanded, pages (OGC 18-088 §8, §9)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import msgspec

from malha.context.store.contracts import ObservationKind
from malha.kernel.time import format_instant
from malha.share.sensorthings import fetching
from malha.share.sensorthings.contracts import SETS, EntitySet, Link, Options, Page
from malha.share.sensorthings.relations import GEOJSON, View


def address(view: View, kind: EntitySet, key: str) -> str:
    """The address of one thing of a kind."""
    return f"{view.base}/{kind.name}({identity(key) if key.isdigit() else quote(chr(39) + key + chr(39), safe=chr(39) + '.:')})"


def identity(key: str) -> int | str:
    """An id as JSON has it: digits alone are a number."""
    return int(key) if key.isdigit() and len(key) < 16 else key


def collection(view: View, kind: EntitySet, page: Page, options: Options, where: str) -> dict[str, Any]:
    """A page of a collection that lies at `where`."""
    body: dict[str, Any] = {}
    if page.total is not None:
        body["@iot.count"] = page.total
    if page.more and page.rows:  # after a page of none comes the same page again
        body["@iot.nextLink"] = _next(where, options, len(page.rows))
    body["value"] = _arrays(view, page, options) if options.as_array else entities(view, kind, page.rows, options)
    return body


def references(view: View, kind: EntitySet, page: Page, options: Options, where: str) -> dict[str, Any]:
    """The addresses of a page's rows (§9.2.7)."""
    body = collection(view, kind, page, replace(options, expand={}, as_array=False), where)
    return {**body, "value": [{"@iot.selfLink": address(view, kind, row["id"])} for row in page.rows]}


def _next(where: str, options: Options, shown: int) -> str:
    said = {**options.text, "$skip": str(options.skip + shown)}
    return f"{where}?" + "&".join(f"{quote(name, safe='$')}={quote(text, safe=chr(36) + chr(39) + '(),/:;=')}" for name, text in said.items())


def entities(view: View, kind: EntitySet, rows: Sequence[dict[str, Any]], options: Options) -> list[dict[str, Any]]:
    """Rows with what was expanded of them; each expansion is one question for all of them."""
    made = [_entity(view, kind, row, options) for row in rows]
    for name, inside in options.expand.items():
        link = kind.link(name)
        assert link is not None
        _expand(view, kind, link, rows, made, inside)
    return made


def _expand(view: View, kind: EntitySet, link: Link, rows: Sequence[dict[str, Any]], made: list[dict[str, Any]], inside: Options) -> None:
    target = SETS[link.target]
    if kind.name == "HistoricalLocations" and link.name == "Locations":
        for row, one in zip(rows, made, strict=True):
            one["Locations"] = entities(view, target, [past_location(row)], inside)
        return
    keys = list({row[link.here]: None for row in rows if row[link.here] is not None})
    found = fetching.pages(view, target, inside, link.there, keys)
    flat = [row for page in found.values() for row in page.rows]
    shown = iter(entities(view, target, flat, inside))
    by_key = {key: [next(shown) for _ in page.rows] for key, page in found.items()}
    for row, one in zip(rows, made, strict=True):
        page, values = found.get(row[link.here]), by_key.get(row[link.here], [])
        if not link.many:
            one[link.name] = values[0] if values else None
            continue
        one[link.name] = values
        if page is not None and page.total is not None:
            one[f"{link.name}@iot.count"] = page.total
        if page is not None and page.more and page.rows:
            one[f"{link.name}@iot.nextLink"] = _next(f"{address(view, kind, row['id'])}/{link.name}", inside, len(page.rows))


def past_location(row: dict[str, Any]) -> dict[str, Any]:
    """Where a thing was, as a location of its own."""
    return {
        "id": row["id"], "thing": row["thing"], "name": format_instant(row["time"]), "description": "", "encodingType": GEOJSON,
        "location": {"place": {"value": msgspec.json.decode(row["txt"]) if row["txt"] else None}}, "properties": {},
    }  # fmt: skip


def _entity(view: View, kind: EntitySet, row: dict[str, Any], options: Options) -> dict[str, Any]:
    shown = options.select
    here = address(view, kind, row["id"])
    body: dict[str, Any] = {"@iot.id": identity(row["id"])} if not shown or "id" in shown else {}
    if not shown or "id" in shown:
        body["@iot.selfLink"] = here
    fields = _fields(kind, row)
    body |= {name: value for name, value in fields.items() if not shown or name in shown}
    for name in shown:
        if "/" in name:
            first, _, rest = name.partition("/")
            body.setdefault(first, {})[rest] = _inside(fields.get(first), rest.split("/"))
    for link in kind.links:
        if link.name not in options.expand and (not shown or link.name in shown):
            body[f"{link.name}@iot.navigationLink"] = f"{here}/{link.name}"
    return body


def _inside(value: Any, steps: list[str]) -> Any:
    for step in steps:
        value = value.get(step) if isinstance(value, dict) else None
    return value


def _fields(kind: EntitySet, row: dict[str, Any]) -> dict[str, Any]:
    if kind.name == "Observations":
        return observation(row)
    body: dict[str, Any] = {}
    for field in kind.fields[1:]:
        value = row[field.name]
        if field.name in kind.places:
            body[field.name] = _place(value)
        elif field.name == "time":
            body["time"] = format_instant(value)
        elif field.name != "properties" or value:
            body[field.name] = value
    return body


def _place(said: dict[str, Any]) -> Any:
    if said.get("wkb"):
        import shapely  # noqa: PLC0415 -- points, the usual thing, need none of it

        return msgspec.json.decode(shapely.to_geojson(shapely.from_wkb(bytes.fromhex(said["wkb"]))))
    place = said.get("place")
    first = place[0] if isinstance(place, list) and place else place
    return first.get("value") if isinstance(first, dict) else None


def result(row: dict[str, Any]) -> Any:
    """The value of an observation as it was observed."""
    if row["num"] is not None:
        if row["kind"] == ObservationKind.BOOLEAN:
            return bool(row["num"])
        return int(row["num"]) if float(row["num"]).is_integer() and abs(row["num"]) < 2**53 else row["num"]
    if row["kind"] in {ObservationKind.TEXT, ObservationKind.URI, ObservationKind.INSTANT} or not row["txt"]:
        return row["txt"]
    try:
        return msgspec.json.decode(row["txt"])
    except msgspec.DecodeError:
        return row["txt"]


def observation(row: dict[str, Any]) -> dict[str, Any]:
    """What an observation says."""
    at = format_instant(row["phenomenonTime"])
    body: dict[str, Any] = {
        "phenomenonTime": f"{at}/{format_instant(row['until'])}" if row["until"] else at,
        "result": result(row),
        "resultTime": format_instant(row["resultTime"]),
    }
    for name in ("resultQuality", "parameters"):
        if row[name] is not None:
            body[name] = msgspec.json.decode(row[name])
    return body | ({"validTime": row["validTime"]} if row["validTime"] is not None else {})


def _arrays(view: View, page: Page, options: Options) -> list[dict[str, Any]]:
    """Observations by datastream, each as a list (§13.2)."""
    names = [name for name in ("id", *(field.name for field in SETS["Observations"].fields[1:4])) if not options.select or name in options.select]
    names += [name for name in ("resultQuality", "validTime", "parameters") if name in options.select]
    groups: dict[str, list[list[Any]]] = {}
    for row in page.rows:
        said = {"id": identity(row["id"]), **observation(row)}
        groups.setdefault(row["datastream"], []).append([said.get(name) for name in names])
    return [
        {
            "Datastream@iot.navigationLink": address(view, SETS["Datastreams"], key), "components": names, "dataArray@iot.count": len(rows), "dataArray": rows,
        }
        for key, rows in groups.items()
    ]  # fmt: skip
