"""*Carregar história* with a real file: sent in pieces over a line that breaks, looked at, loaded by a worker that is killed in the middle, undone."""

from __future__ import annotations

import csv
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from malha.context.store import service as store
from malha.context.store.contracts import Column, EntityTable
from malha.foundation.database import service as database
from malha.history.engines import service as engines
from malha.history.lake import catalogue

BOTH = {"sizes": ("phone", "laptop"), "themes": ("light", "dark")}
#: lines that the town does not have: their rows are refused
UNKNOWN = {"4611", "4476"}


@pytest.fixture
def workers(server: str) -> Iterator[Callable[[], Any]]:
    """Start a worker as `./malha up` does."""
    running: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        running.append(
            subprocess.Popen([sys.executable, "-m", "malha.project.worker"], env=os.environ.copy(), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )
        return running[-1]

    yield start
    for one in running:
        one.terminate()
        one.wait(20)


def expected(path: Path) -> tuple[int, int, float]:
    """Rows, those refused, and the sum of all trips, as the file itself says."""
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    kept = {(row["line_id"], row["operational_day"]): float(row["total_trip_count"]) for row in rows if row["line_id"] not in UNKNOWN}
    return len(rows), sum(row["line_id"] in UNKNOWN for row in rows), sum(kept.values())


def stored(tenant_id: int) -> float:
    query = f"SELECT coalesce(sum(num), 0) FROM lake.{engines.tenant_schema(tenant_id)}.observation WHERE attribute = 'totalTrips'"
    return float(engines.run([tenant_id], lambda reader: reader.execute(query).fetchone())[0])


@pytest.mark.slow
@pytest.mark.samples
@pytest.mark.timeout(420)
def test_it_works(page: Page, server: str, workers: Any, new_tenant: Any, sign_in: Any, samples: Path, shoot: Any, assert_accessible: Any) -> None:
    path = samples / "carris-metropolitana" / "sla.csv"
    rows, refused, total = expected(path)
    town = new_tenant(name="Vila de Ensaio")
    with path.open(encoding="utf-8") as file:
        lines = sorted({row["line_id"] for row in csv.DictReader(file)} - UNKNOWN)
    with database.connect() as conn, database.tenant_transaction(conn, [town.id]):
        store.upsert_table(conn, town.id, EntityTable("BusLine", [f"urn:vila:BusLine:{line}" for line in lines], [Column("name", lines)]))
    sign_in(page, town)
    address = f"{server}/{town.slug}/dados/historia/"
    page.goto(address)
    expect(page.get_by_role("heading", name="Ainda não há nenhuma")).to_be_visible()
    assert_accessible(page)
    shoot(page, "historia-inicio", **BOTH)
    page.get_by_role("button", name="Enviar o ficheiro").click()
    expect(page.get_by_text("Este campo é obrigatório").first).to_be_visible()
    assert_accessible(page)

    # in pieces, over a line that breaks twice
    broken: list[str] = []

    def breaks(route: Route) -> None:
        if route.request.method == "POST" and len(broken) < 2 and route.request.headers["upload-offset"] != "0":
            broken.append(route.request.headers["upload-offset"])
            route.abort("connectionreset")
        else:
            route.continue_()

    page.route("**/peca/", breaks)
    page.locator("malha-upload").evaluate("upload => upload.setAttribute('piece', '300000')")
    page.locator("input[type=file]").set_input_files(path)
    page.get_by_role("button", name="Enviar o ficheiro").click()
    expect(page.get_by_role("heading", name="O que há neste ficheiro?")).to_be_visible(timeout=60_000)
    assert broken == ["300000", "300000"]

    # what was recognised, and what the columns are called
    expect(page.get_by_label("Que coluna diz de quem é cada valor?")).to_have_value("line_id")
    expect(page.get_by_label("O que falta antes do identificador")).to_have_value("urn:vila:BusLine:")
    expect(page.get_by_label("Como estão escritas as datas e horas?")).to_have_value("year-first")
    expect(page.locator(".lead")).to_contain_text(f"{refused} são recusadas")
    expect(page.get_by_text("Não há nenhuma entidade com este identificador.")).to_be_visible()
    page.get_by_label("agency_id entra").uncheck()
    page.get_by_label("Medida de total_trip_count").fill("totalTrips")
    page.get_by_label("Medida de pass_trip_count").fill("tem espaços")
    page.get_by_role("button", name="Ver o que entra").click()
    expect(page.get_by_role("link", name="Medida: O nome de uma medida")).to_be_visible()
    assert_accessible(page)
    page.get_by_label("Medida de pass_trip_count").fill("passedTrips")
    page.get_by_role("button", name="Ver o que entra").press("Enter")
    expect(page.get_by_role("cell", name="passedTrips", exact=True)).to_be_visible()
    assert_accessible(page)
    shoot(page, "historia-ficheiro", **BOTH, full_page=True)
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.set_viewport_size({"width": 1366, "height": 768})

    # the worker is killed while the load waits for the lake; another goes on with it
    worker = workers()
    with catalogue.still():
        page.get_by_role("button", name="Carregar", exact=True).click()
        expect(page.get_by_text("Passo 2 de 2: guardar na história")).to_be_visible(timeout=90_000)
        assert_accessible(page)
        shoot(page, "historia-carga", **BOTH)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        page.goto(address)  # one may leave, and find it again
        page.get_by_role("link", name="sla.csv").click()
        expect(page.get_by_text("A carga deixou de dar sinal")).to_be_visible(timeout=60_000)
        assert_accessible(page)
    workers()
    expect(page.get_by_text("linhas entraram")).to_be_visible(timeout=180_000)
    expect(page.locator(".lead")).to_contain_text(re.compile(rf"{refused} foram recusadas"))
    assert_accessible(page)
    shoot(page, "historia-terminada", **BOTH)
    assert stored(town.id) == total
    with page.expect_download() as coming:
        page.get_by_role("link", name="Descarregar as linhas recusadas (CSV)").click()
    told = coming.value.path().read_text(encoding="utf-8-sig").splitlines()
    assert len(told) == refused + 1
    assert {line.split(";")[2] for line in told[1:]} == UNKNOWN

    page.get_by_role("link", name="Desfazer a carga").click()
    assert_accessible(page)
    page.get_by_role("button", name="Desfazer").click()
    expect(page.get_by_text("Esta carga foi desfeita: os seus valores já não contam.")).to_be_visible()
    page.goto(address)
    expect(page.get_by_role("cell", name="desfeita")).to_be_visible()
    assert rows
