"""Rows of any table, wherever they lie: pages in a stable order, counts, groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

from malha.share.datahub import current, past
from malha.share.datahub.contracts import Reader, Table, TableKind
from malha.share.datahub.odata import apply
from malha.share.datahub.odata.apply import Transformed
from malha.share.questions.compiling import Dialect, Statement
from malha.share.questions.contracts import Field
from malha.share.questions.expressions import Node

type Order = Sequence[tuple[str, bool]]


def whole_order(table: Table, order: Order) -> list[tuple[str, bool]]:
    """`order` with the key at its end, so that no two rows stand at one place. Entities end with their number instead."""
    if table.kind is TableKind.CURRENT:
        return list(order)
    named = {name for name, _ in order}
    return [*order, *((name, False) for name in table.key if name not in named)]


def page(
    conn: psycopg.Connection[Any], reader: Reader, table: Table, where: Node | None, order: Order, *,
    after: Sequence[object] = (), skip: int = 0, limit: int = 1000, fields: Sequence[Field] | None = None,
) -> tuple[list[list[object]], list[object]]:  # fmt: skip
    """(rows, where the last of them stands): given back as `after` it goes on from there, whatever was added since."""
    if table.kind is TableKind.CURRENT:
        found = current.page(conn, reader.tenant_id, table, where, order, after=after, skip=skip, limit=limit, fields=fields)
        return found.rows, found.last
    return past.page(conn, reader, table, where, whole_order(table, order), after=after, skip=skip, limit=limit, fields=fields)


def page_and_one(
    conn: psycopg.Connection[Any], reader: Reader, table: Table, where: Node | None, order: Order, *,
    after: Sequence[object] = (), skip: int = 0, limit: int = 1001, fields: Sequence[Field] | None = None,
) -> tuple[list[list[object]], list[object]]:  # fmt: skip
    """As `page`, with the place of the last row but one when all `limit` were there: the one beyond says that there are more."""
    if table.kind is TableKind.CURRENT:
        found = current.page(conn, reader.tenant_id, table, where, order, after=after, skip=skip, limit=limit, fields=fields)
        return found.rows, found.before_last if len(found.rows) == limit else found.last
    return past.page(conn, reader, table, where, whole_order(table, order), after=after, skip=skip, limit=limit, fields=fields, one_more=True)


def count(conn: psycopg.Connection[Any], reader: Reader, table: Table, where: Node | None) -> int:
    """How many rows there are."""
    if table.kind is TableKind.CURRENT:
        return current.count(conn, reader.tenant_id, table, where)
    return past.count(conn, reader, table, where)


def grouped(
    conn: psycopg.Connection[Any], reader: Reader, table: Table, asked: Transformed, result: Table, where: Node | None, order: Order, *, skip: int, limit: int
) -> list[list[object]]:  # fmt: skip
    """Rows of a grouping, ordered by what was asked and then by the groups."""
    there = table.kind is TableKind.CURRENT
    dialect = Dialect.POSTGRES if there else Dialect.DUCKDB
    inner = Statement(dialect, table, current.sql_of if there else past.sql_of)
    outer = Statement(dialect, result, lambda field: f'g."{field.name}"', inner.given)
    source = (lambda: current.relation(conn, reader.tenant_id, inner, table)) if there else (lambda: "FROM wanted WHERE true")
    groups = apply.select(inner, asked, source)
    conditions = [outer.condition(node) for node in (asked.after, where) if node is not None]
    named = {name for name, _ in order}
    full = [*order, *((field.name, False) for field in result.fields if field.name not in named)]
    ordered = f" ORDER BY {outer.order(full)}" if full else ""
    text = f"SELECT g.* FROM ({groups}) g {'WHERE ' + ' AND '.join(conditions) if conditions else ''}{ordered} LIMIT {int(limit)} OFFSET {int(skip)}"
    if there:
        rows = conn.execute(text, inner.given).fetchall()
        return [[float(v) if type(v).__name__ == "Decimal" else v for v in row] for row in rows]
    return [list(row) for row in past.ask(conn, reader, table, text, inner.given)]
