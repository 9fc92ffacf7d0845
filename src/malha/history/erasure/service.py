"""The door of erasing: see what there is of a person, erase it, prove it, and erase it again after a copy was brought back. Django-free.

Not the deletion of a record (its history is only hidden then): this takes the data themselves out of the current state,
hot rows, events, rows in quarantine, files that came in, the lake's files, search keys, logs, and the pages that held them.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec
import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from malha.foundation.audit import service as audit
from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.foundation.settings import service as settings
from malha.history.erasure import disk, lake, rows, rules
from malha.history.erasure.contracts import Found, Proof
from malha.history.lake import service as lake_service

#: files whose digest changed: rows that name them
_FILES = (
    ("ingest_run", "UPDATE ingest_run SET sha256 = nullif(%(new)s, '') WHERE tenant_id = %(tenant)s AND sha256 = %(old)s"),
    ("ingest_file", "UPDATE ingest_file SET sha256 = %(new)s WHERE tenant_id = %(tenant)s AND sha256 = %(old)s AND %(new)s <> ''"),
    ("ingest_file", "DELETE FROM ingest_file WHERE tenant_id = %(tenant)s AND sha256 = %(old)s"),
    ("export_job", "DELETE FROM export_job WHERE tenant_id = %(tenant)s AND id::text = %(old)s"),
)


def find(tenant_id: int, identifiers: Iterable[str]) -> Found:
    """What there is of a person: changes nothing. Raises TooVague."""
    terms = rules.usable(identifiers)
    pattern = rules.pattern(terms)
    with database.connect(Role.OWNER) as conn:
        entities = rows.entities(conn, tenant_id, pattern)
        counts = rows.found(conn, tenant_id, pattern)
    files = [path.name for path in disk.found(tenant_id, terms)]
    return Found(entities, counts, files, lake.found(tenant_id, pattern, [one.id for one in entities if one.whole]))


def erase(tenant_id: int, identifiers: Iterable[str], *, ground: str, by: str, whole: Sequence[int] | None = None) -> Proof:
    """Erase a person. `whole` are the entities that go altogether (None: those whose address names the person); of the others
    the attributes go that do. Repeats safely: what a killed one left over, the next one finds. Raises TooVague, LakeBusy.
    """
    terms = rules.usable(identifiers)
    pattern = rules.pattern(terms)
    with database.connect(Role.OWNER) as conn:
        entities = rows.entities(conn, tenant_id, pattern)
    ids = sorted({one.id for one in entities if one.whole} if whole is None else set(whole))
    digests = [rules.digest(_key(), term) for term in terms]
    return _erase(tenant_id, terms, ids, digests, ground, by)


def _erase(tenant_id: int, terms: Sequence[str], ids: Sequence[int], digests: Sequence[str], ground: str, by: str) -> Proof:
    """From the first moment its row stands: an `at=` of an instant before it is refused from then on."""
    with database.connect(Role.OWNER) as conn:
        row = conn.execute(
            "INSERT INTO erasure (tenant_id, asked_by, ground, digests, entity_ids) VALUES (%s, %s, %s, %s, %s) RETURNING id",
            [tenant_id, by, ground, list(digests), list(ids)],
        ).fetchone()
    assert row is not None
    try:
        counts, files = _everywhere(tenant_id, terms, ids)
        touched = [name for name in counts if name not in {"uploads", "logs"} and not name.startswith("lake.")]
        scrubbed = rows.scrub(touched, lake.NOTED if any(name.startswith("lake.") for name in counts) else ())
        remains = _remains(tenant_id, terms, ids, scrubbed=scrubbed)
    except Exception as reason:
        with database.connect(Role.OWNER) as conn:
            conn.execute("UPDATE erasure SET failure = %s WHERE tenant_id = %s AND id = %s", [type(reason).__name__, tenant_id, row[0]])
        raise
    return _prove(tenant_id, row[0], counts, files, remains, by)


def _everywhere(tenant_id: int, terms: Sequence[str], ids: Sequence[int]) -> tuple[dict[str, int], list[str]]:
    """Erase in the lake, on disk and in the database. Returns counts by place, and the files that changed."""
    pattern = rules.pattern(terms)
    lake_service.compact(tenant_id)  # nothing is on its way between the two while they are searched
    counts = {f"lake.{name}": count for name, count in lake.erase(tenant_id, pattern, ids).items()}
    changed = disk.erase(tenant_id, terms) if terms else {}
    with database.connect(Role.OWNER) as conn:
        counts |= rows.erase(conn, tenant_id, pattern, ids)
        for old, new in changed.items():
            for table, statement in _FILES:
                counts[table] = counts.get(table, 0) + conn.execute(statement, {"tenant": tenant_id, "old": old, "new": new}).rowcount
    counts |= {"uploads": len(changed), "logs": disk.redact_logs(terms) if terms else 0}
    return {name: count for name, count in counts.items() if count}, list(changed)


def _remains(tenant_id: int, terms: Sequence[str], ids: Sequence[int], *, scrubbed: bool) -> dict[str, int]:
    if not terms:
        return {}
    pattern = rules.pattern(terms)
    with database.connect(Role.OWNER) as conn:
        left = rows.found(conn, tenant_id, pattern)
    left |= {f"lake.{name}": count for name, count in lake.found(tenant_id, pattern, ids).items()}
    if files := len(disk.found(tenant_id, terms)):
        left["uploads"] = files
    return left if scrubbed else left | {"server-log": 1}


def _prove(tenant_id: int, id_: int, counts: dict[str, int], files: Sequence[str], remains: dict[str, int], by: str) -> Proof:
    with database.connect(Role.OWNER) as conn:
        conn.execute(
            "UPDATE erasure SET counts = %s, files = %s, remains = %s, done_at = clock_timestamp() WHERE tenant_id = %s AND id = %s",
            [Jsonb(counts), list(files), Jsonb(remains), tenant_id, id_],
        )
        with conn.cursor(row_factory=class_row(Proof)) as cursor:
            proof = cursor.execute("SELECT * FROM erasure WHERE tenant_id = %s AND id = %s", [tenant_id, id_]).fetchone()
    assert proof is not None
    with database.connect(Role.APP, autocommit=True) as conn, database.tenant_transaction(conn, [tenant_id]):
        audit.record_on(conn, tenant_id, by, "erasure.done", f"erasure:{id_}", {"rows": sum(counts.values())}, personal=True)
    _keep(proof)
    return proof


def proofs(conn: psycopg.Connection[Any], tenant_id: int) -> list[Proof]:
    """The proofs of a tenant, newest first."""
    with conn.cursor(row_factory=class_row(Proof)) as cursor:
        return cursor.execute("SELECT * FROM erasure WHERE tenant_id = %s ORDER BY id DESC", [tenant_id]).fetchall()


def last_done(conn: psycopg.Connection[Any], tenant_id: int) -> datetime | None:
    """When a person's data were last erased: what was known before then cannot be asked any more."""
    row = conn.execute("SELECT max(coalesce(done_at, asked_at)) FROM erasure WHERE tenant_id = %s", [tenant_id]).fetchone()
    return row[0] if row else None


def kept() -> list[Proof]:
    """The erasures of this installation, from the list beside the database."""
    place = settings.current().data / "erasures.jsonl"
    return [msgspec.json.decode(line, type=Proof) for line in place.read_bytes().splitlines()] if place.is_file() else []


def apply_again(wanted: Sequence[Proof], progress: Callable[[Proof], object] = lambda _: None) -> int:
    """Erase what a copy brought back of people whose data were erased after it was made. Returns how many erasures there were."""
    with database.connect(Role.OWNER) as conn:
        done = {(row[0], row[1]) for row in conn.execute("SELECT tenant_id, id FROM erasure WHERE done_at IS NOT NULL").fetchall()}
    count = 0
    for proof in wanted:
        if (proof.tenant_id, proof.id) in done:
            continue
        progress(proof)
        with database.connect(Role.OWNER) as conn:
            terms = rows.recover(conn, proof.tenant_id, _key(), proof.digests)
        terms |= disk.recover(proof.tenant_id, _key(), proof.digests) | lake.recover(proof.tenant_id, _key(), proof.digests)
        _erase(proof.tenant_id, sorted(terms), proof.entity_ids, proof.digests, proof.ground, proof.asked_by)
        count += 1
    return count


def _keep(proof: Proof) -> None:
    """Note an erasure beside the database: a copy takes the list along, and an older copy is then erased by a newer list."""
    place = settings.current().data / "erasures.jsonl"
    place.touch(mode=0o600)
    with place.open("ab") as listed:
        listed.write(msgspec.json.encode(proof) + b"\n")


def ready_to_repeat() -> None:
    """Make the key of the digests where there is none yet: a copy without it could not tell whom to erase again."""
    _key()


def _key() -> bytes:
    place = settings.current().data / "secrets" / "erasure.key"
    if not place.exists():
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        place.touch(mode=0o600)
        place.write_text(secrets.token_hex(32), encoding="ascii")
    return bytes.fromhex(place.read_text(encoding="ascii"))
