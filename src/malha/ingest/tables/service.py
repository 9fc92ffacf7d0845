"""From a file to a version of a table, and from a version to a file. Django-free."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq

from malha.history.sets import service as sets
from malha.history.sets.contracts import UnusableTable, Version
from malha.ingest.lineage import service as lineage
from malha.kernel.text import msg
from malha.sources.tabular import service as tabular
from malha.sources.tabular.contracts import TextBatch

#: more rows than this would not be read whole into memory
MOST_ROWS = 2_000_000
#: what a spreadsheet would take for a formula
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def bring(conn: psycopg.Connection, tenant_id: int, set_id: int, pieces: Iterable[bytes], name: str, actor: str) -> Version | None:
    """Keep the file, and make of its table the newest version. None where nothing differs. Raises UnusableTable, FullDisk, BadFile."""
    kept = lineage.keep(conn, tenant_id, pieces, name, "tables")
    work = lineage.work_folder(tenant_id, kept.sha256)
    shape = tabular.inspect(kept.path, name, work)
    return sets.bring(tenant_id, set_id, _whole(tabular.batches(kept.path, name, work, shape.reading)), actor=actor, source=name)


def _whole(batches: Iterable[TextBatch]) -> pa.Table:
    found, count = [], 0
    for batch in batches:
        count += len(batch)
        if count > MOST_ROWS:
            raise UnusableTable(msg("A tabela tem mais de {most} linhas: carregue-a como dados com instantes."), most=MOST_ROWS)
        found.append(pa.table({name: _text(column) for name, column in batch.columns.items()}))
    if not found:
        raise UnusableTable(msg("O ficheiro não tem nenhuma linha."))
    return pa.concat_tables(found)


def _text(column: pa.Array) -> pa.Array:
    return column if pa.types.is_string(column.type) else column.cast(pa.string())


def as_csv(tenant_id: int, set_id: int, version: int) -> Iterator[bytes]:
    """A version as CSV for spreadsheets: semicolons, UTF-8 with mark; what looks like a formula is kept from being one."""
    for number, batch in enumerate(sets.batches(tenant_id, set_id, version)):
        text = io.StringIO()
        writer = csv.writer(text, delimiter=";")
        if not number:
            text.write("\ufeff")
            writer.writerow(batch.schema.names)
        writer.writerows([_guarded(value) for value in row] for row in zip(*(column.to_pylist() for column in batch.columns), strict=True))
        yield text.getvalue().encode()


def as_parquet(tenant_id: int, set_id: int, version: int) -> bytes:
    """A version as Parquet, values as they came."""
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_batches(list(sets.batches(tenant_id, set_id, version))), sink, compression="zstd")
    return sink.getvalue()


def _guarded(value: str | None) -> str:
    if value is None:
        return ""
    number = value.replace(",", ".", 1).lstrip("+-")
    return f"'{value}" if value.startswith(_FORMULA) and not number.replace(".", "", 1).isdigit() else value
