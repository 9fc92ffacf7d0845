"""Corrected values in the feeds: what each was, when it was corrected and why; and by whom, for readers who may know it.

Values that later ones replaced lie in the lake (`superseded`), in hot rows, or in the lake beneath a hot row. Those of the
lake are read once for each of its snapshots.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import psycopg
import pyarrow as pa
import pyarrow.compute as pc

from malha.context.store import service as store
from malha.foundation.access import subjects
from malha.foundation.language import service as language
from malha.history.engines.layout import Layout
from malha.history.engines.service import Connection
from malha.ingest.runs import queries as loads
from malha.kernel.text import msg, worded
from malha.share.datahub.contracts import Reader, Table
from malha.share.questions.contracts import Field, FieldType

if TYPE_CHECKING:
    from malha.share.datahub.relation import Parts

WHO = Field("correctedBy", FieldType.TEXT, label=msg("Corrigido por"), description=msg("Quem carregou ou enviou o valor novo; vazio se ninguém o disse"))
FIELDS = (
    Field("correctedFrom", FieldType.NUMBER, label=msg("Valor antes de corrigido"), description=msg("Só em valores que foram corrigidos")),
    Field("correctedFromText", FieldType.TEXT, label=msg("Texto antes de corrigido"), description=msg("Só em valores que foram corrigidos")),
    Field("correctedAt", FieldType.INSTANT, label=msg("Corrigido em"), description=msg("Vazio se o valor nunca foi corrigido")),
    Field(
        "correctedWhy",
        FieldType.TEXT,
        label=msg("Porque se corrigiu"),
        description=msg("O nome da carga que trouxe o valor novo, ou o motivo que deu quem o enviou"),
    ),
)
#: so many corrections of a type are kept in memory; with more they are read each time
MOST = 200_000
#: what says which value a correction is of
_KEY = "{0}.entity_id = {1}.entity_id AND {0}.attribute = {1}.attribute AND {0}.dataset_id = {1}.dataset_id AND {0}.observed_at = {1}.observed_at"
_COLUMNS = "entity_id, attribute, dataset_id, observed_at, num, txt, seq, replaced_at, by_run, by_seq"
#: what goes beside the values `r`
JOINED = f"""LEFT JOIN replaced AS c ON {_KEY.format("c", "r")} AND (c.num IS DISTINCT FROM r.num OR c.txt IS DISTINCT FROM r.txt)
    LEFT JOIN hub_load AS l ON l.number = c.by_run LEFT JOIN hub_author AS w ON w.number = c.by_seq AND c.by_run IS NULL"""
_SQL = {
    "correctedFrom": ("c.num", "DOUBLE"), "correctedFromText": ("c.txt", "VARCHAR"), "correctedAt": ("c.replaced_at", "TIMESTAMPTZ"),
    "correctedWhy": ("nullif(coalesce(l.why, w.why), '')", "VARCHAR"), "correctedBy": ("nullif(coalesce(l.who, w.who), '')", "VARCHAR"),
}  # fmt: skip


def named(text: str) -> bool:
    """Whether a statement asks for any of the columns."""
    return '"corrected' in text


def shown(table: Table, *, there: bool) -> str:
    """The columns of a table, as SQL; empty where nothing is `there` to be joined."""
    names = [field.name for field in table.fields if field.name in _SQL]
    return ", ".join(f'{_SQL[name][0] if there else f"NULL::{_SQL[name][1]}"} AS "{name}"' for name in names)


def expressions(conn: psycopg.Connection[Any], reader: Reader, files: Layout | None, hot: pa.Table, cursor: Connection, parts: Parts) -> str:
    """Common table expressions (each after a comma) that end in `replaced`: of each corrected value the last one that it replaced. Empty where nothing was corrected."""
    sources = [one for one in (_of_lake(files, cursor, parts), _of_hot(files, hot, cursor, parts)) if one]
    if not sources:
        return ""
    _tell(conn, reader, files, hot, cursor, parts.table)
    undone = f"WHERE by_run IS NULL OR by_run NOT IN ({', '.join(str(int(run)) for run in parts.undone)})" if parts.undone else ""
    newest = "QUALIFY row_number() OVER (PARTITION BY entity_id, attribute, dataset_id, observed_at ORDER BY seq DESC) = 1"
    return f", replaced AS (SELECT * FROM ({' UNION ALL '.join(sources)}) {undone} {newest})"


def _mark(table: Table) -> str:
    return f"hub|replaced|{table.entity_type}"


def _of_lake(files: Layout | None, cursor: Connection, parts: Parts) -> str:
    """Those that the lake says, of the type: kept with its snapshot where they are few."""
    if files is None or files.is_empty("superseded"):
        return ""
    mark, source = _mark(parts.table), files.relation("superseded")
    if mark not in files.noted:
        text = f"SELECT {_COLUMNS} FROM {source} AS x WHERE x.type = $type AND x.replaced_at IS NOT NULL LIMIT {MOST + 1}"
        files.noted[mark] = cursor.execute(text, {"type": parts.table.entity_type}).to_arrow_table()
    found = cast("pa.Table", files.noted[mark])
    if not found.num_rows:
        return ""
    if found.num_rows > MOST:
        return f"SELECT {_COLUMNS} FROM {source} AS x WHERE {parts.only} AND x.replaced_at IS NOT NULL"
    cursor.register("hub_replaced", found)
    return f"SELECT * FROM hub_replaced WHERE true{parts.seen('attribute')}{parts.among()}"


def _of_hot(files: Layout | None, hot: pa.Table, cursor: Connection, parts: Parts) -> str:
    """Those that a hot row replaced: another hot one, or one of the lake, which holds none that is newer than its files say."""
    if not hot.num_rows:
        return ""
    columns = ("entity_id", "attribute", "dataset_id", "observed_at", "num", "txt", "seq", "received_at", "run_id")
    stands = f"SELECT {', '.join(columns)} FROM hub_hot WHERE op = 0{parts.seen('attribute')}{parts.among()}"
    last = files.last("observation", type=parts.table.entity_type) if files is not None else None
    late = hot.filter(pc.less_equal(hot.column("observed_at"), pa.scalar(last, pa.timestamp("us", "UTC")))) if last is not None else hot.slice(0, 0)
    if late.num_rows:
        cursor.register("hub_late", late.select(["entity_id", "attribute", "dataset_id", "observed_at"]))
        span = pc.min_max(late.column("observed_at")).as_py()
        stands += f""" UNION ALL SELECT {", ".join(f"x.{name}" for name in columns)} FROM {parts.source("observation")} AS x SEMI JOIN hub_late AS h ON {_KEY.format("h", "x")}
            WHERE {parts.only} AND x.op = 0 AND x.observed_at BETWEEN TIMESTAMPTZ '{_utc(span["min"])}' AND TIMESTAMPTZ '{_utc(span["max"])}'"""
    return f"""SELECT {_COLUMNS} FROM (SELECT *, lag(run_id) OVER w AS by_run, lag(seq) OVER w AS by_seq, lag(received_at) OVER w AS replaced_at FROM ({stands})
        WINDOW w AS (PARTITION BY entity_id, attribute, dataset_id, observed_at ORDER BY seq DESC)) WHERE replaced_at IS NOT NULL"""


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()


def _tell(conn: psycopg.Connection[Any], reader: Reader, files: Layout | None, hot: pa.Table, cursor: Connection, table: Table) -> None:
    """Register what the loads were called that corrected something, who asked for them, and who wrote what no load brought."""
    stored = files.noted.get(_mark(table)) if files is not None else None
    lake = stored if isinstance(stored, pa.Table) else None
    runs = _numbers(hot.column("run_id")) | (_numbers(lake.column("by_run")) if lake is not None else set())
    told = loads.told(conn, reader.tenant_id, sorted(runs)) if runs else {}
    authors, names = dict[int, tuple[str, str]](), dict[str, str]()
    if any(table.find(name) is not None for name in (WHO.name, "correctedWhy")):
        numbers = _numbers(hot.filter(pc.is_null(hot.column("run_id"))).column("seq"))
        numbers |= _numbers(lake.filter(pc.is_null(lake.column("by_run"))).column("by_seq")) if lake is not None else set()
        authors = store.authors(conn, reader.tenant_id, sorted(numbers)) if numbers else {}
        names = subjects.names(conn, {actor for actor, _ in (*authors.values(), *told.values())}, reader.language)
    why = {number: worded(title, lambda text: language.translate(text, reader.language)) for number, (_, title) in told.items()}
    _register(cursor, "hub_load", told, who=[names.get(actor, "") for actor, _ in told.values()], why=list(why.values()))
    _register(cursor, "hub_author", authors, who=[names.get(actor, "") for actor, _ in authors.values()], why=[text for _, text in authors.values()])


def _numbers(column: pa.ChunkedArray) -> set[int]:
    return set(pc.unique(column).drop_null().to_pylist())


def _register(cursor: Connection, name: str, numbers: Iterable[int], **texts: list[str]) -> None:
    columns = {"number": pa.array(list(numbers), pa.int64())} | {column: pa.array(each, pa.string()) for column, each in texts.items()}
    cursor.register(name, pa.table(columns))
