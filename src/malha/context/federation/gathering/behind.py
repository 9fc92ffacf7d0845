"""Linked entities (§4.5.23) where sources take part: each level is looked for here and at every source that may have it, side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from malha.context.broker import door, linked
from malha.context.broker.linked import Joined
from malha.context.broker.rendering import Join, Wanted
from malha.context.federation.asking import conversation, forms, merging
from malha.context.federation.asking.answers import Told
from malha.context.federation.asking.conversation import Session
from malha.context.federation.asking.merging import Part
from malha.context.federation.registrations.matching import Share
from malha.context.federation.registrations.registry import Diverted
from malha.context.store import service as store
from malha.context.store.contracts import EntityQuery, StoredEntity

#: entities that one request to a source names, so that its address stays short enough for every server
AT_ONCE = 100


async def join(session: Session, found: Diverted, entities: Iterable[StoredEntity], want: Wanted, source: Any = None) -> Joined:
    """The entities that `entities` lead to, put together from all places; those beyond the reader's reach are left out.

    `source` is the @context of the request's body.
    """
    if want.join is Join.NONE:
        return Joined()
    walk = linked.walk(entities, want)
    try:
        missing = next(walk)
        while True:
            missing = walk.send(await _looked_up(session, found, missing, source))
    except StopIteration as done:
        joined: Joined = done.value
        return joined


async def _looked_up(session: Session, found: Diverted, uris: Sequence[str], source: Any) -> dict[str, StoredEntity]:
    """Those of the entities that there are, as the reader may see them."""
    own = await door.read(session.request, lambda conn, who: store.by_uris(conn, who.tenant_id, uris), source)
    wanted = set(uris)
    parts = {uri: [Part(entity)] for uri, entity in own.items()}
    for part in conversation.parts(session, await _told(session, found, uris)):
        if part.entity.uri in wanted:  # a source may send what it was not asked for
            parts.setdefault(part.entity.uri, []).append(part)
    whole = {uri: merging.merged(pieces) for uri, pieces in parts.items()}
    return {uri: door.shown(session.who, entity) for uri, entity in whole.items() if door.within_reach(session.who, entity.types)}


async def _told(session: Session, found: Diverted, uris: Sequence[str]) -> list[Told]:
    works = []
    for source in conversation.usable(found, session.request, session.alias):
        if not source.takes("queryEntity", "queryBatch"):
            continue
        for first in range(0, len(uris), AT_ONCE):
            asked = EntityQuery(uris=tuple(uris[first : first + AT_ONCE]), limit=AT_ONCE)
            if (share := source.of_question(asked)) is not None:
                works.append(_ask(session, share, asked))
    return await conversation.together(works)


async def _ask(session: Session, share: Share, asked: EntityQuery) -> Told:
    speech = await conversation.speech_to(session, share.source)
    method, path, params, body = forms.question(asked, frozenset(), share, speech)
    return await conversation.read(session, share, speech, await session.ask(share.source, speech, method, path, params | {"limit": str(asked.limit)}, body))
