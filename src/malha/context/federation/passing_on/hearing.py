"""What sources tell of subscriptions that were passed on to them (GS CIM 009 §5.8.6): looked at, put together, and let go the usual way.

Who knows the id that a subscription has at a source is that source: nobody can guess it, and nothing else opens this door.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import psycopg
from starlette.requests import Request
from starlette.responses import Response

from malha.context.broker import door, pool, reading, tenants
from malha.context.broker.contracts import Asked, BadRequestData, NonexistentTenant
from malha.context.federation.asking import answers, conversation, merging, speaking
from malha.context.federation.asking.conversation import Session
from malha.context.federation.asking.merging import Part
from malha.context.federation.contracts import Missing
from malha.context.federation.gathering import gather
from malha.context.federation.passing_on import passed, passing
from malha.context.federation.passing_on.passed import Passed
from malha.context.federation.registrations import queries, registry
from malha.context.federation.registrations.matching import Share, Source
from malha.context.store import service as store
from malha.context.store.contracts import MEMBER, StoredEntity
from malha.context.subscriptions import queries as subscriptions
from malha.context.subscriptions import rules
from malha.context.subscriptions.contracts import Subscription
from malha.foundation.access import subjects
from malha.foundation.database import service as database
from malha.kernel.text import msg
from malha.kernel.time import now
from malha.vocabulary.contexts import service as contexts
from malha.vocabulary.contexts.service import Context

BODY_LIMIT, ENTITIES = 4 * 1024 * 1024, 1_000
#: entities of one notification of which other sources are asked for their parts
MOST_ASKED = 100
_OF_ENTITY = frozenset({"id", "type", "@id", "@type", "@context", "scope", "createdAt", "modifiedAt", "deletedAt", "expiresAt"})
_NULLS: tuple[Any, ...] = (passing.NULL, {"@none": passing.NULL}, [passing.NULL], [{"object": passing.NULL}])
_KEPT = ("type", "datasetId", "createdAt", "modifiedAt")
#: instances of attributes that are no more, by attribute
type Vanished = Mapping[str, Sequence[Mapping[str, Any]]]
_UNKNOWN = msg("Esta subscrição não é conhecida aqui.")


@dataclass(frozen=True, slots=True)
class Heard:
    """Whom a notification is for: the subscription, what the source has of it, and the source as it is registered now."""

    passed: Passed
    subscription: Subscription
    source: Source


@dataclass(frozen=True, slots=True)
class Gone:
    """What a notification says is no more: whole entities, and attributes by the URI of their entity."""

    entities: frozenset[str]
    attributes: Mapping[str, Vanished]


async def hear(request: Request) -> Response:
    """POST /ngsi-ld/ex/remote-notify: a notification of a source"""
    media = reading.media_type(request)
    payload = reading.decode(await reading.body_of(request, BODY_LIMIT))
    uri, data = _said(payload)
    heard = await pool.run(lambda: _look(request, uri))
    told = heard.passed.wanted or {}
    named = payload.get("@context") if media == reading.JSON_LD else reading.linked(request)
    words = await pool.run_apart(lambda: contexts.of_tenant(heard.passed.tenant_id, told.get("context") if named is None else named))
    speech = await pool.run_apart(lambda: speaking.alone(heard.source, heard.passed.tenant_id, words, ()))
    if named is not None:
        speech = replace(speech, context=words)
    apart = [_apart(each, speech.context) for each in data]
    found, bad = answers.readable((living for living, _ in apart), speech, heard.passed.tenant_id)
    gone = {str(living.get("id")): vanished for living, vanished in apart if vanished}
    others = await _elsewhere(request, heard, found) if _split(heard) else {}
    deleted = frozenset(str(each.get("id")) for each in data if isinstance(each, dict) and isinstance(each.get("deletedAt"), str))
    await pool.run(lambda: _keep(heard, found, Gone(deleted, gone), others))
    if bad and not found:
        raise BadRequestData(msg("Nenhuma das entidades da notificação se consegue ler."))
    return Response(status_code=200)


def _said(payload: Any) -> tuple[str, list[Any]]:
    """The subscription and the entities of a notification. Raises BadRequestData."""
    if not isinstance(payload, dict) or payload.get("type") != "Notification" or not isinstance(payload.get("subscriptionId"), str):
        raise BadRequestData(msg("Envie um objeto com type “Notification” e subscriptionId."))
    data = payload.get("data")
    if not isinstance(data, list) or len(data) > ENTITIES:
        raise BadRequestData(msg("“data” é uma lista de até {most} entidades."), most=ENTITIES)
    return payload["subscriptionId"], data


def _look(request: Request, uri: str) -> Heard:
    """Whom it is for. Raises NonexistentTenant, Missing."""
    with pool.connection() as conn:
        slug = str(request.scope.get("malha.slug", "")) or door.by_host(conn, request)
        tenant = tenants.find(conn, slug) if slug else None
        if tenant is None:
            raise NonexistentTenant(msg("Não há nenhum município ou comunidade em “{slug}”."), slug=slug[:80])
        with database.tenant_transaction(conn, [tenant.id]):
            return _heard(conn, tenant.id, uri)


def _heard(conn: psycopg.Connection[Any], tenant_id: int, uri: str) -> Heard:
    one = passed.find(conn, tenant_id, uri)
    if one is None:
        raise Missing(_UNKNOWN)
    known = subscriptions.lasting(conn, tenant_id, one.subscription_id)
    registered = queries.find(conn, tenant_id, one.source.registration.uri)
    if not known or not any(each.id == one.registration_id for each, _ in registered):
        raise Missing(_UNKNOWN)
    return Heard(one, known[0], one.source)


def _apart(raw: Any, words: Context) -> tuple[Any, Vanished]:
    """An entity as it was told, and apart from it what is no more: instances of attributes whose value is null (§5.8.6), under internal names."""
    if not isinstance(raw, dict):
        return raw, {}
    living: dict[str, Any] = {}
    gone: dict[str, list[dict[str, Any]]] = {}
    for member, value in raw.items():
        if member in _OF_ENTITY:
            living |= {} if member == "deletedAt" else {member: value}
            continue
        told = value if isinstance(value, list) else [value]
        if left := [one for one in told if not _is_null(one)]:
            living[member] = left if len(told) > 1 else value
        if nulls := [one for one in told if _is_null(one)]:
            gone[words.expand(member)] = [_what_was(one) for one in nulls]
    return living, gone


def _is_null(instance: Any) -> bool:
    if not isinstance(instance, dict):
        return bool(instance == passing.NULL)
    return any(instance.get(member) in _NULLS for member in set(MEMBER.values()))


def _what_was(instance: Any) -> dict[str, Any]:
    """What is known of an instance that is no more: not its value."""
    kept = {name: instance[name] for name in _KEPT if isinstance(instance.get(name), str)} if isinstance(instance, dict) else {}
    return {"type": "Property", **kept}


def _split(heard: Heard) -> bool:
    """Whether what the source told of may be a part only of each entity."""
    named = [piece.attributes for piece in heard.source.pieces]
    return passing.split(heard.subscription.document, frozenset().union(*named) if all(named) else None)


async def _elsewhere(request: Request, heard: Heard, found: Sequence[StoredEntity]) -> dict[str, list[Part]]:
    """What the other sources have of these entities, asked for whoever subscribed (§5.8.6)."""
    one = heard.subscription

    def look() -> tuple[Session, list[Source]] | None:
        with pool.connection() as conn:
            sources = [each for each in registry.sources(conn, one.tenant_id) if each.key != heard.source.key and each.registration.agreement_id is None]
            with database.tenant_transaction(conn, [one.tenant_id]):
                who = subjects.principal(conn, one.tenant_id, one.subject)
                if who is None or not sources:
                    return None
                return conversation.opened(request, conn, Asked(one.tenant_id, who, contexts.CORE, "")), sources

    if (asking := await pool.run(look)) is None:
        return {}
    session, sources = asking

    async def of(entity: StoredEntity) -> tuple[str, list[Part]]:
        shares = [share for each in sources if each.takes(*gather.READ) and (share := each.of_entity(entity.uri, entity.types))]
        return entity.uri, conversation.parts(session, await gather.ask_for_entity(session, shares, entity.uri))

    return dict(await conversation.together([of(entity) for entity in found[:MOST_ASKED]]))


def _keep(heard: Heard, found: Sequence[StoredEntity], gone: Gone, others: Mapping[str, Sequence[Part]]) -> None:
    """Let what is meant wait for its subscriber, who is told what they may see at that moment. Nothing while the subscription is paused."""
    one = heard.subscription
    if not one.active:
        return
    rule = rules.compiled(one)
    with pool.connection() as conn, database.tenant_transaction(conn, [one.tenant_id]):
        here = store.by_uris(conn, one.tenant_id, [each.uri for each in found])
        whole = [entity for each in found if (entity := _whole(heard, each, here.get(each.uri), others.get(each.uri, ()))) is not None]
        meant = [
            entity for entity in whole if any(selector.holds(entity) for selector in rule.selectors) and (entity.uri in gone.entities or rule.permits(entity))
        ]
        if meant:
            before = {entity.uri: _before(heard, entity, gone.attributes.get(entity.uri, {})) for entity in meant}
            subscriptions.note(conn, one.tenant_id, one.id, meant, gone.entities, before)


def _before(heard: Heard, whole: StoredEntity, vanished: Vanished) -> dict[str, Any]:
    """Attributes that went at the source, that are its to tell of and that nobody else has, as far as it is known what they were."""
    share = heard.source.of_entity(whole.uri, whole.types)
    out: dict[str, Any] = {}
    for name, instances in vanished.items():
        there = rules.instances(whole.attributes.get(name))
        left = [one for one in instances if one.get("datasetId", "@none") not in there]
        if left and share is not None and (share.attributes is None or name in share.attributes):
            out[name] = left[0] if len(left) == 1 else left
    return out


def _whole(heard: Heard, told: StoredEntity, here: StoredEntity | None, others: Sequence[Part]) -> StoredEntity | None:
    """What a source told of an entity, within what it is registered for, with what this broker and `others` have of it; None for what is not the source's."""
    share = heard.source.of_entity(told.uri, told.types)
    if share is None:
        return None
    part = Part(_dated(_cut(told, share)), heard.source.mode, share.attributes)
    if not _split(heard):
        return part.entity
    whole = merging.merged([*([Part(here)] if here else []), part, *others])
    return replace(whole, id=here.id if here else 0)


def _cut(told: StoredEntity, share: Share) -> StoredEntity:
    if share.attributes is None:
        return told
    return replace(told, attributes={name: each for name, each in told.attributes.items() if name in share.attributes})


def _dated(told: StoredEntity) -> StoredEntity:
    """With this instant where the source said none: it is what just changed there."""
    moment = now()
    unknown = told.created_at.year == 1
    return replace(told, created_at=moment if unknown else told.created_at, modified_at=moment if unknown else told.modified_at)
