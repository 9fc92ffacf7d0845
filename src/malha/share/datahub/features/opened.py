"""Published open datasets as collections for everybody, without a key: `/ogc/abertos`.

Whoever asks is nobody, whatever key they show. Of each dataset there is what was published and no more: its columns
(never one about people), the things that its filter lets through, for as long as it is published.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache

from psycopg.rows import class_row
from starlette.requests import Request

from malha.context.broker import door as broker
from malha.context.broker import pool, tenants
from malha.context.broker.contracts import NonexistentTenant, TooManyRequests
from malha.context.broker.quota import Quota
from malha.foundation.access import reach
from malha.foundation.access.contracts import Principal, Reach
from malha.foundation.language import service as language
from malha.foundation.settings import service as settings
from malha.kernel.text import msg
from malha.share.datahub import door, tables
from malha.share.datahub.contracts import Reader, Table, TableKind, TableMissing, Withdrawn
from malha.share.datahub.features.roots import Connection, Root
from malha.share.opendata.contracts import LICENCES, PublicationState, choice

_WHERE = frozenset({"longitude", "latitude", "location"})
_DATASETS = """
SELECT id, slug, entity_type, filter, columns, title_pt, title_en, description_pt, description_en, licence, contact_email, state, changed_at
FROM open_dataset WHERE tenant_id = %(tenant)s AND state = ANY (%(states)s) AND (%(slug)s = '' OR slug = %(slug)s) ORDER BY slug LIMIT 500"""


@dataclass(frozen=True, slots=True)
class Dataset:
    """A row of `open_dataset`, as far as it is read here."""

    id: int
    slug: str
    entity_type: str
    filter: str
    columns: list[str]
    title_pt: str
    title_en: str
    description_pt: str
    description_en: str
    licence: str
    contact_email: str
    state: str
    changed_at: datetime


@cache
def _quota() -> Quota:
    """The public's own count in this process: who asks without a key takes nothing from the tenant's programs."""
    return Quota(settings.current().tenant_requests_per_s)


async def read[T](request: Request, work: Callable[[Connection, Reader], T]) -> T:
    """Run `work` in the scope of the tenant that the address names, for nobody in particular, who sees nothing until a dataset is chosen."""

    def inside() -> T:
        with pool.connection() as conn:
            slug = str(request.scope.get("malha.slug", "")) or broker.by_host(conn, request)
            place = tenants.find(conn, slug) if slug else None
            if place is None:
                raise NonexistentTenant(msg("Não há nenhum município ou comunidade em “{slug}”."), slug=slug[:80])
            if wait := _quota().wait_seconds(place.id):
                raise TooManyRequests(msg("O público já fez os pedidos que cabem a este município. Tente daqui a {seconds} s."), seconds=math.ceil(wait))
            name = conn.execute("SELECT name FROM organisation WHERE id = %s", [place.id]).fetchone()
            tongue = language.of_request(request.headers, request.cookies)
            nobody = Principal(place.id, reach=())
            reader = Reader(
                place.id, place.slug, str(name[0]) if name else place.slug, place.time_zone, nobody, language=tongue, base=door.base_of(request, place.slug)
            )
            with pool.scoped(conn, place.id), reach.limited(()):
                return work(conn, reader)

    return await pool.run(inside)


def known(conn: Connection, reader: Reader) -> list[Table]:
    """The published datasets, in order of slug."""
    return [table for one in _datasets(conn, reader, [PublicationState.PUBLISHED]) if (table := _table(conn, reader, one)) is not None]


def find(conn: Connection, reader: Reader, name: str) -> Table:
    """A published dataset, which from then on is what may be seen. Raises TableMissing, Withdrawn."""
    for one in _datasets(conn, reader, [PublicationState.PUBLISHED, PublicationState.WITHDRAWN], name):
        if one.state == PublicationState.WITHDRAWN:
            raise Withdrawn(msg("Este conjunto de dados deixou de ser publicado. Pergunte a {contact}."), contact=one.contact_email or reader.tenant_name)
        table = _table(conn, reader, one)
        if table is not None:
            reach.narrow((_part(one),))
            return table
    raise TableMissing(msg("Não há nenhum conjunto de dados aberto “{name}”."), name=name[:120])


def _datasets(conn: Connection, reader: Reader, states: list[PublicationState], slug: str = "") -> list[Dataset]:
    with conn.cursor(row_factory=class_row(Dataset)) as cursor:
        return cursor.execute(_DATASETS, {"tenant": reader.tenant_id, "states": [str(state) for state in states], "slug": slug}).fetchall()


def _part(one: Dataset) -> Reach:
    return Reach(types=frozenset({one.entity_type}), attributes=frozenset(one.columns))


def _table(conn: Connection, reader: Reader, one: Dataset) -> Table | None:
    """A dataset as a table: its type's current state, as narrow as it was published. None where nothing of it may leave."""
    limited = replace(reader, principal=replace(reader.principal, reach=(_part(one),)), with_personal=False)
    found = next((table for table in tables.of_type(conn, limited, one.entity_type) if table.kind is TableKind.CURRENT), None)
    if found is None or not one.columns:
        return None
    english = reader.language.startswith("en")
    columns = frozenset(one.columns)
    fields = tuple(
        field for field in found.fields
        if field.name == "id" or (field.attribute or field.name) in columns or (field.name in _WHERE and "location" in columns)
    )  # fmt: skip
    page = f"dados-abertos/{one.slug}/"
    return replace(
        found, name=one.slug, fields=fields, within=replace(found.within, chosen=one.filter, mark=f"open-{one.id}-{one.changed_at.timestamp()}"),
        label=(one.title_en if english else "") or one.title_pt, description=(one.description_en if english else "") or one.description_pt,
        links=(
            ("license", "text/html", choice(LICENCES, one.licence).uri), ("alternate", "text/html", page),
            ("describedby", "application/ld+json", f"{page}dcat.jsonld"), ("enclosure", "application/geo+json", f"{page}dados.geojson"),
        ),
    )  # fmt: skip


#: for everybody, pages of any origin too; kept for a minute, so that what is withdrawn is soon gone
#: search engines keep the page of a dataset, not its features
_HEADERS = {"Cache-Control": "public, max-age=60", "Access-Control-Allow-Origin": "*", "X-Robots-Tag": "noindex"}
ROOT = Root("/ogc/abertos", read, known, find, keyless=True, headers=_HEADERS)
