"""How the embedded server divides the memory that there is."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

#: what the connections share, in MB, unless it is set: so much of what there is, no less and no more; an installation at rest holds all of it once its data were read
PART, LEAST_MB, MOST_MB = 32, 128, 256
#: where a container says how much it may have
LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


def available_mb(limits: Iterable[Path] = LIMITS) -> int:
    """The memory that the machine has, or the container where that is less."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in limits:
        try:
            found.append(int(path.read_text()))
        except (OSError, ValueError):  # not there, or "max"
            continue
    return min(found) >> 20


def divided(available: int, wanted: int = 0) -> str:
    """The server's configuration for `available` MB; `wanted` MB are shared where they are set, of what there is at most half.

    What the system keeps of files is counted on too: a plan is the better for knowing of it, and takes none of it.
    """
    shared = max(1, min(wanted, available // 2)) if wanted else min(MOST_MB, max(LEAST_MB, available // PART))
    return f"shared_buffers = {shared}MB\neffective_cache_size = {max(shared, available // 2)}MB\n"
