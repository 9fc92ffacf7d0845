"""Routes of what is live: event streams and tiles."""

from __future__ import annotations

from starlette.routing import BaseRoute, Route

from malha.context.broker.door import guarded
from malha.context.live import streams, tiles


def routes() -> list[BaseRoute]:
    """Streams and tiles, each guarded."""
    return [
        Route("/events/stream", guarded(streams.stream), methods=["GET"]),
        Route("/tiles/entities/{type}/{z:int}/{x:int}/{y:int}.mvt", guarded(tiles.tile, limited=True), methods=["GET"]),
        Route("/tiles/entities/{z:int}/{x:int}/{y:int}", guarded(tiles.tile, limited=True), methods=["GET"]),
    ]
