"""What clients change of what is there: those members that they name, the rest stays (OGC 18-088 §10.3, JSON merge patch as RFC 7396)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from malha.context.store import service as store
from malha.context.store.contracts import EntityDocument, WriteMode, WriteOptions
from malha.kernel.text import msg
from malha.share.sensorthings import creating, observing, rendering
from malha.share.sensorthings.contracts import SETS, BadRequest, EntitySet, NotOffered, Unacceptable
from malha.share.sensorthings.relations import View

_ATTRIBUTES = WriteOptions(mode=WriteMode.ATTRIBUTES)
#: members that may be named, by kind; what hangs on a thing is changed at its own address
_MEMBERS = {
    "Things": {"name", "description", "properties"},
    "Locations": {"name", "description", "encodingType", "location"},
    "Datastreams": {"name", "description", "unitOfMeasurement", "observationType", "properties"},
    "Sensors": {"name", "description", "encodingType", "metadata", "properties"},
    "ObservedProperties": {"name", "description", "definition", "properties"},
    "FeaturesOfInterest": {"name", "description", "encodingType", "feature", "properties"},
    "Observations": {"result", "resultTime", "resultQuality", "validTime", "parameters"},
}


def change(seen: View, kind: EntitySet, row: Mapping[str, Any], said: Any) -> None:
    """Change one thing. Raises BadRequest for a member that is not there, NotOffered for what is not changed."""
    if kind.name not in _MEMBERS:
        raise NotOffered(msg("Uma posição de antes não se muda."))
    if not isinstance(said, dict) or not said:
        raise BadRequest(msg("Envie um objeto JSON com o que muda."))
    named = {name: value for name, value in said.items() if not name.startswith("@iot.")}
    if unknown := named.keys() - _MEMBERS[kind.name]:
        raise BadRequest(msg("“{name}” não se muda aqui."), name=min(unknown)[:80])
    if kind.name == "Things":
        _thing(seen, row, named)
    elif kind.name == "Locations":
        _location(seen, row, named)
    elif kind.name == "Datastreams":
        _datastream(seen, row, named)
    elif kind.name == "Observations":
        _observation(seen, row, named)
    else:
        _element(seen, kind, row, named)


def merged(kept: Any, said: Any) -> Any:
    """JSON merge patch: null takes away, objects merge, anything else replaces (RFC 7396)."""
    if not isinstance(said, dict):
        return said
    out = dict(kept) if isinstance(kept, dict) else {}
    for name, value in said.items():
        if value is None:
            out.pop(name, None)
        else:
            out[name] = merged(out.get(name), value)
    return out


def _owner(seen: View, row: Mapping[str, Any]) -> Any:
    found = creating.existing(seen, SETS["Things"], {"@iot.id": row["thing"]})
    return store.retrieve(seen.conn, seen.tenant_id, found["uri"], lock=True)


def _thing(seen: View, row: Mapping[str, Any], said: Mapping[str, Any]) -> None:
    """Members of a Thing are attributes of its entity; so are its properties, as when it was made."""
    stored = store.retrieve(seen.conn, seen.tenant_id, row["uri"], lock=True)
    attributes: dict[str, object] = {
        name: {"type": "Property", "value": creating.text_of(said, name, required=name == "name")} for name in ("name", "description") if name in said
    }
    properties = creating.object_of(said, "properties")
    if properties.keys() & {"id", "type"}:
        raise BadRequest(msg("“{name}” não se muda aqui."), name=min(properties.keys() & {"id", "type"}))
    left: dict[str, Any] = {}
    for name, value in properties.items():
        if not creating.is_plain(name):
            left[name] = value
        elif value is None:
            if name in stored.attributes:
                attributes[name] = None
        else:
            known = stored.attributes.get(name)
            attributes[name] = {"type": "Property", "value": merged(known.get("value") if isinstance(known, dict) else None, value)}
    if left:
        known = stored.attributes.get("properties")
        kept = merged(known.get("json") if isinstance(known, dict) else None, left)
        attributes["properties"] = {"type": "JsonProperty", "json": kept} if kept else None
    creating.write(seen, EntityDocument(stored.uri, stored.types, attributes), _ATTRIBUTES)


def _location(seen: View, row: Mapping[str, Any], said: Mapping[str, Any]) -> None:
    if ":" in str(row["id"]):
        raise NotOffered(msg("Uma posição de antes não se muda."))
    stored = _owner(seen, row)
    here = stored.attributes.get("location")
    here = here[0] if isinstance(here, list) else here or {}
    whole = {name: said.get(name, (here.get(name) or {}).get("value", "")) for name in ("name", "description")}
    place = creating.place(
        {**whole, "name": whole["name"] or "—", "encodingType": said.get("encodingType", ""), "location": said.get("location", here.get("value"))}
    )
    if "location" not in said and "observedAt" in here:
        place["observedAt"] = here["observedAt"]
    creating.write(seen, EntityDocument(stored.uri, stored.types, {"location": place}), _ATTRIBUTES)


def _datastream(seen: View, row: Mapping[str, Any], said: Mapping[str, Any]) -> None:
    where = [seen.tenant_id, row["thing"], row["attr"], row["dataset"]]
    found = seen.conn.execute(
        "SELECT doc FROM sensorthings_datastream WHERE tenant_id = %s AND entity_id = %s AND attr_id = %s AND dataset_id = %s FOR UPDATE", where
    ).fetchone()
    if found is None:
        raise NotOffered(msg("Isto vem dos dados e não se muda aqui."))
    doc = merged(_plain(found[0]), said)
    for name in ("name", "description", "observationType"):
        creating.text_of(doc, name)
    code = creating.unit_code(creating.object_of(doc, "unitOfMeasurement"))
    doc = {name: value for name, value in doc.items() if name != "unitCode"} | ({"unitCode": code} if code else {})
    seen.conn.execute(
        "UPDATE sensorthings_datastream SET doc = %s::jsonb WHERE tenant_id = %s AND entity_id = %s AND attr_id = %s AND dataset_id = %s",
        [creating.json_of(doc), *where],
    )  # fmt: skip


def _observation(seen: View, row: Mapping[str, Any], said: Mapping[str, Any]) -> None:
    """Another value at the same instant corrects the one that is there; what is not named stays."""
    before = rendering.observation(dict(row))
    whole = {**before, **said, "phenomenonTime": before["phenomenonTime"]}
    stream = creating.existing(seen, SETS["Datastreams"], {"@iot.id": row["datastream"]})
    where = [seen.tenant_id, row["thing"], row["attr"], row["dataset"], row["phenomenonTime"]]
    seen.conn.execute("DELETE FROM sensorthings_note WHERE tenant_id = %s AND entity_id = %s AND attr_id = %s AND dataset_id = %s AND observed_at = %s", where)
    observing.write(seen, [observing.read({name: value for name, value in whole.items() if value is not None}, stream, str(row["feature"] or ""))])


def _element(seen: View, kind: EntitySet, row: Mapping[str, Any], said: Mapping[str, Any]) -> None:
    key = str(row["id"])
    if not key.isdigit():
        raise NotOffered(msg("Isto vem dos dados e não se muda aqui."))
    found = seen.conn.execute("SELECT doc FROM sensorthings_element WHERE tenant_id = %s AND id = %s FOR UPDATE", [seen.tenant_id, int(key)]).fetchone()
    if found is None:
        raise Unacceptable(msg("Não há nada neste endereço."))
    doc = creating.described(kind, merged(_plain(found[0]), said))
    seen.conn.execute("UPDATE sensorthings_element SET doc = %s::jsonb WHERE tenant_id = %s AND id = %s", [creating.json_of(doc), seen.tenant_id, int(key)])


def _plain(doc: Any) -> Any:
    return msgspec.json.decode(doc) if isinstance(doc, str | bytes) else doc
