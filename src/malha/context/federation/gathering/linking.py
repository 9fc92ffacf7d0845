"""Maps that sources keep of their own part of an answer (§5.5.14, §5.7.2.4, §5.14): asked for, named again, forgotten where they are gone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote, unquote

from malha.context.broker import door, entity_maps
from malha.context.federation.asking import answers, conversation
from malha.context.federation.asking.conversation import Session
from malha.context.federation.asking.speaking import Speech
from malha.context.federation.contracts import Answer
from malha.context.federation.registrations.matching import Source
from malha.context.federation.registrations.registry import Diverted
from malha.context.store import maps
from malha.context.store.contracts import EntityQuery, Selector
from malha.context.store.maps import EntityMap
from malha.context.subscriptions import patterns
from malha.kernel.time import now

MAKES, MAKES_OF_PAST, CHANGES, ENDS = "createEntityMapQueryEntity", "createEntityMapQueryTemporal", "updateEntityMap", "deleteEntityMap"
#: answers of those that do not know the parameter, or the resource
_DECLINED = frozenset({400, 422, 501})
_LONGEST = 2_048


@dataclass(slots=True)
class Links:
    """The maps at sources of one request: `known` by registration, as each source told where it is; `lifetime` of those to be made now, "" for none.

    `makes` is the operation that a source takes which keeps such maps.
    """

    known: dict[str, str] = field(default_factory=dict)
    lifetime: str = ""
    makes: str = MAKES


def to_be_made(params: Mapping[str, str], makes: str = MAKES) -> Links:
    """The links of a map that is made now; sources are asked to keep theirs as long. Raises BadRequestData."""
    return Links(lifetime=f"PT{max(1, round((entity_maps.ends(params) - now()).total_seconds()))}S", makes=makes)


def able(source: Source, operation: str = MAKES) -> bool:
    """Whether the source keeps maps; what is read under an agreement is read without one."""
    return source.registration.agreement_id is None and source.takes(operation)


async def ask(
    session: Session, links: Links | None, source: Source, speech: Speech, method: str, path: str, params: dict[str, str], payload: Any = None
) -> Answer:  # fmt: skip
    """One request to a source by its map: the one that is known, or a new one where the source keeps maps."""
    uri = source.registration.uri
    known = links.known.get(uri) if links is not None else None
    if known is not None and links is not None:
        answer = await session.ask(source, replace(speech, headers={**speech.headers, entity_maps.HEADER: known}), method, path, params, payload)
        if answer.ok and identifier(location(answer)) != identifier(known):
            del links.known[uri]  # it had ended; the one made instead is of these entities only, and would hide those of other pages
        return answer
    if links is None or not links.lifetime or not able(source, links.makes):
        return await session.ask(source, speech, method, path, params, payload)
    answer = await session.ask(source, speech, method, path, {**params, "entityMap": "true", "entityMapLifetime": links.lifetime}, payload)
    if answer.status in _DECLINED:
        return await session.ask(source, speech, method, path, params, payload)
    if answer.ok and (kept := location(answer)):
        links.known[uri] = kept
    return answer


def location(answer: Answer) -> str:
    """Where a source says that its map is, "" where it says nothing usable."""
    said = answer.headers.get(entity_maps.HEADER.lower(), "")
    return said if said.isascii() and said.isprintable() and len(said) <= _LONGEST else ""


def identifier(place: str) -> str:
    """The id of a map by where it is: the last step of its address, or the id alone."""
    return unquote(place.rsplit("/", 1)[-1])


def ids_in(body: bytes) -> tuple[str, list[str]] | None:
    """The id of a map, and the entities in it; None for what is no map."""
    try:
        said = answers.decoded_bytes(body)
    except ValueError:
        return None
    if not isinstance(said, dict) or not isinstance(said.get("entityMap"), dict) or not isinstance(said.get("id"), str):
        return None
    return said["id"], list(said["entityMap"])


def may_mean(asked: EntityQuery, uri: str) -> bool:
    """Whether a question may mean the entity, by its id."""
    selectors = asked.any_of or (Selector("", asked.uris, asked.id_pattern),)
    return any((not one.uris or uri in one.uris) and (not one.id_pattern or patterns.found(one.id_pattern, uri)) for one in selectors)


async def remember(session: Session, known: EntityMap, links: Links) -> None:
    """Remember which maps at sources are gone."""
    if links.known != known.linked:
        await door.look(session.request, lambda conn, who: maps.relink(conn, who.tenant_id, entity_maps.subject(who), known.id, links.known))


async def end(session: Session, found: Diverted, one: EntityMap) -> None:
    """End the maps at sources that a map led to. One that cannot be ended ends by itself."""
    await _pass_on(session, found, one, "DELETE", ENDS, None)


async def prolong(session: Session, found: Diverted, one: EntityMap, expires_at: str) -> None:
    """Let the maps at sources end when the map does that led to them."""
    await _pass_on(session, found, one, "PATCH", CHANGES, {"expiresAt": expires_at})


async def _pass_on(session: Session, found: Diverted, one: EntityMap, method: str, operation: str, payload: Any) -> None:
    async def tell(source: Source) -> None:
        speech = await conversation.speech_to(session, source)
        path = f"/entityMaps/{quote(identifier(one.linked[source.registration.uri]), safe=':')}"
        await session.ask(source, speech, method, path, {}, payload)

    sources = conversation.usable(found, session.request, session.alias)
    await conversation.together([tell(source) for source in sources if source.registration.uri in one.linked and able(source, operation)])
