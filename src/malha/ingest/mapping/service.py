"""Answers remembered by header, offered again; drafts of guided loads. Django-free."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import psycopg
from psycopg.types.json import Jsonb

from malha.ingest.mapping import suggest
from malha.ingest.mapping.contracts import Answers, MappingError, from_json, to_json
from malha.ingest.mapping.names import plain
from malha.kernel.text import msg
from malha.sources.base.contracts import Tenancy
from malha.sources.tabular.contracts import Reading, TableShape, TextBatch
from malha.vocabulary.models.contracts import DataModel


def signature(reading: Reading) -> str:
    """What tells tables of the same make: their headers, whatever their order of bytes, sheet or delimiter."""
    return hashlib.sha256("\x1f".join(plain(name) for name in reading.columns).encode()).hexdigest()


def remember(conn: psycopg.Connection[Any], tenant_id: int, answers: Answers) -> None:
    """Keep the answers for the next table with this header."""
    conn.execute(
        "INSERT INTO ingest_answers (tenant_id, signature, answers) VALUES (%s, %s, %s)"
        " ON CONFLICT (tenant_id, signature) DO UPDATE SET answers = excluded.answers, used_at = now()",
        [tenant_id, signature(answers.reading), Jsonb(to_json(answers))],
    )


def remembered(conn: psycopg.Connection[Any], tenant_id: int, reading: Reading) -> Answers | None:
    """The answers given for a table with this header, read as this file has to be read. None when there are none."""
    row = conn.execute("SELECT answers FROM ingest_answers WHERE tenant_id = %s AND signature = %s", [tenant_id, signature(reading)]).fetchone()
    if row is None:
        return None
    kept = from_json(row[0])
    renamed = dict(zip(kept.reading.columns, reading.columns, strict=True))
    answers = json.loads(json.dumps(to_json(kept)))
    for name, now in renamed.items():
        if name != now:
            answers = _renamed(answers, name, now)
    return replace(from_json(answers), reading=reading)


def answered_at(conn: psycopg.Connection[Any], tenant_id: int, reading: Reading) -> datetime | None:
    """When answers for a table with this header were last used; None when there are none."""
    row = conn.execute("SELECT used_at FROM ingest_answers WHERE tenant_id = %s AND signature = %s", [tenant_id, signature(reading)]).fetchone()
    return row[0] if row else None


def _renamed(data: Any, name: str, now: str) -> Any:
    """The same answers where a column is called otherwise (`Código ` for `codigo`)."""
    data["key"] = [now if column == name else column for column in data["key"]]
    data["time"]["columns"] = [now if column == name else column for column in data["time"]["columns"]]
    for axis in ("x", "y"):
        data["place"][axis] = now if data["place"][axis] == name else data["place"][axis]
    for column in data["columns"]:
        column["column"] = now if column["column"] == name else column["column"]
    return data


def offer(
    conn: psycopg.Connection[Any], tenant_id: int, shape: TableShape, sample: TextBatch, title: str, tenancy: Tenancy, crs: str, models: list[DataModel]
) -> tuple[Answers, bool]:
    """The answers to begin with, and whether they were given before for such a table."""
    kept = remembered(conn, tenant_id, shape.reading)
    if kept is not None:
        return kept, True
    return suggest.answers_for(shape, sample, title, tenancy, crs, models), False


def check(answers: Answers) -> None:
    """Raise MappingError when answers name columns that the table does not have, or two columns want one attribute."""
    known = set(answers.reading.columns)
    used = [*answers.key, *answers.time.columns, answers.place.x, answers.place.y, *(column.column for column in answers.columns)]
    for name in used:
        if name and name not in known:
            raise MappingError(msg("A tabela não tem a coluna “{name}”."), name=name)
    taken: set[str] = set()
    for column in answers.columns:
        if column.comes_in and column.attribute in taken:
            raise MappingError(msg("Duas colunas dão “{name}”; escolha outro nome para uma."), name=column.attribute)
        taken |= {column.attribute} if column.comes_in else set()
    if not answers.type:
        raise MappingError(msg("Falta dizer o que é cada linha."))


@dataclass(frozen=True, slots=True)
class Draft:
    """A guided load in the middle. `facts` is what was found in the file, kept so that each page need not read it again."""

    id: UUID
    sha256: str
    name: str
    answers: Answers | None
    facts: dict[str, Any]
    run_id: int | None = None


def new_draft(conn: psycopg.Connection[Any], tenant_id: int, sha256: str, name: str, actor: str) -> UUID:
    """Begin a guided load."""
    row = conn.execute(
        "INSERT INTO ingest_draft (tenant_id, sha256, name, actor) VALUES (%s, %s, %s, %s) RETURNING id", [tenant_id, sha256, name[:255], actor]
    ).fetchone()
    assert row
    return UUID(str(row[0]))


def draft(conn: psycopg.Connection[Any], tenant_id: int, draft_id: UUID) -> Draft | None:
    """The guided load with that id."""
    row = conn.execute("SELECT id, sha256, name, answers, facts, run_id FROM ingest_draft WHERE tenant_id = %s AND id = %s", [tenant_id, draft_id]).fetchone()
    if row is None:
        return None
    return Draft(UUID(str(row[0])), row[1], row[2], from_json(row[3]) if row[3] else None, row[4], row[5])


def save_draft(
    conn: psycopg.Connection[Any], tenant_id: int, draft_id: UUID, answers: Answers, facts: dict[str, Any] | None = None, run_id: int | None = None
) -> None:
    """Keep what was answered so far."""
    conn.execute(
        "UPDATE ingest_draft SET answers = %s, facts = coalesce(%s, facts), run_id = coalesce(%s, run_id), changed_at = now() WHERE tenant_id = %s AND id = %s",
        [Jsonb(to_json(answers)), Jsonb(facts) if facts is not None else None, run_id, tenant_id, draft_id],
    )


def open_drafts(conn: psycopg.Connection[Any], tenant_id: int, limit: int = 5) -> list[Draft]:
    """Guided loads that somebody left in the middle during the last week, newest first."""
    found = conn.execute(
        "SELECT id, sha256, name, answers, facts, run_id FROM ingest_draft WHERE tenant_id = %s AND run_id IS NULL AND changed_at > now() - interval '7 days'"
        " ORDER BY changed_at DESC LIMIT %s",
        [tenant_id, limit],
    ).fetchall()
    return [Draft(UUID(str(row[0])), row[1], row[2], from_json(row[3]) if row[3] else None, row[4], row[5]) for row in found]


def to_json_reading(reading: Reading) -> dict[str, Any]:
    """How a table is read, as plain JSON."""
    built: dict[str, Any] = msgspec.to_builtins(reading)
    return built


def as_json(answers: Answers) -> dict[str, Any]:
    """The answers as plain JSON, for files and commands."""
    return to_json(answers)
