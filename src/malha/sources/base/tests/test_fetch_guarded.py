"""The way out refuses private networks, follows few redirects, stops at limits."""

from __future__ import annotations

import http.server
import threading

import httpx
import pytest

from malha.foundation.outgoing import service as outgoing
from malha.foundation.outgoing.contracts import RefusedAddress as Refused
from malha.sources.base import http as guarded
from malha.sources.base import quality
from malha.sources.base.contracts import NotReady, RefusedAddress, SourceChanged


class Answers(http.server.BaseHTTPRequestHandler):
    """A small server with one answer per path."""

    def do_GET(self):
        if self.path == "/busy":
            self.send_response(503)
            self.send_header("Retry-After", "120")
            self.end_headers()
            return
        if self.path == "/round":
            self.send_response(302)
            self.send_header("Location", "/round")
            self.end_headers()
            return
        body = {"/json": b'{"a": 1}', "/page": b"<html>erro</html>", "/big": b"x" * 5000}.get(self.path)
        self.send_response(200 if body else 404)
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def server(monkeypatch):
    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    monkeypatch.setattr(outgoing, "_is_public", lambda address: address == "127.0.0.1")
    yield f"http://127.0.0.1:{made.server_port}"
    made.shutdown()
    thread.join()
    made.server_close()


def test_it_works(server):
    assert guarded.HttpFetcher().get_json(f"{server}/json") == {"a": 1}


def test_what_is_no_json_is_a_changed_source(server):
    with pytest.raises(SourceChanged):
        guarded.HttpFetcher().get_json(f"{server}/page")
    with pytest.raises(SourceChanged):
        guarded.HttpFetcher().get_json(f"{server}/nothing")


def test_a_busy_source_says_when(server):
    with pytest.raises(NotReady) as found:
        guarded.HttpFetcher().get_json(f"{server}/busy")
    assert found.value.retry_after_seconds == 120


def test_endless_redirects_end(server):
    with pytest.raises(RefusedAddress):
        guarded.HttpFetcher().get_json(f"{server}/round")


def test_too_much_is_not_kept(server, tmp_path):
    with pytest.raises(RefusedAddress):
        guarded.download(f"{server}/big", tmp_path / "big", limit_bytes=1000)
    assert not (tmp_path / "big").exists()


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "0.0.0.0",
        "::1",
        "fe80::1",
        "fd00::1",
        "::ffff:10.0.0.1",
        "100.64.0.1",
        "224.0.0.1",
    ],
)
def test_private_addresses_are_refused(address):
    assert not outgoing._is_public(address)


def test_public_addresses_pass():
    assert outgoing._is_public("193.137.20.123")
    assert outgoing._is_public("2001:690::1")


@pytest.mark.parametrize("url", ["ftp://x.pt/a", "file:///etc/passwd", "http://", "https://nome:senha@x.pt/"])
def test_other_schemes_and_credentials_are_refused(url):
    with pytest.raises(Refused):
        guarded.check_url(url)


def test_loopback_is_refused_unless_set(monkeypatch):
    with pytest.raises(RefusedAddress):
        guarded.HttpFetcher().get_json("http://localhost:1/")


def test_retry_after_as_a_date():
    assert guarded.retry_after(httpx.Headers({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"})) == 0.0
    assert guarded.retry_after(httpx.Headers({"retry-after": "depois"})) is None


def test_every_connector_has_no_open_rule():
    marks = [mark for name in quality.connectors() for mark in quality.marks(name)]
    assert {mark.connector for mark in marks} >= {"ipma", "tabular"}
    assert [(mark.connector, mark.rule, mark.status) for mark in marks if not mark.sound] == []
    assert len(quality.RULES) <= 15
