"""The way out refuses private networks and stops at limits."""

import http.server
import threading

import pytest

from malha.foundation.outgoing import service as outgoing
from malha.foundation.outgoing.contracts import NoAnswer, RefusedAddress


class Answers(http.server.BaseHTTPRequestHandler):
    """A small server with one answer per path."""

    def do_GET(self):
        if self.path in {"/round", "/inside"}:
            self.send_response(302)
            self.send_header("Location", "/round" if self.path == "/round" else "http://10.0.0.1/")
            self.end_headers()
            return
        body = {"/json": b'{"a": 1}', "/big": b"x" * 5000}.get(self.path)
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


def fetch(url):
    return outgoing.fetch(url, limit_bytes=1000, total_seconds=2)


def test_it_works(server):
    assert fetch(f"{server}/json") == b'{"a": 1}'


@pytest.mark.parametrize(("path", "error"), [("/round", RefusedAddress), ("/inside", RefusedAddress), ("/big", RefusedAddress), ("/nothing", NoAnswer)])
def test_what_does_not_serve_is_said(server, path, error):
    with pytest.raises(error):
        fetch(server + path)


@pytest.mark.parametrize(
    "url", ["http://localhost:1/", "http://[::1]/", "http://169.254.169.254/latest", "ftp://x.pt/", "http://", "http://a:b@x.pt/", "http://x:99999/"]
)
def test_private_and_odd_addresses_are_refused(url):
    with pytest.raises(RefusedAddress):
        fetch(url)
