"""A question in the form that a source takes: as parameters of a GET, or as the body of a POST (§6.4.3.2, §6.23)."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec

from malha.context.federation.asking.speaking import Speech
from malha.context.federation.registrations.matching import Share
from malha.context.store import service as store
from malha.context.store.contracts import EntityQuery, GeoRelation, Selector


def question(asked: EntityQuery, wanted: frozenset[str], share: Share, speech: Speech) -> tuple[str, str, dict[str, str], dict[str, Any] | None]:
    """(method, path, parameters, body) of a question; `wanted` are the attributes that the answer needs, none named: all."""
    names = sorted(speech.name(name) for name in _attributes(wanted, share))
    selectors = [] if asked.any_of and share.source.takes("queryBatch") else [_selector(asked, share, speech)]
    if asked.any_of:
        selectors = [_any(one, share, speech) for one in asked.any_of]
    if len(selectors) == 1 and share.source.takes("queryEntity"):
        params = {**selectors[0], **_filters(asked, speech), "options": "sysAttrs"}
        if names:
            params["attrs"] = ",".join(names)
        return "GET", "/entities", params, None
    body: dict[str, Any] = {"type": "Query", "entities": [_of_body(one) for one in selectors]}
    if names:
        body["attrs"] = names
    filters = _filters(asked, speech)
    body |= {name: filters[name] for name in ("q", "scopeQ") if name in filters}
    if asked.geo is not None:
        body["geoQ"] = {**{name: filters[name] for name in ("georel", "geometry", "geoproperty")}, "coordinates": asked.geo.geometry["coordinates"]}
    return "POST", "/entityOperations/query", {"options": "sysAttrs"}, body


def _attributes(wanted: frozenset[str], share: Share) -> frozenset[str]:
    if share.attributes is None:
        return wanted
    return share.attributes & wanted if wanted else share.attributes


def _selector(asked: EntityQuery, share: Share, speech: Speech) -> dict[str, str]:
    selected = asked.type_selection or ",".join(asked.types) or ",".join(share.types)
    out = {"type": store.rename_in_types(selected, speech.name)} if selected else {}
    uris = share.source.own(asked.uris) or list(share.uris)
    if uris:
        out["id"] = ",".join(uris)
    if asked.id_pattern:
        out["idPattern"] = asked.id_pattern
    return out


def _any(one: Selector, share: Share, speech: Speech) -> dict[str, str]:
    return _selector(EntityQuery(type_selection=one.type_selection, uris=one.uris, id_pattern=one.id_pattern), share, speech)


def _of_body(selector: dict[str, str]) -> dict[str, Any]:
    if "id" not in selector:
        return dict(selector)
    uris = selector["id"].split(",")
    return {**selector, "id": uris[0] if len(uris) == 1 else uris}


def _filters(asked: EntityQuery, speech: Speech) -> dict[str, str]:
    out: dict[str, str] = {}
    if asked.q:
        out["q"] = _renamed(asked.q, speech.rename)
    if asked.scope_selection:
        out["scopeQ"] = asked.scope_selection
    if asked.geo is not None:
        out |= _geo(asked.geo, speech)
    elif asked.near is not None:
        lon, lat, metres = asked.near
        out |= _geo(GeoRelation("near", {"type": "Point", "coordinates": [lon, lat]}, max_distance_m=metres), speech)
    elif asked.bbox is not None:
        west, south, east, north = asked.bbox
        ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
        out |= _geo(GeoRelation("intersects", {"type": "Polygon", "coordinates": [ring]}), speech)
    return out


@lru_cache(maxsize=256)
def _renamed(q: str, rename: Callable[[str], str]) -> str:
    """A filter in the words of a source: most sources of a question read the same ones."""
    return store.rename_in_question(q, rename)


def _geo(geo: GeoRelation, speech: Speech) -> dict[str, str]:
    relation = geo.relation
    if geo.max_distance_m is not None:
        relation = f"near;maxDistance=={geo.max_distance_m:g}"
    elif geo.min_distance_m is not None:
        relation = f"near;minDistance=={geo.min_distance_m:g}"
    out = {"georel": relation, "geometry": str(geo.geometry["type"]), "coordinates": msgspec.json.encode(geo.geometry["coordinates"]).decode()}
    return out if geo.attribute == "location" else {**out, "geoproperty": speech.name(geo.attribute)}
