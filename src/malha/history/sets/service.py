"""The door of tabular data sets: bring a table again, list its versions, read one, compare two. Django-free.

They lie in the tenant's own schema of the lake, so that its reader's lock, its erasures and its copies hold for them too; the
version is decided in the lake transaction that writes the rows, so that a killed load leaves the version before it whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import duckdb
import pyarrow as pa

from malha.history.engines import service as engines
from malha.history.engines.contracts import LakeMissing
from malha.history.engines.service import Connection
from malha.history.lake import catalogue
from malha.history.lake import service as lake_service
from malha.history.sets import sql
from malha.history.sets.contracts import Change, DataSet, Difference, Rows, UnknownSet, UnusableTable, Version
from malha.kernel.text import msg

MOST_COLUMNS = 1000
_MINE = " WHERE s.id = ?"


def create(tenant_id: int, title: str, keys: Sequence[str] = ()) -> int:
    """A new set without versions. Returns its number."""
    with catalogue.writing() as lake:
        schema = _prepare(lake, tenant_id)

        def write() -> int:
            row = lake.execute(f"SELECT coalesce(max(id), 0) + 1 FROM lake.{schema}.data_set").fetchone()
            number = int(row[0]) if row else 1
            lake.execute(f"INSERT INTO lake.{schema}.data_set VALUES (?, ?, ?, now())", [number, title, list(keys)])
            columns = "_key VARCHAR, _hash UBIGINT, _row BIGINT, valid_from_version INTEGER, valid_to_version INTEGER"
            lake.execute(f"CREATE TABLE {sql.table(schema, number)} ({columns})")
            return number

        return lake_service.commit(lake, [schema], write)


def bring(tenant_id: int, set_id: int, rows: pa.Table, *, actor: str, source: str) -> Version | None:
    """The table as it is now, whole. Returns the version that it made, None where nothing differs from the newest.

    Values are kept as text, as they came. A column that is new is added (older versions have null there); one that is
    missing is null from now on. Raises UnusableTable where keys are missing or not one of a kind, UnknownSet.
    """
    found = get(tenant_id, set_id)
    _require_usable(rows, found.keys)
    with catalogue.writing() as lake:
        schema = _prepare(lake, tenant_id)
        lake.register("given_rows", rows)
        lake.execute(sql.numbered(rows.column_names, found.keys))
        twice = lake.execute("SELECT _key FROM came GROUP BY 1 HAVING count(*) > 1 LIMIT 1").fetchone()
        if twice:
            text = msg("Há mais de uma linha com {keys} = {value}: escolha colunas que distingam as linhas.")
            raise UnusableTable(text, keys=" + ".join(found.keys), value=twice[0].replace(chr(31), " + ")[:80])
        return lake_service.commit(lake, [schema], lambda: _write(lake, schema, set_id, rows.column_names, actor, source))


def _write(lake: Connection, schema: str, set_id: int, columns: Sequence[str], actor: str, source: str) -> Version | None:
    table, has = sql.table(schema, set_id), _columns(lake, schema, set_id)
    for name in columns:
        if name not in has:
            lake.execute(f"ALTER TABLE {table} ADD COLUMN {sql.quoted(name)} VARCHAR")
    row = lake.execute(f"SELECT coalesce(max(version), 0) + 1 FROM lake.{schema}.data_set_version WHERE set_id = ?", [set_id]).fetchone()
    version = int(row[0]) if row else 1
    counted = lake.execute(
        f"""SELECT count(*) FILTER (o._key IS NULL), count(*) FILTER (o._hash <> n._hash), count(*) FILTER (n._key IS NULL), count(n._key)
            FROM (SELECT _key, _hash FROM {table} WHERE valid_to_version IS NULL) o FULL JOIN came n USING (_key)"""
    ).fetchone()
    added, changed, removed, rows = counted or (0, 0, 0, 0)
    if version > 1 and not (added or changed or removed):
        return None
    differs = "NOT EXISTS (SELECT 1 FROM came n WHERE n._key = o._key AND n._hash = o._hash)"
    lake.execute(f"UPDATE {table} AS o SET valid_to_version = {version} WHERE valid_to_version IS NULL AND {differs}")
    names = ", ".join(sql.quoted(name) for name in columns)
    lake.execute(
        f"""INSERT INTO {table} (_key, _hash, _row, valid_from_version, {names}) SELECT _key, _hash, _row, {version}, {names} FROM came AS n
            WHERE NOT EXISTS (SELECT 1 FROM {table} o WHERE o.valid_to_version IS NULL AND o._key = n._key) ORDER BY _row"""
    )
    lake.execute(
        f"INSERT INTO lake.{schema}.data_set_version VALUES (?, ?, now(), ?, ?, ?, ?, ?, ?)", [set_id, version, actor, source, rows, added, changed, removed]
    )
    at = lake.execute("SELECT now()").fetchone()
    assert at is not None
    return Version(version, at[0], actor, source, rows, added, changed, removed)


def all_sets(tenant_id: int) -> list[DataSet]:
    """The sets of a tenant, by title."""

    def work(reader: Connection, schema: str) -> list[DataSet]:
        found = reader.execute(sql.LIST.format(schema=schema, where="")).fetchall()
        return [DataSet(row[0], row[1], tuple(row[2]), *row[3:]) for row in found]

    return _read(tenant_id, work, [])


def get(tenant_id: int, set_id: int) -> DataSet:
    """One set. Raises UnknownSet."""

    def work(reader: Connection, schema: str) -> DataSet | None:
        row = reader.execute(sql.LIST.format(schema=schema, where=_MINE), [set_id]).fetchone()
        return DataSet(row[0], row[1], tuple(row[2]), *row[3:]) if row else None

    found = _read(tenant_id, work, None)
    if found is None:
        raise UnknownSet(msg("Não há nenhuma tabela com esse número."))
    return found


def versions(tenant_id: int, set_id: int) -> list[Version]:
    """The versions of a set, newest first."""

    def work(reader: Connection, schema: str) -> list[Version]:
        return [Version(*row) for row in reader.execute(sql.VERSIONS.format(schema=schema), [set_id]).fetchall()]

    return _read(tenant_id, work, [])


def read(tenant_id: int, set_id: int, version: int, *, limit: int = 100, offset: int = 0) -> Rows:
    """A page of a version, in the order of its file. Raises UnknownSet."""

    def work(reader: Connection, schema: str) -> Rows:
        columns = _columns(reader, schema, set_id)
        names = ", ".join(sql.quoted(name) for name in columns)
        where = f"{sql.table(schema, set_id)} WHERE {sql.in_version(version)}"
        total = reader.execute(f"SELECT count(*) FROM {where}").fetchone()
        page = reader.execute(f"SELECT {names} FROM {where} ORDER BY _row, _key LIMIT {int(limit)} OFFSET {int(offset)}").fetchall() if columns else []
        return Rows(tuple(columns), page, total[0] if total else 0)

    _require_version(tenant_id, set_id, version)
    return _read(tenant_id, work, Rows((), [], 0))


def differences(tenant_id: int, set_id: int, first: int, second: int, limit: int = 500) -> tuple[tuple[str, ...], list[Difference]]:
    """The rows that differ between two versions, at most `limit`, with the names of the columns. Raises UnknownSet."""

    def work(reader: Connection, schema: str) -> tuple[tuple[str, ...], list[Difference]]:
        columns = _columns(reader, schema, set_id)
        width = len(columns)
        found = []
        for row in reader.execute(sql.difference(schema, set_id, columns, first, second, limit)).fetchall():
            change = Change(row[0])
            before, after = tuple(row[1 : 1 + width]), tuple(row[1 + width :])
            found.append(Difference(change, None if change is Change.ADDED else before, None if change is Change.REMOVED else after))
        return tuple(columns), found

    for version in (first, second):
        _require_version(tenant_id, set_id, version)
    nothing: tuple[tuple[str, ...], list[Difference]] = ((), [])
    return _read(tenant_id, work, nothing)


def batches(tenant_id: int, set_id: int, version: int, rows_each: int = 10_000) -> Iterator[pa.RecordBatch]:
    """A version whole, a batch at a time, for exports. Raises UnknownSet."""
    offset = 0
    while True:
        page = read(tenant_id, set_id, version, limit=rows_each, offset=offset)
        if page.rows or not offset:
            columns = list(zip(*page.rows, strict=True)) if page.rows else [() for _ in page.columns]
            yield pa.record_batch([pa.array(column, pa.string()) for column in columns], names=list(page.columns))
        offset += rows_each
        if offset >= page.total:
            return


def remove(tenant_id: int, set_id: int) -> None:
    """Forget a set with all its versions."""
    with catalogue.writing() as lake:
        schema = _prepare(lake, tenant_id)

        def write() -> None:
            for name, column in (("data_set", "id"), ("data_set_version", "set_id")):
                lake.execute(f"DELETE FROM lake.{schema}.{name} WHERE {column} = ?", [set_id])
            lake.execute(f"DROP TABLE IF EXISTS {sql.table(schema, set_id)}")

        lake_service.commit(lake, [schema], write)


def _prepare(lake: Connection, tenant_id: int) -> str:
    schema = catalogue.ensure_tenant(lake, tenant_id)
    for statement in sql.CATALOGUE:
        lake.execute(statement.format(schema=schema))
    return schema


def _require_usable(rows: pa.Table, keys: Sequence[str]) -> None:
    names = rows.column_names
    clash = [name for name in names if name.lower() in sql.OWN or names.count(name) > 1]
    if not names or len(names) > MOST_COLUMNS or clash:
        raise UnusableTable(
            msg("As colunas têm de ter nomes diferentes, de 1 a {most}, e nenhuma se pode chamar {own}."), most=MOST_COLUMNS, own=", ".join(sql.OWN)
        )
    if missing := [name for name in keys if name not in names]:
        raise UnusableTable(msg("Faltam colunas que distinguem as linhas: {names}."), names=", ".join(missing))


def _require_version(tenant_id: int, set_id: int, version: int) -> None:
    if not 1 <= version <= get(tenant_id, set_id).version:
        raise UnknownSet(msg("Esta tabela não tem a versão {version}."), version=version)


def _columns(connection: Connection, schema: str, set_id: int) -> list[str]:
    rows = connection.execute(
        "SELECT column_name FROM duckdb_columns() WHERE database_name = 'lake' AND schema_name = ? AND table_name = ? ORDER BY column_index",
        [schema, f"set_{int(set_id)}"],
    ).fetchall()
    return [row[0] for row in rows if row[0] not in sql.OWN]


def _read[T](tenant_id: int, work: Callable[[Connection, str], T], nothing: T) -> T:
    schema = engines.tenant_schema(tenant_id)

    def known(reader: Connection) -> T:
        try:
            return work(reader, schema)
        except duckdb.CatalogException:
            return nothing  # the tenant has no tables yet

    try:
        return engines.run([tenant_id], known)
    except LakeMissing:
        return nothing
