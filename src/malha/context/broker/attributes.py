"""Attributes as they come (normalized, concise or bare) as the store keeps them; GS CIM 009 §4.5, §4.6, §5.2.

What a clause forbids is refused with its name; nothing is repaired silently but what the clauses say is the same
(`@none`, geometry as text, list items without `object`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from malha.context.broker.contracts import BadRequestData
from malha.context.store import geometry
from malha.context.store.contracts import MEMBER, UnusableEntity
from malha.context.store.table import usable_uri
from malha.kernel.text import msg
from malha.kernel.time import furthest_day
from malha.vocabulary.contexts.service import Context
from malha.vocabulary.models import service as models
from malha.vocabulary.models.contracts import DataModel

NULL = "urn:ngsi-ld:null"
DEPTH = 12
#: a date and time of §4.6.3: UTC, written with Z
INSTANT = re.compile(r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)(?:[.,]\d{1,9})?Z")
_LOCAL_NAME = re.compile(r"[^\W\d_]\w*")
_COMPACT_NAME = re.compile(r"[A-Za-z][\w.\-]*:[^\s<>\"{}|\\^`]+")
_GEOMETRIES = frozenset({"Point", "MultiPoint", "LineString", "MultiLineString", "Polygon", "MultiPolygon", "GeometryCollection"})
_KIND_OF = {member: kind for kind, member in MEMBER.items() if kind != "GeoProperty"}
_VALUES = frozenset(_KIND_OF)
#: members that any attribute may have
_EVERY = frozenset({"type", "observedAt", "datasetId", "expiresAt", "createdAt", "modifiedAt", "deletedAt", "instanceId"})
#: members that only answers have
_OUTPUT = frozenset({"entity", "entityList", "previousValue", "previousObject", "previousLanguageMap", "previousVocab", "previousJson", "previousValueList", "previousObjectList"})  # fmt: skip
_BY_KIND = {
    "Property": frozenset({"unitCode", "valueType", "lang"}),
    "GeoProperty": frozenset({"valueType", "coordinateSystem"}),
    "Relationship": frozenset({"objectType"}),
    "ListRelationship": frozenset({"objectType"}),
    "ListProperty": frozenset({"unitCode", "valueType"}),
    "LanguageProperty": frozenset({"valueType"}),
    "VocabProperty": frozenset({"valueType"}),
    "JsonProperty": frozenset({"valueType"}),
}
_OF_KIND = {kind: _EVERY | members for kind, members in _BY_KIND.items()}
#: values that any Property may have as they are
_SCALARS = frozenset({int, float, bool})
_KNOWN = frozenset().union(_EVERY, _OUTPUT, _VALUES, *_BY_KIND.values(), {"entityIdSealed", "entityTypeSealed"})
#: the core's words for members; no attribute may be called so (§4.5.1)
_NOT_NAMES = (_EVERY | _OUTPUT | {"unitCode", "objectType", "valueType", "lang", "coordinates", "languageMap", "object", "value"}) - {"type"}
_GEO_NAMES = frozenset({"location", "observationSpace", "operationSpace"})
_STAMPS = frozenset({"createdAt", "modifiedAt"})
_SERVER = frozenset({"createdAt", "modifiedAt", "deletedAt", "instanceId"})


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads attributes in the words of `context`. With `nulls`, "urn:ngsi-ld:null" takes away; with `deep_nulls`, inside values too.

    With `stamps`, attributes keep the instants that their broker gave them, which a sender may not set.
    """

    context: Context
    nulls: bool = False
    deep_nulls: bool = False
    stamps: bool = False

    def attributes(self, payload: Mapping[str, Any], skip: frozenset[str], kinds: Mapping[str, str]) -> dict[str, Any]:
        """The attributes of an entity or a fragment, by internal name: an instance or a list of them; one that goes has no value."""
        found: dict[str, Any] = {}
        for member, thing in payload.items():
            if member in skip:
                continue
            name = self.name(member)
            found[name] = self.attribute(member, thing, kinds.get(name))
        return found

    def name(self, member: str) -> str:
        """The internal name of an attribute. Raises BadRequestData for one that §4.6.2 or the core does not allow."""
        if member in _NOT_NAMES or not usable_name(member):
            raise BadRequestData(msg("O nome “{name}” não serve para um atributo."), name=member[:80])
        return self.context.expand(member)

    def attribute(self, member: str, thing: Any, kind: str | None = None, depth: int = 0) -> Any:
        """One attribute with all its instances."""
        if depth > DEPTH:
            raise BadRequestData(msg("O pedido tem atributos dentro de atributos a mais."))
        if isinstance(thing, dict) and _is_attribute(thing):
            return self.instance(member, thing, kind, depth)
        if isinstance(thing, list) and thing and all(_is_attribute(each) for each in thing):
            instances = [self.instance(member, each, kind, depth) for each in thing]
            named = [str(each.get("datasetId", "")) for each in instances]
            if len(set(named)) != len(named):
                raise BadRequestData(msg("O atributo “{name}” traz duas vezes o mesmo datasetId."), name=member)
            if depth == 0 and len({each["type"] for each in instances}) > 1:
                raise BadRequestData(msg("As instâncias do atributo “{name}” são de tipos diferentes."), name=member)
            return instances[0] if len(instances) == 1 else instances
        if thing is None or (isinstance(thing, str) and thing == NULL):
            self._gone(member, thing)
            return {"type": kind or "Property", MEMBER[kind or "Property"]: None}
        return self._bare(member, thing, kind)

    def _gone(self, member: str, thing: Any) -> None:
        if thing is None or not self.nulls:
            raise BadRequestData(msg("O atributo “{name}” não tem valor; omita-o."), name=member)

    def _bare(self, member: str, thing: Any, kind: str | None) -> dict[str, Any]:
        thing = _untyped(thing)
        if kind is None:
            kind = "GeoProperty" if _is_geometry(thing) else "Property"
        if member in _GEO_NAMES:
            kind = "GeoProperty"
        if isinstance(thing, dict) and "@context" in thing:
            raise BadRequestData(msg("Um atributo não traz @context."))
        return {"type": kind, MEMBER[kind]: self.value(member, kind, thing)}

    def instance(self, member: str, thing: Mapping[str, Any], kind: str | None, depth: int) -> dict[str, Any]:
        """One instance of an attribute, its members checked and its sub-attributes read."""
        found = _kind(member, thing, kind)
        holder = MEMBER[found]
        if holder not in thing:
            raise BadRequestData(msg("Ao atributo “{name}” falta “{member}”."), name=member, member=holder)
        if member in _GEO_NAMES and depth == 0 and found != "GeoProperty":
            raise BadRequestData(msg("“{name}” é uma GeoProperty."), name=member)
        out: dict[str, Any] = {"type": found}
        for key, value in thing.items():
            if key == "type" or key in _SERVER:
                if self.stamps and key in _STAMPS and depth == 0 and isinstance(value, str):
                    out[key] = value
                continue
            if key == holder:
                out[key] = self._held(member, found, value)
            elif key in _KNOWN:
                self._member(member, found, key, value, out)
            elif key.startswith("@"):
                raise BadRequestData(msg("O atributo “{name}” não pode ter “{member}”."), name=member, member=key[:40])
            else:
                out[self.name(key)] = self._sub(key, value, depth)
        if member == "ngsildproof" and not isinstance(out.get("value"), dict):
            raise BadRequestData(msg("“ngsildproof” tem por valor um objeto."))
        return out

    def _sub(self, key: str, value: Any, depth: int) -> Any:
        read = self.attribute(key, value, None, depth + 1)
        if not self.nulls and isinstance(read, dict) and read.get(MEMBER.get(str(read.get("type")), "value"), ...) is None:
            self._gone(key, NULL)
        return read

    def _held(self, member: str, kind: str, value: Any) -> Any:
        if kind == "Property" and type(value) in _SCALARS:
            return value
        if (
            value == NULL
            or (kind == "LanguageProperty" and value == {"@none": NULL})
            or (kind == "ListRelationship" and value == [NULL])
            or (kind == "ListProperty" and value == [NULL])
        ):
            self._gone(member, NULL)
            return None
        return self.value(member, kind, _untyped(value) if kind == "Property" else value)

    def _member(self, member: str, kind: str, key: str, value: Any, out: dict[str, Any]) -> None:
        if key not in _OF_KIND[kind] and not (member == "ngsildproof" and key in {"entityIdSealed", "entityTypeSealed"}):
            raise BadRequestData(msg("O atributo “{name}” não pode ter “{member}”."), name=member, member=key)
        if self.nulls and value == NULL and key != "datasetId":
            out[key] = None
        elif key == "observedAt":
            out[key] = observed(f"{member}.{key}", _untyped(value))
        elif key == "expiresAt":
            out[key] = instant(f"{member}.{key}", _untyped(value))
        elif key == "datasetId":
            if value != "@none":
                out[key] = uri(f"{member}.datasetId", value)
        elif not isinstance(value, str) or not value:
            raise BadRequestData(msg("“{name}” é um texto."), name=f"{member}.{key}")
        elif key == "valueType" and kind == "LanguageProperty" and value != "langString":
            raise BadRequestData(msg("O valueType de “{name}” só pode ser langString."), name=member)
        elif key in {"objectType", "entityTypeSealed"}:
            out[key] = self.context.expand(value)
        else:
            out[key] = value

    def value(self, member: str, kind: str, value: Any) -> Any:
        """The value of an attribute of a kind, as it is kept. Raises BadRequestData for what the kind does not allow."""
        if value is None:
            raise BadRequestData(msg("O atributo “{name}” não tem valor; omita-o."), name=member)
        if kind in {"Property", "ListProperty"}:
            if kind == "ListProperty" and not isinstance(value, list):
                raise _wrong(member, kind)
            if isinstance(value, dict | list):
                _no_nulls(member, value, self.deep_nulls, 0)
            return value
        return _CHECKS[kind](self, member, value)

    def object_(self, member: str, value: Any) -> Any:
        """The object of a Relationship: a URI or a list of them."""
        if isinstance(value, list) and value:
            return [uri(member, each) for each in value]
        return uri(member, value)

    def object_list(self, member: str, value: Any) -> Any:
        """The objects of a ListRelationship, each as {"object": URI} (§4.5.22)."""
        if not isinstance(value, list):
            raise _wrong(member, "ListRelationship")
        return [{"object": uri(member, each.get("object") if isinstance(each, dict) and set(each) == {"object"} else each)} for each in value]

    def geometry_(self, _member: str, value: Any) -> Any:
        """The geometry of a GeoProperty as GeoJSON."""
        try:
            found = geometry.parse(value).geojson
            if not self.stamps:  # what another broker keeps is not ours to refuse
                geometry.require_sound(found)
            return found
        except UnusableEntity as reason:
            raise BadRequestData(reason.message, **reason.params) from reason

    def language_map(self, member: str, value: Any) -> Any:
        """A language map: tags to texts or lists of texts (§4.5.18)."""
        if not isinstance(value, dict) or not value:
            raise _wrong(member, "LanguageProperty")
        for tag, text in value.items():
            if text == NULL and self.nulls:
                continue
            if not tag or text == NULL or not (isinstance(text, str) or (isinstance(text, list) and all(isinstance(t, str) for t in text))):
                raise _wrong(member, "LanguageProperty")
        return value

    def vocab(self, member: str, value: Any) -> Any:
        """The word or words of a VocabProperty, expanded."""
        words = value if isinstance(value, list) else [value]
        if not words or not all(isinstance(word, str) and word for word in words):
            raise _wrong(member, "VocabProperty")
        expanded = [self.context.expand(word) for word in words]
        return expanded if isinstance(value, list) else expanded[0]

    def json(self, member: str, value: Any) -> Any:
        """Raw JSON: an object or a list of objects, never looked into (§4.5.24)."""
        if not (isinstance(value, dict) or (isinstance(value, list) and all(isinstance(each, dict) for each in value))):
            raise _wrong(member, "JsonProperty")
        return value


_CHECKS: dict[str, Callable[[Reader, str, Any], Any]] = {
    "Relationship": Reader.object_, "ListRelationship": Reader.object_list, "GeoProperty": Reader.geometry_, "LanguageProperty": Reader.language_map,
    "VocabProperty": Reader.vocab, "JsonProperty": Reader.json,
}  # fmt: skip


def _wrong(member: str, kind: str) -> BadRequestData:
    return BadRequestData(msg("O valor de “{name}” não serve para {kind}."), name=member, kind=kind)


def _is_attribute(thing: Any) -> bool:
    """Whether `thing` is an attribute with members and not a bare value."""
    if not isinstance(thing, dict):
        return False
    kind = thing.get("type")
    if isinstance(kind, str) and kind in MEMBER:
        return True
    return "coordinates" not in thing and not _VALUES.isdisjoint(thing)


def _kind(member: str, thing: Mapping[str, Any], kind: str | None) -> str:
    said = thing.get("type")
    if said is not None:
        if not isinstance(said, str) or said not in MEMBER:
            raise BadRequestData(msg("O atributo “{name}” tem um tipo que não existe: {kind}."), name=member, kind=str(said)[:40])
        return said
    holders = [key for key in thing if key in _VALUES]
    if len(holders) > 1:
        raise BadRequestData(msg("O atributo “{name}” não pode ter “{member}”."), name=member, member=holders[1])
    if holders[0] == "value":
        return kind if kind in {"GeoProperty", "Property"} else "GeoProperty" if _is_geometry(thing["value"]) or member in _GEO_NAMES else "Property"
    return _KIND_OF[holders[0]]


def _is_geometry(value: Any) -> bool:
    return isinstance(value, dict) and value.get("type") in _GEOMETRIES and ("coordinates" in value or "geometries" in value)


def _untyped(value: Any) -> Any:
    """A JSON-LD typed value as the plain one (the national examples use both)."""
    if isinstance(value, dict) and "@value" in value and set(value) <= {"@type", "@value"}:
        return value["@value"]
    return value


def _no_nulls(member: str, value: Any, allowed: bool, depth: int) -> None:
    """Raise BadRequestData for a null, a deletion outside a merge, or nesting without end."""
    if depth > 64:
        raise BadRequestData(msg("O valor de “{name}” tem níveis a mais."), name=member)
    for each in value.values() if isinstance(value, dict) else value:
        if each is None or (each == NULL and not allowed):
            raise BadRequestData(msg("O valor de “{name}” tem dentro um valor vazio; omita-o."), name=member)
        if isinstance(each, dict | list):
            _no_nulls(member, each, allowed, depth + 1)


def uri(member: str, value: Any) -> str:
    """`value` as a URI. Raises BadRequestData."""
    if not isinstance(value, str) or value == NULL or not usable_uri(value):
        raise BadRequestData(msg("“{name}” tem de ser um URI."), name=member)
    return value


@lru_cache(maxsize=10_000)
def _is_instant(text: str) -> bool:
    """Whether a text is a date and time of §4.6.3; the readings of a batch share few."""
    return bool(INSTANT.fullmatch(text))


def instant(member: str, value: Any) -> str:
    """`value` as a date and time of §4.6.3. Raises BadRequestData."""
    if not isinstance(value, str) or not _is_instant(value):
        raise BadRequestData(msg("“{name}” tem de ser uma data e hora em UTC, como 2026-01-31T09:30:00Z."), name=member)
    return value


def observed(member: str, value: Any) -> str:
    """`value` as the instant of an observation; one far ahead would keep what is true now from ever being told again. Raises BadRequestData."""
    text = instant(member, value)
    if text[:10] > furthest_day():
        raise BadRequestData(
            msg("“{name}” está mais de um ano à frente do relógio desta instalação: {text}. Acerte o relógio de quem envia."), name=member, text=text[:40]
        )
    return text


@lru_cache(maxsize=8192)
def usable_name(name: str) -> bool:
    """Whether a type or an attribute may be called so (§4.6.2): a letter, then letters, digits and _; or a compact or whole IRI."""
    return bool(_LOCAL_NAME.fullmatch(name)) or (":" in name and bool(_COMPACT_NAME.fullmatch(name))) if len(name) <= 1024 else False


_kinds: dict[int, tuple[DataModel, Mapping[str, str]]] = {}


def kinds_of(entity_type: str, tenant_id: int | None) -> Mapping[str, str]:
    """By property of the type's model, the kind of attribute that a bare value is."""
    model = models.find(entity_type, tenant_id) if entity_type else None
    if model is None:
        return {}
    held, kinds = _kinds.get(id(model), (None, {}))
    if held is not model:
        kinds = {prop.name: prop.kind.value for prop in model.properties}
        if len(_kinds) > 2_000:
            _kinds.clear()
        _kinds[id(model)] = (model, kinds)
    return kinds
