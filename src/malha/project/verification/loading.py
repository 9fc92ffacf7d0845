"""The first half of the road: a tenant, data models, files, and other people's programs that read them."""

from __future__ import annotations

import csv
import time
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from pathlib import Path

from malha.foundation.language.service import say
from malha.kernel.text import msg
from malha.project.verification.contracts import Step
from malha.project.verification.road import Road

MUNICIPALITY = "1106"
OTHER_MUNICIPALITY = "0105"


def rows_of(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file, read by nothing of ours."""
    with path.open(encoding="utf-8-sig", newline="") as source:
        return list(csv.DictReader(source))


def start(road: Road, step: Step) -> None:
    """The platform starts from an empty folder."""
    seconds = road.start()
    step.equal(say(msg("responde em /health")), 200, road.status("/health"))
    step.equal(say(msg("a página inicial abre")), 200, road.status("/"))
    step.input = say(msg("pasta vazia, pronta em {seconds} s"), seconds=round(seconds, 1))


def tenant(road: Road, step: Step) -> None:
    """Two real municipalities become tenants, in under a second and without a restart."""
    from malha.foundation.tenancy import service as tenancy

    began = time.monotonic()
    road.known["tenant"] = tenancy.create_municipality(MUNICIPALITY)
    step.at_least(say(msg("menos de um segundo")), 0.0, 1.0 - (time.monotonic() - began))
    road.known["other"] = tenancy.create_municipality(OTHER_MUNICIPALITY)
    step.equal(say(msg("nome do município")), "Lisboa", road.known["tenant"].name)
    step.equal(say(msg("o endereço próprio abre")), 200, road.status(f"/{road.known['tenant'].slug}/dados-abertos/"))
    step.input = say(msg("factos dos 308 municípios"))


def models(road: Road, step: Step) -> None:
    """A folder of data models is imported; every schema is taken or refused with a reason."""
    from malha.foundation.database import service as database
    from malha.vocabulary.models import importing
    from malha.vocabulary.models import service as vocabulary

    schemas = list(road.inputs.models.rglob("*.schema.json"))
    report = importing.read_folder(road.inputs.models)
    owner = road.known["tenant"]
    with database.connect() as conn, database.tenant_transaction(conn, [owner.id]):
        kept = importing.save(conn, owner.id, report, origin=road.inputs.models.name)
    step.input = f"{road.inputs.origin_of(road.inputs.models)}: {road.inputs.models.name}"
    step.equal(say(msg("esquemas lidos")), len(schemas), len(report.schemas))
    step.equal(
        say(msg("aceites ou recusados com razão")), len(schemas), kept + sum(bool(one.reason) or one.is_metadata for one in report.schemas if one.model is None)
    )
    known = {model.type for model in vocabulary.all_models(owner.id)}
    step.equal(say(msg("tipos que ficaram por conhecer")), [], sorted({model.type for model in report.models} - known))


def files(road: Road, step: Step) -> None:
    """Files are loaded through the mapping; every row enters, waits or repeats, and the same file again changes nothing."""
    from malha.ingest.runs import service as runs

    owner = road.known["tenant"]
    step.input = ", ".join(f"{road.inputs.origin_of(path)}: {path.name}" for path in (road.inputs.places, road.inputs.table))
    answers = {road.inputs.places: {"type": "Facility", "key": ["id"]}, road.inputs.table: {"type": "LinePerformance", "key": ["line_id"]}}
    for path, given in answers.items():
        result = runs.load_file(owner.id, path, given)
        counts = result.counts
        step.equal(say(msg("{file}: linhas lidas"), file=path.name), len(rows_of(path)), counts.read)
        step.equal(
            say(msg("{file}: entram, esperam ou repetem"), file=path.name), counts.read, counts.entered + counts.held + counts.repeated + counts.left_out
        )
        again = runs.load_file(owner.id, path, given)
        step.equal(say(msg("{file}: alterações à segunda vez"), file=path.name), 0, again.counts.changes)
        road.known[path.name] = counts


def programs(road: Road, step: Step) -> None:
    """Another process gets a token and reads over NGSI-LD what the files say."""
    from malha.foundation.access.contracts import Capability
    from malha.foundation.identity import machines
    from malha.foundation.tenancy import service as tenancy

    owner = road.known["tenant"]
    with tenancy.scope(owner.id):
        machine, secret = machines.create(owner.id, name="Verificação", capabilities=[Capability.DATA_READ, Capability.DATA_WRITE], types=None, created_by=None)
    answer = road.read_as_a_program(machine.client_id, secret, "Facility")
    road.known["token"] = answer["token"]
    rows = {row["id"]: row for row in rows_of(road.inputs.places)}
    found = {uri.rsplit(":", 1)[1]: entity for uri, entity in answer["entities"].items()}
    step.input = say(msg("{origin}: {file}, lido por outro processo"), origin=road.inputs.origin_of(road.inputs.places), file=road.inputs.places.name)
    step.equal(say(msg("entidades")), road.known[road.inputs.places.name].created, len(found))
    names = {key: rows[key]["name"].strip() for key in found if rows[key]["name"].strip()}
    step.equal(say(msg("nomes iguais aos do ficheiro")), len(names), sum(found[key].get("name") == name for key, name in names.items()))
    places = sum(
        abs(entity["location"]["coordinates"][0] - float(rows[key]["lon"])) < 1e-6
        and abs(entity["location"]["coordinates"][1] - float(rows[key]["lat"])) < 1e-6
        for key, entity in found.items()
        if "location" in entity
    )
    step.equal(say(msg("lugares iguais aos do ficheiro")), sum("location" in entity for entity in found.values()), places)


def history(road: Road, step: Step) -> None:
    """What was is read back, value by value and by day, from hot rows and the lake alike."""
    from malha.history.lake import service as lake
    from malha.history.temporal import service as temporal
    from malha.history.temporal.contracts import Grain, SeriesQuery
    from malha.vocabulary.models.contracts import Aggregation

    owner, rows = road.known["tenant"], rows_of(road.inputs.table)
    line = Counter(row["line_id"] for row in rows).most_common(1)[0][0]
    days = {
        datetime.strptime(row["operational_day"], "%Y%m%d").replace(tzinfo=owner.zone): int(row["total_trip_count"]) for row in rows if row["line_id"] == line
    }
    sums: dict[datetime, int] = defaultdict(int)
    for row in rows:
        sums[datetime.strptime(row["operational_day"], "%Y%m%d").replace(tzinfo=owner.zone)] += int(row["total_trip_count"])
    start_at, end_at = min(sums), max(sums) + timedelta(days=1)
    one = SeriesQuery("LinePerformance", "total_trip_count", start_at, end_at, uris=(f"urn:{owner.slug}:LinePerformance:{line}",), grain=Grain.RAW)
    all_days = SeriesQuery("LinePerformance", "total_trip_count", start_at, end_at, grain=Grain.DAY, aggregation=Aggregation.SUM)
    step.input = f"{road.inputs.origin_of(road.inputs.table)}: {road.inputs.table.name}"
    for moment in (say(msg("antes de compactar")), say(msg("depois de compactar"))):
        for what, query, expected in (
            (say(msg("valores da linha {line}"), line=line), one, days),
            (say(msg("somas por dia de todas as linhas")), all_days, sums),
        ):
            found = {at.astimezone(owner.zone): int(float(value or 0)) for at, value, _ in temporal.series(owner.id, query)[0].points}
            step.equal(
                say(msg("{what}, {moment}: quantos e quanto"), what=what, moment=moment),
                [len(expected), sum(expected.values())],
                [len(found), sum(found.values())],
            )
            step.equal(say(msg("{what}, {moment}: diferentes"), what=what, moment=moment), 0, sum(found.get(day) != value for day, value in expected.items()))
        lake.compact(owner.id)
