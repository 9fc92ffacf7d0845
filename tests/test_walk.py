"""The walk of one record, walked: a reading of PM10 in a municipality's CSV rings a bell and leaves in an open dataset.

What ARCHITECTURE.md says of it is checked against what ran: each function of its table, in the order of the table.
"""

import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType

from django.test import Client

from malha.foundation.access import service as access
from malha.foundation.access.contracts import RoleName
from malha.foundation.database import django as scoped
from malha.foundation.database import service as database
from malha.foundation.events import service as events
from malha.foundation.events.contracts import Position
from malha.foundation.identity import service as people
from malha.foundation.identity.models import Person
from malha.foundation.tenancy import service as tenancy
from malha.history.lake import service as lake
from malha.history.temporal import service as temporal
from malha.history.temporal.contracts import Grain, SeriesQuery
from malha.ingest.runs import service as runs
from malha.insight.alerts import events as listening
from malha.insight.alerts import service as alerts
from malha.insight.alerts.contracts import Alarm, Rule, RuleKind
from malha.kernel.time import now
from malha.project.checkout import ROOT
from malha.share.opendata import service as opendata

STEP = re.compile(r"^\| \d+ \|.*\| \[`(\w+)`\]\(([^)]+)\) \|$", re.MULTILINE)
STATION = "urn:{slug}:AirQualityObserved:E1"

COLUMNS = [{"column": "Nome", "attribute": "name", "type": "text"}, {"column": "PM10", "attribute": "pm10", "type": "number", "decimal": ",", "unit": "GQ"}]
ANSWERS = {
    "kind": "model", "type": "AirQualityObserved", "key": ["Código"], "time": {"columns": ["Data"], "zone": "UTC"}, "columns": COLUMNS,
    "place": {"kind": "coordinates", "x": "Longitude", "y": "Latitude", "crs": "EPSG:4326"},
}  # fmt: skip


@contextmanager
def noting(wanted: set[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    """Which of the functions wanted (name, file) are entered, in this thread and in those it starts, each once."""
    entered: list[tuple[str, str]] = []
    names, root = {name for name, _ in wanted}, f"{ROOT}/"

    def note(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and frame.f_code.co_name in names:
            one = (frame.f_code.co_name, frame.f_code.co_filename.removeprefix(root))
            if one in wanted and one not in entered:
                entered.append(one)

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield entered
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def test_it_works(new_tenant, tmp_path: Path) -> None:
    steps = STEP.findall((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8"))
    tenant = new_tenant(extent=[-8.75, 40.53, -8.52, 40.73])
    moment = now().replace(microsecond=0) - timedelta(minutes=40)
    file = tmp_path / "ar.csv"
    readings = [
        *((moment + timedelta(minutes=minute), f"21,{minute}") for minute in range(20)),
        (moment + timedelta(minutes=25), "61,0"),
        (moment + timedelta(minutes=30), "muito"),
    ]
    rows = [f"E1;Escola;40,64;-8,65;{value};{at:%Y-%m-%dT%H:%M:%SZ}" for at, value in readings]
    file.write_text("\n".join(["Código;Nome;Latitude;Longitude;PM10;Data", *rows]) + "\n", encoding="windows-1252")
    rule = Rule(0, tenant.id, "PM10 alto", RuleKind.THRESHOLD, "AirQualityObserved", "pm10", bound=50.0, unit="GQ")
    with tenancy.scope(tenant.id):
        begun = events.here(scoped.current())
        alerts.save_rule(scoped.current(), rule)
    with noting(set(steps)) as entered:
        loaded = runs.load_file(tenant.id, file, ANSWERS, live=True)
        rung = listen(tenant.id, begun)
        lake.compact(tenant.id)
        past = SeriesQuery("AirQualityObserved", "pm10", moment, datetime.now(UTC), uris=(STATION.format(slug=tenant.slug),), grain=Grain.RAW)
        series = temporal.series(tenant.id, past)
        taken, record = leave(tenant)
    assert (loaded.counts.entered, loaded.counts.held) == (21, 1)
    assert [one.uri for one in rung] == [STATION.format(slug=tenant.slug)]
    assert [float(value) for _, value, _ in series[0].points][-2:] == [21.19, 61.0]
    assert "61" in taken
    assert "AirQualityObserved" in record or "ar" in record
    assert sorted(set(steps) - set(entered)) == [], "steps of the table that were not walked"
    assert entered == steps, "the table tells the walk in another order than it goes"


def listen(tenant_id: int, begun: Position) -> list[Alarm]:
    """Hand the rules what the outbox tells, once it is committed for good; the alarms that rang."""
    deadline = time.monotonic() + 60
    while True:
        with database.connect() as conn, database.tenant_transaction(conn, [tenant_id]):
            told = events.since(conn, tenant_id, begun, names=["entities.changed"])
            for event in told:
                listening.consume(conn, event)
            if told or time.monotonic() > deadline:
                return alerts.alarms(conn, tenant_id)
        time.sleep(0.1)


def leave(tenant) -> tuple[str, str]:
    """The export that a person takes away, and the open record of the dataset that was published."""
    person = people.create_person(f"ana-{tenant.slug}@exemplo.pt", name="Ana")
    access.grant(person.id, tenant.id, RoleName.PUBLISHER)
    access.grant(person.id, tenant.id, RoleName.ANALYST)
    browser = Client(headers={"host": "localhost"})
    browser.force_login(Person.objects.get(pk=person.id))
    answer = browser.get(f"/{tenant.slug}/dados/exportar/ficheiro.csv", {"type": "AirQualityObserved"})
    taken = b"".join(answer.streaming_content).decode()
    with tenancy.scope(tenant.id):
        row = opendata.begin(tenant, "AirQualityObserved", person_id=None, title="Qualidade do ar")
        row.description_pt, row.contact_name, row.contact_email = "O ar das escolas, hora a hora.", "Ambiente", "ambiente@exemplo.pt"
        row.save()
        opendata.publish(tenant, row, person_id=None, actor="test")
    record = Client(headers={"host": "localhost"}).get(f"/{tenant.slug}/catalog.jsonld")
    assert record.status_code == 200
    return taken, (b"".join(record.streaming_content) if record.streaming else record.content).decode()
