"""The rows of an export of entities: the current state of one type, walked in order of id inside one snapshot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime

import psycopg

from malha.context.federation.asking import sifting
from malha.context.store import service as store
from malha.context.store.contracts import EntityQuery, StoredEntity
from malha.foundation.access import reach
from malha.foundation.database import service as database
from malha.foundation.language import service as language
from malha.foundation.tenancy.contracts import Tenant
from malha.insight.exports.contracts import CellType, Export, ExportColumn, Row, Statement
from malha.insight.past import service as past
from malha.insight.past.contracts import Moment
from malha.kernel import formats, time
from malha.kernel.text import msg
from malha.vocabulary.models import service as models
from malha.vocabulary.models.contracts import AttributeKind, DataModel, ModelProperty, UnknownModel, ValueType

PAGE = 1000
_CELLS = {ValueType.NUMBER: CellType.NUMBER, ValueType.INTEGER: CellType.INTEGER, ValueType.BOOLEAN: CellType.BOOLEAN, ValueType.INSTANT: CellType.INSTANT}

type Reader = Callable[[StoredEntity], object]


@dataclass(frozen=True, slots=True)
class EntityExport:
    """Which entities and which of their attributes; `columns` empty means all that may leave. With a moment of the `past`, as they were:
    those that meet the query today and met it then (what is not shared any more is not shared as it was); when they changed is no column.
    """

    type: str
    query: EntityQuery = EntityQuery()
    columns: tuple[str, ...] = ()
    title: str = ""
    filter_text: str = ""
    licence: str = ""
    source: str = ""
    with_personal: bool = False
    whole_url: str = ""
    language: str = "pt-pt"
    past: Moment | None = None


def export(tenant: Tenant, wanted: EntityExport) -> Export:
    """An export of the entities of one type. Columns about people are left out unless `with_personal` says otherwise.

    In: tenant and what is wanted. Out: an Export whose rows are read, in one REPEATABLE READ snapshot of its own,
    when its batches are walked; point geometries give `longitude` and `latitude` (EPSG:4326 degrees) besides `location`.
    """
    pairs = _columns(tenant, wanted)
    if wanted.columns:
        asked = set(wanted.columns) | {"id"}
        pairs = [pair for pair in pairs if pair[0].name in asked]
    if not wanted.with_personal:
        pairs = [pair for pair in pairs if not pair[0].personal]
    if wanted.past is not None:
        pairs = [pair for pair in pairs if pair[0].name != "modifiedAt"]
    readers = [reader for _, reader in pairs]
    statement = Statement(
        title=wanted.title or wanted.type,
        publisher=tenant.name,
        filter=wanted.filter_text or wanted.query.q,
        moment=wanted.past.at if wanted.past else time.now(),
        zone=tenant.zone,
        licence=wanted.licence,
        source=wanted.source,
        notes=(msg("Dados fictícios de demonstração"),) if tenant.is_demo else (),
        language=wanted.language,
    )
    query = replace(wanted.query, types=(wanted.type,), limit=PAGE, offset=0, count=False)
    within = reach.current()  # batches are walked after the page was answered
    return Export(tuple(column for column, _ in pairs), statement, lambda: _batches(tenant, query, readers, within, wanted.past), whole_url=wanted.whole_url)


def count(tenant_id: int, wanted: EntityExport) -> int:
    """How many rows the export will have."""
    with database.connect() as connection, database.tenant_transaction(connection, [tenant_id]):
        return store.query(connection, [tenant_id], replace(wanted.query, types=(wanted.type,), limit=0, count=True)).total or 0


def _batches(tenant: Tenant, query: EntityQuery, readers: list[Reader], within: reach.Parts | None, then: Moment | None) -> Iterator[list[Row]]:
    holds = sifting.holds(EntityQuery(q=query.q)) if then else None
    tenant_id = tenant.id
    with database.connect() as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with database.tenant_transaction(connection, [tenant_id]):
            for page in _pages(connection, tenant_id, query, within):
                shown = page
                if then is not None and holds is not None:
                    with reach.limited(within):
                        shown = [one for one in past.as_they_were(tenant, page, then)[0] if holds(one)]
                yield [tuple(reader(entity) for reader in readers) for entity in shown]


def _pages(connection: psycopg.Connection, tenant_id: int, query: EntityQuery, within: reach.Parts | None) -> Iterator[list[StoredEntity]]:
    after = 0
    while True:
        with reach.limited(within):
            page = store.query(connection, [tenant_id], replace(query, after_id=after)).entities
        if page:
            yield page
        if len(page) < query.limit:
            return
        after = page[-1].id


def _columns(tenant: Tenant, wanted: EntityExport) -> list[tuple[ExportColumn, Reader]]:
    def say(label: str) -> str:
        return language.translate(label, wanted.language)

    first: list[tuple[ExportColumn, Reader]] = [(ExportColumn("id", say(msg("Identificador"))), lambda entity: entity.uri)]
    place = ExportColumn("location", say(msg("Local")), CellType.GEOMETRY, "EPSG:4326")
    last: list[tuple[ExportColumn, Reader]] = [
        (ExportColumn("longitude", say(msg("Longitude")), CellType.NUMBER, "°"), lambda entity: _coordinate(entity, 0)),
        (ExportColumn("latitude", say(msg("Latitude")), CellType.NUMBER, "°"), lambda entity: _coordinate(entity, 1)),
        (place, lambda entity: entity.location),
        (ExportColumn("modifiedAt", say(msg("Alterado")), CellType.INSTANT), lambda entity: entity.modified_at),
    ]
    taken = {"id", "location", "longitude", "latitude", "modifiedAt"}
    middle = [_column(p, wanted.language) for p in _properties(tenant, wanted) if p.name not in taken]
    return first + middle + last


def _properties(tenant: Tenant, wanted: EntityExport) -> list[ModelProperty]:
    """The model's properties in its order, then the names that the data has beyond it."""
    with database.connect() as connection, database.tenant_transaction(connection, [tenant.id]):
        try:
            model: DataModel | None = models.get(wanted.type, tenant.id)
        except UnknownModel:
            model = None
        present = store.attribute_names(connection, tenant.id, wanted.type)
    declared = list(model.properties) if model else []
    known = {p.name for p in declared}
    return [p for p in declared if p.name in present] + [ModelProperty(name) for name in sorted(present - known)]


def _column(p: ModelProperty, tongue: str) -> tuple[ExportColumn, Reader]:
    geometry = p.kind is AttributeKind.GEO_PROPERTY or p.type is ValueType.GEOMETRY
    cell = CellType.GEOMETRY if geometry else _CELLS.get(p.type, CellType.TEXT)
    column = ExportColumn(p.name, p.label.in_language(tongue) or p.name, cell, formats.unit(p.unit), p.description.in_language(tongue), p.personal)
    if cell is CellType.INSTANT:
        return column, lambda entity: _instant(entity.value(p.name))
    return column, lambda entity: entity.value(p.name)


def _instant(value: object) -> datetime | object:
    """The instant in a plain or JSON-LD typed value; what is no instant stays as it was sent."""
    text = value.get("@value") if isinstance(value, dict) else value
    if not isinstance(text, str):
        return value
    try:
        return time.parse_instant(text)
    except ValueError:
        return text


def _coordinate(entity: StoredEntity, axis: int) -> object:
    place = entity.location
    if not place or place.get("type") != "Point":
        return None
    coordinates = place.get("coordinates")
    return coordinates[axis] if isinstance(coordinates, list | tuple) and len(coordinates) > axis else None
