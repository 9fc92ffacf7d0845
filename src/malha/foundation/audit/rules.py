"""How entries are chained: each hash covers its entry and the hash before it."""

from __future__ import annotations

import hashlib
import json

from malha.foundation.audit.contracts import Entry
from malha.kernel.time import format_instant


def genesis(tenant_id: int) -> bytes:
    """The hash that the first link of a tenant follows."""
    return hashlib.sha256(f"malha:audit:{tenant_id}".encode()).digest()


def link(before: bytes, entry: Entry) -> bytes:
    """The hash of `entry` as the follower of `before`: SHA-256 over both, the entry as canonical JSON."""
    text = json.dumps(
        [entry.tenant_id, entry.id, format_instant(entry.at), entry.actor, entry.action, entry.subject, entry.details, entry.personal],
        ensure_ascii=False, sort_keys=True, separators=(",", ":"),
    )  # fmt: skip
    return hashlib.sha256(before + text.encode()).digest()
