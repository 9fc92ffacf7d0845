"""The addresses that a notification may go to, looked up without making the others wait."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

from malha.foundation.outgoing import internal as outgoing

REMEMBER_SECONDS = 30.0
LOOKUPS = 8


class Gate:
    """Asks `foundation.outgoing` in threads of its own; answers are remembered for half a minute."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(LOOKUPS, "addresses")
        self._known: dict[tuple[str, int, str], tuple[float, list[str]]] = {}

    async def addresses(self, host: str, port: int, tenant: str) -> list[str]:
        """Where `host` may be reached for the tenant. Raises what `outgoing.addresses` raises."""
        key = (host, port, tenant)
        until, found = self._known.get(key, (0.0, []))
        if time.monotonic() < until:
            return found
        found = await asyncio.get_running_loop().run_in_executor(self._threads, outgoing.addresses, host, port, tenant)
        if len(self._known) > 10_000:
            self._known.clear()
        self._known[key] = (time.monotonic() + REMEMBER_SECONDS, found)
        return found

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)
