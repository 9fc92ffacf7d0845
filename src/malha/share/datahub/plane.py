"""Routes of the data hub on the plane."""

from __future__ import annotations

from starlette.routing import BaseRoute

from malha.share.datahub.features import plane as features
from malha.share.datahub.odata import plane as odata
from malha.share.datahub.sharing import plane as sharing


def routes() -> list[BaseRoute]:
    """Every feed."""
    return [*odata.routes(), *features.routes(), *sharing.routes()]
