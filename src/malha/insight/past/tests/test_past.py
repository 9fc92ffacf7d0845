"""Pages as they were: as was known then, as is known today, and what says so."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode
from uuid import uuid4

import pytest
from django.test import Client

from malha.context.store import service as store
from malha.context.store.contracts import Column, EntityTable
from malha.foundation.access import service as access
from malha.foundation.access.contracts import RoleName
from malha.foundation.database import django as scoped
from malha.foundation.identity import service as people
from malha.foundation.identity.models import Person
from malha.foundation.tenancy import service as tenancy
from malha.history.lake import service as lake
from malha.insight.alerts import service as alerts
from malha.insight.alerts.contracts import Actor, Heard, Rule, RuleKind
from malha.insight.metrics import service as metrics
from malha.insight.metrics.contracts import Metric, Window
from malha.insight.past.contracts import Knowledge, Moment
from malha.packs.registry import service as packs
from malha.vocabulary.models.contracts import Aggregation, Label

BIN, OTHER = "urn:t:WasteContainer:1", "urn:t:WasteContainer:2"
#: three days ago, on the hour
LONG_AGO = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(days=3)
RECENT = datetime.now(UTC) - timedelta(minutes=2)


def write(tenant, rows):
    """(uri, instant, level, longitude) each."""
    uris, moments, levels, longitudes = zip(*rows, strict=True)
    places = [{"type": "Point", "coordinates": [longitude, 39.4]} for longitude in longitudes]
    columns = [Column("fillingLevel", list(levels)), Column("location", places, kind="GeoProperty")]
    columns.append(Column("name", [f"Contentor {uri[-1]}" for uri in uris], static=True))
    with tenancy.scope(tenant.id):
        store.upsert_table(scoped.current(), tenant.id, EntityTable("WasteContainer", list(uris), columns, observed_at=list(moments)))


@pytest.fixture
def town(new_tenant):
    """A bin that said 10 % long ago and 20 % just now, at `then`; afterwards 20 was corrected to 30, it moved, and another one came."""
    tenant = new_tenant(name="Vila de Ontem")
    with tenancy.scope(tenant.id):
        packs.switch_on(scoped.current(), tenant.id, "waste")
    write(tenant, [(BIN, LONG_AGO, 0.10, -8.90), (BIN, RECENT, 0.20, -8.80)])
    time.sleep(0.05)
    then = datetime.now(UTC)
    time.sleep(0.05)
    write(tenant, [(BIN, RECENT, 0.30, -8.80)])
    write(tenant, [(BIN, datetime.now(UTC), 0.90, -8.70), (OTHER, datetime.now(UTC), 0.50, -8.60)])
    return tenant, then


@pytest.fixture
def read(town):
    person = people.create_person(f"p-{uuid4().hex[:10]}@exemplo.pt", name="Ana")
    access.grant(person.id, town[0].id, RoleName.TENANT_MANAGER)
    browser = Client(SERVER_NAME="localhost")
    browser.force_login(Person.objects.get(pk=person.id))

    def get(path, at=None, **more):
        asked = {**more, **({"em": at if isinstance(at, str) else at.isoformat()} if at else {})}
        answer = browser.get(f"/{town[0].slug}/{path}?{urlencode(asked)}")
        assert answer.status_code == 200, path
        return answer.content.decode()

    return get


def band(text):
    found = re.search(r'class="past-band".*?</section>', text, re.DOTALL)
    return found.group() if found else ""


def levels(text):
    return re.findall(r'<td class="numeric">(\d+(?:,\d+)?)', text)


LIST, RECORD = "dados/entidades/WasteContainer/", "dados/entidades/WasteContainer/registo/"


@pytest.mark.whole_lake
def test_it_works(town, read):
    """A list, hot and compacted: what was known then, the same instant as known today, and now."""
    tenant, then = town
    for step in ("hot", "compacted"):
        assert levels(read(LIST)) == ["0,9", "0,5"], step
        as_then = read(LIST, then)
        assert levels(as_then) == ["0,2"], step
        assert "como então se sabia" in band(as_then)
        assert "1 registo<" in as_then
        assert f"registo/?id=urn%3At%3AWasteContainer%3A1&amp;{urlencode({'em': then.isoformat()})}" in as_then
        as_today = read(LIST, then, saber="hoje")
        assert levels(as_today) == ["0,3"], step
        assert "como hoje se conhecem" in band(as_today)
        lake.compact(tenant.id)
    assert levels(read(LIST, LONG_AGO + timedelta(minutes=1))) == ["0,1"]  # nothing had come by then: as known today
    assert "ainda não tinha chegado nada" in band(read(LIST, LONG_AGO + timedelta(minutes=1)))
    assert levels(read(LIST, LONG_AGO - timedelta(days=30))) == []
    assert "só se guarda durante 7 dias" in band(read(LIST, LONG_AGO - timedelta(days=30)))


def test_a_condition_is_asked_of_the_values_of_then(town, read):
    _tenant, then = town
    assert levels(read(LIST, then, filtro="fillingLevel<0.5")) == ["0,2"]
    assert levels(read(LIST, then, filtro="fillingLevel>0.5")) == []
    assert levels(read(LIST, filtro="fillingLevel>0.5")) == ["0,9"]


def test_a_record_and_its_chart_end_then(town, read):
    _tenant, then = town
    page = read(RECORD, then, id=BIN)
    assert "0,2" in page.split('id="agora"')[1].split("</table>")[0]
    assert 'name="em"' in page.split('id="historico"')[1]
    points = [value for _, value in json.loads(read("dados/entidades/WasteContainer/grafico.json", then, id=BIN, medida="fillingLevel"))["series"][0]["points"]]
    assert points == [0.1, 0.2]
    assert "ainda não havia nada" in read(RECORD, then, id=OTHER)


def test_the_map_puts_things_where_they_lay(town, read):
    _tenant, then = town
    spec = json.loads(read("mapa/camadas.json", then))
    assert not spec.keys() & {"live", "together", "preload"}
    data = next(layer["data"] for layer in spec["layers"] if layer["type"] == "WasteContainer")
    assert urlencode({"em": then.isoformat()}) in data
    features = json.loads(read(data.partition("?")[0].split("/", 2)[2], then))["features"]
    told = [(list(one["geometry"]["coordinates"]), one["properties"]["fillingLevel"], one["properties"]["name"]) for one in features]
    assert told == [([-8.8, 39.4], 20.0, "Contentor 1")]
    assert "&em=" in features[0]["properties"]["href"]


def test_indicators_say_what_they_said(town):
    """The hour that had begun holds nothing of after; what was corrected since is as it was, or as it is."""
    tenant, then = town
    now_of = Metric("x", Label("x"), "WasteContainer", "fillingLevel", Aggregation.MAXIMUM, Window.NOW)
    day = Metric("y", Label("y"), "WasteContainer", "fillingLevel", Aggregation.SUM, Window.DAY)
    count = Metric("z", Label("z"), "WasteContainer", "fillingLevel", Aggregation.COUNT, Window.DAY)
    with tenancy.scope(tenant.id):
        conn = scoped.current()
        for knowledge, wanted in ((Knowledge.THEN, 0.2), (Knowledge.ASKED, 0.3)):
            past = Moment(then, knowledge)
            assert metrics.evaluate(conn, tenant, now_of, past=past).value == pytest.approx(wanted)
            assert metrics.evaluate(conn, tenant, day, past=past).value == pytest.approx(wanted)
            assert metrics.evaluate(conn, tenant, count, past=past).value == 1
            assert metrics.history(tenant, day, then - timedelta(days=7), then, past=past)[-1][1] == pytest.approx(wanted)
        on_the_hour = Moment(then.replace(minute=0, second=0, microsecond=0), Knowledge.ASKED)
        assert metrics.history(tenant, day, on_the_hour.at - timedelta(days=7), on_the_hour.at, past=on_the_hour)[0][1] == pytest.approx(0.1)
        assert metrics.evaluate(conn, tenant, day).value == pytest.approx(0.3 + 0.9 + 0.5)


def test_the_board_of_then(town, read):
    """Alarms that ran then, also those that ended since; indicators come by themselves; nothing is live."""
    tenant, _then = town
    rule = Rule(0, tenant.id, "Contentor cheio", RuleKind.THRESHOLD, "WasteContainer", "fillingLevel", bound=0.1)
    with tenancy.scope(tenant.id):
        conn = scoped.current()
        saved = replace(rule, id=alerts.save_rule(conn, rule))
        alerts.evaluate(conn, saved, [Heard(BIN, RECENT, 0.9)], now=datetime.now(UTC), live=True)
        rung = datetime.now(UTC)
        time.sleep(0.05)
        alerts.end(conn, tenant.id, alerts.alarms(conn, tenant.id)[0].id, actor=Actor("ana"))
    assert "Contentor cheio" not in read("")
    board = read("", rung)
    assert "Contentor cheio" in board
    assert 'id="ultimos"' not in board
    assert "every 30s" not in board
    assert "Contentor cheio" not in read("", RECENT - timedelta(minutes=1))
    cards = re.search(r'hx-get="[^"]*/(indicadores/cartoes/)\?(em=[^"]*)"', board)
    assert cards
    assert "indicador-" in read(cards.group(1), rung)


@pytest.mark.parametrize(("asked", "said"), [("amanhã", "não é um dia e uma hora"), ("2999-01-01T10:00", "ainda não chegou")])
def test_what_is_no_instant_of_the_past_is_said(town, read, asked, said):
    page = read(LIST, asked)
    assert said in page
    assert not band(page)
    assert levels(page) == ["0,9", "0,5"]
