"""Read another tenant's data within the terms of an agreement. Django-free."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

import psycopg

from malha.context.store import service as store
from malha.context.store.contracts import EntityQuery, StoredEntity
from malha.foundation.access.contracts import Grain
from malha.foundation.agreements import service as agreements
from malha.foundation.agreements.contracts import Agreement, NoAgreement
from malha.history.temporal import service as history
from malha.history.temporal.contracts import Grain as HistoryGrain
from malha.history.temporal.contracts import SeriesQuery
from malha.kernel.text import msg
from malha.kernel.time import now
from malha.vocabulary.models import service as models
from malha.vocabulary.models.contracts import DataModel, ValueType

PAGE = 100
#: how far back averages are shown, by grain
REACH = {Grain.QUARTER: timedelta(days=1), Grain.HOUR: timedelta(days=2), Grain.DAY: timedelta(days=31), Grain.MONTH: timedelta(days=366)}
#: an area is read as the things inside it now; more than this are not named one by one
MOST_THINGS = 5000


@dataclass(frozen=True, slots=True)
class Extract:
    """What may be seen: for RAW one row per thing, else one row per step of time.

    `rows` begin with the URI (RAW) or the instant (else), then a value per column, None where there is none.
    """

    agreement: Agreement
    type: str
    columns: tuple[str, ...]
    rows: list[tuple[object, ...]] = field(default_factory=list)
    total: int = 0
    truncated: bool = False


def read(
    conn: psycopg.Connection, agreement_id: int, *, giver_id: int, grantee_id: int, reader: str, type: str, offset: int = 0, limit: int = PAGE,  # noqa: A002 -- NGSI-LD's word
    at: datetime | None = None,
) -> Extract:  # fmt: skip
    """One page of a type under an agreement, noted for the giver. In a transaction whose scope is the giver.

    Raises NoAgreement when it is not in force, not for this reader, or does not name the type.
    """
    agreement = agreements.open_reading(conn, agreement_id, grantee_id=grantee_id, tenant_id=giver_id, reader=reader, what=type)
    if type not in agreement.types:
        raise NoAgreement(msg("O acordo não inclui este tipo de dados."))
    model = models.find(type, giver_id)
    if agreement.grain == Grain.RAW:
        return _things(conn, agreement, type, model, offset, limit)
    return _steps(conn, agreement, type, model, at or now())


def _things(conn: psycopg.Connection, agreement: Agreement, type_: str, model: DataModel | None, offset: int, limit: int) -> Extract:
    page = store.query(conn, [agreement.tenant_id], EntityQuery(types=(type_,), within=agreement.area, limit=limit, offset=offset, count=True))
    names = allowed(agreement, model, sorted({name for entity in page.entities for name in entity.attributes}))
    rows: list[tuple[object, ...]] = [(entity.uri, *(_plain(entity, name) for name in names)) for entity in page.entities]
    total = page.total or 0
    return Extract(agreement, type_, names, rows, total, truncated=offset + len(rows) < total)


def _plain(entity: StoredEntity, name: str) -> object:
    """A value that fits a cell; None for what does not (places, lists)."""
    value = entity.value(name)
    return value if isinstance(value, str | int | float | bool) else None


def allowed(agreement: Agreement, model: DataModel | None, names: list[str]) -> tuple[str, ...]:
    """The attributes among `names` that the agreement lets out: those it names, or all; never those about people."""
    personal = {prop.name for prop in model.properties if prop.personal} if model else set()
    return tuple(name for name in names if name not in personal and (not agreement.attributes or name in agreement.attributes))


def _steps(conn: psycopg.Connection, agreement: Agreement, type_: str, model: DataModel | None, at: datetime) -> Extract:
    names = allowed(agreement, model, sorted(_measures(conn, agreement.tenant_id, type_, model)))
    uris: tuple[str, ...] = ()
    if agreement.area is not None:
        inside = store.query(conn, [agreement.tenant_id], EntityQuery(types=(type_,), within=agreement.area, limit=MOST_THINGS)).entities
        if not inside:
            return Extract(agreement, type_, names)
        uris = tuple(entity.uri for entity in inside)
    start, values = at - REACH[agreement.grain], dict[datetime, dict[str, object]]()
    for name in names:
        question = SeriesQuery(type=type_, attribute=name, start=start, end=at, uris=uris, grain=HistoryGrain(agreement.grain.value))
        for series in history.series(agreement.tenant_id, question):
            for instant, value, _count in series.points:
                values.setdefault(instant, {})[name] = value
    rows: list[tuple[object, ...]] = [(instant, *(values[instant].get(name) for name in names)) for instant in sorted(values, reverse=True)]
    return Extract(agreement, type_, names, rows, len(rows))


def _measures(conn: psycopg.Connection, tenant_id: int, type_: str, model: DataModel | None) -> set[str]:
    """The attributes that averages make sense of."""
    known = store.attribute_names(conn, tenant_id, type_)
    if model is None:
        return known
    return {prop.name for prop in model.properties if prop.name in known and prop.type in {ValueType.NUMBER, ValueType.INTEGER}}
