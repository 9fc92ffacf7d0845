"""Read how entities evolved inside a snapshot: of what it holds, in place of the tenant's history (GS CIM 009 §5.5.15, §6.3.22)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request

from malha.context.broker import entity_maps, pool
from malha.context.broker.contracts import Asked, OperationNotSupported
from malha.context.snapshots import keeping
from malha.context.snapshots.place import Inside
from malha.foundation.database import service as database
from malha.history.temporal.contracts import Held
from malha.history.temporal.temporal_query import TemporalQuery
from malha.kernel.text import msg


def refuse(request: Request, who: Asked, query: TemporalQuery) -> None:
    """Raise OperationNotSupported for what is not worked out inside a snapshot."""
    if isinstance(who.place, Inside) and (entity_maps.meant(request) or query.known_at is not None):
        raise OperationNotSupported(msg("Dentro de um instantâneo não há mapas, nem o que se sabia noutro instante."))


def held(who: Asked) -> Held | None:
    """What finds the instances of entities, by their number and the names of attributes, in the snapshot that the request is inside of; None outside."""
    inside, tenant_id = who.place, who.tenant_id
    if not isinstance(inside, Inside):
        return None

    def rows(ids: Sequence[int], names: Sequence[str]) -> list[tuple[Any, ...]]:
        with pool.connection() as conn, database.tenant_transaction(conn, [tenant_id]):
            return keeping.told(conn, inside.held(conn, tenant_id), ids, names)

    return rows
