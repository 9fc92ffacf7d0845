"""Who does the work in hand: noted once by the door, read where what was done is kept with a name. Django-free."""

from __future__ import annotations

from contextvars import ContextVar

from malha.foundation.access.contracts import Principal

_actor: ContextVar[str] = ContextVar("malha_actor", default="")


def note(who: Principal) -> None:
    """Say who acts, for the rest of the request."""
    _actor.set(who.actor)


def current() -> str:
    """`person:<number>` or `client:<id>`; empty where nobody was noted."""
    return _actor.get()
