"""Quarantine: keep rows that cannot go in, show them by reason, settle a group at once. Django-free.

Nothing is dropped by itself: a row leaves quarantine when it is mended (a later run took it in) or when somebody drops it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from malha.foundation.language import service as words
from malha.ingest.quality.contracts import Group, HeldRow, UnknownGroup
from malha.kernel.text import msg
from malha.sources.base.contracts import Refused

#: the columns that our own workbook adds, and that are taken away again when it is brought back
ROW_COLUMNS = {"pt": "linha", "en": "row"}
WHY_COLUMNS = {"pt": "porquê", "en": "why"}


def hold(conn: psycopg.Connection[Any], tenant_id: int, run_id: int, refused: Iterable[Refused]) -> int:
    """Put rows aside; the same row for the same reason waits once. Returns how many are new."""
    rows = [(tenant_id, run_id, r.row_number, r.code, r.path, r.message, r.mend, Jsonb(dict(r.cells))) for r in refused]
    if not rows:
        return 0
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO ingest_held (tenant_id, run_id, row_no, code, path, message, mend, cells) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)"
            " ON CONFLICT DO NOTHING",
            rows,
        )
    return len(rows)


def held(conn: psycopg.Connection[Any], tenant_id: int, run_id: int) -> int:
    """How many rows of a load were put aside, settled since or not."""
    row = conn.execute("SELECT count(*) FROM ingest_held WHERE tenant_id = %s AND run_id = %s", [tenant_id, run_id]).fetchone()
    return int(row[0]) if row else 0


def groups(conn: psycopg.Connection[Any], tenant_id: int, run_id: int | None = None) -> list[Group]:
    """What waits, by load and reason, most rows first; three rows of each as examples."""
    found = conn.execute(
        "SELECT run_id, code, path, min(message), min(mend), count(*), (array_agg(cells ORDER BY row_no))[1:3] FROM ingest_held"
        " WHERE tenant_id = %s AND state = 'waiting' AND (%s::bigint IS NULL OR run_id = %s) GROUP BY run_id, code, path ORDER BY run_id DESC, count(*) DESC",
        [tenant_id, run_id, run_id],
    ).fetchall()
    return [Group(row[0], row[1], row[2], row[3], row[4], row[5], tuple(row[6] or ())) for row in found]


def group(conn: psycopg.Connection[Any], tenant_id: int, run_id: int, code: str, path: str) -> Group:
    """One group. Raises UnknownGroup when nothing waits there."""
    for found in groups(conn, tenant_id, run_id):
        if (found.code, found.path) == (code, path):
            return found
    raise UnknownGroup(msg("Já não há linhas à espera por essa razão."))


def waiting(conn: psycopg.Connection[Any], tenant_id: int) -> int:
    """How many rows wait in all."""
    row = conn.execute("SELECT count(*) FROM ingest_held WHERE tenant_id = %s AND state = 'waiting'", [tenant_id]).fetchone()
    return int(row[0]) if row else 0


def rows(conn: psycopg.Connection[Any], tenant_id: int, run_id: int, code: str | None = None, path: str = "", limit: int | None = None) -> Iterator[HeldRow]:
    """The rows that wait, in order of the file; of one group when `code` is given."""
    found = conn.execute(
        "SELECT id, run_id, row_no, code, path, message, cells FROM ingest_held WHERE tenant_id = %s AND run_id = %s AND state = 'waiting'"
        " AND (%s::text IS NULL OR (code = %s AND path = %s)) ORDER BY row_no LIMIT %s",
        [tenant_id, run_id, code, code, path, limit],
    )
    for row in found:
        yield HeldRow(*row)


def rows_for(conn: psycopg.Connection[Any], tenant_id: int, run_id: int, code: str, limit: int) -> list[HeldRow]:
    """The first rows that wait for one reason, in whatever column."""
    found = conn.execute(
        "SELECT id, run_id, row_no, code, path, message, cells FROM ingest_held WHERE tenant_id = %s AND run_id = %s AND state = 'waiting' AND code = %s"
        " ORDER BY row_no LIMIT %s",
        [tenant_id, run_id, code, limit],
    ).fetchall()
    return [HeldRow(*row) for row in found]


def row(conn: psycopg.Connection[Any], tenant_id: int, run_id: int, row_id: int) -> HeldRow | None:
    """One row that waits; None when it waits no longer."""
    found = conn.execute(
        "SELECT id, run_id, row_no, code, path, message, cells FROM ingest_held WHERE tenant_id = %s AND run_id = %s AND id = %s AND state = 'waiting'",
        [tenant_id, run_id, row_id],
    ).fetchone()
    return HeldRow(*found) if found else None


def settle(conn: psycopg.Connection[Any], tenant_id: int, ids: Sequence[int], state: str, mended_by: int | None = None) -> int:
    """Take rows out of quarantine: `state` is mended or dropped."""
    done = conn.execute(
        "UPDATE ingest_held SET state = %s, mended_by = %s, settled_at = now() WHERE tenant_id = %s AND id = ANY(%s) AND state = 'waiting'",
        [state, mended_by, tenant_id, list(ids)],
    )
    return done.rowcount


def settle_run(conn: psycopg.Connection[Any], tenant_id: int, run_id: int) -> None:
    """A load was undone: what waited from it waits no longer."""
    conn.execute("UPDATE ingest_held SET state = 'dropped', settled_at = now() WHERE tenant_id = %s AND run_id = %s AND state = 'waiting'", [tenant_id, run_id])


def write_workbook(conn: psycopg.Connection[Any], tenant_id: int, run_id: int, target: Path, headers: Sequence[str], language: str = "pt") -> int:
    """The rows that wait as XLSX, the reason in the column “porquê” (“why”); it can be mended and brought back. Returns how many rows.

    Cells are text: a formula in them is never run.
    """
    written, tongue = 0, "en" if language.startswith("en") else "pt"
    columns = list(headers)
    import xlsxwriter  # noqa: PLC0415 -- slow to read, and few processes write workbooks

    with xlsxwriter.Workbook(
        str(target), {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    ) as book:
        sheet = book.add_worksheet("quarantine" if tongue == "en" else "quarentena")
        bold = book.add_format({"bold": True})
        sheet.freeze_panes(1, 0)
        sheet.write_row(0, 0, [*columns, ROW_COLUMNS[tongue], WHY_COLUMNS[tongue]], bold)
        for held in rows(conn, tenant_id, run_id):
            written += 1
            for position, value in enumerate(_in_order(held.cells, columns)):
                if value is not None:
                    sheet.write_string(written, position, str(value))
            sheet.write_number(written, len(columns), held.row_number)
            why = words.word(held.message, language)
            sheet.write_string(written, len(columns) + 1, f"{held.path}: {why}" if held.path else why)
    return written


def _in_order(cells: Mapping[str, object], columns: Sequence[str]) -> list[object]:
    if all(key in cells for key in columns[:1]) or not cells or not all(key.isdigit() for key in cells):
        return [cells.get(name) for name in columns]
    return [cells.get(str(position)) for position in range(len(columns))]
