"""Where entities lie that an operation is about: the present of the tenant, unless a request names another place (GS CIM 009 §5.5.15).

What the broker reads and writes of entities goes through the place of whoever asks (`Asked.place`); a place that is not
the present makes no history, no event and no notification of the tenant.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import psycopg

from malha.context.store import service as store
from malha.context.store.contracts import EntityDocument, EntityPage, EntityQuery, StoredEntity, WriteOptions, WriteOutcome

#: where a request's scope names its place
SCOPE = "malha.place"


class Place(Protocol):
    """What is read and written of entities, each function as the store's of that name."""

    def retrieve(self, conn: psycopg.Connection[Any], tenant_id: int, uri: str, *, lock: bool = False) -> StoredEntity: ...

    def exists(self, conn: psycopg.Connection[Any], tenant_id: int, uri: str) -> bool: ...

    def existing(self, conn: psycopg.Connection[Any], tenant_id: int, uris: Sequence[str]) -> set[str]: ...

    def by_uris(self, conn: psycopg.Connection[Any], tenant_id: int, uris: Sequence[str], *, lock: bool = False) -> dict[str, StoredEntity]: ...

    def query(self, conn: psycopg.Connection[Any], tenant_ids: Sequence[int], question: EntityQuery) -> EntityPage: ...

    def upsert_documents(
        self, conn: psycopg.Connection[Any], tenant_id: int, docs: Sequence[EntityDocument], options: WriteOptions = WriteOptions()  # noqa: B008 -- frozen
    ) -> WriteOutcome: ...  # fmt: skip

    def delete(self, conn: psycopg.Connection[Any], tenant_id: int, uris: Sequence[str], run_id: int | None = None) -> int: ...


PRESENT: Place = store
