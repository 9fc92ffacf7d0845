"""How an installation is watched: metrics, health, readiness, slow requests, an end that loses nothing."""

import asyncio
import json
import logging
import urllib.error
import urllib.request

import httpx
import pytest

from malha.context.broker import pool
from malha.foundation.settings import service as settings
from malha.foundation.settings.contracts import Settings
from malha.foundation.telemetry import service as telemetry
from malha.project import operating, plane
from malha.project.operating import Watched, insider


@pytest.fixture(autouse=True)
def not_ending():
    operating.ending.clear()
    yield
    operating.ending.clear()


def ask(app, path, headers=None, client="127.0.0.1"):
    async def work():
        transport = httpx.ASGITransport(app, client=(client, 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
            return await http.get(path, headers=headers)

    try:
        return asyncio.run(work())
    finally:
        pool.close()


def configured(monkeypatch, **values):
    now = settings.current()
    told = Settings(**{name: getattr(now, name) for name in now.__dataclass_fields__} | values)
    monkeypatch.setattr(settings, "current", lambda: told)


def test_it_is_healthy_and_ready():
    app = plane.application()
    assert (ask(app, "/healthz").status_code, ask(app, "/healthz").text) == (200, "ok\n")
    said = ask(app, "/readyz")
    assert said.status_code == 200
    found = said.json()
    assert (found["ready"], found["database"], found["migrations"], found["ending"]) == (True, True, True, False)
    assert found["notifications_waiting"] >= 0


def test_a_stranger_learns_whether_it_is_ready_and_no_more():
    assert ask(plane.application(), "/readyz", client="203.0.113.9").json() == {"ready": True}


def test_a_waiting_migration_is_not_ready(monkeypatch):
    monkeypatch.setattr(operating, "wanted", lambda: frozenset({("context_store", "9999_to_come")}))
    said = ask(plane.application(), "/readyz")
    assert (said.status_code, said.json()["database"], said.json()["migrations"]) == (503, True, False)


def test_without_a_database_it_is_healthy_and_not_ready(monkeypatch):
    monkeypatch.setattr(operating.database, "dsn", lambda _: "host=/nowhere dbname=none")
    app = plane.application()
    assert (ask(app, "/healthz").status_code, ask(app, "/readyz").status_code) == (200, 503)


def test_every_app_with_migrations_is_known():
    assert {("context_store", "0001_entities_and_observations"), ("context_subscriptions", "0001_subscriptions")} <= operating.wanted()


def test_requests_are_counted_without_anything_of_them():
    app = plane.application()
    ask(app, "/ngsi-ld/v1/entities?type=Person&q=name==%22Maria%22")
    page = ask(app, "/metrics").text
    assert 'http_server_request_duration_seconds_count{http_request_method="GET",http_response_status_code="401",http_route="/ngsi-ld/v1/entities"}' in page
    assert "Maria" not in page
    assert "process_resident_memory_bytes" in page
    assert "malha_turns_waiting 0.0" in page
    assert "malha_figures_kept_bytes " in page


@pytest.mark.parametrize(
    ("client", "headers", "token", "seen"),
    [
        ("127.0.0.1", {}, "", True), ("::1", {}, "", True), ("203.0.113.9", {}, "", False), ("127.0.0.1", {"x-forwarded-for": "203.0.113.9"}, "", False),
        ("203.0.113.9", {"authorization": "Bearer right"}, "right", True), ("203.0.113.9", {"authorization": "Bearer wrong"}, "right", False),
        ("127.0.0.1", {"authorization": "Bearer wrong"}, "right", False), ("203.0.113.9", {"authorization": "Bearer "}, "", False), ("somewhere", {}, "", False),
    ],
)  # fmt: skip
def test_only_this_machine_or_a_token_sees_the_metrics(monkeypatch, client, headers, token, seen):
    configured(monkeypatch, metrics_token=token)
    assert insider(client, headers) is seen
    assert ask(Watched(no_app), "/metrics", headers, client).status_code == (200 if seen else 403)


async def no_app(scope, receive, send):
    raise AssertionError


async def slow_app(scope, receive, send):
    telemetry.note("SELECT doc FROM entities e WHERE e.uri = %s")
    await asyncio.sleep(0.02)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def test_a_slow_request_is_written_down_without_values(monkeypatch, caplog):
    configured(monkeypatch, slow_ms=10)
    with caplog.at_level(logging.WARNING, "malha.slow"):
        ask(Watched(slow_app), "/ngsi-ld/v1/entities/urn:ngsi-ld:Person:Maria?q=name==%22Silva%22&type=Person")
    (line,) = [record.getMessage() for record in caplog.records]
    assert "GET /ngsi-ld/v1/entities parameters=q,type status=200" in line
    assert "WHERE e.uri = %s" in line
    assert not {"Maria", "Silva"} & set(line.replace(":", " ").replace('"', " ").split())
    caplog.clear()
    configured(monkeypatch, slow_ms=0)
    ask(Watched(slow_app), "/ngsi-ld/v1/entities/x")
    assert not caplog.records


def test_what_is_in_hand_ends_and_what_comes_is_sent_away():
    app = Watched(slow_app)

    async def work():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as http:
            first = asyncio.create_task(http.get("/ngsi-ld/v1/types"))
            await asyncio.sleep(0.005)
            operating.ending.set()
            late = await http.get("/ngsi-ld/v1/types")
            return (await first).status_code, late.status_code, late.headers["retry-after"], (await http.get("/healthz")).status_code

    assert asyncio.run(work()) == (200, 503, "5", 200)
    assert ask(app, "/readyz").json()["ending"] is True


def test_the_worker_says_how_it_is():
    server = operating.serve_worker(0)
    try:
        at = f"http://127.0.0.1:{server.server_address[1]}"
        assert b"process_resident_memory_bytes" in urllib.request.urlopen(f"{at}/metrics", timeout=10).read()
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{at}/else", timeout=10)
        try:
            said = json.loads(urllib.request.urlopen(f"{at}/readyz", timeout=10).read())
        except urllib.error.HTTPError as late:  # other tests leave events that no worker has heard
            said = json.loads(late.read())
        assert {"ready", "events_oldest_seconds", "notifications_waiting"} <= set(said)
    finally:
        server.shutdown()
        server.server_close()
