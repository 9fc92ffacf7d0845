"""Statements over the rows of a set: versions are columns (`valid_from_version`, `valid_to_version`), never snapshots. Names are quoted, values are parameters."""

from __future__ import annotations

from collections.abc import Sequence

#: columns of our own, which no column of a file may be called
OWN = ("_key", "_hash", "_row", "valid_from_version", "valid_to_version")
CATALOGUE = (
    "CREATE TABLE IF NOT EXISTS lake.{schema}.data_set (id INTEGER, title VARCHAR, keys VARCHAR[], created_at TIMESTAMPTZ)",
    """CREATE TABLE IF NOT EXISTS lake.{schema}.data_set_version (set_id INTEGER, version INTEGER, at_instant TIMESTAMPTZ, actor VARCHAR, source VARCHAR,
    rows BIGINT, added BIGINT, changed BIGINT, removed BIGINT)""",
)
LIST = """
SELECT s.id, s.title, s.keys, s.created_at, coalesce(max(v.version), 0), coalesce(arg_max(v.rows, v.version), 0)
FROM lake.{schema}.data_set s LEFT JOIN lake.{schema}.data_set_version v ON v.set_id = s.id {where} GROUP BY ALL ORDER BY s.title
"""
VERSIONS = """
SELECT version, at_instant, actor, source, rows, added, changed, removed FROM lake.{schema}.data_set_version WHERE set_id = ? ORDER BY version DESC
"""


def quoted(name: str) -> str:
    """A name as SQL takes it."""
    return '"' + name.replace('"', '""') + '"'


def table(schema: str, set_id: int) -> str:
    """Where the rows of a set are."""
    return f"lake.{schema}.set_{int(set_id)}"


def in_version(version: int, alias: str = "") -> str:
    """The condition on rows that a version has."""
    at = f"{alias}." if alias else ""
    return f"{at}valid_from_version <= {int(version)} AND ({at}valid_to_version IS NULL OR {at}valid_to_version > {int(version)})"


def numbered(columns: Sequence[str], keys: Sequence[str]) -> str:
    """The rows that came, as text, with their key and digest. Without keys equal rows are told apart by counting them."""
    texts = ", ".join(f"{quoted(name)}::VARCHAR AS {quoted(name)}" for name in columns)
    whole = "hash(" + ", ".join(quoted(name) for name in columns) + ")"
    key = "concat_ws(chr(31), " + ", ".join(f"coalesce({quoted(name)}, '')" for name in keys) + ")" if keys else f"{whole}::VARCHAR"
    counted = key if keys else f"{key} || ':' || row_number() OVER (PARTITION BY {whole} ORDER BY _row)"
    return f"CREATE OR REPLACE TEMP TABLE came AS SELECT *, {counted} AS _key, {whole} AS _hash FROM (SELECT {texts}, row_number() OVER () AS _row FROM given_rows)"


def difference(schema: str, set_id: int, columns: Sequence[str], first: int, second: int, limit: int) -> str:
    """Rows that differ between two versions: change, values before, values after."""
    rows = table(schema, set_id)
    before, after = (", ".join(f"{alias}.{quoted(name)}" for name in columns) for alias in ("a", "b"))
    change = "CASE WHEN a._key IS NULL THEN 'added' WHEN b._key IS NULL THEN 'removed' ELSE 'changed' END"
    return f"""SELECT {change} AS change, {before}, {after}
        FROM (SELECT * FROM {rows} WHERE {in_version(first)}) a FULL JOIN (SELECT * FROM {rows} WHERE {in_version(second)}) b USING (_key)
        WHERE a._key IS NULL OR b._key IS NULL OR a._hash <> b._hash ORDER BY change, coalesce(b._row, a._row) LIMIT {int(limit)}"""
