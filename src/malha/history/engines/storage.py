"""Where the lake's files lie: a folder, or an S3-compatible store (`MALHA_LAKE=s3://bucket/prefix`). Django-free."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import duckdb

from malha.foundation.settings import service as settings
from malha.history.engines.contracts import LakePlaceUnusable
from malha.kernel.text import msg

#: the region that stores without regions answer to
ANY_REGION = "us-east-1"
#: how the names of files begin that were written whole before the lake had them: they hold every column by its name
OURS = "malha-"


def folder() -> Path | None:
    """The folder of the lake; None where it lies in an object store."""
    given = settings.current().lake
    if given.startswith("s3://"):
        return None
    return Path(given).expanduser().resolve() if given else settings.current().data / "lake"


def address() -> str:
    """What DuckDB calls the place, with a slash at its end."""
    place = folder()
    return f"{place}/" if place else f"{settings.current().lake.rstrip('/')}/"


def tell(connection: duckdb.DuckDBPyConnection) -> None:
    """Give a connection the key to the store, for this bucket and nothing else. Nothing to do for a folder.

    The extension `httpfs` must be loaded. Raises LakePlaceUnusable where key or secret is missing.
    """
    if folder() is not None:
        return
    conf = settings.current()
    if not conf.s3_key_id or not conf.s3_secret:
        raise LakePlaceUnusable(msg("{place} precisa de MALHA_S3_KEY_ID e de MALHA_S3_SECRET (ou MALHA_S3_SECRET_FILE)."), place=conf.lake)
    endpoint = urlsplit(conf.s3_endpoint)
    given = {"KEY_ID": conf.s3_key_id, "SECRET": conf.s3_secret, "REGION": conf.s3_region or ANY_REGION, "SCOPE": f"s3://{urlsplit(conf.lake).netloc}/"}
    if conf.s3_endpoint:
        given |= {"ENDPOINT": endpoint.netloc, "URL_STYLE": "path"}
    options = ", ".join(f"{name} {quoted(value)}" for name, value in given.items())
    plain = ", USE_SSL false" if endpoint.scheme == "http" else ""
    connection.execute(f"CREATE OR REPLACE SECRET lake_store (TYPE s3, {options}{plain})")


def quoted(text: object) -> str:
    """A text as SQL has it, between its quotes."""
    return "'" + str(text).replace("'", "''") + "'"
