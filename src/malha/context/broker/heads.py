"""The request of an operation that is asked for most: what its head says is found by name, not by a walk over all of it for each question."""

from __future__ import annotations

from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import Receive, Scope


class Heads(Headers):
    """Headers by name; of one that came several times `get` gives the first, as before."""

    def __init__(self, scope: Scope) -> None:
        super().__init__(scope=scope)
        self.first: dict[bytes, bytes] = {}
        for name, value in self._list:
            self.first.setdefault(name, value)

    def __getitem__(self, key: str) -> str:
        return self.first[key.lower().encode("latin-1")].decode("latin-1")

    def __contains__(self, key: Any) -> bool:
        return key.lower().encode("latin-1") in self.first

    def get(self, key: str, default: Any = None) -> Any:
        """The value, `default` without one."""
        found = self.first.get(key.lower().encode("latin-1"))
        return default if found is None else found.decode("latin-1")


class Headed(Request):
    """A request with such headers."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        super().__init__(scope, receive)
        self._headers = Heads(scope)
