"""A snapshot as a place of entities: what the broker writes there goes nowhere else (GS CIM 009 §5.5.15)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import psycopg

from malha.context.broker.contracts import NotPermitted
from malha.context.federation.asking import sifting
from malha.context.snapshots import keeping, service
from malha.context.snapshots.contracts import Lasting, Snapshot
from malha.context.store import service as store
from malha.context.store.contracts import (
    EntityDocument,
    EntityNotFound,
    EntityPage,
    EntityQuery,
    StoredEntity,
    UnusableEntity,
    WriteOptions,
    WriteOutcome,
)
from malha.context.subscriptions import patterns
from malha.foundation.access import reach
from malha.kernel.text import msg

_DEFAULTS = WriteOptions()


def require_whole() -> None:
    """A snapshot is not cut to an area, nor read under an agreement. Raises NotPermitted."""
    limits = reach.current()
    if limits is None or reach.only_types(limits):
        return
    if any(part.agreement_id is not None for part in limits):
        raise NotPermitted(msg("O que um acordo deixa ler não se guarda: lê-se onde está, e não em instantâneos."))
    raise NotPermitted(msg("O seu acesso é limitado a uma parte dos dados, e assim não abrange instantâneos."))


def check(question: EntityQuery) -> None:
    """Raise Unusable for a pattern of ids that is none."""
    for pattern in filter(None, (question.id_pattern, *(one.id_pattern for one in question.any_of))):
        patterns.check(pattern)


@dataclass(frozen=True, slots=True)
class Inside:
    """The entities of one snapshot, as `malha.context.broker.places` has a place; with `past`, those too of which it holds only how they evolved.

    Whoever writes keeps other writers out of the whole snapshot to the end of the transaction. Each function raises Missing,
    NotReady while it is being filled, and NotPermitted for whoever sees a part of the tenant.
    """

    uri: str
    writes: bool = False
    past: bool = False

    def held(self, conn: psycopg.Connection[Any], tenant_id: int) -> Snapshot:
        """The snapshot itself, noted as used, kept for whoever writes."""
        require_whole()
        return (service.lock if self.writes else service.use)(conn, tenant_id, self.uri)

    def retrieve(self, conn: psycopg.Connection[Any], tenant_id: int, uri: str, *, lock: bool = False) -> StoredEntity:
        found = self.by_uris(conn, tenant_id, [uri], lock=lock).get(uri)
        if found is None:
            raise EntityNotFound(msg("Não há nenhuma entidade “{uri}”."), uri=uri)
        return found

    def exists(self, conn: psycopg.Connection[Any], tenant_id: int, uri: str) -> bool:
        return uri in self.existing(conn, tenant_id, [uri])

    def existing(self, conn: psycopg.Connection[Any], tenant_id: int, uris: Sequence[str]) -> set[str]:
        return set(self.by_uris(conn, tenant_id, uris))

    def by_uris(self, conn: psycopg.Connection[Any], tenant_id: int, uris: Sequence[str], *, lock: bool = False) -> dict[str, StoredEntity]:  # noqa: ARG002 -- whoever writes has all of it
        return {each.uri: each for each in keeping.entities(conn, self.held(conn, tenant_id), uris=uris, past=self.past)}

    def query(self, conn: psycopg.Connection[Any], tenant_ids: Sequence[int], question: EntityQuery) -> EntityPage:
        check(question)
        test = sifting.holds(question)
        held = keeping.walk(conn, self.held(conn, tenant_ids[0]), question.types, question.uris or None, past=self.past, after=question.after_id)
        found = (each for each in held if sifting.meant(question, each) and test(each))
        page = list(islice(found, question.offset, question.offset + question.limit))
        return EntityPage(page, question.offset + len(page) + sum(1 for _ in found) if question.count else None)

    def upsert_documents(
        self, conn: psycopg.Connection[Any], tenant_id: int, docs: Sequence[EntityDocument], options: WriteOptions = _DEFAULTS
    ) -> WriteOutcome:
        one = self.held(conn, tenant_id)
        state = {each.uri: each for each in keeping.entities(conn, one, uris=[doc.uri for doc in docs])}
        before, changed = set(state), set[str]()
        told: list[tuple[str, Lasting]] = []
        refused: list[tuple[str, str]] = []
        for doc in docs:
            try:
                done = store.applied_to(conn, tenant_id, doc, state.get(doc.uri), options)
            except UnusableEntity as reason:
                refused.append((doc.uri, reason.kept()))
                continue
            told += [(doc.uri, row) for row in done.told]
            if done.entity is not None:
                state[doc.uri] = done.entity
                changed.add(doc.uri)
        keeping.put(conn, one, [state[uri] for uri in state if uri in changed])
        keeping.tell(conn, one, told)
        keeping.require_room(conn, one)
        return WriteOutcome(len(changed - before), len(changed & before), len(docs) - len(changed) - len(refused), len(told), tuple(refused))

    def delete(self, conn: psycopg.Connection[Any], tenant_id: int, uris: Sequence[str], run_id: int | None = None) -> int:  # noqa: ARG002 -- no load comes here
        return keeping.remove(conn, self.held(conn, tenant_id), uris)
