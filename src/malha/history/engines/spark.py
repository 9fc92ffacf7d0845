"""Spark Connect (extra `spark`): Apache Spark, or Sail, over the Parquet files of the lake, for what outgrows one machine.

The server must reach the same files: a shared folder, or the object store with its own key. It sees no hot rows: what was
not compacted yet (at most an hour) is not in the answer. Files whose rows were partly deleted or corrected are copied without
those rows first, because Parquet alone does not say so; nightly upkeep writes them anew, so that there are few.
"""

from __future__ import annotations

import threading
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from malha.foundation.settings import service as settings
from malha.history.engines import coarse, dialects, service
from malha.history.engines.answering import TIMEOUT_SECONDS, Tail, plain
from malha.history.engines.contracts import EngineUnreachable, TooSlow
from malha.history.engines.dialects import Dialect
from malha.history.engines.service import Connection
from malha.history.engines.specification import Question, Table
from malha.kernel.text import msg


class Spark:
    """One session with a Spark Connect server."""

    dialect = Dialect.SPARK

    def __init__(self, session: Any, name: str = "spark") -> None:
        self.session, self.name = session, name
        session.conf.set("spark.sql.session.timeZone", "UTC")
        # the lake writes floats as BYTE_STREAM_SPLIT, which Apache Spark reads row by row only
        session.conf.set("spark.sql.parquet.enableVectorizedReader", "false")

    def answer(self, tenant_id: int, question: Question, *, tail: Tail | None = None, timeout_seconds: float = TIMEOUT_SECONDS) -> pa.Table:  # noqa: ARG002 -- no hot rows here
        """See Engine. Only the files of this tenant are made known to the session, and the tenant's filter is on them too."""
        relation = self._view(tenant_id, question.table)
        statement = dialects.compile_question(question, self.dialect, relation, tenant_id)
        late = threading.Event()

        def stop() -> None:
            late.set()
            self.session.interruptAll()

        alarm = threading.Timer(timeout_seconds, stop)
        alarm.start()
        try:
            return plain(self.session.sql(statement).toArrow())
        except Exception as reason:
            if late.is_set():
                raise TooSlow(msg("A pergunta ao histórico demorou mais de {seconds} s. Peça um período menor."), seconds=round(timeout_seconds)) from reason
            raise
        finally:
            alarm.cancel()

    def _view(self, tenant_id: int, table: Table) -> str:
        """A view over the files of a table, as of the lake's newest snapshot."""
        snapshot, files = service.run([tenant_id], lambda reader: files_of(reader, tenant_id, table))
        name = f"t{int(tenant_id)}_{table.value}_{snapshot}"
        # the columns are said, not found in the files: not all have the same, and maps of sketches are nobody's question
        read = self.session.read.schema(_columns(table)).parquet(*files) if files else self.session.createDataFrame([], _columns(table))
        if table is Table.OBSERVATION:
            read = read.where("op = 0")
        if table is Table.HOUR and (thin := service.run([tenant_id], lambda reader: coarse.of_tenant(reader, tenant_id))):
            observed = self._view(tenant_id, Table.OBSERVATION)
            read = read.unionByName(self.session.sql(_HOURS.format(observed=observed, condition=thin.condition())))
        read.createOrReplaceTempView(name)
        return name


@cache
def at(place: str) -> Spark:
    """The session with the server at `sc://host:port`. Raises EngineUnreachable."""
    try:
        from pyspark.sql import SparkSession  # noqa: PLC0415 -- an extra of its own

        return Spark(SparkSession.builder.remote(place).getOrCreate())
    except Exception as reason:  # whatever a library of an extra may say
        raise EngineUnreachable(msg("O motor {place} não responde: {reason}"), place=place, reason=str(reason)[:200]) from reason


def files_of(reader: Connection, tenant_id: int, table: Table) -> tuple[int, list[str]]:
    """The newest snapshot, and the files that hold a table of it, those with deleted rows as copies without them."""
    schema = service.tenant_schema(tenant_id)
    row = reader.execute("SELECT id FROM lake.current_snapshot()").fetchone()
    listed = reader.execute(f"SELECT data_file, delete_file FROM ducklake_list_files('lake', '{table.value}', schema => '{schema}')").fetchall()
    folder = settings.current().data / "tmp" / "spark" / schema
    return (row[0] if row else 0), [file if not gone else str(_copy(reader, folder, file, gone, _columns(table))) for file, gone in listed]


def _copy(reader: Connection, folder: Path, file: str, gone: str, columns: str) -> Path:
    from pyarrow import parquet  # noqa: PLC0415 -- only where rows were deleted

    target = folder / f"{Path(gone).stem}-rows.parquet"
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        kept = reader.execute(
            f"SELECT {', '.join(part.split()[0] for part in columns.split(', '))} FROM read_parquet(?, file_row_number => true)"
            " WHERE file_row_number NOT IN (SELECT pos FROM read_parquet(?))",
            [file, gone],
        ).to_arrow_table()
        parquet.write_table(kept, target.with_suffix(".part"), compression="zstd")
        target.with_suffix(".part").rename(target)
    return target


#: hours of months that keep none, from their values
_HOURS = """SELECT x.tenant_id, x.type, x.attribute, x.entity_id, x.dataset_id, x.unit, count(x.num) AS count, sum(x.num) AS sum, min(x.num) AS minimum,
    max(x.num) AS maximum, min_by(x.num, x.observed_at) AS first, max_by(x.num, x.observed_at) AS last, date_trunc('HOUR', x.observed_at) AS bucket
FROM {observed} AS x WHERE x.num IS NOT NULL AND {condition} GROUP BY x.tenant_id, x.type, x.attribute, x.entity_id, x.dataset_id, x.unit, date_trunc('HOUR', x.observed_at)"""


def _columns(table: Table) -> str:
    sums = "count BIGINT, sum DOUBLE, minimum DOUBLE, maximum DOUBLE, first DOUBLE, last DOUBLE, bucket TIMESTAMP"
    if table is Table.ENTITY:
        return "tenant_id BIGINT, entity_id BIGINT, uri STRING, type STRING, name STRING, parish STRING"
    own = (
        "observed_at TIMESTAMP, num DOUBLE, txt STRING, kind SMALLINT, quality SMALLINT, run_id BIGINT, op SMALLINT, month INT"
        if table is Table.OBSERVATION
        else sums
    )
    return f"tenant_id BIGINT, type STRING, attribute STRING, entity_id BIGINT, dataset_id INT, unit STRING, {own}"
