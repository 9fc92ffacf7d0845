"""*Carregar história*: pieces that go on where they were cut, what is recognised, the load, what is refused; and who may not."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from pyarrow import parquet

from malha.context.store import service as store
from malha.context.store.contracts import Column, EntityTable
from malha.foundation.audit import service as audit
from malha.foundation.database import service as database
from malha.foundation.jobs import service as jobs
from malha.history.engines import service as engines
from malha.ingest.bulk import checking, drafts, hearing, reading, recognising, service
from malha.ingest.bulk import jobs as work
from malha.ingest.bulk.contracts import Clock, Measure, PieceOutOfPlace, Shape
from malha.ingest.runs import queries
from malha.ingest.runs import service as runs
from malha.ingest.runs.contracts import CannotResume, RunBusy, RunKind, RunState

URIS = [f"urn:vila:Contador:{n}" for n in range(3)]
ROWS = 480
EXCEL = (
    "Código;Data e hora;Nível (m);Nota\r\n"
    + "".join(f"{n % 3};{1 + n // 24:02d}/03/2025 {n % 24}:00;{n % 7},5;bom\r\n" for n in range(ROWS))
    + "=9;01/03/2025 05:00;1,0;?\r\n0;ontem;1,0;?\r\n1;30/03/2025 01:30;1,0;?\r\n"
).encode("cp1252")


@pytest.fixture
def tenant(new_tenant: Any) -> Any:
    made = new_tenant()
    with database.connect() as connection, database.tenant_transaction(connection, [made.id]):
        store.upsert_table(connection, made.id, EntityTable("Contador", URIS, [Column("name", ["A", "B", "C"])]))
    return made


def stored(tenant: Any, what: str = "count(*), sum(num)") -> Any:
    return engines.run([tenant.id], lambda reader: reader.execute(f"SELECT {what} FROM lake.{engines.tenant_schema(tenant.id)}.observation").fetchone())


def begin(browser: Any, name: str, data: bytes, mark: str = "1") -> dict[str, Any]:
    answer = browser.send("/dados/historia/novo/", {"name": name, "bytes": len(data), "mark": mark})
    assert answer.status_code == 201, answer.content
    return answer.json()


def put(browser: Any, place: dict[str, Any], offset: int, data: bytes) -> Any:
    return browser.post(place["piece"], data, content_type="application/octet-stream", headers={"upload-offset": str(offset)})


def bring(browser: Any, name: str, data: bytes) -> str:
    """A file in three pieces; the page that asks about it."""
    place, step = begin(browser, name, data), len(data) // 3 + 1
    for offset in range(0, len(data), step):
        assert put(browser, place, offset, data[offset : offset + step]).status_code == 200
    return str(browser.post(place["whole"]).json()["next"])


#: what to answer about `EXCEL`
GIVEN = {"entity": "Código", "before": "urn:vila:Contador:", "instant": "Data e hora", "clock": "day-first", "way": "wide", "m2": "on", "a2": "nivel"}


def test_it_works(tenant, signed):
    """As a Portuguese Excel writes it: codes for identifiers, days first, decimals after a comma, a formula among the refused."""
    browser = signed(tenant)
    address = bring(browser, "níveis.csv", EXCEL)
    page = browser.get(address).content.decode()
    assert "480 entram" in page
    assert "3 são recusadas" in page
    assert "Não há nenhuma entidade com este identificador." in page
    assert "Nesta hora mudou a hora legal" in page
    answer = browser.post(address, GIVEN | {"u2": "MTR", "start": "1"})
    run_id = int(answer["location"].rstrip("/").rsplit("/", 1)[-1])
    assert browser.get(address)["location"] == answer["location"]  # a file is loaded once
    jobs.run_now("ingest.history", tenant_id=tenant.id, run_id=run_id)
    page = browser.get(answer["location"]).content.decode()
    assert "480 linhas entraram" in page
    assert stored(tenant) == (ROWS, sum(n % 7 + 0.5 for n in range(ROWS)))
    assert stored(tenant, "min(attribute), min(unit), min(observed_at)") == ("nivel", "MTR", datetime(2025, 3, 1, tzinfo=UTC))
    lines = b"".join(browser.get(f"{answer['location']}recusadas.csv").streaming_content).decode("utf-8-sig").splitlines()
    assert lines[0] == "linha;Código;Data e hora;Nível (m);Nota;coluna;porquê"
    assert [line.split(";")[0] for line in lines[1:]] == ["481", "482", "483"]
    assert lines[1].split(";")[1] == "'=9"
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        assert [one.action for one in audit.entries(conn, tenant.id) if one.subject == f"run:{run_id}"] == ["ingest.load_history"]
    browser.send(f"/dados/cargas/{run_id}/desfazer/")
    assert "Esta carga foi desfeita" in browser.get(answer["location"]).content.decode()


def test_pieces_go_on_where_they_were_cut(tenant, signed):
    browser = signed(tenant)
    place = begin(browser, "n.csv", EXCEL)
    assert put(browser, place, 0, EXCEL[:100]).json() == {"offset": 100}
    for offset in (0, 50, 101):
        answer = put(browser, place, offset, b"x")
        assert (answer.status_code, answer.json()["offset"]) == (409, 100)
    again = begin(browser, "n.csv", EXCEL)
    assert (again["piece"], again["offset"]) == (place["piece"], 100)
    assert begin(browser, "n.csv", EXCEL, mark="2")["piece"] != place["piece"]
    assert browser.post(place["whole"]).status_code == 409
    assert put(browser, place, 100, EXCEL[100:] + b"a mais").status_code == 400
    assert browser.get(place["piece"]).json() == {"offset": 100}
    assert put(browser, place, 100, EXCEL[100:]).json() == {"offset": len(EXCEL)}
    assert browser.post(place["whole"]).status_code == 200
    assert browser.post(place["whole"]).status_code == 200  # the answer was lost, and asked for again


def test_one_piece_at_a_time(tenant, signed):
    begin(signed(tenant), "n.csv", EXCEL)
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        (draft,) = drafts.unfinished(conn, tenant.id)

    def pieces():
        yield b"abc"
        with pytest.raises(PieceOutOfPlace):
            drafts.add(draft, 3, [b"def"])

    assert drafts.add(draft, 0, pieces()) == 3


@pytest.mark.parametrize("bytes_", ["0", "-1", "muitos", "9" * 30, ""])
def test_a_file_of_no_size_is_refused(tenant, signed, bytes_):
    assert signed(tenant).send("/dados/historia/novo/", {"name": "n.csv", "bytes": bytes_}).status_code == 400


def test_without_script_the_file_comes_whole(tenant, signed):
    browser = signed(tenant)
    answer = browser.send("/dados/historia/", {"file": SimpleUploadedFile("n.csv.gz", gzip.compress(EXCEL))})
    assert "480 entram" in browser.get(answer["location"]).content.decode()
    answer = browser.send("/dados/historia/", {"file": SimpleUploadedFile("n.parquet", b"PAR1 e mais nada")})
    page = browser.get(answer["location"])
    assert page.status_code == 422
    assert "Este ficheiro não se lê" in page.content.decode()
    drop = answer["location"] + "largar/"
    assert browser.post(drop)["location"].endswith("/dados/historia/")
    assert browser.get(answer["location"]).status_code == 404
    assert browser.send("/dados/historia/").status_code == 422


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"m2": ""}, "Escolha pelo menos uma coluna"), ({"instant": "Código"}, "Uma coluna só pode dizer uma coisa"), ({"way": "long"}, "Escolha a coluna."),
        ({"a2": "nível da água"}, "não tem espaços"), ({"m3": "on", "a3": "nivel"}, "têm a mesma medida"), ({"entity": "Outra"}, "Outra"),
    ],
)  # fmt: skip
def test_answers_that_do_not_fit_are_said(tenant, signed, changed, said):
    browser = signed(tenant)
    address = bring(browser, "n.csv", EXCEL)
    answer = browser.post(address, {name: value for name, value in (GIVEN | changed).items() if value} | {"start": "1"})
    assert answer.status_code == 422
    assert said in answer.content.decode()
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        assert runs.latest(conn, tenant.id) == []


def test_others_see_nothing_of_it(tenant, new_tenant, signed):
    place = begin(signed(tenant), "n.csv", EXCEL)
    other = new_tenant()
    browser = signed(other)
    moved = {step: address.replace(f"/{tenant.slug}/", f"/{other.slug}/") for step, address in place.items() if step != "offset"}
    assert browser.get(moved["draft"]).status_code == browser.get(moved["piece"]).status_code == put(browser, moved, 0, b"x").status_code == 404
    reader = signed(tenant, "viewer")
    assert reader.open("/dados/historia/").status_code == put(reader, place, 0, b"x").status_code == 403


def test_a_load_is_stopped_gone_on_with_and_not_run_twice(tenant, signed, tmp_path, monkeypatch):
    monkeypatch.setattr(service, "PIECE_ROWS", 100)
    browser = signed(tenant)
    run_id = _begun(browser, tenant)
    assert browser.send(f"/dados/historia/carga/{run_id}/parar/").status_code == 302
    assert _run(tenant, run_id).state is RunState.STOPPED
    assert service.load_kept(tenant.id, run_id) is None
    page = browser.open(f"/dados/historia/carga/{run_id}/").content.decode()
    assert "A carga está parada" in page
    assert browser.send(f"/dados/historia/carga/{run_id}/continuar/").status_code == 302
    with database.connect(autocommit=True) as keeper, runs.taken(keeper, run_id), pytest.raises(RunBusy):
        service.load_kept(tenant.id, run_id)
    assert service.load_kept(tenant.id, run_id).counts.observations == ROWS
    assert service.load_kept(tenant.id, run_id) is None
    path = tmp_path / "n.csv"
    path.write_text(f"entity,observedAt,nivel\n{URIS[0]},2025-03-01T00:00:00Z,1\n", encoding="utf-8")
    with pytest.raises(CannotResume):
        service.load_history(tenant.id, path, run_id=run_id)


def test_a_load_hears_that_it_is_to_stop(tenant, signed, monkeypatch):
    """Between blocks; what was set down is kept, and the rest is done when it goes on."""
    monkeypatch.setattr(reading, "BLOCK_BYTES", 2_000)
    monkeypatch.setattr(hearing, "EVERY_SECONDS", 0.01)
    run_id = _begun(signed(tenant), tenant)
    real, seen = service.quality.hold, []

    def slow(conn, tenant_id, held_by, found):
        if not seen:
            with database.connect(autocommit=True) as other, database.tenant_transaction(other, [tenant_id]):
                runs.stop(other, tenant_id, held_by)
        seen.append(1)
        time.sleep(0.1)
        return real(conn, tenant_id, held_by, found)

    monkeypatch.setattr(service.quality, "hold", slow)
    assert service.load_kept(tenant.id, run_id).state is RunState.STOPPED
    assert len(seen) < 8
    assert _run(tenant, run_id).counts.read < ROWS
    with database.connect(autocommit=True) as conn, database.tenant_transaction(conn, [tenant.id]):
        runs.wait_again(conn, tenant.id, run_id, "ensaio")
    assert service.load_kept(tenant.id, run_id).counts.observations == ROWS
    assert stored(tenant) == (ROWS, sum(n % 7 + 0.5 for n in range(ROWS)))


def test_one_whose_process_died_is_begun_again_and_one_that_was_to_stop_has_stopped(tenant, signed):
    browser = signed(tenant)
    first, second = _begun(browser, tenant), _begun(browser, tenant)
    with database.connect(autocommit=True) as conn, database.tenant_transaction(conn, [tenant.id]):
        for one, stop in ((first, False), (second, True)):
            queries.update(
                conn, tenant.id, one, state="running", stop_asked=stop, started_at=datetime.now(UTC), heard_at=datetime.now(UTC) - timedelta(minutes=1)
            )
        assert runs.interrupted(conn, tenant.id, work.SILENT_SECONDS, RunKind.HISTORY) == [first]
        assert runs.progress(conn, tenant.id, second).state is RunState.STOPPED
        assert runs.interrupted(conn, tenant.id, work.SILENT_SECONDS) == []
    assert "deixou de dar sinal" in browser.open(f"/dados/historia/carga/{first}/").content.decode()
    assert service.load_kept(tenant.id, first).counts.observations == ROWS


def test_one_that_dies_each_time_is_not_begun_for_ever(tenant, signed):
    browser = signed(tenant)
    run_id = _begun(browser, tenant)
    with database.connect(autocommit=True) as conn, database.tenant_transaction(conn, [tenant.id]):
        queries.update(conn, tenant.id, run_id, state="running", tries=service.MOST_TRIES)
    assert service.load_kept(tenant.id, run_id) is None
    assert "A carga foi interrompida 10 vezes" in browser.open(f"/dados/historia/carga/{run_id}/").content.decode()
    browser.send(f"/dados/historia/carga/{run_id}/continuar/")
    assert service.load_kept(tenant.id, run_id).counts.observations == ROWS


def test_the_loader_ends_with_whoever_started_it(tenant, signed, tmp_path):
    run_id = _begun(signed(tenant), tenant)
    with database.connect(autocommit=True) as keeper, database.tenant_transaction(keeper, [tenant.id]):
        keeper.execute("LOCK TABLE ingest_held")  # it waits where it puts the first row aside
        child = subprocess.Popen([sys.executable, "-m", "malha.ingest.bulk.loader", str(tenant.id), str(run_id)], stdin=subprocess.PIPE, env=os.environ)
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(4)
        child.stdin.close()
        assert child.wait(10) == 75
    assert service.load_kept(tenant.id, run_id).counts.observations == ROWS


def test_what_was_set_down_goes_when_nobody_goes_on(tenant, signed):
    run_id = _begun(signed(tenant), tenant)
    folder = service._place() / f"{tenant.id}-{run_id}{service._FORM}"
    folder.mkdir(parents=True)
    service.forget_folders()
    assert folder.exists()
    with database.connect(autocommit=True) as conn, database.tenant_transaction(conn, [tenant.id]):
        queries.update(conn, tenant.id, run_id, state="undone")
    service.forget_folders()
    assert not folder.exists()


def _begun(browser: Any, tenant: Any) -> int:
    address = bring(browser, "n.csv", EXCEL)
    return int(browser.post(address, GIVEN | {"start": "1"})["location"].rstrip("/").rsplit("/", 1)[-1])


def _run(tenant: Any, run_id: int) -> Any:
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        return runs.progress(conn, tenant.id, run_id)


@pytest.mark.parametrize(
    ("text", "entity", "instant", "clock", "measures"),
    [
        ("Código;Data e hora;Nível (m)\n1;01/03/2025 05:00;1,5\n", "Código", "Data e hora", Clock.DAY_FIRST, ("Nível (m)",)),
        ("data,contador,total,pass\n20240701,0,20,17\n20240702,1,25,19\n", "contador", "data", Clock.YEAR_FIRST, ("total", "pass")),
        ("uri,observedAt,temperature\nurn:vila:Contador:2,2025-03-01T05:00:00Z,4.5\n", "uri", "observedAt", Clock.ZONED, ("temperature",)),
        ("entity,attribute,observedAt,value\nurn:vila:Contador:2,nivel,2025-03-01T05:00:00+01:00,4.5\n", "entity", "observedAt", Clock.ZONED, ()),
    ],
)
def test_what_is_recognised(tenant, tmp_path, text, entity, instant, clock, measures):
    path = tmp_path / "a.csv"
    path.write_text(text, encoding="utf-8")
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        found = recognising.suggest(conn, tenant.id, recognising.sample(path), "Europe/Lisbon")
        assert (found.entity, found.instant, found.clock, tuple(one.column for one in found.attributes)) == (entity, instant, clock, measures)
        assert found.prefix == ("" if "urn:" in text else "urn:vila:Contador:")
        assert recognising.attempt(conn, tenant.id, path, found).held == 0


def test_a_file_that_begins_with_thousands_of_rows_of_an_unknown_one_is_recognised(tenant, tmp_path):
    path = tmp_path / "a.csv"
    rows = [f"{number};{1 + row % 28:02d}/03/2025 05:00;1,5" for number in ("99", "1", "2") for row in range(3000)]
    path.write_text("\n".join(["Código;Data e hora;Nível (m)", *rows]), encoding="utf-8")
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        found = recognising.suggest(conn, tenant.id, recognising.sample(path), "Europe/Lisbon")
    assert (found.entity, found.prefix, found.clock) == ("Código", "urn:vila:Contador:", Clock.DAY_FIRST)


@pytest.mark.parametrize("form", ["parquet", "arrow"])
def test_other_forms_are_recognised(tenant, tmp_path, form):
    table = pa.table(
        {"contador": [URIS[0], URIS[1]], "quando": pa.array([1_740_787_200_000_000, 1_740_794_400_000_000], pa.timestamp("us")), "nível": [1.0, None]}
    )
    path: Path = tmp_path / f"a.{form}"
    if form == "parquet":
        parquet.write_table(table, path)
    else:
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table)
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        found = recognising.suggest(conn, tenant.id, recognising.sample(path), "Europe/Lisbon")
        assert (found.entity, found.instant, found.clock) == ("contador", "quando", Clock.YEAR_FIRST)
        assert [(one.column, one.attribute) for one in found.attributes] == [("nível", "nivel")]
        trial = recognising.attempt(conn, tenant.id, path, found)
    assert (trial.read, trial.held, trial.series) == (2, 0, (("Contador", "nivel", "", 1),))


@pytest.mark.parametrize(
    ("written", "clock", "meant"),
    [
        ("1/3/2025 5:07", Clock.DAY_FIRST, "2025-03-01T05:07:00+00:00"), ("01-07-2025", Clock.DAY_FIRST, "2025-06-30T23:00:00+00:00"),
        ("26/10/2025 01:30", Clock.DAY_FIRST, None), ("30/03/2025 01:30", Clock.DAY_FIRST, None), ("31/02/2025", Clock.DAY_FIRST, None),
        ("20250701", Clock.YEAR_FIRST, "2025-06-30T23:00:00+00:00"), ("2025/07/01 7:30:15", Clock.YEAR_FIRST, "2025-07-01T06:30:15+00:00"),
        ("2025-07-01T07:30Z", Clock.YEAR_FIRST, None), ("01/07/2025", Clock.YEAR_FIRST, None), ("", Clock.YEAR_FIRST, None),
    ],
)  # fmt: skip
def test_instants_in_the_hour_of_the_municipality(tenant, tmp_path, written, clock, meant):
    path = tmp_path / "a.csv"
    path.write_text(f"quem;quando;quanto\n{URIS[0]};{written};1\n", encoding="utf-8")
    shape = Shape("quem", "quando", attributes=(Measure("quanto", "nivel"),), clock=clock, zone="Europe/Lisbon")
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        (checked,) = [checking.check(block, shape, checking.Entities(conn, tenant.id)) for block in reading.blocks(path, shape)]
    found = [one.isoformat() for one in checked.good.column("observed_at").to_pylist()] if checked.good.num_rows else []
    assert found == ([meant] if meant else [])
    assert len(checked.refused) == (0 if meant else 1)
