import json
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from django.core import mail

from malha.foundation.database import service as database
from malha.foundation.settings import service as settings
from malha.insight.alerts import jobs, notices, queries, service, webhook
from malha.insight.alerts.contracts import ChannelKind, Rule, RuleKind, Severity, UnusableTarget
from malha.kernel import formats

URI = "urn:x:FloodMonitoring:ponte-velha"


@pytest.fixture
def private(monkeypatch):
    monkeypatch.setenv("MALHA_FETCH_PRIVATE", "1")
    settings.current.cache_clear()
    yield
    monkeypatch.delenv("MALHA_FETCH_PRIVATE")
    settings.current.cache_clear()


@pytest.fixture
def receiver():
    got, answers = [], []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            got.append((dict(self.headers), self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(answers.pop(0) if answers else 204)
            self.end_headers()

        def log_message(self, *_args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/aviso", got, answers
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def locmem():
    from django.test import override_settings

    with override_settings(MAILERS={"default": {"BACKEND": "django.core.mail.backends.locmem.EmailBackend"}}):
        mail.outbox = []
        yield


@pytest.fixture
def alarm(conn, new_tenant, hear, at, private, receiver, locmem):
    tenant = new_tenant(name="Vila da Ponte")
    with database.tenant_transaction(conn, [tenant.id]):
        hook = service.add_channel(conn, tenant.id, kind=ChannelKind.WEBHOOK, name="Central", target=receiver[0])
        post = service.add_channel(conn, tenant.id, kind=ChannelKind.EMAIL, name="Piquete", target="piquete@exemplo.pt")
        rule = Rule(
            0, tenant.id, "Ribeira", RuleKind.THRESHOLD, "FloodMonitoring", "currentLevel", bound=2.0, severity=Severity.CRITICAL, unit="MTR", decimals=2,
            what_to_do="Fechar a rua.", call_whom="Proteção Civil", channels=(hook.id, post.id),
        )  # fmt: skip
        service.save_rule(conn, rule)
    (alarm_id,) = hear(tenant, [(URI, at(2, 51), 2.31)])
    return tenant, alarm_id, hook


def test_it_works(conn, alarm, receiver):
    tenant, alarm_id, hook = alarm
    assert jobs.deliver(conn, tenant) == 2
    ((headers, body),) = receiver[1]
    sent = json.loads(body)
    assert sent["type"] == "pt.malha.alarm.raised"
    assert sent["data"]["value"] == 2.31
    assert sent["data"]["link"].endswith(f"/{tenant.slug}/agir/alarmes/{alarm_id}/")
    moment = int(headers[webhook.HEADER].split(",")[0].removeprefix("t="))
    assert webhook.verify(hook.secret, headers[webhook.HEADER], body, now_seconds=moment + 10)
    assert not webhook.verify("outro", headers[webhook.HEADER], body, now_seconds=moment + 10)
    assert not webhook.verify(hook.secret, headers[webhook.HEADER], body, now_seconds=moment + 1000)
    assert not webhook.verify(hook.secret, headers[webhook.HEADER], body + b" ", now_seconds=moment)
    (message,) = mail.outbox
    assert message.to == ["piquete@exemplo.pt"]
    assert message.subject.startswith("[Crítico] Ribeira 2,31\xa0m > 2,00\xa0m — Ponte Velha — desde ")
    assert "Fechar a rua." in message.body
    assert f"/{tenant.slug}/agir/alarmes/{alarm_id}/" in message.body
    assert jobs.deliver(conn, tenant) == 0  # once


def test_the_line_of_an_email(conn, alarm, at):
    tenant, alarm_id, _ = alarm
    with database.tenant_transaction(conn, [tenant.id]):
        found = service.get(conn, tenant.id, alarm_id)
    assert notices.headline(found, tenant.zone, at(2, 55)) == f"[Crítico] Ribeira 2,31{formats.NBSP}m > 2,00{formats.NBSP}m — Ponte Velha — desde 02:51"
    assert notices.headline(found, tenant.zone, at(2, 55, day=2)).endswith("desde 1 mar. 2026, 02:51")


def test_a_webhook_that_fails_is_tried_again(conn, alarm, receiver):
    tenant, _, _ = alarm
    receiver[2].append(503)
    assert jobs.deliver(conn, tenant) == 1  # the e-mail
    with database.tenant_transaction(conn, [tenant.id]):
        (waiting,) = [row for row in queries.deliveries(conn, tenant.id) if row["status"] == "waiting"]
        assert waiting["error"] == "HTTP 503"
        assert waiting["next_at"] - waiting["created_at"] > timedelta(seconds=10)
        conn.execute("UPDATE alert_delivery SET next_at = now() WHERE tenant_id = %s", [tenant.id])
    assert jobs.deliver(conn, tenant) == 1
    assert len(receiver[1]) == 2


def test_it_is_given_up_in_the_end_and_said(conn, alarm, receiver):
    tenant, alarm_id, _ = alarm
    with database.tenant_transaction(conn, [tenant.id]):
        conn.execute("UPDATE alert_delivery SET attempts = 6 WHERE tenant_id = %s", [tenant.id])
    receiver[2].append(500)
    jobs.deliver(conn, tenant)
    with database.tenant_transaction(conn, [tenant.id]):
        assert "given_up" in {row["status"] for row in queries.deliveries(conn, tenant.id)}
        assert "not_notified" in {entry.kind for entry in service.story(conn, tenant.id, alarm_id)}


def test_a_trial_is_sent(conn, alarm, receiver):
    tenant, _, hook = alarm
    jobs.deliver(conn, tenant)
    with database.tenant_transaction(conn, [tenant.id]):
        service.send_test(conn, tenant.id, hook.id)
    assert jobs.send_due() >= 1
    assert json.loads(receiver[1][-1][1])["type"] == "pt.malha.alarm.test"


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1/x", "https://localhost/x", "https://[::1]/", "https://169.254.169.254/latest", "https://10.0.0.7/", "ftp://x.pt", "https://a@b.pt/"],
)
def test_our_own_network_is_not_called(url):
    with pytest.raises(UnusableTarget):
        webhook.address_of(url)
