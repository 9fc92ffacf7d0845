"""The door of the room: the layers of a tenant's map, and what lies on them. Connections are inside a tenant transaction."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
import shapely

from malha.context.store import service as store
from malha.context.store.contracts import MEMBER, EntityQuery, PlacedEntity, StoredEntity
from malha.foundation.access import reach
from malha.foundation.tenancy.contracts import Tenant
from malha.insight.maps import queries, rules
from malha.insight.maps.contracts import Layer, UnknownLayer
from malha.insight.past import service as past
from malha.insight.past.contracts import Moment
from malha.kernel import time
from malha.kernel.text import msg
from malha.vocabulary.models import service as models
from malha.vocabulary.models.contracts import DataModel

EVERYWHERE = (-180.0, -90.0, 180.0, 90.0)
#: more things than this come as tiles
MOST_FEATURES = 5000
#: whole layers kept in this process, each of at most `MOST_FEATURES` things
KEPT_LAYERS = 64
_kept: OrderedDict[tuple[object, ...], tuple[tuple[int, datetime], list[dict[str, Any]]]] = OrderedDict()
_lock = threading.Lock()
#: changes are asked for again this far back, because a transaction is dated by its start and seen at its end
OVERLAP = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Collection:
    """GeoJSON features of a layer; `whole` is False where it holds only what changed."""

    features: list[dict[str, Any]]
    at: datetime
    whole: bool
    etag: str


def add(conn: psycopg.Connection, tenant_id: int, given: Sequence[Layer]) -> int:
    """Give a tenant layers; those that it has stay as it adapted them."""
    return queries.add(conn, tenant_id, given)


def remove_pack(conn: psycopg.Connection, tenant_id: int, pack: str) -> None:
    """Take away the layers that a pack brought."""
    queries.remove_pack(conn, tenant_id, pack)


def layers(conn: psycopg.Connection, tenant_id: int, *, declared_only: bool = False) -> list[tuple[Layer, int]]:
    """The layers with how many things lie on each: those of packs first, then one for each other type with a place."""
    placed = _counts(conn, tenant_id)
    declared = [layer for layer in queries.layers(conn, tenant_id) if layer.enabled and reach.allows(layer.type, "location")]
    found = [(layer, placed.get(layer.type, 0)) for layer in declared]
    if declared_only:
        return found
    drawn = {layer.type for layer in declared}
    others = [name for name in placed if name not in drawn]
    return found + [(rules.of_type(name, models.find(name, tenant_id), index), placed[name]) for index, name in enumerate(others)]


def _counts(conn: psycopg.Connection, tenant_id: int) -> dict[str, int]:
    """How many things of each type have a place; of somebody who may see a part, how many are theirs."""
    placed = {name: count for name, count, _ in queries.placed(conn, tenant_id) if reach.allows(name, "location")}
    if reach.current() is None:
        return placed
    seen = {name: count for name, count, _ in store.types(conn, tenant_id)}
    return {name: min(count, seen[name]) for name, count in placed.items() if name in seen}


def get(conn: psycopg.Connection, tenant_id: int, key: str) -> Layer:
    """One layer. Raises UnknownLayer."""
    found = next((layer for layer, _ in layers(conn, tenant_id) if layer.key == key), None)
    if found is None:
        raise UnknownLayer(msg("Não há nenhuma camada “{key}” neste mapa."), key=key)
    return found


def extent(conn: psycopg.Connection, tenant_id: int) -> tuple[float, float, float, float] | None:
    """The box around everything that has a place and the reader may see whole types of, with a margin; None of nothing."""
    return rules.extent_of(box for name, _, box in queries.placed(conn, tenant_id) if reach.allows(name, "location"))


def collection(conn: psycopg.Connection, tenant_id: int, layer: Layer, *, record_url: str, since: datetime | None = None) -> Collection:
    """The things of a layer as GeoJSON; with `since`, only those changed after it.

    `record_url` is the address of a record with `{uri}` in it. Properties about people are left out.
    """
    count, changed, now = queries.fingerprint(conn, tenant_id, layer.type)
    found = _features(conn, tenant_id, layer, record_url, since)
    return Collection(found, now, _whole(since), _etag([layer], count, changed))


@dataclass(frozen=True, slots=True)
class Together:
    """Several layers of one moment, by key; `whole` is False where they hold only what changed."""

    layers: dict[str, list[dict[str, Any]]]
    at: datetime
    whole: bool
    etag: str


def together(
    conn: psycopg.Connection, tenant_id: int, keys: Sequence[str], *, record_url: str, since: datetime | None = None, known: str = ""
) -> Together | None:
    """Several layers in one answer, as `collection` gives one each; None where `known` is their etag still.

    `record_url` is the address of a record with `{type}` and `{uri}` in it.
    """
    wanted = [layer for layer in _named(conn, tenant_id, keys) if layer.key in set(keys)]
    marks, now = queries.fingerprints(conn, tenant_id, sorted({layer.type for layer in wanted}))
    etag = _etag(wanted, sum(count for count, _ in marks.values()), max((changed for _, changed in marks.values()), default=None))
    if since is None and known == etag:
        return None
    found = {layer.key: _remembered(conn, tenant_id, layer, record_url.replace("{type}", layer.type), since, marks.get(layer.type)) for layer in wanted}
    return Together(found, now, _whole(since), etag)


def _etag(wanted: Sequence[Layer], count: int, changed: datetime | None) -> str:
    return f'"{"-".join(layer.key for layer in wanted)}-{count}-{changed.timestamp() if changed else 0}{reach.mark(reach.current())}"'


def as_it_was(conn: psycopg.Connection, tenant: Tenant, layer: Layer, moment: Moment, *, record_url: str) -> list[dict[str, Any]]:
    """The things of a layer where they lay and as they were at a moment of the past; those that had said nothing by then are left out.

    At most `MOST_FEATURES`: a layer with more is not drawn as it was. Raises BeyondReach, and the engines' Busy and TooSlow.
    """
    names = _names_of(models.find(layer.type, tenant.id), layer)
    things = store.query(conn, [tenant.id], EntityQuery(types=(layer.type,), limit=MOST_FEATURES)).entities
    found, _ = past.as_they_were(tenant, things, moment, [*names, "location"])
    return [_feature(_past_row(one, names), names, layer, record_url) for one in found if one.location]


def _past_row(one: StoredEntity, names: Sequence[str]) -> tuple[int, str, list[float] | None, bytes | None, list[Any]]:
    return one.id, one.uri, None, shapely.to_wkb(shapely.geometry.shape(one.location)), _values(one.attributes, names)


def _whole(since: datetime | None) -> bool:
    """Whether an answer holds all: what somebody limited may see is always told whole, since things move in and out of it."""
    return since is None or reach.current() is not None


def _remembered(
    conn: psycopg.Connection, tenant_id: int, layer: Layer, record_url: str, since: datetime | None, mark: tuple[int, datetime] | None
) -> list[dict[str, Any]]:  # fmt: skip
    """The things of a layer; the whole of it is kept as long as nothing of its type changes. What is limited is never kept."""
    if mark is None:
        return []
    if since is not None or reach.current() is not None:
        return _features(conn, tenant_id, layer, record_url, since)
    key = (conn.info.dbname, tenant_id, repr(layer), record_url)
    with _lock:
        known = _kept.get(key)
    if known is not None and known[0] == mark:
        return known[1]
    found = _features(conn, tenant_id, layer, record_url, None)
    with _lock:
        _kept[key] = (mark, found)
        _kept.move_to_end(key)
        while len(_kept) > KEPT_LAYERS:
            _kept.popitem(last=False)
    return found


def _named(conn: psycopg.Connection, tenant_id: int, keys: Sequence[str]) -> list[Layer]:
    """The layers of packs, and those of types that no pack drew where one is named."""
    declared = [layer for layer in queries.layers(conn, tenant_id) if layer.enabled]
    others = [key.removeprefix(rules.OF_TYPE) for key in keys if key.startswith(rules.OF_TYPE)]
    found = declared + [rules.of_type(name, models.find(name, tenant_id), index) for index, name in enumerate(others)]
    return [layer for layer in found if reach.allows(layer.type, "location")]


def etag(conn: psycopg.Connection, tenant_id: int, layer: Layer) -> str:
    """What the whole layer would be called now, without making it."""
    count, changed, _ = queries.fingerprint(conn, tenant_id, layer.type)
    return _etag([layer], count, changed)


def _features(conn: psycopg.Connection, tenant_id: int, layer: Layer, record_url: str, since: datetime | None) -> list[dict[str, Any]]:
    names = _names_of(models.find(layer.type, tenant_id), layer)
    if reach.current() is not None:
        return [_feature(_row(one, names), names, layer, record_url) for one in store.placed(conn, tenant_id, layer.type, EVERYWHERE, limit=MOST_FEATURES)]
    rows = queries.features(conn, tenant_id, layer.type, names, since=since - OVERLAP if since else None, limit=MOST_FEATURES)
    return [_feature(row, names, layer, record_url) for row in rows]


def _names_of(model: DataModel | None, layer: Layer) -> list[str]:
    return ["name", *(name for name in dict.fromkeys([layer.attribute, *layer.popup]) if name and name != "name" and rules.drawable(model, name))]


def _row(one: PlacedEntity, names: Sequence[str]) -> tuple[int, str, list[float] | None, bytes | None, list[Any]]:
    """A thing that the store cut to what the reader may see, as a row of `queries.features`."""
    return one.id, one.uri, [one.box[0], one.box[1]] if one.wkb is None else None, one.wkb, _values(one.attributes, names)


def _values(attributes: Mapping[str, object], names: Sequence[str]) -> list[Any]:
    firsts = [first[0] if isinstance(first := attributes.get(name), list) and first else first for name in names]
    return [first.get(MEMBER.get(str(first.get("type")), "value")) if isinstance(first, dict) else None for first in firsts]


def _feature(row: tuple[int, str, list[float] | None, bytes | None, list[Any]], names: Sequence[str], layer: Layer, record_url: str) -> dict[str, Any]:
    entity_id, uri, point, wkb, values = row
    geometry = {"type": "Point", "coordinates": point} if point else shapely.geometry.mapping(shapely.from_wkb(wkb))
    properties = {name: _plain(value) for name, value in zip(names, values, strict=True)}
    coloured = properties.get(layer.attribute)
    if layer.scale != 1 and isinstance(coloured, (int, float)):
        properties[layer.attribute] = round(coloured * layer.scale, 6)
    properties["name"] = properties.get("name") or uri.rsplit(":", 1)[-1]
    properties["href"] = record_url.replace("{uri}", uri)
    return {"type": "Feature", "id": entity_id, "geometry": geometry, "properties": properties}


def _plain(value: object) -> object:
    """A value as one cell: typed values opened, lists joined, objects left out."""
    if isinstance(value, dict):
        inner = value.get("@value")
        if isinstance(inner, str):
            return inner
        return next((text for text in (value.get("pt"), *value.values()) if isinstance(text, str)), None) if "@value" not in value and len(value) <= 3 else None
    if isinstance(value, list):
        return ", ".join(str(one) for one in value if not isinstance(one, dict | list))
    return value


def parse_since(text: str) -> datetime | None:
    """The instant of `?desde=`; None when there is none or it cannot be read."""
    try:
        return time.parse_instant(text) if text else None
    except ValueError:
        return None
