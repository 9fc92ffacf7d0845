"""How a request is put to a source: in which words, with which headers, at which address (§4.3.6.4–4.3.6.6, §6.3.18)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from starlette.requests import Request

from malha.context.broker import reading as broker
from malha.context.broker.contracts import Asked
from malha.context.federation.asking import credentials
from malha.context.federation.registrations import reading
from malha.context.federation.registrations.matching import Source
from malha.context.store.contracts import MEMBER
from malha.vocabulary.contexts import service as contexts
from malha.vocabulary.contexts.service import Context

REQUEST = "urn:ngsi-ld:request"
_SAFE = ":/,;!*'()=~<>\"|[]{}.@"
_ENTITY = frozenset({"id", "@id", "type", "@type", "@context", "scope", "createdAt", "modifiedAt", "deletedAt", "expiresAt"})
_MEMBERS = frozenset({
    "type", "value", "object", "languageMap", "vocab", "json", "valueList", "objectList", "unitCode", "observedAt", "datasetId", "createdAt", "modifiedAt",
    "deletedAt", "instanceId", "lang", "expiresAt", "coordinateSystem", "objectType", "valueType",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Speech:
    """The words to use with a source, and the headers that go along; `alike` says that they are those of the request."""

    context: Context
    headers: Mapping[str, str]
    link: str = ""
    media: str = broker.JSON
    alike: bool = True

    @property
    def rename(self) -> Callable[[str], str]:
        """Writes a type or an attribute as the source is to read it."""
        return self.context.compact if self.link or self.context.source is None else contexts.iri_of

    def name(self, internal: str) -> str:
        """A type or an attribute as the source is to read it."""
        return self.rename(internal)

    def for_reading(self) -> dict[str, str]:
        """The headers of a request without a body."""
        return {**self.headers, **self._linked()}

    def for_writing(self, payload: Any) -> tuple[dict[str, str], bytes]:
        """The headers and the bytes of a request with a body."""
        if self.media == broker.JSON_LD:
            source = self.context.source if self.context.source is not None else contexts.CORE_URL
            payload = [{**one, "@context": source} for one in payload] if isinstance(payload, list) else {**payload, "@context": source}
            return {**self.headers, "Content-Type": broker.JSON_LD}, msgspec.json.encode(payload)
        return {**self.headers, "Content-Type": broker.JSON, **self._linked()}, msgspec.json.encode(payload)

    def _linked(self) -> dict[str, str]:
        return {"Link": f'<{self.link}>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"'} if self.link else {}


def to(source: Source, request: Request, who: Asked, alias: str) -> Speech:
    """How to speak to a source on behalf of whoever made `request`. May look for a context: not in the event loop."""
    said = {name: request.headers.get(name, "") if value == REQUEST else value for name, value in source.registration.headers.items()}
    return _speech(source, who.tenant_id, who.context, said, [request.headers.get("via", ""), f"1.1 {alias}"])


def alone(source: Source, tenant_id: int, context: Context, through: Sequence[str]) -> Speech:
    """As `to`, on behalf of nobody who is there to be asked: `through` names the brokers that it came through. May fetch a context."""
    said = {name: value for name, value in source.registration.headers.items() if value != REQUEST}
    return _speech(source, tenant_id, context, said, [f"1.1 {alias}" for alias in through])


def _speech(source: Source, tenant_id: int, words: Context, said: Mapping[str, str], via: Sequence[str]) -> Speech:
    wished = source.pairs.get("jsonldContext")
    context = contexts.of_tenant(tenant_id, wished) if wished else words
    link = wished or address_of(context.source)
    headers = {name: value for name, value in said.items() if value and name.lower() not in reading.OURS and not name.startswith(credentials.PREFIX)}
    headers["Accept"] = source.pairs.get("accept", broker.JSON)
    tenant = source.registration.document.get("tenant")
    if tenant:
        headers["NGSILD-Tenant"] = str(tenant)
    headers["Via"] = ", ".join(part for part in via if part)
    inline = context.source is not None and not link
    media = broker.JSON_LD if not wished and (inline or source.pairs.get("contentType") == broker.JSON_LD) else broker.JSON
    return Speech(context, headers, link, media, alike=not wished)


def address_of(source: Any) -> str:
    """The one address that a @context is, "" where it is more or less than that."""
    listed = [one for one in (source if isinstance(source, list) else [source]) if one is not None and one != contexts.CORE_URL]
    return listed[0] if len(listed) == 1 and isinstance(listed[0], str) else ""


def address(source: Source, path: str, params: Mapping[str, str]) -> str:
    """The address of an operation at a source; a source may give its address with or without the API's own part."""
    base = source.endpoint if source.endpoint.endswith("/ngsi-ld/v1") else f"{source.endpoint}/ngsi-ld/v1"
    if source.local_only:
        params = {**params, "local": "true"}
    asked = _written(tuple(params.items())) if params else ""
    return f"{base}{path}?{asked}" if asked else f"{base}{path}"


@lru_cache(maxsize=256)
def _written(params: tuple[tuple[str, str], ...]) -> str:
    """Parameters as an address has them: most sources of a question are asked with the same ones."""
    return urlencode(params, safe=_SAFE, quote_via=quote)


def entity_path(uri: str, rest: str = "") -> str:
    """The path of an entity."""
    return f"/entities/{quote(uri, safe=':')}{rest}"


def renamed(payload: Mapping[str, Any], here: Context, speech: Speech) -> dict[str, Any]:
    """An entity or a fragment as it came, without @context, in the words that the source reads."""
    if speech.alike:
        return {name: value for name, value in payload.items() if name != "@context"}
    out: dict[str, Any] = {}
    for member, value in payload.items():
        if member in {"type", "@type"}:
            names = [speech.context.compact(here.expand(name)) for name in (value if isinstance(value, list) else [value])]
            out[member] = names if isinstance(value, list) else names[0]
        elif member in _ENTITY:
            if member != "@context":
                out[member] = value
        else:
            out[speech.context.compact(here.expand(member))] = _renamed(value, here, speech, 0)
    return out


def _renamed(thing: Any, here: Context, speech: Speech, depth: int) -> Any:
    if isinstance(thing, list) and all(isinstance(one, dict) for one in thing):
        return [_renamed(one, here, speech, depth) for one in thing]
    if not isinstance(thing, dict) or thing.get("type") not in MEMBER or depth > 12:
        return thing
    return {
        member if member in _MEMBERS else speech.context.compact(here.expand(member)): value if member in _MEMBERS else _renamed(value, here, speech, depth + 1)
        for member, value in thing.items()
    }
