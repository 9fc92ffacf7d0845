"""Who does the work in hand, and why: noted once by the door, read where what was done is kept with a name. Django-free."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from malha.foundation.access.contracts import Principal

_actor: ContextVar[str] = ContextVar("malha_actor", default="")
_why: ContextVar[str] = ContextVar("malha_why", default="")


def note(who: Principal, why: str = "") -> None:
    """Say who acts, and why if they gave a reason, for the rest of the request."""
    _actor.set(who.actor)
    _why.set(why)


@contextmanager
def by(name: str) -> Iterator[None]:
    """What is done inside is done by something that has a name and no account: a door that sensors speak to."""
    actor, why = _actor.set(f"“{name}”"), _why.set("")
    try:
        yield
    finally:
        _actor.reset(actor)
        _why.reset(why)


def current() -> str:
    """`person:<number>`, `client:<id>` or a name between quotation marks; empty where nobody was noted."""
    return _actor.get()


def why() -> str:
    """The reason that was given; empty where none was."""
    return _why.get()
