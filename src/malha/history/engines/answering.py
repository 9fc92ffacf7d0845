"""Engines behind one protocol: DuckDB over the lake, PostgreSQL over the hot rows, Spark Connect over the lake's files.

Each takes a typed question of one tenant and answers with an Arrow table: instants in UTC, whole numbers as int64, other
numbers as float64, a bucket of days or months as a date of the tenant's zone. Nothing is written anywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Protocol

import psycopg
import pyarrow as pa

from malha.foundation.database import service as database
from malha.foundation.settings import service as settings
from malha.history.engines import coarse, dialects, layout, service, sums
from malha.history.engines.contracts import TooSlow
from malha.history.engines.dialects import Dialect
from malha.history.engines.layout import Layout
from malha.history.engines.service import Connection
from malha.history.engines.specification import COLUMNS, NotImplementedThere, Question, Table
from malha.kernel.text import msg

TIMEOUT_SECONDS = 30.0
#: hot rows newer than a lake snapshot, given a reader inside that snapshot's transaction, or the files of that snapshot
type Tail = Callable[[Connection, Layout | None], pa.Table]


class Engine(Protocol):
    """What answers questions."""

    name: str
    dialect: Dialect

    def answer(self, tenant_id: int, question: Question, *, tail: Tail | None = None, timeout_seconds: float = TIMEOUT_SECONDS) -> pa.Table:
        """The answer. Raises UnusableQuestion, NotImplementedThere, TooSlow, Busy."""


def chosen() -> Engine:
    """The engine of `MALHA_ENGINE`: DuckDB in this process, or the Spark Connect server that it names."""
    place = settings.current().engine
    if place.startswith("sc://"):
        from malha.history.engines import spark  # noqa: PLC0415 -- an extra of its own

        return spark.at(place)
    return Duck()


class Duck:
    """DuckDB over the lake, in a reader locked to the tenant's folder; with `tail`, hot rows take the place of older ones."""

    name, dialect = "duckdb", Dialect.DUCKDB

    def answer(self, tenant_id: int, question: Question, *, tail: Tail | None = None, timeout_seconds: float = TIMEOUT_SECONDS) -> pa.Table:
        """See Engine."""
        schema, table = service.tenant_schema(tenant_id), question.table
        stored, statement = f"lake.{schema}.{table.value}", dialects.compile_question(question, self.dialect, "held", tenant_id)
        wanted = (question.start or layout.FIRST, question.end or layout.LAST, question.entities or None)

        def asked(reader: Connection, relation: str, hot: pa.Table | None) -> pa.Table:
            if table is Table.OBSERVATION:
                if hot is not None and hot.num_rows:
                    reader.register("hot", hot)
                    relation = with_hot(relation)
                else:
                    relation = f"(SELECT * FROM {relation} WHERE op = 0)"
            return reader.execute(f"WITH held AS (SELECT * FROM {relation}) {statement}").to_arrow_table()

        def work(reader: Connection) -> pa.Table:
            hot = tail if table is Table.OBSERVATION else None
            known = layout.kept(schema) if hot else layout.now(schema)
            if table is not Table.HOUR and known is not None and (not hot or known.noted):
                found = hot(reader, known) if hot else None
                alone = found is None or not found.num_rows
                if alone and (summed := sums.instead(question, known, reader, tenant_id)) is not None:
                    there = known.relation(summed.table.value, summed.start or layout.FIRST, summed.end or layout.LAST, summed.entities)
                    if there != f"lake.{schema}.{summed.table.value}":
                        asks = dialects.compile_question(summed, self.dialect, "held", tenant_id)
                        return sums.told(question, reader.execute(f"WITH held AS (SELECT * FROM {there}) {asks}").to_arrow_table())
                named = f"{statement} op" if alone else ""
                if (relation := known.relation(table.value, *wanted, timeless=alone and not question.tells_time, named=named)) != stored:
                    return asked(reader, relation, found)
            reader.execute("BEGIN")
            try:
                thin = coarse.of_tenant(reader, tenant_id).within(*wanted[:2]) if table is Table.HOUR else coarse.NONE
                return asked(reader, thin.hours(schema, _during(question)) if thin else stored, hot(reader, None) if hot else None)
            finally:
                reader.execute("ROLLBACK")

        return plain(service.run([tenant_id], work, timeout_seconds=timeout_seconds))


def _during(question: Question) -> str:
    """The condition on values that may lie in hours of a question, beside its own on the hours: so that other values are not read."""
    bounds = [(">=", question.start), ("<", question.end and question.end + timedelta(hours=1))]  # the last hour whole
    return "".join(f" AND x.observed_at {sign} TIMESTAMPTZ '{at.isoformat()}'" for sign, at in bounds if at is not None)


def with_hot(stored: str) -> str:
    """Observations of the lake and the registered table `hot` as one: the newest hot row of a key hides the lake's."""
    columns = ", ".join(sorted(COLUMNS[Table.OBSERVATION] | {"tenant_id"}))
    key = "n.entity_id = x.entity_id AND n.attribute = x.attribute AND n.dataset_id = x.dataset_id AND n.observed_at = x.observed_at"
    newest = "SELECT * FROM hot QUALIFY row_number() OVER (PARTITION BY entity_id, attribute, dataset_id, observed_at ORDER BY seq DESC) = 1"
    return f"""(WITH newest AS MATERIALIZED ({newest}) SELECT {columns} FROM newest WHERE op = 0
        UNION ALL SELECT {", ".join(f"x.{name.strip()}" for name in columns.split(","))} FROM {stored} AS x ANTI JOIN newest AS n ON {key} WHERE x.op = 0)"""


class Postgres:
    """PostgreSQL over the hot rows: what came in the last two days, as row-level security shows it."""

    name, dialect = "postgres", Dialect.POSTGRES

    def answer(self, tenant_id: int, question: Question, *, tail: Tail | None = None, timeout_seconds: float = TIMEOUT_SECONDS) -> pa.Table:  # noqa: ARG002 -- it is the tail
        """See Engine. Only observations are hot."""
        if question.table is not Table.OBSERVATION:
            raise NotImplementedThere(msg("O motor {engine} não sabe responder a “{what}”."), engine=self.name, what=question.table.value)
        statement = dialects.compile_question(question, self.dialect, f"({_HOT.format(tenant_id=int(tenant_id))})", tenant_id)
        with database.connect(autocommit=True) as connection, database.tenant_transaction(connection, [tenant_id]):
            connection.execute(
                "SELECT set_config('statement_timeout', %s, true), set_config('transaction_read_only', 'on', true)", [f"{round(timeout_seconds * 1000)}"]
            )
            connection.execute("SET LOCAL TIME ZONE 'UTC'")
            try:
                cursor = connection.execute(statement.replace("%", "%%"))
            except psycopg.errors.QueryCanceled as reason:
                raise TooSlow(msg("A pergunta ao histórico demorou mais de {seconds} s. Peça um período menor."), seconds=round(timeout_seconds)) from reason
            return plain(_as_arrow(cursor))


_HOT = """SELECT * FROM (SELECT DISTINCT ON (o.entity_id, o.attr_id, o.dataset_id, o.observed_at) o.tenant_id, t.name AS type, a.name AS attribute,
    o.entity_id, o.dataset_id, o.observed_at, o.num, o.txt, o.kind, u.name AS unit, o.quality, o.run_id, o.op
FROM observations o JOIN entity_type t ON t.id = o.type_id JOIN attribute a ON a.id = o.attr_id LEFT JOIN unit u ON u.id = o.unit_id
WHERE o.tenant_id = {tenant_id}
ORDER BY o.entity_id, o.attr_id, o.dataset_id, o.observed_at, o.seq DESC) AS newest WHERE op = 0"""
_ARROW_OF = {20: pa.int64(), 21: pa.int64(), 23: pa.int64(), 25: pa.string(), 700: pa.float64(), 701: pa.float64(), 1082: pa.date32(), 1184: pa.timestamp("us", "UTC"), 1700: pa.float64()}  # fmt: skip


def _as_arrow(cursor: psycopg.Cursor[Any]) -> pa.Table:
    columns = list(zip(*cursor.fetchall(), strict=True)) or [()] * len(cursor.description or ())
    return pa.table(
        {
            column.name: pa.array([float(v) if column.type_code == 1700 and v is not None else v for v in values], _ARROW_OF.get(column.type_code))
            for column, values in zip(cursor.description or (), columns, strict=True)
        }
    )


def plain(table: pa.Table) -> pa.Table:
    """The same answer in the types that all engines share."""
    return pa.table({name: _plain(table.column(name)) for name in table.column_names})


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = column.type
    if pa.types.is_integer(kind):
        return column.cast(pa.int64())
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return column.cast(pa.float64())
    if pa.types.is_timestamp(kind):
        return column.cast(pa.timestamp("us", "UTC"))
    return column.cast(pa.string()) if pa.types.is_large_string(kind) or pa.types.is_dictionary(kind) else column
