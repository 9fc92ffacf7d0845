"""Answers of sources that need not be asked again so soon (§5.2.34 `cacheDuration`): kept by the process, within bounds, until they are too old.

Only of sources whose registration says so. What is told to one credential is never told to another: it is a part of the question.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import msgspec

from malha.context.federation.contracts import Answer
from malha.context.federation.registrations.matching import Source

#: of all sources together, and of one answer; a larger one is asked for again
MOST_BYTES, ANSWER_BYTES = 32 * 1024 * 1024, 1024 * 1024
#: what an entry costs beside its body
_ENTRY_BYTES = 1_000
#: headers that say nothing about the answer
_PASSING = frozenset({"via", "traceparent", "tracestate"})

type Key = tuple[Any, ...]


class Cache:
    """Answers by source and question; those that were used longest ago make room."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[Key, tuple[float, Answer]] = OrderedDict()
        self._bytes = 0

    def find(self, key: Key) -> Answer | None:
        """The answer to a question, while it is young enough."""
        with self._lock:
            until, answer = self._kept.get(key, (0.0, None))
            if answer is None:
                return None
            if time.monotonic() >= until:
                self._drop(key)
                return None
            self._kept.move_to_end(key)
            return answer

    def keep(self, key: Key, answer: Answer, seconds: float) -> None:
        """Remember an answer for so long; refusals and large ones are not."""
        if answer.status != 200 or len(answer.body) > ANSWER_BYTES:
            return
        with self._lock:
            self._drop(key)
            self._kept[key] = (time.monotonic() + seconds, answer)
            self._bytes += len(answer.body) + _ENTRY_BYTES
            while self._bytes > MOST_BYTES:
                self._drop(next(iter(self._kept)))

    def forget(self, source: Source) -> None:
        """Forget what a source said: it was told to change something."""
        with self._lock:
            for key in [key for key in self._kept if key[0] == source.key]:
                self._drop(key)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._kept.clear()
            self._bytes = 0

    def _drop(self, key: Key) -> None:
        found = self._kept.pop(key, None)
        if found is not None:
            self._bytes -= len(found[1].body) + _ENTRY_BYTES


kept = Cache()


def key(source: Source, method: str, path: str, params: Mapping[str, str], headers: Mapping[str, str], payload: Any) -> Key | None:
    """What names a question to a source; None for what is no consumption of context (§5.7), or goes on with a map."""
    reads = method == "GET" or (method == "POST" and path.endswith("/entityOperations/query"))
    if not reads or "entityMap" in params or "/entityMaps" in path or any(name.lower() == "ngsild-entitymap" for name in headers):
        return None
    said = tuple(sorted((name.lower(), value) for name, value in headers.items() if name.lower() not in _PASSING))
    body = msgspec.json.encode(payload) if payload is not None else b""
    return source.key, source.registration.modified_at, method, path, tuple(sorted(params.items())), said, body
