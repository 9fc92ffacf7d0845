"""Entities as a client wants them: normalized, concise or key-values, in its words, with or without system attributes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from malha.context.broker.contracts import BadRequestData, InvalidRequest, NotAcceptable
from malha.context.broker.reading import JSON, JSON_LD, rename_attribute
from malha.context.store.contracts import MEMBER, StoredEntity
from malha.kernel.text import msg
from malha.kernel.time import format_instant
from malha.vocabulary.contexts import service as contexts
from malha.vocabulary.contexts.service import Context

GEO_JSON = "application/geo+json"
_encoder = msgspec.json.Encoder()


class Form(StrEnum):
    """The representations of GS CIM 009 §4.5."""

    NORMALIZED = "normalized"
    CONCISE = "concise"
    SIMPLIFIED = "simplified"


_FORMS = {"normalized": Form.NORMALIZED, "concise": Form.CONCISE, "simplified": Form.SIMPLIFIED, "keyValues": Form.SIMPLIFIED}


@dataclass(frozen=True, slots=True)
class Wanted:
    """How an answer looks. `attrs` are the internal names to keep, empty for all; `drop` those to leave out."""

    context: Context
    media: str = JSON_LD
    form: Form = Form.NORMALIZED
    system: bool = False
    attrs: frozenset[str] = frozenset()
    drop: frozenset[str] = frozenset()
    datasets: frozenset[str] | None = None
    language: str = ""
    geometry: str = "location"


def wanted(request: Request, context: Context) -> Wanted:
    """What `request` asks for by Accept, `options`, `format`, `attrs`, `pick`, `omit`, `datasetId`, `lang`."""
    params = request.query_params
    options = [o for o in params.get("options", "").split(",") if o]
    unknown = [o for o in options if o not in _FORMS and o not in {"sysAttrs", "count", "noOverwrite", "update", "replace", "temporalValues", "entityMap"}]
    if unknown:
        raise InvalidRequest(msg("A opção “{name}” não existe."), name=unknown[0][:40])
    forms = {_FORMS[o] for o in options if o in _FORMS}
    if params.get("format"):
        if params["format"] not in _FORMS:
            raise InvalidRequest(msg("O formato “{name}” não existe."), name=params["format"][:40])
        forms.add(_FORMS[params["format"]])
    if len(forms) > 1:
        raise InvalidRequest(msg("Escolha só uma representação: normalized, concise ou keyValues."))
    pick, omit = params.get("pick") or params.get("attrs", ""), params.get("omit", "")
    if params.get("attrs") and (params.get("pick") or omit):
        raise BadRequestData(msg("Use attrs, ou então pick e omit."))
    datasets = params.get("datasetId")
    return Wanted(
        context=context, media=negotiated(request), form=forms.pop() if forms else Form.NORMALIZED, system="sysAttrs" in options or params.get("sysAttrs") == "true",
        attrs=frozenset(context.expand(n.strip()) for n in pick.split(",") if n.strip()), drop=frozenset(context.expand(n.strip()) for n in omit.split(",") if n.strip()),
        datasets=frozenset("" if d == "@none" else d for d in datasets.split(",")) if datasets else None,
        language=params.get("lang", ""), geometry=context.expand(params.get("geometryProperty", "location")),
    )  # fmt: skip


def negotiated(request: Request) -> str:
    """The media type of the answer: JSON-LD unless another is asked for by name (the national profile's default)."""
    accepted = request.headers.get("accept", "")
    if not accepted:
        return JSON_LD
    weights: dict[str, float] = {}
    for part in accepted.split(","):
        name, _, rest = part.strip().partition(";")
        quality = rest.partition("q=")[2]
        try:
            weights[name.strip().lower()] = float(quality) if quality else 1.0
        except ValueError:
            weights[name.strip().lower()] = 1.0
    best = max((media for media in (JSON_LD, JSON, GEO_JSON) if weights.get(media)), key=lambda media: weights[media], default="")
    if best:
        return best
    if weights.get("*/*") or weights.get("application/*"):
        return JSON_LD
    raise NotAcceptable(msg("Só se responde em application/ld+json, application/json ou application/geo+json."))


def entity(stored: StoredEntity, want: Wanted) -> dict[str, Any]:
    """One entity in the form and the words that are wanted, without @context."""
    compact = want.context.compact
    types = [compact(t) for t in stored.types]
    out: dict[str, Any] = {"id": stored.uri, "type": types[0] if len(types) == 1 else types}
    if stored.scopes and _kept("scope", want):
        out["scope"] = stored.scopes[0] if len(stored.scopes) == 1 else list(stored.scopes)
    if want.system:
        out["createdAt"], out["modifiedAt"] = format_instant(stored.created_at), format_instant(stored.modified_at)
    for name, attribute in stored.attributes.items():
        if not _kept(name, want):
            continue
        shown = _attribute(attribute, want)
        if shown is not None:
            out[compact(name)] = shown
    return out


def _kept(name: str, want: Wanted) -> bool:
    return name not in want.drop and (not want.attrs or name in want.attrs)


def _attribute(attribute: Any, want: Wanted) -> Any:
    found = attribute if isinstance(attribute, list) else [attribute]
    if want.datasets is not None:
        found = [i for i in found if str(i.get("datasetId", "")) in want.datasets]
    if not found:
        return None
    if want.form is Form.SIMPLIFIED and len(found) > 1:
        return {"dataset": {str(i.get("datasetId", "@none")): _simple(i, want) for i in found}}
    shown = [_instance(i, want) for i in found]
    return shown[0] if len(shown) == 1 else shown


def _instance(instance: Mapping[str, Any], want: Wanted) -> Any:
    if want.form is Form.SIMPLIFIED:
        return _simple(instance, want)
    if want.language and "languageMap" in instance:
        tag, text = in_language(instance["languageMap"], want.language)
        instance = {"type": "Property", "value": text, "lang": tag, **{k: v for k, v in instance.items() if k not in {"type", "languageMap"}}}
    plain = rename_attribute(instance, want.context)
    return _concise(plain) if want.form is Form.CONCISE else plain


def _simple(instance: Mapping[str, Any], want: Wanted) -> Any:
    member = MEMBER.get(str(instance.get("type")), "value")
    value = instance.get(member)
    if member == "languageMap":
        return in_language(value, want.language)[1] if want.language else {"languageMap": value}
    if member == "vocab":
        return {"vocab": rename_attribute(instance, want.context)["vocab"]}
    if member == "json":
        return {"json": value}
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
    """The tag and the text of a language map that answer a wish such as `pt-PT,en;q=0.5` best (§4.15)."""
    if not isinstance(words, dict) or not words:
        return "@none", words
    for part in wish.split(","):
        tag = part.partition(";")[0].strip().lower()
        for key, text in words.items():
            if tag != "*" and (key.lower() == tag or key.lower().split("-")[0] == tag.split("-")[0]):
                return key, text
    key = "@none" if "@none" in words else next(iter(words))
    return key, words[key]


def feature(stored: StoredEntity, want: Wanted) -> dict[str, Any]:
    """One entity as a GeoJSON feature (§4.5.16)."""
    plain = entity(stored, want)
    uri = plain.pop("id")
    place = stored.attributes.get(want.geometry)
    first = place[0] if isinstance(place, list) and place else place
    geometry = first.get("value") if isinstance(first, dict) and first.get("type") == "GeoProperty" else None
    return {"type": "Feature", "id": uri, "geometry": geometry, "properties": plain}


def answer(payload: Any, want: Wanted, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A response with the context where the media type puts it: in the body for JSON-LD, in Link for the rest (§6.3.6)."""
    source = want.context.source if want.context.source is not None else contexts.CORE_URL
    out = dict(headers or {})
    if want.media == JSON_LD:
        payload = [{**each, "@context": source} for each in payload] if isinstance(payload, list) else {**payload, "@context": source}
    elif isinstance(source, str):
        out["Link"] = f'<{source}>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"'
    return Response(_encoder.encode(payload), status_code=status, headers=out, media_type=want.media)


def plain(payload: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """An answer that holds no entity: lists of ids, outcomes of batches."""
    return Response(_encoder.encode(payload), status_code=status, headers=dict(headers or {}), media_type=JSON)


def entities(found: Sequence[StoredEntity], want: Wanted, headers: Mapping[str, str]) -> Response:
    """A page of entities: an array, or a FeatureCollection for GeoJSON."""
    if want.media != GEO_JSON:
        return answer([entity(one, want) for one in found], want, headers=headers)
    return answer({"type": "FeatureCollection", "features": [feature(one, want) for one in found]}, want, headers=headers)
