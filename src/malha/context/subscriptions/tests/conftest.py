"""A receiver on loopback, the runner of notifications, and a client whose machine is real."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from django.conf import settings as django_settings

from malha.context.broker import auth, pool
from malha.foundation.access.contracts import Capability
from malha.foundation.database import service as database
from malha.foundation.settings import service as settings
from malha.foundation.tokens import service as tokens
from malha.project import composition, plane

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

WORKER = """
import threading
import django
django.setup()
from malha.project import composition
print("ready", flush=True)
composition.notify(threading.Event())
"""
READ_WRITE = (Capability.DATA_READ, Capability.DATA_WRITE)


class Receiver:
    """What arrives at one address, with its headers; `answer` is called for each and gives the status."""

    def __init__(self):
        self.got = []
        self.answer = lambda _body: 204
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                status = outer.answer(body)
                if status == 204:
                    outer.got.append((body, dict(self.headers.items())))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/notify"

    def wait(self, count=1, seconds=10):
        end = time.monotonic() + seconds
        while len(self.got) < count and time.monotonic() < end:
            time.sleep(0.01)
        assert len(self.got) >= count, f"{len(self.got)} of {count} notifications came"
        return [body for body, _ in self.got]

    def quiet(self, seconds=0.7):
        time.sleep(seconds)
        return not self.got


@pytest.fixture
def receiver():
    made = Receiver()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def loopback(monkeypatch):
    """The operator listed this machine for every tenant."""
    conf = dataclasses.replace(settings.current(), internal_hosts=("*=127.0.0.0/8", "*=localhost"))
    monkeypatch.setattr(settings, "current", lambda: conf)


@pytest.fixture
def running(loopback):
    """Notifications at work, as in the worker."""
    stop = threading.Event()
    thread = threading.Thread(target=composition.notify, args=[stop])
    thread.start()
    yield
    stop.set()
    thread.join(15)
    assert not thread.is_alive()


@pytest.fixture
def start_worker():
    """Start notifications in a process of their own, which may reach this machine; it is killed at the end."""
    started = []

    def start():
        env = dict(os.environ) | {"MALHA_INTERNAL_HOSTS": "*=127.0.0.1"}
        worker = subprocess.Popen([sys.executable, "-c", WORKER], stdout=subprocess.PIPE, text=True, env=env)
        started.append(worker)
        assert worker.stdout.readline().strip() == "ready"
        return worker

    yield start
    for worker in started:
        worker.send_signal(signal.SIGKILL)
        worker.wait()


class Receivers:
    """One receiver that answers and `hanging` that never do, in a process of their own: see `receivers.py`."""

    def __init__(self, hanging):
        script = str(Path(__file__).with_name("receivers.py"))
        self.process = subprocess.Popen([sys.executable, script, str(hanging)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        good, *dead = json.loads(self.process.stdout.readline())
        self.good, self.hanging = f"http://127.0.0.1:{good}/good", [f"http://127.0.0.1:{port}/hanging" for port in dead]

    def report(self):
        """(what came since the last report as [arrival, id, entity, value], most connections to those that hang)"""
        self.process.stdin.write("report\n")
        self.process.stdin.flush()
        found = json.loads(self.process.stdout.readline())
        return found["got"], found["most"]

    def close(self):
        self.process.stdin.close()
        self.process.wait(10)


@pytest.fixture
def receivers():
    """`receivers(hanging)` starts them; they end with the test."""
    started = []

    def start(hanging):
        started.append(Receivers(hanging))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture
def client():
    """`client.of(tenant)` is a machine of the tenant: its token, and a client of the plane."""
    from malha.foundation.database import django as database_django
    from malha.foundation.identity import service as identity

    auth.forget()
    with TestClient(plane.application(), base_url="http://localhost") as app:

        def of(tenant, *, capabilities=READ_WRITE, types=None, name="Ensaio", scope=None):
            with database_django.scope(tenant.id):
                machine, _ = identity.create_machine(tenant.id, name=name, capabilities=capabilities, types=types, created_by=None, scope=scope)
            with database.connect(autocommit=True) as conn:
                token = tokens.issue(
                    conn,
                    django_settings.SECRET_KEY,
                    subject=f"client:{machine.client_id}",
                    tenants=[tenant.id],
                    capabilities=capabilities,
                    types=types,
                    scoped=bool(scope),
                )
            one = TestClient(app.app, base_url="http://localhost", headers={"Authorization": f"Bearer {token}"})
            one.base_url = f"http://localhost/{tenant.slug}/ngsi-ld/v1/"
            one.machine, one.tenant = machine, tenant
            return one

        app.of = of
        yield app
    pool.close()
