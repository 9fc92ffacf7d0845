"""What the pages know of copies: rows that are written when one is made, checked, or fails."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg.rows import class_row

from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.history.backups.contracts import Check, Manifest
from malha.history.backups.repository import Repository

logger = logging.getLogger(__name__)

KEPT = 400


@dataclass(frozen=True, slots=True)
class Record:
    """One copy, as its page tells of it."""

    id: str
    place: str
    made_at: datetime
    seconds: float
    bytes: int
    new_bytes: int
    encrypted: bool
    reaches: datetime | None
    checked_at: datetime | None
    check_ok: bool | None
    check_seconds: float | None
    check_reason: str


@dataclass(frozen=True, slots=True)
class State:
    """All that the page says. `failed_at` only where nothing good came after."""

    records: list[Record]
    failed_at: datetime | None = None
    reason: str = ""


def write(repository: Repository, manifest: Manifest) -> None:
    """A copy was made."""
    with database.connect(Role.OWNER) as connection:
        connection.execute(
            """INSERT INTO backup_record (id, place, made_at, seconds, bytes, new_bytes, encrypted, reaches) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
            ON CONFLICT (id) DO NOTHING""",
            [
                manifest.id, repository.address, manifest.made_at, manifest.seconds, manifest.bytes, manifest.new_bytes, repository.encrypted,
                manifest.made_at if manifest.base else None,
            ],
        )  # fmt: skip
        connection.execute("DELETE FROM backup_record WHERE id NOT IN (SELECT id FROM backup_record ORDER BY made_at DESC LIMIT %s)", [KEPT])
        connection.execute("DELETE FROM backup_failure")


def reached(at: datetime) -> None:
    """The log is in the copies up to here."""
    with database.connect(Role.OWNER) as connection:
        connection.execute(
            "UPDATE backup_record SET reaches = %s WHERE id = (SELECT id FROM backup_record WHERE reaches IS NOT NULL ORDER BY made_at DESC LIMIT 1)", [at]
        )


def checked(check: Check) -> None:
    """A copy was brought back for a rehearsal."""
    with database.connect(Role.OWNER) as connection:
        connection.execute(
            "UPDATE backup_record SET checked_at = %s, check_ok = %s, check_seconds = %s, check_reason = %s WHERE id = %s",
            [check.checked_at, check.ok, check.seconds, check.reason, check.id],
        )


def failed(reason: str) -> None:
    """A copy was not made; where even that cannot be written it is in the worker's log."""
    logger.error("backup failed: %s", reason)
    try:
        with database.connect(Role.OWNER) as connection:
            connection.execute("INSERT INTO backup_failure (reason) VALUES (%s)", [reason[:500]])
    except psycopg.Error:
        logger.exception("backup failure could not be recorded")


def state(connection: psycopg.Connection, limit: int = 30) -> State:
    """The newest copies, and the failure that came after them."""
    with connection.cursor(row_factory=class_row(Record)) as cursor:
        records = cursor.execute("SELECT * FROM backup_record ORDER BY made_at DESC LIMIT %s", [limit]).fetchall()
    row = connection.execute("SELECT at, reason FROM backup_failure ORDER BY at DESC LIMIT 1").fetchone()
    return State(records, *row) if row else State(records)
