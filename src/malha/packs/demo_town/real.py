"""A second tenant whose data is real: IPMA's recording of 28 July 2022 and facilities of Lisbon, where the sample folder is there.

A recording is shown on its own clock, under a ribbon that says so, and its source is switched off so that nobody
takes it for today.
"""

from __future__ import annotations

import json
from pathlib import Path
from zoneinfo import ZoneInfo

from malha.foundation.access import service as access
from malha.foundation.access.contracts import RoleName
from malha.foundation.database import service as database
from malha.foundation.identity import service as identity
from malha.foundation.tenancy import country
from malha.foundation.tenancy import service as tenancy
from malha.foundation.tenancy.contracts import OrganisationKind, Tenant, UnknownTenant
from malha.ingest.runs import fetching
from malha.ingest.runs import service as runs
from malha.kernel.text import msg
from malha.kernel.time import parse_instant
from malha.packs.demo_town.service import PEOPLE, Progress
from malha.packs.registry import service as registry
from malha.sources.base.contracts import NotReady

SLUG = "lisboa-gravacao"
NAME = "Lisboa (gravação)"
DICO = "1106"
RIBBON = "Gravação de 28 jul. 2022"
FILES = {"facilities/schools.csv": "School", "facilities/museums.csv": "Museum", "facilities/health_centers.csv": "HealthCentre"}
FOLDER = "carris-metropolitana"
OBSERVATIONS = "observations.json"  # by the hour, in UTC


class Recording:
    """Answers as IPMA did on the day of the recording, from files of the same names."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get_json(self, url: str) -> object:
        """The recorded answer. Raises NotReady for what was not recorded."""
        path = self.folder / url.rpartition("/")[2]
        if not path.is_file():
            raise NotReady(msg("A gravação não tem {name}."), name=path.name)
        return json.loads(path.read_text(encoding="utf-8"))


def exists() -> bool:
    """Whether the tenant of recordings is there."""
    try:
        tenancy.by_slug(SLUG)
    except UnknownTenant:
        return False
    return True


def create(samples: Path, progress: Progress) -> Tenant | None:
    """Make the tenant from the files that are there; None where there is none of them. What is there already stays."""
    files = {samples / FOLDER / name: type_ for name, type_ in FILES.items() if (samples / FOLDER / name).is_file()}
    recording = samples / "feeds" / "ipma"
    if exists():
        _set_clock(recording)  # one that was made before recordings had a clock
        return None
    if not (files or recording.is_dir()):
        return None
    facts = country.municipalities()[DICO]
    tenant = tenancy.create_tenant(
        slug=SLUG, name=NAME, kind=OrganisationKind.MUNICIPALITY, centre=list(facts.centre), extent=list(facts.extent), theme={"ribbon": RIBBON}
    )
    address, name, _ = PEOPLE[0]
    access.grant(identity.create_demo_person(address, name=name).id, tenant.id, RoleName.TENANT_MANAGER, by="demo")
    with database.connect() as connection, database.tenant_transaction(connection, [tenant.id]):
        registry.switch_on(connection, tenant.id, "civil_protection", actor="demo")
    for i, (path, type_) in enumerate(files.items()):
        progress(path.name, i, len(files) + 1)
        runs.load_file(tenant.id, path, {"kind": "own", "type": type_}, actor="demo", live=False)
    if recording.is_dir():
        progress("IPMA", len(files), len(files) + 1)
        _play(tenant.id, recording)
        _set_clock(recording)
    return tenancy.by_slug(SLUG)


def _set_clock(recording: Path) -> None:
    """Let the tenant's clock stand at the last hour that was recorded, so that its pages show that day."""
    path = recording / OBSERVATIONS
    if path.is_file():
        hours = json.loads(path.read_text(encoding="utf-8"))
        tenant_id = tenancy.by_slug(SLUG).id
        with tenancy.scope(tenant_id):
            tenancy.set_clock(tenant_id, parse_instant(max(hours), zone=ZoneInfo("UTC")))


def _play(tenant_id: int, recording: Path) -> None:
    wanted = {"observations": "1", "forecast": "1", "warnings": "0", "fire_risk": "1"}
    with database.connect() as connection, database.tenant_transaction(connection, [tenant_id]):
        source = fetching.set_up(connection, tenant_id, "ipma", wanted, "demo")
    fetching.fetch(tenant_id, source.id, Recording(recording))
    with database.connect() as connection, database.tenant_transaction(connection, [tenant_id]):
        fetching.switch(connection, tenant_id, source.id, enabled=False, actor="demo")
