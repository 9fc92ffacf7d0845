"""An NGSI-LD broker of somebody else as a source: what it has, seen before anybody decides, and how it is asked afterwards (§5.7.5, §5.9.2).

Any broker of GS CIM 009 v1.3 and later does; it is only read, and needs to know nothing of us. Django-free.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import msgspec

from malha.context.federation.asking import credentials, wire
from malha.context.federation.contracts import Answer, Unusable
from malha.context.federation.partners.links import Offer, Offered, Terms
from malha.context.federation.registrations.reading import endpoint
from malha.kernel.text import msg
from malha.vocabulary.contexts.service import Context

#: what one question may take, and all of them together
SECONDS, ALL_SECONDS = 15.0, 60.0
MOST_TYPES = 300
AT_ONCE = 6
API = "/ngsi-ld/v1"
WITHOUT_CONTEXT = msg("o broker chama-lhe {iri}; indique o @context em que esse nome se escreve")
NOTHING = msg("o broker não tem nenhuma entidade deste tipo")
BEYOND = msg("o broker tem mais tipos do que os que aqui se mostram; registe este pela API")


def place_of(url: str) -> str:
    """The part of an address that says where, of anything that somebody may have typed."""
    return url.partition("//")[2].partition("/")[0]


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker as whoever keeps it describes it; `token` goes along with every request, `oauth` (url, id, secret) fetches one that ends soon."""

    name: str
    url: str
    tenant: str = ""
    context: str = ""
    token: str = ""
    oauth: Mapping[str, str] = field(default_factory=dict)

    @property
    def base(self) -> str:
        """Where its API begins. Raises Unusable."""
        if not self.url.strip():
            raise Unusable(msg("Falta o endereço do broker."))
        if "@" in place_of(self.url):
            raise Unusable(msg("O endereço traz um nome ou uma senha: tire-os de lá; o que dá entrada é o token."))
        url = endpoint(self.url.strip())
        return url if url.endswith(API) else url + API

    def pairs(self) -> dict[str, str]:
        """What goes along with each request, as contextSourceInfo keeps it. Raises Unusable."""
        said = {f"oauth:{key}": value for key, value in self.oauth.items()} if self.oauth.get("url") else {}
        if said:
            endpoint(said["oauth:url"])
        if any(not each.isprintable() for each in (self.token, self.tenant)):
            raise Unusable(msg("O token e o inquilino são uma só linha, sem espaços escondidos."))
        if self.token:
            said["Authorization"] = self.token if " " in self.token.strip() else f"Bearer {self.token.strip()}"
        return said | ({"jsonldContext": self.context} if self.context else {})


@dataclass(frozen=True, slots=True)
class Found:
    """What a broker has; `local`: it takes the question for its own only (§6.3.18); `past`: it tells how things evolved (§5.7.4)."""

    offer: Offer
    local: bool
    past: bool


async def look(broker: Broker, words: Context, slug: str) -> Found:
    """Ask for the types, how many entities each has and with which attributes. `slug` names whose network rules hold. Raises Unusable."""
    try:
        async with asyncio.timeout(ALL_SECONDS):
            return await _Look(broker, words, slug).found()
    except TimeoutError as reason:
        raise Unusable(msg("O broker demora demasiado a responder. Tente mais tarde.")) from reason
    finally:
        await wire.close()


class _Look:
    def __init__(self, broker: Broker, words: Context, slug: str) -> None:
        self.broker, self.words, self.slug = broker, words, slug
        self.turn = asyncio.Semaphore(AT_ONCE)
        self.headers: dict[str, str] = {}

    async def found(self) -> Found:
        pairs = self.broker.pairs()
        link = {"Link": f'<{self.broker.context}>; rel="http://www.w3.org/ns/json-ld#context"; type="application/ld+json"'} if self.broker.context else {}
        tenant = {"NGSILD-Tenant": self.broker.tenant} if self.broker.tenant else {}
        token = await credentials.ask(pairs, self.slug, fresh=True)
        if isinstance(token, Answer):
            if token.warning == wire.REFUSED:
                raise Unusable.of_kept(token.reason)
            raise Unusable(
                msg("Não se conseguiu um token em {url} ({reason}). Verifique o endereço, o id e o segredo."),
                url=pairs["oauth:url"], reason=token.reason or f"HTTP {token.status}",
            )  # fmt: skip
        said = {"Authorization": pairs["Authorization"]} if "Authorization" in pairs else {}
        self.headers = {"Accept": "application/json", **link, **tenant, **said, **token}
        listed = _types(_read(await self._ask("/types?details=true")))
        types, beyond = listed[:MOST_TYPES], listed[MOST_TYPES:]
        local = not types or (await self._ask(_entities(types[0][0], local=True))).status != 400  # brokers of earlier versions know no `local`
        offer = Offer()
        for one, reason in await asyncio.gather(*(self._one(name, attributes, local=local) for name, attributes in types)):
            if reason is None:
                offer.types.append(one)
            else:
                offer.refused.append((one.type, reason, {"iri": one.type}))
        offer.refused += [(name, BEYOND, {}) for name, _ in beyond]
        ever = "&timerel=before&timeAt=2100-01-01T00:00:00Z&lastN=1"
        past = bool(offer.types) and (await self._ask(f"/temporal/entities?type={quote(offer.types[0].type, safe='')}&limit=1{ever}")).ok
        return Found(offer, local, past)

    async def _one(self, name: str, attributes: tuple[str, ...], *, local: bool) -> tuple[Offered, str | None]:
        if ":" in name and ":" not in self.words.expand(name):
            return Offered(name, (), 0), WITHOUT_CONTEXT  # asked by the short name that it has here, it would find nothing
        answer = await self._ask(_entities(name, local=local))
        listed = _read(answer)
        total = answer.headers.get("ngsild-results-count", "")
        count = int(total) if total.isdecimal() else None
        if count == 0 or (count is None and not listed):
            return Offered(name, (), 0), NOTHING
        if not attributes:
            attributes = _attributes(await self._ask(f"/types/{quote(name, safe='')}"))
        return Offered(name, attributes, count), None

    async def _ask(self, path: str) -> Answer:
        async with self.turn:
            return await wire.current().once("GET", self.broker.base + path, self.headers, b"", self.slug, SECONDS)


def _entities(name: str, *, local: bool) -> str:
    return f"/entities?type={quote(name, safe='')}&limit=1&count=true{'&local=true' if local else ''}"


def _read(answer: Answer) -> Any:
    """What a broker said. Raises Unusable with what to look at."""
    if answer.status in {401, 403}:
        raise Unusable(msg("O broker não deixa entrar (HTTP {status}). Verifique o token e o que ele pode ler."), status=answer.status)
    if answer.status == 404:
        raise Unusable(msg("Neste endereço não responde um broker NGSI-LD, ou não conhece esse inquilino (HTTP 404). O endereço acaba em /ngsi-ld/v1."))
    try:
        return msgspec.json.decode(answer.body) if answer.ok else _wrong(answer)
    except msgspec.DecodeError as reason:
        raise Unusable(msg("Neste endereço não responde um broker NGSI-LD: o que veio não é JSON.")) from reason


def _wrong(answer: Answer) -> Any:
    if answer.warning == wire.REFUSED:
        raise Unusable.of_kept(answer.reason)
    raise Unusable(msg("O broker não respondeu como devia: {reason}."), reason=answer.reason or f"HTTP {answer.status}")


def _types(said: Any) -> list[tuple[str, tuple[str, ...]]]:
    """Types with their attributes, where it tells them, out of an EntityTypeList or a list of EntityType (§5.2.24, §5.2.25)."""
    if isinstance(said, dict) and isinstance(said.get("typeList"), list):
        return [(one, ()) for one in said["typeList"] if isinstance(one, str)]
    if not isinstance(said, list):
        raise Unusable(msg("Neste endereço não responde um broker NGSI-LD: não diz que tipos tem."))
    found = [(one.get("typeName") or one.get("id"), one.get("attributeNames")) for one in said if isinstance(one, dict)]
    return [(name, tuple(map(str, listed)) if isinstance(listed, list) else ()) for name, listed in found if isinstance(name, str) and name]


def _attributes(answer: Answer) -> tuple[str, ...]:
    """Names out of an EntityTypeInfo (§5.2.26); none where the broker does not say."""
    try:
        said = msgspec.json.decode(answer.body) if answer.ok else {}
        return tuple(str(one["attributeName"]) for one in said["attributeDetails"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return ()


def registration(broker: Broker, found: Found, takes: Collection[str], attributes: Collection[str], licence: str) -> tuple[dict[str, Any], Terms]:
    """The broker as a source for some of its types, and what is taken: `attributes` names those that were left ticked. Raises Unusable."""
    if unknown := set(takes) - {one.type for one in found.offer.types}:
        raise Unusable(msg("{types}: o broker não o tem."), types=", ".join(sorted(unknown)))
    chosen = [one for one in found.offer.types if one.type in takes]
    information: list[dict[str, Any]] = []
    for one in chosen:
        kept = [name for name in one.attributes if name in attributes]
        part = {} if len(kept) == len(one.attributes) else {"propertyNames": kept}
        if kept or not one.attributes:
            information.append({"entities": [{"type": one.type}], **part})
    if not information:
        raise Unusable(msg("Escolha pelo menos um tipo de dados e um atributo dele."))
    said: dict[str, Any] = {
        "type": "ContextSourceRegistration", "registrationName": broker.name, "endpoint": broker.base, "information": information,
        "operations": ["federationOps", *(["retrieveTemporal", "queryTemporal"] if found.past else [])], "licence": licence,
        "contextSourceInfo": [{"key": key, "value": value} for key, value in broker.pairs().items()],
    }  # fmt: skip
    if found.local:
        said["management"] = {"localOnly": True}
    if broker.tenant:
        said["tenant"] = broker.tenant
    if not said["contextSourceInfo"]:
        del said["contextSourceInfo"]
    return said, Terms(types=tuple(one["entities"][0]["type"] for one in information), licence=licence)
