"""The table of loads. Private to this room."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from malha.context.store.contracts import EntityDocument, StoredEntity
from malha.ingest.runs.contracts import Counts, Run, RunKind, RunState, Source, UnknownRun
from malha.kernel.text import msg

COLUMNS = (
    "id, tenant_id, kind, title, state, type, counts, expected_rows, coalesce(sha256, '') AS sha256, error, notes, actor, answers, position, stop_asked, tries,"
    " source_id, parent_id, created_at, started_at, heard_at, finished_at, undone_at, undone_by"
)
SOURCE_COLUMNS = "id, tenant_id, connector, settings, progress, every_seconds, enabled, failures, last_error, last_heard_at, next_at"


def _run(row: Mapping[str, Any]) -> Run:
    made = dict(row)
    return Run(**made | {"kind": RunKind(row["kind"]), "state": RunState(row["state"]), "counts": Counts(**row["counts"]), "notes": tuple(row["notes"])})


def insert(conn: psycopg.Connection[Any], tenant_id: int, *, kind: RunKind, title: str, **columns: object) -> int:
    """A new load, waiting."""
    values: dict[str, object] = {"tenant_id": tenant_id, "kind": kind.value, "title": title[:255], **columns}
    if isinstance(values.get("answers"), dict):
        values["answers"] = Jsonb(values["answers"])
    names = ", ".join(values)
    row = conn.execute(f"INSERT INTO ingest_run ({names}) VALUES ({', '.join(['%s'] * len(values))}) RETURNING id", list(values.values())).fetchone()
    assert row
    return int(row[0])


def get(conn: psycopg.Connection[Any], tenant_id: int, run_id: int) -> Run:
    """The load with that id. Raises UnknownRun."""
    with conn.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(f"SELECT {COLUMNS} FROM ingest_run WHERE tenant_id = %s AND id = %s", [tenant_id, run_id]).fetchone()
    if row is None:
        raise UnknownRun(msg("Não há nenhuma carga com o número {id}."), id=run_id)
    return _run(row)


def several(conn: psycopg.Connection[Any], tenant_id: int, run_ids: Sequence[int]) -> list[Run]:
    """These loads; those that are not there any more are left out."""
    with conn.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(f"SELECT {COLUMNS} FROM ingest_run WHERE tenant_id = %s AND id = ANY(%s)", [tenant_id, list(run_ids)]).fetchall()
    return [_run(row) for row in found]


def told(conn: psycopg.Connection[Any], tenant_id: int, run_ids: Sequence[int]) -> dict[int, tuple[str, str]]:
    """Who asked for these loads, and what they were called; those that are not there any more are left out."""
    found = conn.execute("SELECT id, actor, title FROM ingest_run WHERE tenant_id = %s AND id = ANY(%s)", [tenant_id, list(run_ids)]).fetchall()
    return {row[0]: (row[1], row[2]) for row in found}


def latest(conn: psycopg.Connection[Any], tenant_id: int, limit: int, offset: int, sha256: str = "", kinds: Sequence[str] = ()) -> list[Run]:
    """Loads, newest first; of one file when `sha256` is given."""
    with conn.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(
            f"SELECT {COLUMNS} FROM ingest_run WHERE tenant_id = %s AND (%s = '' OR sha256 = %s) AND (%s OR kind = ANY(%s))"
            " ORDER BY created_at DESC, id DESC LIMIT %s OFFSET %s",
            [tenant_id, sha256, sha256, not kinds, list(kinds), limit, offset],
        ).fetchall()
    return [_run(row) for row in found]


def update(conn: psycopg.Connection[Any], tenant_id: int, run_id: int, **columns: object) -> None:
    """Change columns of a load; dicts and lists go as JSON, `Counts` as their members."""
    values = {name: _json(value) for name, value in columns.items()}
    pairs = ", ".join(f"{name} = %s" for name in values)
    conn.execute(f"UPDATE ingest_run SET {pairs} WHERE tenant_id = %s AND id = %s", [*values.values(), tenant_id, run_id])


def _json(value: object) -> object:
    if isinstance(value, Counts):
        return Jsonb(dataclasses.asdict(value))
    if isinstance(value, (dict, list)):
        return Jsonb(value)
    return value


def children(conn: psycopg.Connection[Any], tenant_id: int, run_id: int) -> list[int]:
    """Loads that mended rows of this one, newest first."""
    found = conn.execute(
        "SELECT id FROM ingest_run WHERE tenant_id = %s AND parent_id = %s AND state <> 'undone' ORDER BY id DESC", [tenant_id, run_id]
    ).fetchall()
    return [int(row[0]) for row in found]


def interrupted(conn: psycopg.Connection[Any], tenant_id: int, silent_seconds: float, kind: RunKind = RunKind.FILE) -> list[int]:
    """Loads of kept files that say they run and have not been heard of: their process died. One that was to stop has stopped."""
    silent = "tenant_id = %s AND state = 'running' AND kind = %s AND sha256 IS NOT NULL AND coalesce(heard_at, started_at) < now() - %s * interval '1 second'"
    given = [tenant_id, kind.value, silent_seconds]
    if kind is RunKind.HISTORY:
        conn.execute(f"UPDATE ingest_run SET state = 'stopped' WHERE {silent} AND stop_asked", given)
    return [int(row[0]) for row in conn.execute(f"SELECT id FROM ingest_run WHERE {silent}", given).fetchall()]


def sources(conn: psycopg.Connection[Any], tenant_id: int) -> list[Source]:
    """The sources set up in a tenant."""
    with conn.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(f"SELECT {SOURCE_COLUMNS} FROM ingest_source WHERE tenant_id = %s ORDER BY connector", [tenant_id]).fetchall()
    return [Source(**row) for row in found]


def update_source(conn: psycopg.Connection[Any], tenant_id: int, source_id: int, **columns: object) -> None:
    """Change columns of a source."""
    values = {name: _json(value) for name, value in columns.items()}
    pairs = ", ".join(f"{name} = %s" for name in values)
    conn.execute(f"UPDATE ingest_source SET {pairs} WHERE tenant_id = %s AND id = %s", [*values.values(), tenant_id, source_id])


def keep_removed(conn: psycopg.Connection[Any], tenant_id: int, run_id: int, entities: Sequence[StoredEntity]) -> None:
    """Keep things as they are before a replacement takes them away."""
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO ingest_removed (tenant_id, run_id, uri, types, scopes, attributes) VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            [(tenant_id, run_id, one.uri, list(one.types), list(one.scopes), Jsonb(one.attributes)) for one in entities],
        )


def removed(conn: psycopg.Connection[Any], tenant_id: int, run_id: int) -> list[EntityDocument]:
    """Things that a replacement took away, as they were."""
    found = conn.execute("SELECT uri, types, attributes, scopes FROM ingest_removed WHERE tenant_id = %s AND run_id = %s", [tenant_id, run_id]).fetchall()
    return [EntityDocument(row[0], tuple(row[1]), row[2], tuple(row[3])) for row in found]
