"""Every page that a manager reaches by links: axe finds nothing, nothing overflows a phone, and in English no sentence of ours stays Portuguese.

The walk starts at *Hoje* and follows links; one page of each kind (route) is opened. Pages added later are walked without a change here.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import urldefrag, urlsplit

import pyarrow as pa
import pytest
from django.urls import Resolver404, resolve
from playwright.sync_api import Error, Page, ViewportSize
from tests.browser import board

from malha.context.subscriptions import service as subscriptions
from malha.foundation.access import service as access
from malha.foundation.access.contracts import Capability, RoleName
from malha.foundation.agreements import service as agreements
from malha.foundation.agreements.contracts import Terms
from malha.foundation.database import service as database
from malha.foundation.identity import machines
from malha.foundation.identity.models import Person
from malha.foundation.language import catalogue
from malha.foundation.tenancy import service as tenancy
from malha.foundation.tenancy.contracts import Tenant
from malha.history.sets import service as sets
from malha.ingest.devices import service as devices
from malha.ingest.devices.contracts import DoorKind
from malha.ingest.guide import steps
from malha.ingest.runs import service as runs
from malha.kernel import time
from malha.share.opendata import service as opendata
from malha.vocabulary.contexts import service as contexts

#: rooms whose pages axe sees in English too: it looks at structure, which knows no language, and takes most of the time of a walk
IN_BOTH = ("devices:", "connections:", "federation:", "subscriptions:", "records:")
PHONE_WIDTH = 360
PHONE: ViewportSize = {"width": PHONE_WIDTH, "height": 740}
LAPTOP: ViewportSize = {"width": 1366, "height": 768}
QUESTIONS = 14  # more than there are: nobody answers for ever
#: addresses of the platform itself that no page of a town leads to
PLATFORM = ("/", "/plataforma/", "/plataforma/componentes/", "/correio/")
#: addresses that the walk leaves out, by beginning of the route's name, each with its reason
LEFT_OUT = {"account_logout": "ends the walk", "identity:enter_demo": "makes the reader somebody else"}
#: pages whose Portuguese is on purpose
ONE_LANGUAGE = {
    "platform ui:components": "shows the components to who builds pages, with example texts",
    "platform mail:demo": "shows letters, each in the language of who gets it",
}
LINKS = "[...document.querySelectorAll('a[href]:not([download])')].map(a => a.href)"
#: the innermost elements that stick out of a page of that width
TOO_WIDE = """width => [...document.querySelectorAll('body *')]
  .filter(e => e.getBoundingClientRect().right > width && !e.closest('.table-wrap') && ![...e.children].some(c => c.getBoundingClientRect().right > width))
  .slice(0, 5).map(e => e.outerHTML.slice(0, 200))"""
#: what a reader reads; data of the town and names of people are marked with the language that they are in, or are no sentence of ours
TEXTS = """() => {
  const found = new Set(), walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const foreign = 'script, style, template, [lang^=pt]';
  while (walker.nextNode()) if (!walker.currentNode.parentElement.closest(foreign)) found.add(walker.currentNode.textContent);
  for (const name of ['aria-label', 'title', 'placeholder', 'alt'])
    for (const e of document.querySelectorAll(`[${name}]`)) if (!e.closest(foreign)) found.add(e.getAttribute(name));
  return [...found].map(text => text.replace(/\\s+/g, ' ').trim());
}"""


@dataclass
class Walk:
    """What was opened (route → address; empty for a download) and what was wrong."""

    opened: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


def route(url: str, base: str, slug: str) -> str | None:
    """The kind of page behind an address of this town or of the platform; None for what is no page of theirs."""
    if not url.startswith(f"{base}/"):
        return None
    path = urlsplit(url).path
    town = path.startswith(f"/{slug}/")
    try:
        match = resolve(path.removeprefix(f"/{slug}") if town else path)
    except Resolver404:
        return None
    return None if match.view_name.startswith(tuple(LEFT_OUT)) else f"{'' if town else 'platform '}{match.view_name}"


def follow(page: Page, base: str, slug: str, walk: Walk, more: Sequence[str] = ()) -> Iterator[str]:
    """Open one page of each kind, from *Hoje* outwards and then those of `more`; yields its kind while it is open."""
    waiting = deque([f"{base}/{slug}/", *more])
    while waiting:
        url = waiting.popleft()
        kind = route(url, base, slug)
        if kind is None or kind in walk.opened:
            continue
        walk.opened[kind] = ""
        try:
            answer = page.goto(url, wait_until="load")
        except Error as failure:
            if "Download is starting" in str(failure):
                continue
            raise
        if answer is None or "text/html" not in answer.headers.get("content-type", ""):
            continue
        walk.opened[kind] = url
        if answer.status >= 400:
            walk.faults.append(f"{kind}: {answer.status} at {url}")
        yield kind
        waiting.extend(urldefrag(one)[0] for one in page.evaluate(LINKS))


def look(page: Page, kind: str, walk: Walk, assert_accessible: Callable[..., None], without: tuple[str, ...] | None) -> None:
    """Axe at the size of a laptop, `without` some rules (all of them: None), then whether the page is wider than a phone."""
    try:
        if without is not None:
            assert_accessible(page, without=without)
    except AssertionError as fault:
        walk.faults.append(f"{kind}: {fault}")
    page.set_viewport_size(PHONE)
    width = page.evaluate("document.documentElement.scrollWidth")
    if width > PHONE_WIDTH:
        walk.faults.append(f"{kind}: {width} px wide on a phone of {PHONE_WIDTH}, at {page.url}: {page.evaluate(TOO_WIDE, PHONE_WIDTH)}")
    page.set_viewport_size(LAPTOP)


def sentences() -> set[str]:
    """The Portuguese of our sentences whose English is another."""
    told = ((str(one.id), str(one.string)) for one in catalogue.merged() if isinstance(one.id, str) and one.id)
    return {re.sub(r"\s+", " ", msgid).strip() for msgid, english in told if english.strip() != msgid.strip() and " " in msgid and "%(" not in msgid}


def stock(town: Tenant, neighbour: Tenant, address: str, person: Any) -> list[str]:
    """Something in every room; gives the addresses that no link on a page leads to."""
    board.fill(town)
    board.speak(town, 2.31)
    terms = Terms(types=("AirQualityObserved",), purpose="Plano do ar", until=time.now() + timedelta(days=30))
    with database.connect() as conn:
        for giver, reader in ((town, neighbour), (neighbour, town)):
            with database.tenant_transaction(conn, [giver.id]):
                agreements.sign(conn, giver.id, reader.id, terms, by="ensaio")
        with database.tenant_transaction(conn, [town.id]):
            told = {
                "type": "Subscription",
                "entities": [{"type": "AirQualityObserved"}],
                "notification": {"endpoint": {"uri": "https://recetor.example/avisos"}},
            }
            subscriptions.create(conn, town.id, "client:ensaio", told, contexts.CORE)
            door, _key = devices.open_door(conn, town.id, DoorKind.JSON, "Estações")
            devices.receive(conn, door, [{"deviceId": "boia-1", "temp": 18.5, "time": 1795000000}])
    with tenancy.scope(town.id):
        machines.create(town.id, name="Painel", capabilities=[Capability.DATA_READ], types=None, created_by=person.id)
        row = opendata.begin(town, "WasteContainer", person_id=person.id, title="Contentores")
        row.description_pt, row.contact_name, row.contact_email = "Onde estão e quão cheios vão.", "Câmara", "dados@vila.example"
        row.save()
        opendata.publish(town, row, person_id=person.id, actor="ensaio")
        draft = opendata.begin(town, "NoiseLevelObserved", person_id=person.id)
    publishing = [f"{address}/dados/publicar/{draft.pk}/{step}/" for step in ("conteudo", "licenca", "aprovacao")]
    return [*publishing, f"{address}/dados/publicar/{row.pk}/retirar/", f"{address}/procurar/?q=escola"]


BENCHES = "Número;Nome;Latitude;Longitude;Telefone\n" + "".join(
    f"{n};Banco {n};{'?' if n in {3, 5} else f'39.4{n:02d}'};-8.9;91234560{n % 10}\n" for n in range(1, 21)
)


def questions(page: Page, address: str, file: Path) -> Iterator[str]:
    """The pages of the guided load, one after the other, each answered with what is suggested; yields its kind while it is open."""
    page.goto(f"{address}/dados/carregar/")
    page.set_input_files("input[type=file]", file)
    for _ in range(QUESTIONS):
        before = page.url
        page.locator("main form .actions .button-primary").last.click()
        page.wait_for_url(lambda url, before=before: url != before)
        step = page.url.rstrip("/").rsplit("/", 1)[-1]
        yield f"guide:step {step}"
        if step == steps.LAST:
            return


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("language", ["pt-pt", "en"])
def test_it_works(language, page, server, new_tenant, sign_in, assert_accessible, tmp_path):
    town = new_tenant(name="Vila de Ensaio", extent=[board.WEST, board.SOUTH, board.EAST, board.NORTH], centre=[-8.9, 39.43])
    person = sign_in(page, town)
    for role in (RoleName.DATA_PROTECTION_OFFICER, RoleName.PUBLISHER):
        access.grant(person.id, town.id, role)
    access.make_operator(person.id)
    more = stock(town, new_tenant(name="Vila Vizinha"), f"{server}/{town.slug}", person)
    benches = tmp_path / "bancos.csv"
    benches.write_text(BENCHES, encoding="utf-8")
    runs.load_file(town.id, benches, {"key": ["Número"], "time": {"columns": []}, "type": "Banco"})
    table = sets.create(town.id, "Contratos", ["código"])
    for value in (10, 12):
        sets.bring(town.id, table, pa.table({"código": ["1"], "valor": [str(value)]}), actor="ensaio", source="contratos.csv")
    Person.objects.filter(pk=person.id).update(language=language)
    page.context.add_cookies([{"name": "malha_language", "value": language, "url": server}])

    walk, ours = Walk(), sentences()
    opened = chain(follow(page, server, town.slug, walk, [*more, *(server + path for path in PLATFORM)]), questions(page, f"{server}/{town.slug}", benches))
    for kind in opened:
        assert page.locator("html").get_attribute("lang").lower() == language, f"{kind}: in the wrong language"
        # colours take half of the time, and know no language either
        look(page, kind, walk, assert_accessible, () if language == "pt-pt" else ("color-contrast",) if kind.startswith(IN_BOTH) else None)
        if language == "en" and kind not in ONE_LANGUAGE:
            walk.faults += [f"{kind}: still Portuguese: {text!r}" for text in page.evaluate(TEXTS) if text in ours]
    assert len(walk.opened) > 110, sorted(walk.opened)
    assert walk.faults == [], "\n".join(walk.faults)
