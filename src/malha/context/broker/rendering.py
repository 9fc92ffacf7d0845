"""Entities as a client wants them: normalized, concise or key-values, in its words, with or without system attributes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from malha.context.broker import projection, versions
from malha.context.broker.contracts import BadRequestData, InvalidRequest, NotAcceptable
from malha.context.broker.reading import JSON, JSON_LD, rename_attribute
from malha.context.store.contracts import MEMBER, StoredEntity
from malha.context.store.state import decode
from malha.kernel.text import msg
from malha.kernel.time import format_instant
from malha.vocabulary.contexts import service as contexts
from malha.vocabulary.contexts.service import Context

if TYPE_CHECKING:
    from malha.context.broker.linked import Joined

GEO_JSON = "application/geo+json"
_encoder = msgspec.json.Encoder()
_NONE: Mapping[str, str] = MappingProxyType({})
_CORE = b', "@context": ' + _encoder.encode(contexts.CORE_URL) + b"}"


class Form(StrEnum):
    """The representations of GS CIM 009 §4.5."""

    NORMALIZED = "normalized"
    CONCISE = "concise"
    SIMPLIFIED = "simplified"


_FORMS = {"normalized": Form.NORMALIZED, "concise": Form.CONCISE, "simplified": Form.SIMPLIFIED, "keyValues": Form.SIMPLIFIED}


class Join(StrEnum):
    """How linked entities come along (§4.5.23)."""

    NONE = "@none"
    INLINE = "inline"
    FLAT = "flat"


@dataclass(frozen=True)
class Wanted:
    """How an answer looks. `attrs` are the internal names to keep, empty for all; `pick` and `omit` members of the entity, nested."""

    context: Context
    media: str = JSON_LD
    form: Form = Form.NORMALIZED
    system: bool = False
    attrs: frozenset[str] = frozenset()
    pick: projection.Projection = projection.NOTHING
    omit: projection.Projection = projection.NOTHING
    datasets: frozenset[str] | None = None
    language: str = ""
    geometry: str = "location"
    join: Join = Join.NONE
    join_level: int = 1
    contained_by: tuple[str, ...] = ()
    context_in_body: bool = True
    version: versions.Version | None = None

    @cached_property
    def usual(self) -> bool:
        """Whether an entity is wanted whole, as it lies there: what most ask for."""
        narrowed = self.attrs or self.pick or self.omit or self.datasets is not None
        return not (narrowed or self.system or self.language) and self.form is Form.NORMALIZED and self.join is Join.NONE

    @cached_property
    def as_stored(self) -> bool:
        """Whether the words are those of the store too, and the answer is the bare entity."""
        return self.usual and self.context is contexts.CORE and self.media in {JSON, JSON_LD} and self.version is None

    @property
    def drop(self) -> frozenset[str]:
        """The attributes that are left out."""
        return frozenset(name for name, below in self.omit.names.items() if below is None)


_OPTIONS = frozenset({"sysAttrs", "count", "noOverwrite", "update", "replace", "temporalValues", "aggregatedValues", "entityMap", "splitEntities"})
JOIN_LEVELS = 10


_wanted: dict[tuple[object, ...], Wanted] = {}
_WANTED = 2_000


def wanted(request: Request, context: Context, body: Mapping[str, Any] | None = None) -> Wanted:
    """What `request` asks for by Accept, `options`, `format`, `attrs`, `pick`, `omit`, `datasetId`, `lang`, `join`; `body` is a Query that says the same."""
    if body:
        return _read(request, context, body)
    headers = request.headers
    key = (request.scope.get("query_string"), headers.get("accept"), *headers.getlist("prefer"), request.scope.get("malha.media"), id(context))
    known = _wanted.get(key)
    if known is None or known.context is not context:
        known = _read(request, context, None)
        if len(_wanted) >= _WANTED:
            _wanted.clear()
        _wanted[key] = known
    return known


def _read(request: Request, context: Context, body: Mapping[str, Any] | None) -> Wanted:
    params = {**dict(request.query_params), **(body or {})}
    options = [o for o in params.get("options", "").split(",") if o]
    media = negotiated(request)
    attrs = projection.attributes(params.get("attrs", ""), context.expand)
    pick, omit = projection.parse(params.get("pick", ""), context.expand), projection.parse(params.get("omit", ""), context.expand)
    if attrs and (pick or omit):
        raise BadRequestData(msg("Use attrs, ou então pick e omit."))
    if any(below is None and omit.names.get(name, ...) is None for name, below in pick.names.items()):
        raise BadRequestData(msg("O mesmo membro não pode estar em pick e em omit."))
    if "geometryProperty" in params and media != GEO_JSON:
        raise BadRequestData(msg("“geometryProperty” só serve com application/geo+json."))
    join, level = _join(params)
    if max(pick.depth(), omit.depth()) > (level if join is not Join.NONE else 0):
        raise BadRequestData(msg("pick e omit descem mais níveis do que join e joinLevel trazem."))
    datasets = params.get("datasetId")
    return Wanted(
        context=context, media=media, form=_form(options, params.get("format", "")), system="sysAttrs" in options or params.get("sysAttrs") == "true",
        attrs=attrs, pick=pick, omit=omit, datasets=frozenset("" if d == "@none" else d for d in datasets.split(",")) if datasets else None,
        language=params.get("lang", ""), geometry=context.expand(params.get("geometryProperty", "location")),
        join=join, join_level=level, contained_by=tuple(u for u in params.get("containedBy", "").split(",") if u), context_in_body=_context_in_body(request), version=versions.preferred(request),
    )  # fmt: skip


def _form(options: Sequence[str], form: str) -> Form:
    unknown = [o for o in options if o not in _FORMS and o not in _OPTIONS]
    if unknown:
        raise InvalidRequest(msg("A opção “{name}” não existe."), name=unknown[0][:40])
    forms = {_FORMS[o] for o in options if o in _FORMS}
    if form:
        if form not in _FORMS:
            raise InvalidRequest(msg("O formato “{name}” não existe."), name=form[:40])
        return _FORMS[form]
    if len(forms) > 1:
        raise InvalidRequest(msg("Escolha só uma representação: normalized, concise ou keyValues."))
    return forms.pop() if forms else Form.NORMALIZED


def _join(params: Mapping[str, Any]) -> tuple[Join, int]:
    said, level = params.get("join", "@none"), params.get("joinLevel", "1")
    if said not in set(Join):
        raise BadRequestData(msg("“join” é flat, inline ou @none."))
    if not str(level).isdigit() or not 1 <= int(level) <= JOIN_LEVELS:
        raise BadRequestData(msg("“joinLevel” é um número de 1 a {limit}."), limit=JOIN_LEVELS)
    return Join(said), int(level)


def _context_in_body(request: Request) -> bool:
    """Whether GeoJSON carries the @context in its body: unless the reader prefers bare JSON (§6.3.6, RFC 7240)."""
    return not any(
        part.strip().replace(" ", "").lower().split(";")[0] == "body=json" for value in request.headers.getlist("prefer") for part in value.split(",")
    )


def negotiated(request: Request, *, places: bool = True) -> str:
    """The media type of the answer: the one asked for with most weight, else the tenant's usual one (JSON-LD in the national profile).

    Without `places` what is answered has no form in GeoJSON (§6.3.4). Raises NotAcceptable.
    """
    accepted, usual = request.headers.get("accept", ""), str(request.scope.get("malha.media", JSON_LD))
    if not accepted:
        return usual
    weights: dict[str, float] = {}
    for part in accepted.split(","):
        name, _, rest = part.strip().partition(";")
        quality = rest.partition("q=")[2].partition(";")[0]
        try:
            weights[name.strip().lower()] = float(quality) if quality else 1.0
        except ValueError:
            weights[name.strip().lower()] = 1.0
    other = max(weights.get("*/*", 0.0), weights.get("application/*", 0.0))
    options = (usual, *(media for media in (JSON, JSON_LD, GEO_JSON) if media != usual and (places or media != GEO_JSON)))
    best = max(options, key=lambda media: (weights.get(media, other), media in weights))
    if weights.get(best, other) > 0:
        return best
    if not places:
        raise NotAcceptable(msg("Aqui só se responde em application/ld+json ou application/json."))
    raise NotAcceptable(msg("Só se responde em application/ld+json, application/json ou application/geo+json."))


def entity(stored: StoredEntity, want: Wanted, joined: Joined | None = None) -> dict[str, Any]:
    """One entity in the form and the words that are wanted, without @context."""
    if want.usual and stored.expires_at is None:
        compact, types = want.context.compact, stored.types
        out: dict[str, Any] = {"id": stored.uri, "type": compact(types[0]) if len(types) == 1 else [compact(each) for each in types]}
        if stored.scopes:
            out["scope"] = stored.scopes[0] if len(stored.scopes) == 1 else list(stored.scopes)
        for name, attribute in stored.attributes.items():
            shown = attribute if type(attribute) is dict and attribute.keys() <= _SAME else _attribute(attribute, want)
            if shown is not None:
                out[compact(name)] = shown
        return out
    return _projected(stored, want, joined, want.pick, want.omit, want.join_level, frozenset({stored.uri}))


def _projected(
    stored: StoredEntity, want: Wanted, joined: Joined | None, pick: projection.Projection, omit: projection.Projection, levels: int, above: frozenset[str],
) -> dict[str, Any]:  # fmt: skip
    compact = want.context.compact
    out: dict[str, Any] = {}
    if _own("id", pick, omit):
        out["id"] = stored.uri
    if _own("type", pick, omit):
        types = [compact(t) for t in stored.types]
        out["type"] = types[0] if len(types) == 1 else types
    if stored.scopes and _own("scope", pick, omit):
        out["scope"] = stored.scopes[0] if len(stored.scopes) == 1 else list(stored.scopes)
    _system(stored, want, pick, omit, out)
    created = format_instant(stored.created_at) if want.system else ""
    for name, attribute in stored.attributes.items():
        if (pick and name not in pick.names) or (want.attrs and name not in want.attrs) or (name in omit.names and omit.names[name] is None):
            continue
        shown = _attribute(attribute, want, created)
        if shown is None:
            continue
        if joined is not None and want.join is Join.INLINE and levels > 0:
            shown = _with_linked(attribute, shown, want, joined, pick.below(name), omit.below(name), levels, above)
        out[compact(name)] = shown
    return out


def _own(name: str, pick: projection.Projection, omit: projection.Projection) -> bool:
    return (not pick or name in pick.names) and name not in omit.names


def _system(stored: StoredEntity, want: Wanted, pick: projection.Projection, omit: projection.Projection, out: dict[str, Any]) -> None:
    """The members that the system keeps, when they are asked for; expiresAt is the sender's own and always shown (§4.8, §4.22)."""
    for name, moment in (("createdAt", stored.created_at), ("modifiedAt", stored.modified_at), ("expiresAt", stored.expires_at)):
        if moment is not None and (want.system or name in pick.names) and _own(name, pick, omit):
            out[name] = format_instant(moment)


def _with_linked(
    attribute: Any, shown: Any, want: Wanted, joined: Joined, pick: projection.Projection | None, omit: projection.Projection | None, levels: int,
    above: frozenset[str],
) -> Any:  # fmt: skip
    """An attribute as shown, with the entities that its relationships lead to inside it."""

    def inside(uri: str) -> Any:
        found = joined.found.get(uri)
        if found is None or uri in above or uri in want.contained_by:
            return None
        return _projected(found, want, joined, pick or projection.NOTHING, omit or projection.NOTHING, levels - 1, above | {uri})

    if isinstance(attribute, list):
        if not isinstance(shown, list):
            return shown
        return [_one_with_linked(a, s, want, inside) for a, s in zip(attribute, shown, strict=False)]
    return _one_with_linked(attribute, shown, want, inside)


def _one_with_linked(instance: Mapping[str, Any], shown: Any, want: Wanted, inside: Callable[[str], Any]) -> Any:
    kind = instance.get("type")
    if kind == "Relationship":
        objects = instance["object"]
    elif kind == "ListRelationship":
        objects = [each["object"] for each in instance["objectList"]]
    else:
        return shown
    if isinstance(objects, str):
        found = inside(objects)
        if found is None:
            return shown
        return found if want.form is Form.SIMPLIFIED else {**shown, "entity": found}
    listed = [(uri, inside(uri)) for uri in objects]
    if want.form is Form.SIMPLIFIED:
        return [uri if found is None else found for uri, found in listed]
    there = [found for _, found in listed if found is not None]
    return {**shown, "entityList": there} if there else shown


def _attribute(attribute: Any, want: Wanted, created: str = "") -> Any:
    found = attribute if isinstance(attribute, list) else [attribute]
    if want.datasets is not None:
        found = [i for i in found if str(i.get("datasetId", "")) in want.datasets]
    if not found:
        return None
    if want.form is Form.SIMPLIFIED and len(found) > 1:
        return {"dataset": {str(i.get("datasetId", "@none")): _simple(i, want) for i in found}}
    shown = [_instance(i, want, created) for i in found]
    return shown[0] if len(shown) == 1 else shown


#: members that read the same in every context: an instance that has only these is shown as it lies there
_SAME = frozenset(
    {"type", "value", "object", "languageMap", "json", "valueList", "objectList", "unitCode", "observedAt", "datasetId", "lang", "coordinateSystem"}
)


def _instance(instance: Mapping[str, Any], want: Wanted, created: str = "") -> Any:
    if not created and want.form is Form.NORMALIZED and not want.language and instance.keys() <= _SAME:
        return instance
    if want.form is Form.SIMPLIFIED:
        return _simple(instance, want)
    plain = rename_attribute(instance if want.language == "" else _spoken(instance, want.language), want.context)
    plain = _stamped(plain, created) if created else _bare_of_system(plain)
    return _concise(plain) if want.form is Form.CONCISE else plain


SYSTEM = frozenset({"createdAt", "modifiedAt", "deletedAt", "expiresAt"})


def _bare_of_system(plain: dict[str, Any]) -> dict[str, Any]:
    """An instance without system attributes, those of its sub-attributes too."""
    if SYSTEM.isdisjoint(plain) and not any(isinstance(value, dict) and "type" in value for value in plain.values()):
        return plain
    return {
        key: _bare_of_system(value) if isinstance(value, dict) and value.get("type") in MEMBER else value for key, value in plain.items() if key not in SYSTEM
    }


def _stamped(plain: dict[str, Any], created: str) -> dict[str, Any]:
    """An instance with its system attributes: what was never changed since the entity began carries none of its own."""
    began = plain.get("createdAt", created)
    return {**plain, "createdAt": began, "modifiedAt": plain.get("modifiedAt", began)}


def _spoken(instance: Mapping[str, Any], language: str) -> Mapping[str, Any]:
    """A LanguageProperty as a Property in the reader's language (§4.15); sub-attributes too."""
    out = {key: _spoken(value, language) if isinstance(value, dict) and "languageMap" in value else value for key, value in instance.items()}
    if "languageMap" not in out:
        return out
    tag, text = in_language(out["languageMap"], language)
    return {"type": "Property", "value": text, "lang": tag, **{k: v for k, v in out.items() if k not in {"type", "languageMap"}}}


def _simple(instance: Mapping[str, Any], want: Wanted) -> Any:
    kind = str(instance.get("type"))
    member = MEMBER.get(kind, "value")
    value = instance.get(member)
    if member == "languageMap":
        return in_language(value, want.language)[1] if want.language else {"languageMap": value}
    if member == "vocab":
        return {"vocab": rename_attribute(instance, want.context)["vocab"]}
    if member == "json":
        return {"json": value}
    if member == "objectList" and isinstance(value, list):
        return [each["object"] for each in value]
    return value


def _concise(instance: Any) -> Any:
    """The concise form (§4.5.2.3): no type where the member tells it, the bare value where there is nothing else."""
    if isinstance(instance, list):
        return [_concise(each) for each in instance]
    if not isinstance(instance, dict) or "type" not in instance:
        return instance
    out = {
        key: _concise(value) if isinstance(value, dict) and str(value.get("type", "")).endswith(("Property", "Relationship")) else value
        for key, value in instance.items()
        if key != "type"
    }
    return out["value"] if set(out) == {"value"} else out


def in_language(words: Any, wish: str) -> tuple[str, Any]:
    """The tag and text of a language map for a wish of ranges by weight, such as `pt-PT,en;q=0.5` (§4.15); else the default, else the first."""
    if not isinstance(words, dict) or not words:
        return "@none", words
    for tag in _ranked(wish):
        for key, text in words.items():
            if key != "@none" and (key.lower() == tag or key.lower().startswith(f"{tag}-")):
                return key, text
        for key, text in words.items():
            if tag != "*" and key.lower() == tag.split("-")[0]:
                return key, text
        if tag == "*":
            break
    key = "@none" if "@none" in words else "en" if "en" in words else next(iter(words))
    return key, words[key]


def _ranked(wish: str) -> list[str]:
    found: list[tuple[float, str]] = []
    for part in wish.split(","):
        tag, _, rest = part.partition(";")
        try:
            weight = float(rest.partition("q=")[2] or 1)
        except ValueError:
            weight = 0.0
        found.append((weight, tag.strip().lower()))
    return [tag for weight, tag in sorted(found, key=lambda each: -each[0]) if tag and weight > 0]


def feature(stored: StoredEntity, want: Wanted, joined: Joined | None = None) -> dict[str, Any]:
    """One entity as a GeoJSON feature (§4.5.16)."""
    plain = entity(stored, want, joined)
    uri = plain.pop("id", stored.uri)
    place = stored.attributes.get(want.geometry)
    instances = [i for i in (place if isinstance(place, list) else [place]) if isinstance(i, dict)]
    listed = [i for i in instances if want.datasets is None or str(i.get("datasetId", "")) in want.datasets]
    first = next((i for i in listed if "datasetId" not in i), listed[0] if listed else {})
    geometry = first.get("value") if first.get("type") == "GeoProperty" else None
    return {"type": "Feature", "id": uri, "geometry": geometry, "properties": plain}


def one(stored: StoredEntity, want: Wanted, joined: Joined) -> Response:
    """The answer that is one entity, or with a flat join that entity and those that it leads to."""
    if want.join is Join.FLAT and joined.flat:
        return entities([stored], want, {}, joined)
    return answer(feature(stored, want, joined) if want.media == GEO_JSON else entity(stored, want, joined), want)


class Ready(Response):
    """An answer that is ready as bytes."""

    def __init__(self, body: bytes, media: str, status: int = 200, headers: Mapping[str, str] = _NONE) -> None:
        self.status_code, self.body, self.background, self.media_type = status, body, None, media
        self.raw_headers = [(b"content-length", b"%d" % len(body)), (b"content-type", media.encode())]
        if headers:
            self.raw_headers += [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


def as_stored(uri: str, types: Sequence[str], attributes: bytes, want: Wanted) -> Response:
    """The answer that is one entity, where `want.as_stored`, from the JSON of its attributes, which is neither read nor written again."""
    head = b'{"id": %b, "type": %b' % (_encoder.encode(uri), _encoder.encode(types[0] if len(types) == 1 else types))
    body = b"%b, %b" % (head, attributes[1:-1]) if len(attributes) > 2 else head
    if want.media == JSON_LD:
        return Ready(body + _CORE, JSON_LD)
    return Ready(body + b"}", want.media, headers={"Link": link(contexts.CORE_URL)})


def without_stamps(attributes: bytes) -> bytes:
    """The JSON of attributes without what the system says of them (§4.8), which is told on request."""
    found = decode(attributes)
    for name, attribute in found.items():
        if type(attribute) is list:
            found[name] = [each if each.keys() <= _SAME else _bare_of_system(each) for each in attribute]
        elif not attribute.keys() <= _SAME:
            found[name] = _bare_of_system(attribute)
    return _encoder.encode(found)


def link(source: str) -> str:
    """The header that names the context of an answer."""
    return f'<{source}>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"'


def answer(payload: Any, want: Wanted, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A response with the context where the media type puts it: in the body for JSON-LD, in Link for the rest (§6.3.6).

    Entities in the words of an earlier version are 203 where that changed them (§4.3.6.8).
    """
    if want.version is not None:
        said, payload = payload, versions.amended(payload, want.version)
        status = 203 if payload is not said and status == 200 else status
    source = want.context.source if want.context.source is not None else contexts.CORE_URL
    out = dict(headers or {})
    if want.media == JSON_LD or (want.media == GEO_JSON and want.context_in_body):
        payload = [{**each, "@context": source} for each in payload] if isinstance(payload, list) else {**payload, "@context": source}
    elif isinstance(source, str):
        out["Link"] = link(source)
    return Ready(_encoder.encode(payload), want.media, status, out)


def plain(payload: Any, *, status: int = 200, headers: Mapping[str, str] | None = None, media: str = JSON) -> Response:
    """An answer that holds no entity: lists of ids, outcomes of batches."""
    return Ready(_encoder.encode(payload), media, status, headers or _NONE)


def entities(found: Sequence[StoredEntity], want: Wanted, headers: Mapping[str, str], joined: Joined | None = None) -> Response:
    """A page of entities: an array, or a FeatureCollection for GeoJSON; with a flat join those that they lead to follow."""
    flat = joined.flat if joined is not None and want.join is Join.FLAT else []
    after = [(each, replace(want, pick=pick, omit=omit, attrs=frozenset())) for each, pick, omit in flat]
    everyone = [*((each, want) for each in found), *after]
    if want.media != GEO_JSON:
        return answer([entity(each, how, joined) for each, how in everyone], want, headers=headers)
    return answer({"type": "FeatureCollection", "features": [feature(each, how, joined) for each, how in everyone]}, want, headers=headers)
