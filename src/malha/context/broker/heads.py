"""What the heads of requests say, worked out once: a client sends the same headers again and again.

Kept are pure consequences of a head, never an answer to whether it is good: whoever asks is looked up each time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache, wraps
from typing import Any

from starlette.datastructures import Headers, QueryParams
from starlette.requests import Request, cookie_parser
from starlette.types import Receive, Scope

type Raw = tuple[tuple[bytes, bytes], ...]

#: how many heads are kept, and how long one may be: some megabytes together
MOST, LONGEST = 1_000, 4_000
_known: dict[Raw, Heads] = {}
_NOTHING: Any = object()


class Heads(Headers):
    """Headers by name; of one that came several times `get` gives the first, as before. Shared by requests, so nothing of them is changed."""

    def __init__(self, raw: Sequence[tuple[bytes, bytes]]) -> None:
        super().__init__(raw=list(raw))
        self.first: dict[str, str] = {}
        for name, value in raw:
            self.first.setdefault(name.decode("latin-1"), value.decode("latin-1"))
        self.cookies = cookie_parser("; ".join(self.getlist("cookie")))
        #: what functions made of them
        self.said: dict[Callable[[Request], Any], Any] = {}

    def __getitem__(self, key: str) -> str:
        return self.first[key.lower()]

    def __contains__(self, key: Any) -> bool:
        return key.lower() in self.first

    def get(self, key: str, default: Any = None) -> Any:
        """The value, `default` without one."""
        return self.first.get(key.lower(), default)


def of(scope: Scope) -> Heads:
    """The headers of a request."""
    raw = tuple(scope["headers"])
    known = _known.get(raw)
    if known is None:
        known = Heads(raw)
        if sum(len(name) + len(value) for name, value in raw) <= LONGEST:
            if len(_known) >= MOST:
                _known.clear()
            _known[raw] = known
    return known


def by_head[T](work: Callable[[Request], T]) -> Callable[[Request], T]:
    """`work`, which looks at nothing of a request but its headers, done once for all that have the same."""

    @wraps(work)
    def looked(request: Request) -> T:
        heads = request.headers
        if not isinstance(heads, Heads):
            return work(request)
        found: T = heads.said.get(work, _NOTHING)
        if found is _NOTHING:
            found = heads.said[work] = work(request)
        return found

    return looked


class Query(QueryParams):
    """Parameters whose absence is no exception."""

    def get(self, key: str, default: Any = None) -> Any:
        """The last value given, `default` without one."""
        return self._dict.get(key, default)


query = lru_cache(maxsize=1_000)(Query)


class Headed(Request):
    """A request of which that is known."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        super().__init__(scope, receive)
        heads = scope.get("malha.heads")
        self._headers = heads if isinstance(heads, Heads) else of(scope)
        self._cookies = self._headers.cookies
        self._query_params = query(scope["query_string"])
