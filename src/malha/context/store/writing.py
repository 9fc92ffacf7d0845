"""Keep what is written within the reach of whoever writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

from malha.context.store import limits, reading, shapes
from malha.context.store.contracts import EntityDocument, WriteMode, WriteOptions
from malha.foundation.access import reach
from malha.foundation.access.contracts import BeyondReach
from malha.kernel.text import msg

_BEYOND = msg("A entidade “{uri}” está, ou ficaria, fora do que o seu acesso abrange.")


def require_reach(conn: psycopg.Connection[Any], tenant_id: int, docs: Sequence[EntityDocument], options: WriteOptions) -> None:
    """Raise BeyondReach unless every entity lies within the writer's reach before and after."""
    uris = [doc.uri for doc in docs]
    there, seen = reading.existing(conn, tenant_id, uris), reading.by_uris(conn, tenant_id, uris)
    for doc in docs:
        known = seen.get(doc.uri)
        place = {"location": doc.attributes["location"]} if "location" in doc.attributes else known.attributes if known else {}
        types = tuple(dict.fromkeys((*doc.types, *(known.types if known else ()))))
        if (doc.uri in there and known is None) or not limits.allow_write(types, doc.attributes, shapes.shape_of(place, "location")):
            raise BeyondReach(_BEYOND, uri=doc.uri)
        if options.mode is WriteMode.REPLACE and known is not None and _partly(types):
            raise BeyondReach(msg("O seu acesso não abrange todos os atributos de “{uri}”: mude só os que abrange."), uri=doc.uri)


def require_whole(conn: psycopg.Connection[Any], tenant_id: int, uris: Sequence[str]) -> None:
    """Raise BeyondReach unless all of each entity that is there lies within the writer's reach."""
    seen = reading.by_uris(conn, tenant_id, uris)
    for uri in reading.existing(conn, tenant_id, uris):
        if uri not in seen or _partly(seen[uri].types):
            raise BeyondReach(_BEYOND, uri=uri)


def _partly(types: Sequence[str]) -> bool:
    return reach.allowed(reach.parts(types) or (), types) is not None
