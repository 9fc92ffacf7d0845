"""What an agreement lets us see, as a file: every row of it, within the same terms, noted for the giver."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import psycopg

from malha.context.store import service as store
from malha.foundation.access import reach
from malha.foundation.access.contracts import Grain
from malha.foundation.database import service as database
from malha.foundation.language import service as words
from malha.foundation.tenancy.contracts import Tenant
from malha.insight.exports.contracts import CellType, Export, ExportColumn, Row, Statement
from malha.kernel import formats, time
from malha.kernel.text import msg
from malha.share.received import service
from malha.share.received.service import Extract
from malha.vocabulary.models import service as models
from malha.vocabulary.models.contracts import DataModel, ValueType

#: things read at a time; each page is one reading that the giver sees
PAGE = 5_000
_GRAINS = {
    Grain.RAW: msg("cada valor"), Grain.QUARTER: msg("médias de 15 minutos"), Grain.HOUR: msg("médias por hora"), Grain.DAY: msg("médias por dia"),
    Grain.MONTH: msg("médias por mês"),
}  # fmt: skip
_CELLS = {ValueType.NUMBER: CellType.NUMBER, ValueType.INTEGER: CellType.INTEGER, ValueType.BOOLEAN: CellType.BOOLEAN}


@dataclass(frozen=True, slots=True)
class Wanted:
    """One type under one agreement: who gave, who takes, and who of them asks."""

    giver_id: int
    agreement_id: int
    reader: str
    type: str


def export(tenant: Tenant, wanted: Wanted, language: str) -> Export:
    """All that the agreement lets `tenant` see of the type. Raises NoAgreement as `service.read` does.

    The rows are read, page by page, when the file is written.
    """
    model = models.find(wanted.type, wanted.giver_id)
    with database.connect() as conn, database.tenant_transaction(conn, [wanted.giver_id]):
        first = _read(conn, tenant, wanted, 0)
        known = sorted(store.attribute_names(conn, wanted.giver_id, wanted.type))
    names = first.columns if first.agreement.grain != Grain.RAW else service.allowed(first.agreement, model, known)
    within = reach.current()  # rows are walked after the page was answered
    head = (
        ExportColumn("id", words.translate(msg("Identificador"), language))
        if first.agreement.grain == Grain.RAW
        else ExportColumn("instant", words.translate(msg("Quando"), language), CellType.INSTANT)
    )
    statement = Statement(
        title=f"{first.agreement.tenant_name}: {wanted.type}", publisher=first.agreement.tenant_name, moment=time.now(), zone=tenant.zone,
        filter=words.translate(msg("acordo {id} ({purpose}), grão {grain}"), language, id=first.agreement.id, purpose=first.agreement.purpose, grain=words.translate(_GRAINS[Grain(first.agreement.grain)], language)), source=first.agreement.tenant_name, language=language,
    )  # fmt: skip
    return Export((head, *(_column(name, model, language) for name in names)), statement, lambda: _batches(tenant, wanted, names, first, within))


def _read(conn: psycopg.Connection, tenant: Tenant, wanted: Wanted, offset: int) -> Extract:
    return service.read(
        conn, wanted.agreement_id, giver_id=wanted.giver_id, grantee_id=tenant.id, reader=wanted.reader, type=wanted.type, offset=offset, limit=PAGE
    )


def _column(name: str, model: DataModel | None, language: str) -> ExportColumn:
    prop = model.find(name) if model else None
    if prop is None:
        return ExportColumn(name, name)
    return ExportColumn(name, prop.label.in_language(language) or name, _CELLS.get(prop.type, CellType.TEXT), formats.unit(prop.unit))


def _batches(tenant: Tenant, wanted: Wanted, names: tuple[str, ...], first: Extract, within: reach.Parts | None) -> Iterator[list[Row]]:
    page, offset = first, 0
    while True:
        places = [page.columns.index(name) + 1 if name in page.columns else None for name in names]
        yield [(row[0], *(None if at is None else row[at] for at in places)) for row in page.rows]
        offset += len(page.rows)
        if not page.truncated or not page.rows:
            return
        with database.connect() as conn, database.tenant_transaction(conn, [wanted.giver_id]), reach.limited(within):
            page = _read(conn, tenant, wanted, offset)
