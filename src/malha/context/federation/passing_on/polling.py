"""Subscriptions that are told by the clock (§5.8.1.4, §5.8.6): what matches at sources too, asked for when it is told.

Nothing of it is kept, so what an agreement lets the subscriber read is told like the rest, as if they had asked for it at that moment.
"""

from __future__ import annotations

from functools import partial

from starlette.requests import Request

from malha.context.broker import pool, questions, rendering, tenants
from malha.context.broker.contracts import Asked
from malha.context.broker.query import Asking
from malha.context.broker.questions import Question
from malha.context.federation.asking import conversation
from malha.context.federation.asking.conversation import Session
from malha.context.federation.gathering import gather
from malha.context.federation.gathering.gather import Plan
from malha.context.federation.passing_on import passing
from malha.context.federation.registrations import discovering, registry
from malha.context.federation.registrations.matching import Share, Source
from malha.context.store import service as store
from malha.context.store.contracts import EntityPage, EntityQuery, StoredEntity
from malha.context.subscriptions.contracts import Subscription
from malha.context.subscriptions.rules import Rule
from malha.foundation.access.contracts import Principal
from malha.foundation.database import service as database
from malha.vocabulary.contexts import service as contexts

#: entities in one notification
MOST = 1_000


async def matching(rule: Rule, reader: Principal) -> list[StoredEntity] | None:
    """What matches here and at sources, as the subscriber may see it; None where no source has a part in it."""
    if rule.subscription.document.get("localOnly") or rule.follows:  # what relationships lead to is looked up here
        return None
    ready = await pool.run(partial(_prepared, rule, reader))
    if ready is None:
        return None
    session, plan, own = ready
    page = gather.assembled(session, plan, own, await gather.ask_all(session, plan, Asking(lambda _: plan.question)))
    return [entity for entity in page.entities if any(selector.holds(entity) for selector in rule.selectors) and rule.permits(entity)]


def _prepared(rule: Rule, reader: Principal) -> tuple[Session, Plan, EntityPage] | None:
    """How this broker and its sources are asked, and what is here."""
    one = rule.subscription
    with pool.connection() as conn:
        shares = _shares(one, registry.sources(conn, one.tenant_id))
        if not shares:
            return None
        with database.tenant_transaction(conn, [one.tenant_id]):
            who = Asked(one.tenant_id, reader, contexts.of_tenant(one.tenant_id, one.context), "")
            session = conversation.opened(_request(one), conn, who)
            asked = Question(_question(rule), count=False)
            split = any(passing.split(one.document, share.attributes) for share in shares)
            plan = Plan(asked, rendering.Wanted(who.context), frozenset(), split, shares)
            narrowed = questions.narrowed(plan.asked, reader.types)
            own = EntityPage([]) if narrowed is None else store.query(conn, [one.tenant_id], narrowed)
    return session, plan, own


def _shares(one: Subscription, sources: list[Source]) -> tuple[Share, ...]:
    """The parts of the sources that the subscription means and that it did not come through."""
    own = tenants.alias(one.tenant_id)
    if not sources or own in one.through:
        return ()
    asked = passing.question(one.document.get("entities", ()))
    filter_ = [discovering.csf(one.document["csf"], contexts.of_tenant(one.tenant_id, one.context))] if one.document.get("csf") else []
    usable = [each for each in sources if each.takes("queryEntity", "queryBatch") and (not each.alias or each.alias not in one.through)]
    shares = ((each, each.of_question(asked)) for each in usable)
    return tuple(share for each, share in shares if share is not None and discovering.holds(filter_, each.registration))


def _question(rule: Rule) -> EntityQuery:
    said = rule.subscription.document
    return EntityQuery(
        any_of=passing.question(said.get("entities", ())).any_of, q=str(said.get("q", "")), geo=rule.geo.relation if rule.geo else None,
        scope_selection=str(said.get("scopeQ", "")), limit=MOST,
    )  # fmt: skip


def _request(one: Subscription) -> Request:
    """What stands for a request where nobody made one: it says through whom the subscription came."""
    via = ", ".join(f"1.1 {name}" for name in one.through)
    return Request({"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": [(b"via", via.encode("latin-1", "replace"))] if via else []})
