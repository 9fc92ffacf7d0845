"""What clients create and delete, written through the same store as everything else (OGC 18-088 §10, §13).

A Thing is an entity, a Location its GeoProperty, an Observation a value of one of its attributes. What entities have no
word for (sensors, observed properties, features, what a datastream is called) is kept beside them.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Any

import msgspec
import psycopg

from malha.context.broker import checking, door
from malha.context.broker.contracts import AlreadyExists
from malha.context.store import names
from malha.context.store import service as store
from malha.context.store.contracts import EntityDocument, InstanceKey, WriteOptions
from malha.context.store.table import usable_uri
from malha.kernel import units
from malha.kernel.text import msg, unaccent
from malha.kernel.time import format_instant, now
from malha.share.sensorthings import fetching, observing
from malha.share.sensorthings.contracts import SETS, BadRequest, EntitySet, NotOffered, Unacceptable
from malha.share.sensorthings.relations import GEOJSON, View, view

_NAME = re.compile(r"[A-Za-z]\w*", re.ASCII)
#: words of entities that are no properties of a Thing
_OWN = frozenset({"id", "type", "name", "description", "location", "scope", "properties", "createdAt", "modifiedAt", "observedAt", "expiresAt"})
_KEPT = {
    "Sensors": ("Sensor", ("name", "description", "encodingType", "metadata")),
    "ObservedProperties": ("ObservedProperty", ("name", "definition", "description")),
    "FeaturesOfInterest": ("FeatureOfInterest", ("name", "description", "encodingType", "feature")),
}
#: attributes that observed properties do not become
_TAKEN = frozenset({"name", "description", "location", "type", "id"})

type Said = Mapping[str, Any]


def create(seen: View, kind: EntitySet, said: Any, parent: tuple[EntitySet, dict[str, Any]] | None) -> str:
    """One thing of a kind, with what hangs on it; `parent` is what it hangs on. Returns its id."""
    given = _given(kind, said, parent)
    if kind.name == "Things":
        return thing(seen, given)
    if kind.name == "Locations":
        return location(seen, given)
    if kind.name == "Datastreams":
        return datastream(seen, given)
    if kind.name == "Observations":
        return _observe(seen, given).key
    return element(seen, kind, given)


def observation(seen: View, said: Any, parent: tuple[EntitySet, dict[str, Any]] | None) -> dict[str, Any]:
    """One observation written; its row. It is not read again: a sensor sends one after the other, and the history's engine takes thirty milliseconds to be asked."""
    return _observe(seen, _given(SETS["Observations"], said, parent)).row


def _observe(seen: View, given: Said) -> observing.Observation:
    one = observing.read(given, stream_of(seen, given), feature_of(seen, given))
    observing.write(seen, [one])
    return one


def _given(kind: EntitySet, said: Any, parent: tuple[EntitySet, dict[str, Any]] | None) -> dict[str, Any]:
    """What was said of a thing, and what it hangs on by its address. Raises BadRequest."""
    if not isinstance(said, dict):
        raise BadRequest(msg("Envie um objeto JSON."))
    if parent is None:
        return dict(said)
    return {**said, _back(kind, parent[0]): [{"@iot.id": parent[1]["id"]}] if kind.name == "Locations" else {"@iot.id": parent[1]["id"]}}


def _back(kind: EntitySet, parent: EntitySet) -> str:
    for link in kind.links:
        if link.target == parent.name and (not link.many or kind.name == "Locations"):
            return link.name
    raise NotOffered(msg("Aí não se cria; crie em {kind} e diga a que pertence."), kind=kind.name)


def text_of(said: Said, name: str, *, required: bool = True) -> str:
    """A member that is a text. Raises BadRequest."""
    value = said.get(name)
    if value is None and not required:
        return ""
    if not isinstance(value, str) or (required and not value.strip()):
        raise BadRequest(msg("Falta “{name}”, que é um texto."), name=name)
    return value


def object_of(said: Said, name: str) -> dict[str, Any]:
    """A member that is an object, empty where it is missing. Raises BadRequest."""
    value = said.get(name)
    if value is not None and not isinstance(value, dict):
        raise BadRequest(msg("“{name}” é um objeto JSON."), name=name)
    return value or {}


def thing(seen: View, said: Said) -> str:
    """A Thing with its Locations and Datastreams. Its type and id are those that its properties name, else a type `Thing` and an id of ours."""
    properties = object_of(said, "properties")
    type_ = properties.get("type") if isinstance(properties.get("type"), str) and _NAME.fullmatch(str(properties.get("type"))) else "Thing"
    uri = properties.get("id") if isinstance(properties.get("id"), str) and usable_uri(str(properties.get("id"))) else f"urn:malha:{type_}:{uuid.uuid4()}"
    door.require_reach(seen.who, (str(type_),))
    if store.exists(seen.conn, seen.tenant_id, str(uri)):
        raise AlreadyExists(msg("Já existe uma entidade “{uri}”."), uri=uri)
    attributes: dict[str, object] = {"name": {"type": "Property", "value": text_of(said, "name")}}
    if description := text_of(said, "description"):
        attributes["description"] = {"type": "Property", "value": description}
    rest = {name: value for name, value in properties.items() if name not in {"id", "type"} and value is not None}
    plain = {name for name, value in rest.items() if _NAME.fullmatch(name) and name not in _OWN and value not in ([], {})}
    attributes |= {name: {"type": "Property", "value": rest[name]} for name in plain}
    if left := {name: value for name, value in rest.items() if name not in plain}:
        attributes["properties"] = {"type": "JsonProperty", "json": left}
    places = _list(said, "Locations")
    if places:
        attributes["location"] = place(places[0])
    write(seen, EntityDocument(str(uri), (str(type_),), attributes))
    row = seen.conn.execute("SELECT id FROM entities WHERE tenant_id = %s AND uri = %s", [seen.tenant_id, uri]).fetchone()
    assert row is not None
    for one in _list(said, "Datastreams"):
        datastream(view(seen.conn, seen.who, seen.base), {**one, "Thing": {"@iot.id": row[0]}})
    return str(row[0])


def _list(said: Said, name: str) -> list[dict[str, Any]]:
    value = said.get(name, [])
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise BadRequest(msg("“{name}” é uma lista de objetos JSON."), name=name)
    return value


def place(said: Said) -> dict[str, Any]:
    """The GeoProperty of a Location. Only GeoJSON is a place here."""
    encoding = text_of(said, "encodingType", required=False) or GEOJSON
    if encoding not in {GEOJSON, "application/vnd.geo+json", "application/vnd.geo+json; charset=utf-8"}:
        raise Unacceptable(msg("A localização vem em GeoJSON (encodingType {wanted})."), wanted=GEOJSON)
    value = object_of(said, "location")
    value = value.get("geometry", {}) if value.get("type") == "Feature" else value
    made: dict[str, Any] = {"type": "GeoProperty", "value": value, "observedAt": format_instant(now())}
    for name in ("name", "description"):
        if text := text_of(said, name, required=name == "name"):
            made[name] = {"type": "Property", "value": text}
    return made


def location(seen: View, said: Said) -> str:
    """Where a Thing is from now on."""
    things = _list(said, "Things")
    if len(things) != 1 or "@iot.id" not in things[0]:
        raise NotOffered(msg("Uma localização é de uma coisa: POST a Things(id)/Locations, ou diga Things."))
    found = existing(seen, SETS["Things"], things[0])
    stored = store.retrieve(seen.conn, seen.tenant_id, found["uri"], lock=True)
    write(seen, EntityDocument(stored.uri, stored.types, {**stored.attributes, "location": place(said)}))
    return str(found["id"])


def is_plain(name: str) -> bool:
    """Whether a property of a Thing is an attribute of its entity by itself."""
    return bool(_NAME.fullmatch(name)) and name not in _OWN


def write(seen: View, doc: EntityDocument, options: WriteOptions = WriteOptions()) -> None:  # noqa: B008 -- frozen
    """Write one entity as every door does: completed, checked against its model. Raises Unacceptable with the store's reason."""
    whole = checking.completed(seen.conn, seen.who, doc)
    checking.checked(seen.conn, seen.who, whole)
    for _, reason in store.upsert_documents(seen.conn, seen.tenant_id, [whole], options).refused:
        raise Unacceptable.of_kept(reason)


def existing(seen: View, kind: EntitySet, said: Any) -> dict[str, Any]:
    """The row that `{"@iot.id": …}` names. Raises BadRequest where there is none."""
    key = said.get("@iot.id") if isinstance(said, dict) else None
    row = fetching.one(seen, kind, str(key)) if isinstance(key, str | int) and not isinstance(key, bool) else None
    if row is None:
        raise BadRequest(msg("Não há nenhum {kind} com o id “{id}”."), kind=kind.one, id=str(key)[:80])
    return row


def element(seen: View, kind: EntitySet, said: Said) -> str:
    """A sensor, an observed property or a feature of interest, with the datastreams that hang on it."""
    one, doc = _KEPT[kind.name][0], described(kind, said)
    text = "INSERT INTO sensorthings_element (tenant_id, kind, doc) VALUES (%s, %s, %s::jsonb) RETURNING id"
    row = seen.conn.execute(text, [seen.tenant_id, one, json_of(doc)]).fetchone()
    assert row is not None
    for below in _list(said, "Datastreams"):
        datastream(seen, {**below, one: {"@iot.id": row[0]}})
    return str(row[0])


def described(kind: EntitySet, said: Said) -> dict[str, Any]:
    """What is kept of a sensor, an observed property or a feature of interest. Raises BadRequest for a member that is missing."""
    fields = _KEPT[kind.name][1]
    doc: dict[str, Any] = {}
    for name in fields:
        if name in {"metadata", "feature"}:
            if said.get(name) is None:
                raise BadRequest(msg("Falta “{name}”."), name=name)
            doc[name] = said[name]
        else:
            doc[name] = text_of(said, name, required=name != "encodingType" or kind.name == "Sensors")
    if kind.name == "FeaturesOfInterest":
        doc["feature"] = place({"name": doc["name"], "location": said["feature"], "encodingType": doc["encodingType"]})["value"]
        doc["encodingType"] = doc["encodingType"] or GEOJSON
    if properties := object_of(said, "properties"):
        doc["properties"] = properties
    return doc


def json_of(value: object) -> str:
    """As PostgreSQL keeps it. Raises BadRequest for characters that it does not."""
    try:
        text = msgspec.json.encode(value).decode()
    except (UnicodeEncodeError, ValueError) as reason:
        raise BadRequest(msg("O texto tem caracteres que não existem em Unicode.")) from reason
    if "\\u0000" in text:
        raise BadRequest(msg("O texto tem caracteres que não existem em Unicode."))
    return text


def _linked(seen: View, said: Said, name: str, kind: EntitySet) -> dict[str, Any]:
    """What a datastream hangs on: there already, or made now."""
    inside = said.get(name)
    if not isinstance(inside, dict):
        raise BadRequest(msg("Falta “{name}”: diga {{“@iot.id”: …}} ou descreva-o."), name=name)
    if "@iot.id" in inside:
        return existing(seen, kind, inside)
    key = create(seen, kind, inside, None)
    return existing(view(seen.conn, seen.who, seen.base), kind, {"@iot.id": key})


def datastream(seen: View, said: Said) -> str:
    """A Datastream with its Sensor, ObservedProperty and Observations. Returns its id."""
    owner = _linked(seen, said, "Thing", SETS["Things"])
    sensor, observed = _linked(seen, said, "Sensor", SETS["Sensors"]), _linked(seen, said, "ObservedProperty", SETS["ObservedProperties"])
    doc = {name: text_of(said, name) for name in ("name", "description", "observationType")}
    unit = object_of(said, "unitOfMeasurement")
    if "unitOfMeasurement" not in said:
        raise BadRequest(msg("Falta “{name}”."), name="unitOfMeasurement")
    more: dict[str, Any] = {"unitOfMeasurement": unit, **({"properties": found} if (found := object_of(said, "properties")) else {})}
    if code := unit_code(unit):
        more["unitCode"] = code
    attribute = _attribute(seen.conn, observed)
    attr = names.numbers(seen.conn, "attribute", [attribute])[attribute]
    dataset = _dataset(seen, owner, attr, attribute, doc["name"])
    text = (
        """INSERT INTO sensorthings_datastream (tenant_id, entity_id, attr_id, dataset_id, sensor, property, doc) VALUES (%s, %s, %s, %s, %s, %s, %s::jsonb)"""
    )
    seen.conn.execute(text, [seen.tenant_id, owner["thing"], attr, dataset, sensor["id"], observed["id"], json_of({**doc, **more})])
    key = f"{owner['thing']}.{attr}" + (f".{dataset}" if dataset else "")
    if values := _list(said, "Observations"):
        stream = stream_of(seen, {"Datastream": {"@iot.id": key}})
        observing.write(seen, [observing.read(one, stream, feature_of(seen, one)) for one in values])
    return key


def unit_code(unit: Said) -> str:
    """The UN/CEFACT code of a unit of measurement, "" where none is known."""
    said = [str(unit.get(name) or "") for name in ("definition", "symbol", "name")]
    last = re.split(r"[/#:]", said[0])[-1]
    found = units.find(last) or next((one for text in (said[1], said[2], last) if (one := units.suggest(text)) is not None), None)
    return found.code if found else ""


def _attribute(conn: psycopg.Connection[Any], observed: Mapping[str, Any]) -> str:
    """The attribute that an observed property is: its own where it comes from one, else named after it."""
    if observed["id"].startswith("a"):
        row = conn.execute("SELECT name FROM attribute WHERE id = %s", [int(observed["id"][1:])]).fetchone()
        if row is not None:
            return str(row[0])
    words = re.findall(r"[A-Za-z0-9]+", unaccent(str(observed["name"]))) or re.findall(r"[A-Za-z0-9]+", str(observed["definition"]).rpartition("/")[2])
    name = "".join(
        word if n == 0 and any(c.isupper() for c in word[1:]) else word[:1].upper() + word[1:].lower() if n else word.lower() for n, word in enumerate(words)
    )
    name = name if name[:1].isalpha() else f"property{name}"
    return f"{name}Observed" if name in _TAKEN else name[:200]


def _dataset(seen: View, owner: Mapping[str, Any], attr: int, attribute: str, name: str) -> int:
    """0 for the first datastream of an attribute, another instance (datasetId) for those after it."""
    held = {
        row["dataset"] for row in fetching.pages(seen, SETS["Datastreams"], fetching.ALL, "thing", [owner["thing"]])[owner["thing"]].rows if row["attr"] == attr
    }
    if not held:
        return 0
    slug = re.sub(r"[^A-Za-z0-9]+", "-", unaccent(name)).strip("-").lower()[:80] or attribute
    for n in range(1, 1000):
        uri = f"urn:malha:Datastream:{slug}" + (f"-{n}" if n > 1 else "")
        number = names.numbers(seen.conn, "attribute_dataset", [uri])[uri]
        if number not in held:
            return number
    raise Unacceptable(msg("A coisa já tem séries a mais dessa propriedade."))


def stream_of(seen: View, said: Said) -> dict[str, Any]:
    """The datastream that an observation names, or describes."""
    return _linked(seen, said, "Datastream", SETS["Datastreams"])


def feature_of(seen: View, said: Said) -> str:
    """The id of the feature that an observation names or describes; "" where it says nothing: then it is the thing's own place."""
    if said.get("FeatureOfInterest") is None:
        return ""
    return str(_linked(seen, said, "FeatureOfInterest", SETS["FeaturesOfInterest"])["id"])


def create_observations(seen: View, said: Any) -> list[str]:
    """Observations given as lists, by datastream. Returns the id of each in order, "" for those that cannot be."""
    if not isinstance(said, list) or not all(isinstance(one, dict) for one in said):
        raise BadRequest(msg("Envie uma lista de {Datastream, components, dataArray}."))
    kept: list[observing.Observation | None] = []
    for group in said:
        stream = existing(seen, SETS["Datastreams"], group.get("Datastream"))
        components, rows = group.get("components"), group.get("dataArray")
        if not isinstance(components, list) or "result" not in components or not isinstance(rows, list):
            raise BadRequest(msg("Cada grupo tem components (com result) e dataArray."))
        if len(kept) + len(rows) > observing.MOST:
            raise BadRequest(msg("Um pedido leva no máximo {most} observações."), most=observing.MOST)
        kept += [_row(seen, components, row, stream) for row in rows]
    written = iter(observing.write(seen, [one for one in kept if one is not None]))
    return [next(written) if one is not None else "" for one in kept]


def _row(seen: View, components: list[Any], row: Any, stream: dict[str, Any]) -> observing.Observation | None:
    if not isinstance(row, list) or len(row) != len(components):
        return None
    said = dict(zip(components, row, strict=True))
    feature = said.get("FeatureOfInterest/id", said.get("FeatureOfInterest/@iot.id"))
    try:
        return observing.read(said, stream, feature_of(seen, {"FeatureOfInterest": {"@iot.id": feature}}) if feature is not None else "")
    except (BadRequest, Unacceptable):
        return None


def delete(seen: View, kind: EntitySet, row: Mapping[str, Any]) -> None:
    """Take one thing away: an entity with its history hidden, a value of it, or what was declared and nobody uses."""
    at = [seen.tenant_id, row.get("thing")]
    if kind.name == "Things":
        store.delete(seen.conn, seen.tenant_id, [row["uri"]])
        for table in ("sensorthings_datastream", "sensorthings_note"):
            seen.conn.execute(f"DELETE FROM {table} WHERE tenant_id = %s AND entity_id = %s", at)
    elif kind.name == "Datastreams":
        stored = store.retrieve(seen.conn, seen.tenant_id, row["uri"], lock=True)
        gone = {"type": "Property", "value": None, **({"datasetId": row["instance"]} if row["instance"] else {})}
        seen.conn.execute(
            "DELETE FROM sensorthings_datastream WHERE tenant_id = %s AND entity_id = %s AND attr_id = %s AND dataset_id = %s",
            [*at, row["attr"], row["dataset"]],
        )
        if row["attribute"] in stored.attributes:
            store.upsert_documents(seen.conn, seen.tenant_id, [EntityDocument(stored.uri, stored.types, {row["attribute"]: gone})])
    elif kind.name in {"Observations", "HistoricalLocations"}:
        _delete_past(seen, kind, row)
    elif kind.name == "Locations" and ":" not in row["id"]:
        found = existing(seen, SETS["Things"], {"@iot.id": row["thing"]})
        stored = store.retrieve(seen.conn, seen.tenant_id, found["uri"], lock=True)
        store.upsert_documents(seen.conn, seen.tenant_id, [EntityDocument(stored.uri, stored.types, {"location": None})])
    else:
        _delete_element(seen, kind, str(row["id"]))


def _delete_past(seen: View, kind: EntitySet, row: Mapping[str, Any]) -> None:
    found = existing(seen, SETS["Things"], {"@iot.id": row["thing"]})
    stored = store.retrieve(seen.conn, seen.tenant_id, found["uri"], lock=True)
    if kind.name == "HistoricalLocations":
        store.hide_past(seen.conn, seen.tenant_id, stored, [InstanceKey("location", 0, row["time"])])
        return
    attribute = names.names(seen.conn, "attribute", [row["attr"]])[row["attr"]]
    store.hide_past(seen.conn, seen.tenant_id, stored, [InstanceKey(attribute, row["dataset"], row["phenomenonTime"])])


def _delete_element(seen: View, kind: EntitySet, key: str) -> None:
    if not key.isdigit():
        raise NotOffered(msg("Isto vem dos dados e não se apaga aqui."))
    used = {
        "Sensors": "SELECT 1 FROM sensorthings_datastream WHERE tenant_id = %s AND sensor = %s LIMIT 1",
        "ObservedProperties": "SELECT 1 FROM sensorthings_datastream WHERE tenant_id = %s AND property = %s LIMIT 1",
        "FeaturesOfInterest": "SELECT 1 FROM sensorthings_note WHERE tenant_id = %s AND feature_id::text = %s LIMIT 1",
    }[kind.name]
    if seen.conn.execute(used, [seen.tenant_id, key]).fetchone() is not None:
        raise Unacceptable(msg("Ainda está em uso; apague primeiro o que o usa."))
    seen.conn.execute("DELETE FROM sensorthings_element WHERE tenant_id = %s AND id = %s", [seen.tenant_id, int(key)])
