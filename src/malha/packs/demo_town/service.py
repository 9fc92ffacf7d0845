"""Make the demo town, say whether it is there, take it away."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from psycopg import sql
from malha.context.store import service as store
from malha.context.store.contracts import EntityTable, WriteOptions
from malha.foundation.access import service as access
from malha.foundation.access.contracts import RoleName
from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.foundation.identity import service as identity
from malha.foundation.settings import service as settings
from malha.foundation.tenancy import service as tenancy
from malha.foundation.tenancy.contracts import OrganisationKind, Tenant, UnknownTenant
from malha.history.lake import service as lake
from malha.ingest.runs import service as runs
from malha.ingest.runs.contracts import Counts
from malha.kernel.text import msg
from malha.kernel.time import format_instant, now, parse_instant
from malha.packs.demo_town import devices, events, generator, geography, statics
from malha.packs.demo_town.contracts import NAME, RECENT, SEED, SLUG, YEAR, ZONE

#: who can be in the demonstration: address, name, role
PEOPLE = (
    ("gestora@vila-de-malha.example", "Rita Gestora (fictício)", RoleName.TENANT_MANAGER),
    ("analista@vila-de-malha.example", "Tomé Analista (fictício)", RoleName.ANALYST),
    ("operadora@vila-de-malha.example", "Inês Operadora (fictício)", RoleName.OPERATOR),
)
#: tells that the town was finished, and from which seed and end
MARKER = "demo.json"

#: (what is being done, done so far, of how much)
type Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Made:
    """What was made. `observations` counts the year and the last two days."""

    tenant: Tenant
    end: datetime
    entities: int
    observations: int


def exists() -> bool:
    """Whether the town is there and was finished."""
    try:
        tenancy.by_slug(SLUG)
    except UnknownTenant:
        return False
    return _marker().exists()


def made_at() -> datetime | None:
    """The end of the year that was generated, None without a town."""
    return parse_instant(json.loads(_marker().read_text(encoding="utf-8"))["end"]) if exists() else None


def create(progress: Progress, *, end: datetime | None = None, seed: int = SEED) -> Made:
    """Make the town: map, devices, a year of history by the bulk road, the last 48 hours by the real one.

    What a process that was killed left behind is taken away first. Raises DemoElsewhere on an address that others reach.
    """
    if _tenant() is not None:
        remove()
    until = (end or now()).astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    town = geography.town(seed)
    tenant = tenancy.create_tenant(
        slug=SLUG, name=NAME, kind=OrganisationKind.MUNICIPALITY, time_zone=ZONE, centre=list(town.centre), extent=list(town.extent), is_demo=True
    )
    people(tenant)
    happened = events.planted(until, seed)
    progress(msg("Ruas, casas e aparelhos"), 0, 4)
    entities = _write(tenant.id, [*statics.all_registrations(seed), statics.buildings(seed), statics.incidents(until, seed), statics.emergencies(until, seed)], "Vila")
    progress(msg("Um ano de observações"), 1, 4)
    table = generator.history(until - YEAR, until - RECENT, happened, seed)
    loaded = _load_year(tenant.id, table)
    progress(msg("As últimas 48 horas"), 2, 4)
    recent = _write(tenant.id, list(generator.batches(until - RECENT, until, happened, seed)), "48 h")
    progress(msg("Somas e ficheiros"), 3, 4)
    lake.compact(tenant.id)
    _marker().write_text(json.dumps({"seed": seed, "end": format_instant(until)}), encoding="utf-8")
    progress(msg("Pronta"), 4, 4)
    return Made(tenant, until, entities[0], loaded + recent[1])


def people(tenant: Tenant) -> list[str]:
    """The demo's accounts, made where they are missing: their addresses."""
    for address, name, role in PEOPLE:
        person = identity.create_demo_person(address, name=name)
        access.grant(person.id, tenant.id, role, by="demo")
    return [address for address, _, _ in PEOPLE]


def remove() -> bool:
    """Take the town away with everything that is its own. Returns whether there was one."""
    tenant = _tenant()
    _marker().unlink(missing_ok=True)
    if tenant is None:
        return False
    lake.drop_tenant(tenant.id)
    with database.connect(Role.OWNER) as connection:
        _delete_rows(connection, tenant.id)
    for person in identity.demo_people(None):
        if person.email.endswith("@vila-de-malha.example"):
            identity.set_active(person.id, active=False)
    return True


def _tenant() -> Tenant | None:
    try:
        return tenancy.by_slug(SLUG)
    except UnknownTenant:
        return None


def _load_year(tenant_id: int, table: object) -> int:
    with database.connect() as connection, database.tenant_transaction(connection, [tenant_id]):
        run_id = runs.start(connection, tenant_id, "demo", title="Um ano de Vila de Malha (fictício)", actor="demo")
    loaded = lake.bulk_load(tenant_id, table, run_id)  # type: ignore[arg-type]  # an Arrow table, which has no types
    with database.connect() as connection, database.tenant_transaction(connection, [tenant_id]):
        runs.finish(connection, tenant_id, run_id, Counts(observations=loaded))
    return loaded


def _write(tenant_id: int, tables: list[EntityTable], title: str) -> tuple[int, int]:
    """Write batches by the real road, as one run: (entities made, observations)."""
    created = observations = 0
    with database.connect() as connection:
        with database.tenant_transaction(connection, [tenant_id]):
            run_id = runs.start(connection, tenant_id, "demo", title=f"{title} (fictício)", actor="demo")
        for table in tables:
            with database.tenant_transaction(connection, [tenant_id]):
                outcome = store.upsert_table(connection, tenant_id, table, WriteOptions(run_id=run_id, live=False))
            created, observations = created + outcome.created, observations + outcome.observations
        with database.tenant_transaction(connection, [tenant_id]):
            runs.finish(connection, tenant_id, run_id, Counts(created=created, observations=observations))
    return created, observations


def _delete_rows(connection: psycopg.Connection, tenant_id: int) -> None:
    """Delete every row of the tenant from every table that has such rows, whatever room it belongs to; last the tenant itself."""
    tables = connection.execute(
        """SELECT c.table_name FROM information_schema.columns c JOIN pg_class k ON k.oid = ('public.' || quote_ident(c.table_name))::regclass
        WHERE c.table_schema = 'public' AND c.column_name = 'tenant_id' AND k.relkind IN ('r', 'p') AND NOT k.relispartition"""
    ).fetchall()
    for (table,) in tables:  # in one transaction: foreign keys are looked at when it commits
        if table.startswith("audit_"):
            continue  # the audit chain is never cut; it says that there was a demonstration
        connection.execute(sql.SQL("DELETE FROM {} WHERE tenant_id = %s").format(sql.Identifier(table)), [tenant_id])
    connection.execute("DELETE FROM organisation WHERE id = %s AND is_demo", [tenant_id])


def _marker() -> Path:
    return settings.current().data / MARKER
