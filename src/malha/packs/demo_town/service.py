"""Make the demo town, say whether it is there, take it away."""

from __future__ import annotations

import csv
import json
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from malha.context.store import service as store
from malha.context.store.contracts import EntityTable, WriteOptions
from malha.foundation.access import service as access
from malha.foundation.access.contracts import RoleName
from malha.foundation.database import service as database
from malha.foundation.identity import service as identity
from malha.foundation.settings import service as settings
from malha.foundation.tenancy import erasure
from malha.foundation.tenancy import service as tenancy
from malha.foundation.tenancy.contracts import OrganisationKind, Tenant, UnknownTenant
from malha.history.lake import service as lake
from malha.ingest.runs import service as runs
from malha.ingest.runs.contracts import Counts
from malha.kernel.text import msg
from malha.kernel.time import format_instant, now, parse_instant
from malha.packs.demo_town import events, generator, geography, statics
from malha.packs.demo_town.contracts import NAME, RECENT, SEED, SLUG, YEAR, ZONE, Town
from malha.packs.registry import service as registry
from malha.vocabulary.territory import service as territory

#: who can be in the demonstration: address, name, role
PEOPLE = (
    ("gestora@vila-de-malha.example", "Rita Gestora (fictício)", RoleName.TENANT_MANAGER),
    ("analista@vila-de-malha.example", "Tomé Analista (fictício)", RoleName.ANALYST),
    ("operadora@vila-de-malha.example", "Inês Operadora (fictício)", RoleName.OPERATOR),
)
PACKS = ("air_noise", "waste", "civil_protection")
#: a code of the right form that no municipality has
MUNICIPALITY = "9901"
EDITION = date(2025, 1, 1)
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
    _draw(tenant.id, town)
    _switch_on_packs(tenant.id)
    happened = events.planted(until, seed)
    progress(msg("Ruas, casas e aparelhos"), 0, 4)
    entities = _write(
        tenant.id,
        [*statics.all_registrations(seed), statics.buildings(seed), statics.incidents(until, seed), statics.emergencies(until, seed)],
        msg("Vila (fictício)"),
    )
    progress(msg("Um ano de observações"), 1, 4)
    table = generator.history(until - YEAR, until - RECENT, happened, seed)
    loaded = _load_year(tenant.id, table)
    progress(msg("As últimas 48 horas"), 2, 4)
    recent = _write(tenant.id, list(generator.batches(until - RECENT, until, happened, seed)), msg("48 h (fictício)"))
    progress(msg("Somas e ficheiros"), 3, 4)
    lake.compact(tenant.id)
    database.refresh_statistics()
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
    """Take the town away with everything that is its own, its people included. Returns whether there was one."""
    tenant = _tenant()
    _marker().unlink(missing_ok=True)
    if tenant is None:
        return False
    for person in identity.demo_people(tenant.id):
        identity.set_active(person.id, active=False)
    lake.drop_tenant(tenant.id)
    erasure.erase(tenant.id)
    shutil.rmtree(settings.current().data / "files" / str(tenant.id), ignore_errors=True)
    return True


def _tenant() -> Tenant | None:
    try:
        return tenancy.by_slug(SLUG)
    except UnknownTenant:
        return None


def _load_year(tenant_id: int, table: object) -> int:
    with database.connect() as connection, database.tenant_transaction(connection, [tenant_id]):
        run_id = runs.start(connection, tenant_id, "demo", title=msg("Um ano de Vila de Malha (fictício)"), actor="demo")
    loaded = lake.bulk_load(tenant_id, table, run_id)
    with database.connect() as connection, database.tenant_transaction(connection, [tenant_id]):
        runs.finish(connection, tenant_id, run_id, Counts(read=loaded, entered=loaded, observations=loaded))
    return loaded


def _write(tenant_id: int, tables: list[EntityTable], title: str) -> tuple[int, int]:
    """Write batches by the real road, as one run: (entities made, observations)."""
    rows = created = observations = 0
    with database.connect() as connection:
        with database.tenant_transaction(connection, [tenant_id]):
            run_id = runs.start(connection, tenant_id, "demo", title=title, actor="demo")
        for table in tables:
            with database.tenant_transaction(connection, [tenant_id]):
                outcome = store.upsert_table(connection, tenant_id, table, WriteOptions(run_id=run_id, live=False))
            rows, created, observations = rows + len(table.uris), created + outcome.created, observations + outcome.observations
        with database.tenant_transaction(connection, [tenant_id]):
            runs.finish(connection, tenant_id, run_id, Counts(read=rows, entered=rows, created=created, observations=observations))
    return created, observations


def _draw(tenant_id: int, town: Town) -> None:
    """Boundary, parishes and streets go in as a municipality's own files would: GeoJSON with the columns of CAOP, CSV of doors."""
    features = [{"type": "Feature", "properties": {"dtmn": MUNICIPALITY, "municipio": NAME, "nuts2": "Oeste e Vale do Tejo"}, "geometry": town.boundary}]
    features += [
        {"type": "Feature", "properties": {"dtmnfr": parish.code, "freguesia": parish.name, "municipio": NAME}, "geometry": parish.polygon}
        for parish in town.parishes
    ]
    with tempfile.TemporaryDirectory() as folder, database.connect() as connection, database.tenant_transaction(connection, [tenant_id]):
        limits, doors = Path(folder) / "limites.geojson", Path(folder) / "portas.csv"
        limits.write_text(json.dumps({"type": "FeatureCollection", "features": features}), encoding="utf-8")
        territory.import_boundaries(connection, tenant_id, limits, edition="fictício", valid_from=EDITION)
        with doors.open("w", encoding="utf-8", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(["rua", "numero", "x", "y"])
            rows.writerows([street.name, number, *place] for street in town.streets for number, place in street.doors)
        territory.import_streets(connection, tenant_id, doors, crs="EPSG:4326", source="portas")


def _switch_on_packs(tenant_id: int) -> None:
    with database.connect() as connection, database.tenant_transaction(connection, [tenant_id]):
        for name in PACKS:
            registry.switch_on(connection, tenant_id, name, actor="demo")


def _marker() -> Path:
    return settings.current().data / MARKER
