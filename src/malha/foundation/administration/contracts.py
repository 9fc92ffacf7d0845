"""What the manager's pages need from rooms above them: given by the composition root."""

from __future__ import annotations

from collections.abc import Callable

#: (tenant id, language) → (type, what people call it), those with data first
type TypesOf = Callable[[int, str], list[tuple[str, str]]]

_types_of: TypesOf | None = None


def provide_types(provider: TypesOf) -> None:
    """Say where the types of a tenant's data are known."""
    global _types_of  # noqa: PLW0603 -- set once, at the start of a process
    _types_of = provider


def types_of(tenant_id: int, language: str) -> list[tuple[str, str]]:
    """The types that a tenant has, or may come to have, data of."""
    return _types_of(tenant_id, language) if _types_of else []
