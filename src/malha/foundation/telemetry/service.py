"""What a process counts of itself, and which of its requests were slow."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from contextvars import ContextVar

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily

slow = logging.getLogger("malha.slow")

MEDIA_TYPE = CONTENT_TYPE_LATEST
_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
DURATION = Histogram("http_server_request_duration_seconds", "Requests that were answered", ["http_request_method", "http_route", "http_response_status_code"], buckets=_BUCKETS)  # fmt: skip
ACTIVE = Gauge("http_server_active_requests", "Requests on their way")
REFUSED = Counter("malha_requests_refused", "Requests that were told to come back", ["reason"])
FORWARDED = Histogram("http_client_request_duration_seconds", "Requests to other sources", ["http_response_status_code"], buckets=_BUCKETS)
NOTIFIED = Histogram("malha_notification_duration_seconds", "Notifications that left, and how", ["outcome"], buckets=_BUCKETS)

#: texts of the statements of the running request, without values; None: nobody wants to know
statements: ContextVar[list[str] | None] = ContextVar("statements", default=None)
STATEMENTS = 20
STATEMENT_LENGTH = 600


def page() -> bytes:
    """Everything that is counted, as Prometheus reads it."""
    return generate_latest(REGISTRY)


class _Waiting:
    """Counts that are looked up when somebody asks."""

    def __init__(self) -> None:
        self.looks: dict[str, tuple[str, Callable[[], float]]] = {}

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """What each look says now."""
        for name, (says, look) in list(self.looks.items()):
            yield GaugeMetricFamily(name, says, value=look())


_waiting = _Waiting()
REGISTRY.register(_waiting)


def watch(name: str, says: str, look: Callable[[], float]) -> None:
    """Offer a number that is looked up when somebody asks for it."""
    _waiting.looks[name] = (says, look)


def note(statement: str) -> None:
    """A statement of the running request: its text, in which values are placeholders."""
    kept = statements.get()
    if kept is not None and len(kept) < STATEMENTS:
        kept.append(statement)


class Sparing:
    """Lets a few lines through in each span of time, and says how many it held back: a flood fills no disk."""

    def __init__(self, lines: int = 20, seconds: float = 10.0, clock: Callable[[], float] = time.monotonic) -> None:
        self.lines, self.seconds, self.clock = lines, seconds, clock
        self.began, self.count = clock(), 0

    def passes(self) -> int | None:
        """How many were held back before this line, None where this one is held back too."""
        moment = self.clock()
        held = 0
        if moment - self.began >= self.seconds:
            held, self.began, self.count = max(0, self.count - self.lines), moment, 0
        self.count += 1
        return held if self.count <= self.lines else None


_sparing = Sparing()


def log_slow(milliseconds: float, method: str, area: str, parameters: Iterable[str], status: int) -> None:
    """Write down a slow request: no value of it, no id, no token."""
    held = _sparing.passes()
    if held is None:
        return
    if held:
        slow.warning("%s slow requests more were not written down", held)
    texts = [" ".join(text.split())[:STATEMENT_LENGTH] for text in statements.get() or ()]
    slow.warning("%.0f ms %s %s parameters=%s status=%s statements=%s", milliseconds, method, area, ",".join(sorted(parameters)) or "-", status, texts)
