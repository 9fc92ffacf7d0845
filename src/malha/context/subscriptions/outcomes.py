"""What became of deliveries, gathered and written in one go several times a second."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
import psycopg
from psycopg.rows import tuple_row

from malha.context.store.cells import array_of_text
from malha.context.subscriptions import queries
from malha.context.subscriptions.contracts import Lane
from malha.kernel.time import format_instant

RECENT = 10


@dataclass(slots=True)
class Outcome:
    """What happened to one subscription since it was last written."""

    sent: int = 0
    failed: int = 0
    dropped: int = 0
    last: datetime | None = None
    success: datetime | None = None
    failure: datetime | None = None
    ok: bool = True
    error: str = ""
    not_before: datetime | None = None
    recent: list[Mapping[str, Any]] = field(default_factory=list)


class Outcomes:
    """Gathers, and says so by `news`; `write` is called from another thread."""

    def __init__(self, news: Callable[[], None]) -> None:
        self._news = news
        self._lock = threading.Lock()
        self._outcomes: dict[Lane, Outcome] = {}
        self._done: list[Lane] = []
        self._tried: list[Lane] = []

    def done(self, lane: Lane, notification_id: int | None) -> None:
        """A notification needs no more delivery."""
        if notification_id is not None:
            with self._lock:
                self._done.append((lane[0], notification_id))
            self._news()

    def sent(self, lane: Lane, at: datetime, entities: int, seconds: float) -> None:
        """A receiver took one."""
        with self._lock:
            one = self._outcomes.setdefault(lane, Outcome())
            one.sent += 1
            one.last = one.success = at
            one.ok, one.error, one.not_before = True, "", None
            self._remember(one, {"at": format_instant(at), "ok": True, "entities": entities, "ms": round(seconds * 1000)})
        self._news()

    def failed(self, lane: Lane, at: datetime, error: str, not_before: datetime | None, *, notification_id: int | None = None, dropped: bool = False) -> None:
        """A receiver did not take one, or it may not be sent (any more)."""
        with self._lock:
            one = self._outcomes.setdefault(lane, Outcome())
            one.sent += 0 if dropped else 1
            one.failed += 1
            one.dropped += dropped
            one.failure = at
            one.last = one.last if dropped else at
            one.ok, one.error, one.not_before = False, error[:500], not_before
            self._remember(one, {"at": format_instant(at), "ok": False, "error": error[:200]})
            if notification_id is not None:
                (self._done if dropped else self._tried).append((lane[0], notification_id))
        self._news()

    def lost(self, lane: Lane, count: int, at: datetime, reason: str) -> None:
        """Notifications were dropped because too many waited."""
        with self._lock:
            one = self._outcomes.setdefault(lane, Outcome(ok=False))
            one.dropped += count
            one.ok, one.error, one.failure = False, reason, at
        self._news()

    @staticmethod
    def _remember(one: Outcome, entry: Mapping[str, Any]) -> None:
        one.recent.insert(0, entry)
        del one.recent[RECENT:]

    def write(self, conn: psycopg.Connection[Any]) -> None:
        """Write everything gathered, in one transaction; what could not be written is gathered again."""
        with self._lock:
            outcomes, done, tried = self._outcomes, self._done, self._tried
            self._outcomes, self._done, self._tried = {}, [], []
        if not (outcomes or done or tried):
            return
        try:
            with conn.transaction():
                cursor = psycopg.Cursor(conn, row_factory=tuple_row)
                if done:
                    cursor.execute(queries.DONE, [[lane[0] for lane in done], [lane[1] for lane in done]])
                if tried:
                    cursor.execute(queries.TRIED, [[lane[0] for lane in tried], [lane[1] for lane in tried]])
                if outcomes:
                    cursor.execute(queries.OUTCOMES, _columns(outcomes))
        except psycopg.Error:
            with self._lock:
                self._done = done + self._done
                for lane, one in outcomes.items():
                    self._outcomes.setdefault(lane, one)
            raise


def _columns(outcomes: Mapping[Lane, Outcome]) -> dict[str, object]:
    rows = list(outcomes.values())
    return {
        "tenants": [lane[0] for lane in outcomes], "ids": [lane[1] for lane in outcomes], "sent": [one.sent for one in rows],
        "failed": [one.failed for one in rows], "dropped": [one.dropped for one in rows], "last": [one.last for one in rows],
        "success": [one.success for one in rows], "failure": [one.failure for one in rows], "ok": [one.ok for one in rows],
        "error": [one.error or None for one in rows], "not_before": [one.not_before for one in rows],
        "recent": array_of_text([msgspec.json.encode(one.recent).decode() for one in rows]),
    }  # fmt: skip
