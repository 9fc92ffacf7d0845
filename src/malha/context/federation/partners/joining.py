"""Join with another installation, see how it fares, end it: what the pages and the command do. The Django half: machines are Django's."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec
import psycopg

from malha.context.federation import service
from malha.context.federation.asking import credentials, wire
from malha.context.federation.contracts import Answer, State, Unusable
from malha.context.federation.partners import brokers, handshake, links
from malha.context.federation.partners.brokers import Broker, Found
from malha.context.federation.partners.links import Invitation, Kind, Link, Offer, Terms
from malha.context.federation.registrations import registry
from malha.foundation.access.contracts import Capability
from malha.foundation.audit import service as audit
from malha.foundation.database import service as database
from malha.foundation.identity import service as identity
from malha.foundation.identity.contracts import Machine, UnknownMachine
from malha.foundation.settings import service as settings
from malha.foundation.tenancy import country
from malha.foundation.tenancy.contracts import Tenant
from malha.kernel.errors import NotFound
from malha.kernel.text import msg
from malha.vocabulary.contexts import service as contexts
from malha.vocabulary.contexts.contracts import ContextError
from malha.vocabulary.contexts.service import Context
from malha.vocabulary.territory import service as territory

SECONDS = 15.0
_UNKNOWN = msg("não conhece este convite, que foi retirado ou já serviu; peça outro a quem lho deu")


@dataclass(frozen=True, slots=True)
class Health:
    """A link and when each side was last heard: `heard_at` they asked us, `answered_at` they answered us; `silent_since` they do not."""

    link: Link
    heard_at: datetime | None
    answered_at: datetime | None
    silent_since: datetime | None
    error: str


def public_url() -> str:
    """Where this installation is reached."""
    conf = settings.current()
    return (conf.public_url or f"http://localhost:{conf.port}").rstrip("/")


def area_of(conn: psycopg.Connection[Any], tenant_id: int, dico: str) -> tuple[dict[str, Any] | None, str]:
    """The territory of a municipality as GeoJSON, and its name; the box around it where its boundary was not imported."""
    if not dico:
        return None, ""
    facts = country.municipality(dico)
    try:
        return territory.area_of_municipality(conn, tenant_id, dico), facts.name
    except NotFound:
        west, south, east, north = facts.extent
        ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
        return {"type": "Polygon", "coordinates": [ring]}, facts.name


def invite(conn: psycopg.Connection[Any], tenant: Tenant, name: str, gives: Terms, *, person_id: int | None, by: str) -> str:
    """Invite another installation; the text to pass on, told this once. In the tenant's transaction."""
    if not gives.types:
        raise Unusable(msg("Escolha pelo menos um tipo de dados para dar."))
    machine, secret = _machine(tenant, name, gives, person_id)
    links.insert(
        conn, tenant.id, name=name, invited=True, url="", client_id=machine.client_id, machine_id=machine.id, registration_uri="", secrets={}, gives=gives,
        takes=Terms(), joined=False,
    )  # fmt: skip
    audit.record_on(conn, tenant.id, by, "federation.invite", name, {"types": list(gives.types), "area": gives.area_name, "licence": gives.licence})
    return Invitation(tenant.name, public_url(), tenant.slug, machine.client_id, secret).text()


def _machine(tenant: Tenant, name: str, gives: Terms, person_id: int | None) -> tuple[Machine, str]:
    scope: dict[str, Any] = {}
    if gives.attributes:
        scope["attributes"] = list(gives.attributes)
    if gives.area:
        scope["area"] = dict(gives.area)
    return identity.create_machine(
        tenant.id, name=f"Federação: {name}"[:100], capabilities=[Capability.DATA_READ], types=gives.types, created_by=person_id, scope=scope
    )  # fmt: skip


def look(tenant: Tenant, one: Invitation) -> tuple[Offer, Mapping[str, Any]]:
    """What would come from whoever invites. Raises Unusable with what is wrong."""
    answer = _call(tenant, one, "GET", "/federation/offer")
    payload = _json(answer)
    return links.offered(payload), {
        "name": str(payload.get("name", one.name)),
        "licence": str(payload.get("licence", "")),
        "area": str(payload.get("area", "")),
    }


def join(conn: psycopg.Connection[Any], tenant: Tenant, one: Invitation, gives: Terms, takes: Sequence[str], *, person_id: int | None, by: str) -> int:
    """Join: they learn where we are and what we give, and become a source here for what was chosen. All or nothing on this side."""
    offer_, facts = look(tenant, one)
    known = {each.type for each in offer_.types}
    if set(takes) - known:
        raise Unusable(msg("{types}: a outra instalação não o dá."), types=", ".join(sorted(set(takes) - known)))
    machine, secret = _machine(tenant, str(facts["name"]), gives, person_id) if gives.types else (None, "")
    root = f"{public_url()}/{tenant.slug}"
    oauth = {"url": f"{root}/identity/o/api/token", "id": machine.client_id if machine else "", "secret": secret}
    taken = Terms(types=tuple(takes), licence=str(facts["licence"]), area_name=str(facts["area"]))
    uri = ""
    if takes:
        said = links.registration(str(facts["name"]), f"{one.root}/ngsi-ld/v1", taken, one.pairs())
        uri = service.create(conn, tenant.id, said, contexts.CORE)
    number = links.insert(
        conn, tenant.id, name=str(facts["name"]), invited=False, url=one.root, client_id=machine.client_id if machine else "",
        machine_id=machine.id if machine else None, registration_uri=uri, secrets=one.pairs(), gives=gives, takes=taken, joined=True,
    )  # fmt: skip
    audit.record_on(conn, tenant.id, by, "federation.join", str(facts["name"]), {"gives": list(gives.types), "takes": list(takes)})
    body = {"name": tenant.name, "endpoint": f"{root}/ngsi-ld/v1", "oauth": oauth, "gives": gives.plain(), "takes": list(takes)}
    _json(_call(tenant, one, "POST", "/federation/join", msgspec.json.encode(body)))
    registry.forget()
    return number


def words_of(tenant: Tenant, address: str) -> Context:
    """The words of the @context at an address, the core's without one. Raises Unusable where it cannot be had."""
    if not address:
        return contexts.CORE
    try:
        contexts.bring(lambda: database.connect(autocommit=True), tenant.id, address)
    except ContextError as error:
        raise Unusable(msg("O @context {url} não se consegue ler: {reason}"), url=address[:200], reason=str(error)) from error
    return contexts.of_tenant(tenant.id, address)


def look_at_broker(tenant: Tenant, broker: Broker) -> Found:
    """What an NGSI-LD broker of somebody else has. Raises Unusable with what is wrong."""
    return asyncio.run(brokers.look(broker, words_of(tenant, broker.context), tenant.slug))


def join_broker(
    conn: psycopg.Connection[Any], tenant: Tenant, broker: Broker, gives: Terms, takes: Collection[str], attributes: Collection[str] | None, licence: str,
    *, person_id: int | None, by: str,
) -> tuple[int, Machine | None, str]:  # fmt: skip
    """Read a broker from now on, and give it a key where something leaves: the link's number, the key's machine and secret, told this once.

    `attributes` None takes all. Raises Unusable.
    """
    words = words_of(tenant, broker.context)
    found = asyncio.run(brokers.look(broker, words, tenant.slug))
    kept = found.offer.attributes() if attributes is None else attributes
    said, taken = brokers.registration(broker, found, takes, kept, licence)
    uri = service.create(conn, tenant.id, said, words)
    machine, secret = _machine(tenant, broker.name, gives, person_id) if gives.types else (None, "")
    number = links.insert(
        conn, tenant.id, name=broker.name, invited=False, url=broker.base, client_id=machine.client_id if machine else "",
        machine_id=machine.id if machine else None, registration_uri=uri, secrets={}, gives=gives, takes=taken, joined=True, kind=Kind.BROKER,
    )  # fmt: skip
    audit.record_on(conn, tenant.id, by, "federation.join", broker.name, {"gives": list(gives.types), "takes": list(taken.types)})
    registry.forget()
    return number, machine, secret


def end(conn: psycopg.Connection[Any], tenant: Tenant, id_: int, *, person_id: int | None, by: str) -> bool:
    """End a link in one go: their key here, their data here, and ours there as far as they can be told. Whether they were told."""
    link = links.find(conn, tenant.id, id_=id_)
    if link.machine_id is not None:
        with contextlib.suppress(UnknownMachine):  # somebody revoked it by hand
            identity.revoke_machine(tenant.id, link.machine_id, by=person_id)
    handshake.forget(conn, tenant.id, link, by)
    registry.forget()
    if link.kind is Kind.BROKER:
        return True  # it was never told that it is read
    if not link.secrets.get("oauth:id") or not link.url:  # who gives us nothing has no key for us to say it with
        return link.joined_at is None
    root = link.url.removesuffix("/ngsi-ld/v1")
    answer = asyncio.run(_request(link.secrets, tenant.slug, "DELETE", f"{root}/federation/join", b""))
    return answer.ok or answer.status in {401, 403, 404}


def health(conn: psycopg.Connection[Any], tenant: Tenant) -> list[Health]:
    """Every link that was made and has not ended, and every invitation that waits."""
    states = {one.uri: state for one, state in service.every(conn, tenant.id)}
    machines = {one.id: one for one in identity.machines_of(tenant.id)}
    out: list[Health] = []
    for link in links.every(conn, tenant.id):
        if link.ended_at is None:
            state = states.get(link.registration_uri, State())
            machine = machines.get(link.machine_id) if link.machine_id is not None else None
            out.append(Health(link, machine.last_used_at if machine else None, state.last_success, state.failing_since, state.error))
    return out


def _call(tenant: Tenant, one: Invitation, method: str, path: str, body: bytes = b"") -> Answer:
    return asyncio.run(_request(one.pairs(), tenant.slug, method, one.root + path, body))


async def _request(pairs: Mapping[str, str], slug: str, method: str, address: str, body: bytes) -> Answer:
    try:
        token = await credentials.ask(pairs, slug)
        if isinstance(token, Answer):
            return replace(token, body=b"", reason=_UNKNOWN if token.status in {400, 401} else token.reason)
        headers = {**token, "Accept": "application/json", **({"Content-Type": "application/json"} if body else {})}
        return await wire.current().once(method, address, headers, body, slug, SECONDS)
    finally:
        await wire.close()


def _json(answer: Answer) -> dict[str, Any]:
    try:
        said = msgspec.json.decode(answer.body) if answer.body else {}
    except msgspec.DecodeError:
        said = {}
    if not answer.ok or not isinstance(said, dict):
        if answer.warning == wire.REFUSED:
            raise Unusable.of_kept(answer.reason)
        detail = str(said.get("detail") or "").rstrip(".") if isinstance(said, dict) else ""
        raise Unusable(msg("A outra instalação não respondeu como devia: {reason}."), reason=detail or answer.reason or f"HTTP {answer.status}")
    return said
