"""Sources that are tenants of this installation, read under an agreement: the same answers, without the network and without a copy."""

from __future__ import annotations

from malha.context.broker.contracts import Asked
from malha.context.federation.contracts import Answer
from malha.context.federation.matching import Source


async def ask(who: Asked, source: Source, method: str, path: str, params: dict[str, str]) -> Answer:
    """The answer of another tenant, within what the agreement lets out."""
    raise NotImplementedError
