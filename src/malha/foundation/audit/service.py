"""Write the trail, chain it, and find out whether anybody changed it. Django-free.

Rows are added unchained by whoever acts, because a chain written in line would make all writers wait for
each other; the worker chains them in batches. The head of each chain is kept once a day, in the database
and in `audit/anchors.jsonl` of the data folder, so that rewriting a whole chain shows too.
"""

from __future__ import annotations

import json
from pathlib import Path

import psycopg

from malha.foundation.audit import queries, rules
from malha.foundation.audit.contracts import PLATFORM, Entry, Fault, Verdict
from malha.foundation.database import service as database
from malha.foundation.settings import service as settings
from malha.kernel.time import now

#: key of the advisory lock that lets one worker at a time extend a tenant's chain
LOCK = 8725


def record(tenant_id: int | None, actor: str, action: str, subject: str, details: dict[str, object] | None = None, personal: bool = False) -> None:
    """Note what somebody did, in the transaction that is open now: what is undone was never done.

    `actor` is `person:<id>`, `client:<id>` or a word of ours; `action` is `room.verb`; `subject` names what it was
    done to, without personal data. Without tenant it goes to the platform's own chain.
    """
    record_on(database.current(), tenant_id, actor, action, subject, details, personal=personal)


def record_on(
    connection: psycopg.Connection,
    tenant_id: int | None,
    actor: str,
    action: str,
    subject: str,
    details: dict[str, object] | None = None,
    *,
    personal: bool = False,
) -> None:
    """The same on a psycopg connection that is inside a tenant transaction."""
    if tenant_id is not None:
        queries.insert(connection, tenant_id, actor, action, subject, details, personal=personal)
        return
    before = connection.execute("SELECT coalesce(current_setting('malha.tenants', true), '')").fetchone() or ("",)
    with database.tenant_transaction(connection, [PLATFORM]):
        queries.insert(connection, PLATFORM, actor, action, subject, details, personal=personal)
        connection.execute("SELECT set_config('malha.tenants', %s, true)", before)


def entries(
    connection: psycopg.Connection, tenant_id: int, *, before: int | None = None, personal: bool = False, action: str = "", actor: str = "", limit: int = 50
) -> list[Entry]:
    """One page of the trail, newest first. `action` may be a beginning ("access.")."""
    return queries.page(connection, tenant_id, before=before, personal=personal, action=action, actor=actor, limit=limit)


def chain(connection: psycopg.Connection, tenant_id: int) -> int:
    """Link the entries that have none yet; returns how many. One at a time per tenant."""
    done = 0
    while True:
        with database.tenant_transaction(connection, [tenant_id]):
            if not _alone(connection, tenant_id):
                return done
            waiting = queries.unchained(connection, tenant_id)
            seq, digest = queries.head(connection, tenant_id)
            links = []
            for entry in waiting:
                seq, digest = seq + 1, rules.link(digest, entry)
                links.append((seq, entry.id, digest))
            if links:
                queries.append(connection, tenant_id, links)
            done += len(links)
        if not waiting:
            return done


def _alone(connection: psycopg.Connection, tenant_id: int) -> bool:
    row = connection.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", [LOCK, tenant_id]).fetchone()
    return bool(row and row[0])


def anchor(connection: psycopg.Connection, tenant_id: int) -> bool:
    """Keep today's head of the chain, once a day, in the database and beside it. False when it was kept already."""
    with database.tenant_transaction(connection, [tenant_id]):
        seq, digest = queries.head(connection, tenant_id)
        today = now().date()
        if seq == 0 or not queries.anchor(connection, tenant_id, today, seq, digest):
            return False
        place = anchors_file()
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with place.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"tenant": tenant_id, "day": today.isoformat(), "seq": seq, "hash": digest.hex()}) + "\n")
        return True


def anchors_file() -> Path:
    """Where heads are kept outside the database, one JSON object a line."""
    return settings.current().data / "audit" / "anchors.jsonl"


def verify(connection: psycopg.Connection, tenant_id: int) -> Verdict:
    """Walk a tenant's chain and name the first row that was altered, is missing, or was rewritten."""
    with database.tenant_transaction(connection, [tenant_id]):
        waiting = len(queries.unchained(connection, tenant_id))
        heads = _known_heads(connection, tenant_id)
        digest, expected = rules.genesis(tenant_id), 1
        for seq, entry_id, kept, entry in queries.chain(connection, tenant_id):
            fault = _fault(seq, expected, kept, entry, digest, heads)
            if fault is not None:
                return Verdict(tenant_id, expected - 1, waiting, fault, expected if fault == Fault.UNLINKED else seq, entry_id)
            digest, expected = kept, expected + 1
        if heads and max(heads) >= expected:  # the end was cut off
            return Verdict(tenant_id, expected - 1, waiting, Fault.UNLINKED, expected)
        return Verdict(tenant_id, expected - 1, waiting)


def _fault(seq: int, expected: int, kept: bytes, entry: Entry | None, before: bytes, heads: dict[int, set[bytes]]) -> Fault | None:
    if seq != expected:
        return Fault.UNLINKED
    if entry is None:
        return Fault.MISSING
    if rules.link(before, entry) != kept:
        return Fault.ALTERED
    if heads.get(seq, {kept}) != {kept}:
        return Fault.REWRITTEN
    return None


def _known_heads(connection: psycopg.Connection, tenant_id: int) -> dict[int, set[bytes]]:
    heads: dict[int, set[bytes]] = {}
    for _day, seq, digest in queries.anchors(connection, tenant_id):
        heads.setdefault(seq, set()).add(digest)
    place = anchors_file()
    if place.exists():
        for line in place.read_text(encoding="utf-8").splitlines():
            kept = json.loads(line)
            if kept["tenant"] == tenant_id:
                heads.setdefault(kept["seq"], set()).add(bytes.fromhex(kept["hash"]))
    return heads
