"""How many requests a tenant may make: a bucket per tenant and process.

Each process counts for itself, so an installation with four plane processes lets a tenant do four times the rate: no
process waits for another, and one that dies takes no count with it. Rate 0 (the default) counts nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

#: seconds of its rate that a tenant may spend at once
BURST_SECONDS = 2.0
_MOST = 10_000


@dataclass(slots=True)
class _Bucket:
    left: float
    at: float


class Quota:
    """Requests by tenant at `rate` per second."""

    def __init__(self, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.rate = rate
        self.clock = clock
        self._buckets: dict[int, _Bucket] = {}
        self._lock = threading.Lock()

    def wait_seconds(self, tenant_id: int) -> float:
        """0 where the request may go on, else after how many seconds the next one may."""
        if self.rate <= 0:
            return 0.0
        now, most = self.clock(), max(1.0, self.rate * BURST_SECONDS)
        with self._lock:
            if len(self._buckets) > _MOST:
                self._buckets.clear()
            bucket = self._buckets.setdefault(tenant_id, _Bucket(most, now))
            bucket.left = min(most, bucket.left + (now - bucket.at) * self.rate)
            bucket.at = now
            if bucket.left >= 1.0:
                bucket.left -= 1.0
                return 0.0
            return (1.0 - bucket.left) / self.rate
