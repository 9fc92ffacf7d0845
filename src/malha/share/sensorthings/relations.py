"""The kinds that live in the present, as relations over entities, devices and what was declared. Ids are derived and stable (README).

Every relation has the columns `id` (text) and `n` (its order), and those that its links name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import msgspec
import psycopg

from malha.context.broker import door
from malha.context.broker.contracts import Asked
from malha.context.store import service as store
from malha.kernel import units
from malha.vocabulary.models import service as models
from malha.vocabulary.models.contracts import DataModel, Role

GEOJSON = "application/geo+json"
_OM = "http://www.opengis.net/def/observationType/OGC-OM/2.0/"
_SEEN = """e.tenant_id = %(tenant)s AND (e.expires_at IS NULL OR e.expires_at > now())
    AND (%(types)s::int[] IS NULL OR e.type_id = ANY (%(types)s::int[]) OR (cardinality(e.types) > 1 AND e.types && %(types)s::int[]))"""


def _about(what: str) -> str:
    """What the entity's model says of something."""
    return f"(coalesce(%(known)s::jsonb -> e.type_id::text, '{{}}') -> '{what}')"


def _hidden(name: str) -> str:
    """Whether the reader does not get an attribute."""
    return f"coalesce({_about('hidden')} ? {name}, false)"


def _measure(name: str) -> str:
    """Whether the model measures an attribute."""
    return f"coalesce({_about('measures')} ? {name}, false)"


_NAME = f"""CASE WHEN {_hidden("'name'")} THEN e.uri
    ELSE coalesce(e.doc #>> '{{name,value}}', e.doc #>> '{{name,languageMap,pt}}', e.doc #>> '{{name,languageMap,en}}', e.uri) END"""
_DESCRIPTION = f"""CASE WHEN {_hidden("'description'")} THEN ''
    ELSE coalesce(e.doc #>> '{{description,value}}', {_about("label")} #>> '{{}}', t.name) END"""
_PROPERTIES = f"""jsonb_build_object('id', e.uri, 'type', t.name)
    || coalesce((SELECT jsonb_object_agg(p.key, coalesce(p.value -> 'value', p.value -> 'languageMap', p.value -> 'vocab', p.value -> 'object'))
        FROM jsonb_each(e.doc) p
        WHERE p.value ->> 'type' IN ('Property', 'LanguageProperty', 'VocabProperty', 'Relationship') AND NOT p.value ? 'observedAt'
            AND p.key NOT IN ('name', 'description', 'id', 'type', 'properties') AND NOT {_hidden("p.key")} AND NOT {_measure("p.key")}), '{{}}')
    || CASE WHEN jsonb_typeof(e.doc #> '{{properties,json}}') = 'object' THEN e.doc #> '{{properties,json}}' ELSE '{{}}' END"""
_PLACED = f"e.bbox IS NOT NULL AND NOT {_hidden("'location'")}"
_PLACE = """jsonb_build_object('place', e.doc -> 'location', 'wkb', encode(e.geom, 'hex'))"""

THINGS = f"""SELECT e.id::text AS id, e.id AS n, e.id AS thing, e.uri, {_NAME} AS name, {_DESCRIPTION} AS description, {_PROPERTIES} AS properties
FROM entities e JOIN entity_type t ON t.id = e.type_id WHERE {_SEEN}"""

LOCATIONS = f"""SELECT e.id::text AS id, e.id AS n, e.id AS thing, coalesce(e.doc #>> '{{location,name,value}}', {_NAME}) AS name,
    coalesce(e.doc #>> '{{location,description,value}}', '') AS description, '{GEOJSON}' AS "encodingType", {_PLACE} AS location, '{{}}'::jsonb AS properties
FROM entities e JOIN entity_type t ON t.id = e.type_id WHERE {_SEEN} AND {_PLACED}"""

_OBSERVED = f"""SELECT a.id AS attr, k.key AS attribute, coalesce(d.id, 0) AS dataset, coalesce(i ->> 'datasetId', '') AS instance, i ->> 'unitCode' AS unit,
        jsonb_typeof(i -> 'value') AS form
    FROM jsonb_each(e.doc) k CROSS JOIN LATERAL jsonb_path_query(k.value, '$[*]') i JOIN attribute a ON a.name = k.key
        LEFT JOIN attribute_dataset d ON d.name = i ->> 'datasetId'
    WHERE i ->> 'type' = 'Property' AND k.key NOT IN ('name', 'description') AND NOT {_hidden("k.key")} AND (i ? 'observedAt'
        OR {_measure("k.key")} OR EXISTS (SELECT FROM sensorthings_datastream s WHERE s.tenant_id = e.tenant_id AND s.entity_id = e.id AND s.attr_id = a.id))
    UNION ALL
    SELECT s.attr_id, a.name, s.dataset_id, coalesce(d.name, ''), s.doc ->> 'unitCode', NULL
    FROM sensorthings_datastream s JOIN attribute a ON a.id = s.attr_id LEFT JOIN attribute_dataset d ON d.id = s.dataset_id
    WHERE s.tenant_id = %(tenant)s AND s.entity_id = e.id AND NOT {_hidden("a.name")} AND NOT EXISTS (
        SELECT FROM jsonb_path_query(e.doc -> a.name, '$[*]') i WHERE coalesce(i ->> 'datasetId', '') = coalesce(d.name, '') AND i ->> 'type' = 'Property')"""
_SENSOR = """coalesce(s.sensor,
    'd' || (SELECT max(v.id) FROM device v WHERE v.tenant_id = %(tenant)s AND v.entity_uri = e.uri AND v.entity_uri <> ''), 't' || e.type_id)"""
_LABEL = f"coalesce({_about('labels')} ->> x.attribute, x.attribute)"

DATASTREAMS = f"""SELECT e.id || '.' || x.attr || CASE WHEN x.dataset = 0 THEN '' ELSE '.' || x.dataset END AS id, e.id AS n, x.attr, x.dataset, e.id AS thing, e.uri,
    x.attribute, x.instance, x.unit, t.name AS type, coalesce(s.doc ->> 'name', {_LABEL} || ' · ' || {_NAME}) AS name,
    coalesce(s.doc ->> 'description', {_about("descriptions")} ->> x.attribute, '') AS description,
    coalesce(s.doc ->> 'observationType', '{_OM}' || CASE x.form WHEN 'boolean' THEN 'OM_TruthObservation' WHEN 'string' THEN 'OM_Observation' ELSE 'OM_Measurement' END)
        AS "observationType",
    coalesce(s.doc -> 'unitOfMeasurement', %(units)s::jsonb -> x.unit, jsonb_build_object('name', x.unit, 'symbol', x.unit, 'definition', NULL)) AS "unitOfMeasurement",
    coalesce(s.doc -> 'properties', '{{}}') AS properties, {_SENSOR} AS sensor, coalesce(s.property, 'a' || x.attr) AS property
FROM entities e JOIN entity_type t ON t.id = e.type_id CROSS JOIN LATERAL ({_OBSERVED}) x
    LEFT JOIN sensorthings_datastream s ON s.tenant_id = %(tenant)s AND s.entity_id = e.id AND s.attr_id = x.attr AND s.dataset_id = x.dataset
WHERE {_SEEN}"""

_DECLARED = """SELECT x.id::text AS id, x.id AS n, {columns} FROM sensorthings_element x WHERE x.tenant_id = %(tenant)s AND x.kind = '{kind}'"""
_WORDS = "x.doc ->> 'name' AS name, coalesce(x.doc ->> 'description', '') AS description"
_REST = "coalesce(x.doc -> 'properties', '{}') AS properties"

SENSORS = f"""{_DECLARED.format(kind="Sensor", columns=f"{_WORDS}, x.doc ->> 'encodingType' AS {chr(34)}encodingType{chr(34)}, x.doc -> 'metadata' AS metadata, {_REST}")}
UNION ALL SELECT 'd' || v.id, 1000000000000 + v.id, coalesce(nullif(v.name, ''), v.external_id), o.name, 'text/plain', to_jsonb(v.external_id), jsonb_build_object('kind', o.kind)
    FROM device v JOIN device_door o ON o.tenant_id = v.tenant_id AND o.id = v.door_id WHERE v.tenant_id = %(tenant)s AND v.entity_uri <> ''
    AND EXISTS (SELECT FROM entities e WHERE e.uri = v.entity_uri AND {_SEEN})
UNION ALL SELECT 't' || u.id, 2000000000000 + u.id, u.label, u.said, 'text/plain', to_jsonb(u.said), '{{}}'
    FROM unnest(%(type_ids)s::int[], %(type_labels)s::text[], %(type_sources)s::text[]) u (id, label, said)"""

OBSERVED_PROPERTIES = f"""{_DECLARED.format(kind="ObservedProperty", columns=f"x.doc ->> 'name' AS name, x.doc ->> 'definition' AS definition, coalesce(x.doc ->> 'description', '') AS description, {_REST}")}
UNION ALL SELECT 'a' || a.id, 1000000000000 + a.id, coalesce(%(words)s::jsonb #>> ARRAY[a.name, 'label'], a.name), a.iri, coalesce(%(words)s::jsonb #>> ARRAY[a.name, 'description'], ''), '{{}}'
    FROM attribute a WHERE a.id IN (SELECT y.attr FROM ({DATASTREAMS}) y WHERE y.property = 'a' || y.attr)"""

FEATURES = f"""{_DECLARED.format(kind="FeatureOfInterest", columns=f"NULL::bigint AS thing, {_WORDS}, coalesce(x.doc ->> 'encodingType', '{GEOJSON}') AS {chr(34)}encodingType{chr(34)}, jsonb_build_object('place', jsonb_build_object('value', x.doc -> 'feature')) AS feature, {_REST}")}
UNION ALL SELECT 'e' || e.id, 1000000000000 + e.id, e.id, {_NAME}, {_DESCRIPTION}, '{GEOJSON}', {_PLACE}, '{{}}'
    FROM entities e JOIN entity_type t ON t.id = e.type_id WHERE {_SEEN} AND {_PLACED}"""

#: kind → its rows
RELATIONS = {
    "Things": THINGS, "Locations": LOCATIONS, "Datastreams": DATASTREAMS, "Sensors": SENSORS, "ObservedProperties": OBSERVED_PROPERTIES, "FeaturesOfInterest": FEATURES,
}  # fmt: skip
#: columns that make an order whole
ORDER = {"Datastreams": ("n", "attr", "dataset")}


@dataclass(frozen=True, slots=True)
class View:
    """What one reader sees of a tenant: the parameters of every relation, and where the service stands."""

    conn: psycopg.Connection[Any]
    who: Asked
    base: str  # address of the service, without a slash at its end
    given: dict[str, object] = field(default_factory=dict)

    @property
    def tenant_id(self) -> int:
        """Whose data."""
        return self.who.tenant_id


def view(conn: psycopg.Connection[Any], who: Asked, base: str) -> View:
    """The parameters for whoever asks, from the models of the tenant's types."""
    names = [name for name in store.type_names(conn, who.tenant_id) if door.within_reach(who, (name,))]
    found = [(name, number, models.find(name, who.tenant_id)) for name in names if (number := store.type_number(conn, name)) is not None]
    known = {str(number): _of_type(who, model, door.personal(who, (name,))) for name, number, model in found if model}
    labels = [model.label.in_language(who.language) if model else name for name, _, model in found]
    words: dict[str, dict[str, str]] = {}
    for of in known.values():
        for name, label in of["labels"].items():
            words.setdefault(name, {"label": label, "description": of["descriptions"].get(name, "")})
    given: dict[str, object] = {
        "tenant": who.tenant_id, "types": None if who.principal.types is None else [number for _, number, _ in found], "known": _json(known),
        "units": _units(who.language), "words": _json(words), "type_ids": [number for _, number, _ in found], "type_labels": labels,
        "type_sources": [(model.source if model else "") or name for name, _, model in found],
    }  # fmt: skip
    return View(conn, who, base, given)


def _of_type(who: Asked, model: DataModel, hidden: Iterable[str]) -> dict[str, Any]:
    tongue = who.language
    said = {prop.name: text for prop in model.properties if (text := prop.description.in_language(tongue))}
    return {
        "hidden": sorted(hidden), "measures": [prop.name for prop in model.properties if prop.role is Role.MEASURE and prop.kind.value == "Property"],
        "label": model.label.in_language(tongue), "labels": {prop.name: prop.label.in_language(tongue) or prop.name for prop in model.properties}, "descriptions": said,
    }  # fmt: skip


@cache
def _units(tongue: str) -> str:
    of = "https://unece.org/rec20/"
    return _json(
        {code: {"name": unit.in_language(tongue), "symbol": unit.symbol or unit.code, "definition": of + code} for code, unit in units.REGISTRY.items()}
    )


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
