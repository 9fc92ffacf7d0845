"""What was known at an instant: transaction time, within the days that the lake's snapshots live. Django-free.

A value known at T is the newest version (highest `seq`) among those received by T: in the lake's snapshot of T, in today's
lake where it was compacted after T, among what was replaced since, or hot.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import psycopg

from malha.history.engines import layout
from malha.history.engines.layout import NO_ROWS, Layout
from malha.history.engines.service import Connection
from malha.history.erasure import service as erasure
from malha.history.lake.upkeep import KEEP_SNAPSHOTS
from malha.history.temporal.contracts import NoLongerKnown, UnusablePeriod
from malha.kernel.text import msg
from malha.kernel.time import format_instant, now

_COLUMNS = "type, attribute, entity_id, dataset_id, observed_at, kind, num, txt, unit, op, received_at, run_id, seq"
_NEWEST = "QUALIFY row_number() OVER (PARTITION BY type, attribute, entity_id, dataset_id, observed_at ORDER BY seq DESC) = 1"
#: a clock that is a little ahead of ours asks for now
_AHEAD = timedelta(minutes=5)


def require(connection: psycopg.Connection, tenant_id: int, at: datetime) -> None:
    """Raise NoLongerKnown (410, with the reason) where `at` is too old or lies before an erasure, UnusablePeriod where it is to come."""
    moment = now()
    if at > moment + _AHEAD:
        raise UnusablePeriod(msg("{at} ainda não chegou: diga em at= um instante passado."), at=format_instant(at))
    if moment - at > KEEP_SNAPSHOTS:
        raise NoLongerKnown(
            msg("O que se sabia em {at} já não se guarda: guarda-se durante {days} dias. Sem at= vê o que hoje se sabe desse dia."),
            at=format_instant(at), days=KEEP_SNAPSHOTS.days,
        )  # fmt: skip
    erased = erasure.last_done(connection, tenant_id)
    if erased is not None and at < erased:
        raise NoLongerKnown(
            msg("O que se sabia em {at} já não se pode ver: em {erased} apagaram-se dados de uma pessoa, e com eles as versões anteriores."),
            at=format_instant(at), erased=format_instant(erased),
        )  # fmt: skip


def since(connection: psycopg.Connection, tenant_id: int) -> datetime:
    """The earliest instant of which it is still kept what was known then."""
    erased = erasure.last_done(connection, tenant_id)
    oldest = now() - KEEP_SNAPSHOTS
    return max(oldest, erased) if erased else oldest


def then(schema: str, at: datetime) -> Layout | None:
    """The files of the lake's snapshot of `at`, asked of the catalogue alone; None where the tenant had no lake then. Raises NoLongerKnown where snapshots have gone since."""
    found, oldest = layout.snapshot_of(at)
    if found is None:
        if oldest:
            raise NoLongerKnown(msg("O que se sabia em {at} já não se guarda. Sem at= vê o que hoje se sabe desse dia."), at=format_instant(at))
        return None
    files = layout.at(schema, found)
    return files if "observation" in files.files else None


def of_files(statement: str, files: Layout, before: Layout | None, start: datetime, end: datetime, ids: Sequence[int] | None) -> str | None:
    """As `as_known`, read from the lake's files of now and of then that may hold the period and the entities; None where only DuckLake can read them."""
    gone = before.beyond(files, "observation") if before is not None else None
    sources = ((files, "observation"), (files, "superseded"), (gone, "observation"))
    relations = ["" if one is None or one.is_empty(name) else one.relation(name, start, end, ids) for one, name in sources]
    if any(relation.startswith("lake.") for relation in relations):
        return None
    return _over(statement, files.schema, *relations)


def as_known(statement: str, schema: str, before: Layout | None) -> str:
    """The same statement over what was known at `$known`; `before` are the files of that instant."""
    if not schema:
        return statement
    table = f"lake.{schema}.observation"
    return _over(statement, schema, table, f"lake.{schema}.superseded", f"{table} AT (VERSION => {before.snapshot})" if before is not None else "")


def _over(statement: str, schema: str, there: str, replaced: str, then_there: str) -> str:
    """A statement whose observations are those known at `$known`, of three relations: what is there now, what was replaced, what was there then (empty: nothing)."""
    conditions = {there: "WHERE received_at <= $known", replaced: "WHERE received_at <= $known AND replaced_at > $known", then_there: ""}
    read = [f"SELECT {_COLUMNS} FROM {relation} {condition}" for relation, condition in conditions.items() if relation]
    known = f"(SELECT * FROM ({' UNION ALL '.join(read)}) {_NEWEST})" if len(read) > 1 else f"({read[0]})" if read else NO_ROWS
    return statement.replace(f"lake.{schema}.observation AS x", f"{known} AS x")


class Known:
    """A reader that answers over what was known at an instant."""

    def __init__(self, reader: Connection, schema: str, at: datetime) -> None:
        self._reader, self._schema, self._at = reader, schema, at
        self._before = then(schema, at) if schema else None

    def execute(self, statement: str, given: dict[str, object]) -> Connection:
        """Run a statement over observations (`AS x`), with what it is given."""
        known = {"known": self._at} if self._schema else {}
        return self._reader.execute(as_known(statement, self._schema, self._before), {**given, **known})


class NotInFiles(Exception):
    """DuckLake itself has to be asked."""


class Filed:
    """A reader that answers from the lake's files as they lie, over a period and some entities; with an instant, over what was known then."""

    def __init__(self, reader: Connection, files: Layout, at: datetime | None, start: datetime, end: datetime, ids: Sequence[int]) -> None:
        self._reader, self._files, self._at = reader, files, at
        self._before = then(files.schema, at) if at is not None else None
        self._within = (start, end, ids)

    def execute(self, statement: str, given: dict[str, object]) -> Connection:
        """Run a statement over observations (`AS x`), with what it is given. Raises NotInFiles."""
        if self._at is None:
            text: str | None = self._files.within(statement, *self._within)
        else:
            text = of_files(statement, self._files, self._before, *self._within)
        if text is None or f"lake.{self._files.schema}." in text:
            raise NotInFiles
        return self._reader.execute(text, {**given, "known": self._at} if "$known" in text else given)
