"""The second half of the road: a source, an indicator, an alarm that reaches somebody."""

from __future__ import annotations

import http.server
import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from malha.foundation.language.service import of_terminal, say
from malha.kernel.text import msg
from malha.project.verification.contracts import Step
from malha.project.verification.road import Road

WEBHOOK_SECONDS = 15
BOUND = 2.0
MISSING = -99.0


@contextmanager
def recording(path: Path) -> Iterator[str]:
    """A recorded answer of IPMA's observations on loopback; everything else it does not have (404)."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = path.read_bytes() if self.path.endswith("/observations.json") else b"{}"
            self.send_response(200 if self.path.endswith("/observations.json") else 404)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    yield from _serving(Answer)


def _serving(handler: type[http.server.BaseHTTPRequestHandler]) -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()


def raw_temperatures(path: Path) -> dict[tuple[str, datetime], float]:
    """(station, UTC instant) → °C as the raw file says, missing ones left out; read by nothing of ours."""
    said: dict[str, dict[str, dict[str, float] | None]] = json.loads(path.read_text(encoding="utf-8"))
    return {
        (station, datetime.fromisoformat(moment).replace(tzinfo=UTC)): values["temperatura"]
        for moment, stations in said.items()
        for station, values in stations.items()
        if values and values["temperatura"] > MISSING
    }


def source(road: Road, step: Step) -> None:
    """A connector reads a day of weather; history has every value and the hourly means."""
    from malha.foundation.database import service as database
    from malha.history.temporal import service as temporal
    from malha.history.temporal.contracts import Grain, SeriesQuery
    from malha.ingest.runs import fetching
    from malha.vocabulary.models.contracts import Aggregation

    owner, raw = road.known["tenant"], raw_temperatures(road.inputs.weather)
    step.input = say(
        msg("{origin}: {file}, pelo conector do IPMA (só observações)"), origin=road.inputs.origin_of(road.inputs.weather), file=road.inputs.weather.name
    )
    with recording(road.inputs.weather) as base, database.connect() as conn:
        settings = {"base": base, "reach": "all", "observations": "1", "forecast": "0", "warnings": "0", "fire_risk": "0"}
        with database.tenant_transaction(conn, [owner.id]):
            made = fetching.set_up(conn, owner.id, "ipma", settings, "verify")
        result = fetching.fetch(owner.id, made.id)
    step.equal(say(msg("o conector acabou bem")), "", result.error)
    start_at, end_at = min(at for _, at in raw), max(at for _, at in raw) + timedelta(seconds=1)
    values = temporal.series(owner.id, SeriesQuery("WeatherObserved", "temperature", start_at, end_at, grain=Grain.RAW, group_by_entity=True))
    found = {(one.uri.rsplit(":", 1)[1], at): float(value or 0) for one in values for at, value, _ in one.points}
    step.equal(say(msg("temperaturas na história")), len(raw), len(found))
    step.equal(say(msg("temperaturas diferentes do ficheiro")), 0, sum(abs(found.get(key, MISSING) - value) > 1e-9 for key, value in raw.items()))
    hourly = temporal.series(owner.id, SeriesQuery("WeatherObserved", "temperature", start_at, end_at, grain=Grain.HOUR, aggregation=Aggregation.AVERAGE))[
        0
    ].points
    last, mean, _ = hourly[-1]
    expected = [value for (_, at), value in raw.items() if last <= at < last + timedelta(hours=1)]
    step.close(say(msg("média da última hora")), sum(expected) / len(expected), float(mean or 0), within=1e-9)


def card(road: Road, step: Step) -> None:
    """An indicator card of a pack shows what the raw file gives when it is worked out by hand."""
    from malha.foundation.database import service as database
    from malha.insight.metrics import service as metrics
    from malha.insight.metrics.contracts import Window
    from malha.packs.registry import service as packs

    owner, raw = road.known["tenant"], raw_temperatures(road.inputs.weather)
    at = max(moment for _, moment in raw) + timedelta(minutes=1)
    with database.connect() as conn, database.tenant_transaction(conn, [owner.id]):
        packs.switch_on(conn, owner.id, "civil_protection", actor="verify")
        metric = next(one for one in metrics.all_metrics(conn, owner.id) if one.attribute == "temperature" and one.window is Window.NOW)
        value = metrics.evaluate(conn, owner, metric, at=at)
    # by hand, as the card's own words say: the latest value of each station, of those that spoke within a day
    within = sorted(
        ((moment, station, temperature) for (station, moment), temperature in raw.items() if at - timedelta(days=1) <= moment < at), key=lambda row: row[0]
    )
    latest = {station: temperature for _, station, temperature in within}.values()
    by_hand = {"average": sum(latest) / len(latest), "maximum": max(latest), "minimum": min(latest)}
    step.input = say(
        msg("{origin}: {file}; cartão “{card}” às {at} UTC"),
        origin=road.inputs.origin_of(road.inputs.weather), file=road.inputs.weather.name, card=metric.label.in_language(of_terminal()), at=f"{at:%Y-%m-%d %H:%M}",
    )  # fmt: skip
    step.close(
        say(msg("{aggregation} de {attribute}"), aggregation=metric.aggregation.value, attribute="temperature"),
        by_hand[metric.aggregation.value],
        value.value,
        within=1e-6,
    )


def alarm(road: Road, step: Step) -> None:
    """A river rises above its bound for five minutes of event time, and a signed notice reaches a webhook."""
    from malha.foundation.database import service as database
    from malha.insight.alerts import service as alerts
    from malha.insight.alerts import webhook
    from malha.insight.alerts.contracts import ChannelKind, Rule, RuleKind, Severity

    owner, calls = road.known["tenant"], list[tuple[dict[str, Any], bool]]()
    secret = ""

    class Receiver(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            signed = webhook.verify(secret, self.headers.get(webhook.HEADER, ""), body, now_seconds=int(time.time()))
            calls.append((json.loads(body), signed))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with contextmanager(_serving)(Receiver) as target:
        with database.connect() as conn, database.tenant_transaction(conn, [owner.id]):
            channel = alerts.add_channel(conn, owner.id, kind=ChannelKind.WEBHOOK, name="Verificação", target=f"{target}/aviso")
            secret = channel.secret
            rule = Rule(
                id=0, tenant_id=owner.id, name="Ribeira alta", kind=RuleKind.THRESHOLD, type="FloodMonitoring", attribute="currentLevel", bound=BOUND,
                end_bound=1.8, for_seconds=300, severity=Severity.CRITICAL, unit="MTR", decimals=2, channels=(channel.id,), what_to_do="Fechar a marginal.",
            )  # fmt: skip
            rule_id = alerts.save_rule(conn, rule)
        levels = [1.50, 2.10, 2.20, 2.31]
        _rise(road, levels)
        deadline = time.monotonic() + WEBHOOK_SECONDS
        while not calls and time.monotonic() < deadline:
            time.sleep(0.1)
    step.input = say(msg("quatro leituras por NGSI-LD, de três em três minutos de tempo do acontecimento"))
    step.equal(say(msg("avisos recebidos")), 1, len(calls))
    if calls:
        step.equal(say(msg("assinatura")), True, calls[0][1])
        step.equal(say(msg("o aviso traz o valor")), True, "2.31" in json.dumps(calls[0][0]) or "2,31" in json.dumps(calls[0][0]))
    with database.connect() as conn, database.tenant_transaction(conn, [owner.id]):
        step.equal(say(msg("alarmes abertos por esta regra")), 1, sum(one.rule_id == rule_id for one in alerts.alarms(conn, owner.id)))


def _rise(road: Road, levels: list[float]) -> None:
    """The readings as a sensor's platform sends them, one by one; only after more than five minutes above may it ring."""
    now = datetime.now(UTC).replace(microsecond=0)
    for number, level in enumerate(levels):
        at = (now - timedelta(minutes=3 * (len(levels) - 1 - number))).isoformat().replace("+00:00", "Z")
        entity = {
            "id": "urn:vila:FloodMonitoring:PonteVelha",
            "type": "FloodMonitoring",
            "name": {"type": "Property", "value": "Ponte Velha"},
            "currentLevel": {"type": "Property", "value": level, "unitCode": "MTR", "observedAt": at},
            "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [-9.14, 38.72]}},
        }
        request = urllib.request.Request(  # noqa: S310 -- our own address
            f"{road.tenant_url()}/ngsi-ld/v1/entityOperations/upsert",
            json.dumps([entity]).encode(),
            {"Authorization": f"Bearer {road.known['token']}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=20):  # noqa: S310 -- our own address
            pass
