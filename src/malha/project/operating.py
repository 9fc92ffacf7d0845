"""How an installation is watched: `/metrics`, `/healthz`, `/readyz`, slow requests, traces, an end that loses nothing. No Django."""

from __future__ import annotations

import hmac
import ipaddress
import json
import re
import threading
import time
from collections.abc import Awaitable, Mapping
from functools import cache, lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import psycopg
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from malha.context.broker import pool
from malha.context.store import service as store
from malha.foundation.database import service as database
from malha.foundation.database.contracts import DatabaseError, Role
from malha.foundation.settings import service as settings
from malha.foundation.telemetry import service as telemetry
from malha.foundation.telemetry import traces

ADDRESSES = frozenset({"/metrics", "/healthz", "/readyz"})
READY_SECONDS = 2.0
#: an event that nobody has heard for so long: the worker is not at work
LATE_SECONDS = 300.0
RETRY_SECONDS = 5
_FORWARDED = frozenset({"x-forwarded-for", "forwarded", "x-real-ip"})
_NGSI = frozenset({
    "entities", "entityOperations", "types", "attributes", "subscriptions", "csourceRegistrations", "csourceSubscriptions", "temporal", "jsonldContexts",
    "entityMaps", "snapshots", "info",
})  # fmt: skip
_LABEL = re.compile(r'^\s*label = "(\w+)"', re.MULTILINE)
APPLIED = "SELECT app, name FROM django_migrations"
OLDEST = """
SELECT coalesce(extract(epoch FROM clock_timestamp() - min(o.at)), 0)::float8 FROM outbox o
WHERE (o.xid, o.seq) > (SELECT p.xid, p.seq FROM outbox_position p ORDER BY p.xid, p.seq LIMIT 1)
"""
WAITING = "SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(queued_at)), 0)::float8 FROM notification"

#: set when the process was asked to end: what is in hand is answered, what comes is sent elsewhere
ending = threading.Event()


# --- ready or not


@cache
def wanted() -> frozenset[tuple[str, str]]:
    """The migrations that this version brings: (label of the app, name)."""
    found: set[tuple[str, str]] = set()
    for apps in (Path(__file__).parent.parent).glob("*/*/apps.py"):
        label = _LABEL.search(apps.read_text(encoding="utf-8"))
        if label:
            found |= {(label[1], one.stem) for one in apps.parent.glob("migrations/[0-9]*.py")}
    return frozenset(found)


def readiness() -> dict[str, Any]:
    """Whether the process can do its work: the database answers, its tables are of this version, events are heard. Waits for the database."""
    said: dict[str, Any] = {"ready": False, "database": False, "migrations": False, "ending": ending.is_set()}
    try:
        with psycopg.connect(database.dsn(Role.APP), connect_timeout=int(READY_SECONDS), autocommit=True) as conn:
            conn.execute(f"SET statement_timeout = '{READY_SECONDS:.0f}s'")
            said["database"] = True
            said["migrations"] = wanted() <= {(app, name) for app, name in conn.execute(APPLIED)}
        said |= queues()
    except (psycopg.Error, DatabaseError):
        return said
    said["ready"] = said["migrations"] and not ending.is_set()
    return said


def queues() -> dict[str, float]:
    """How long the oldest event that somebody has still to hear waits, and how many notifications wait. Waits for the database."""
    with psycopg.connect(database.dsn(Role.COMPACTOR), connect_timeout=int(READY_SECONDS), autocommit=True) as conn:
        conn.execute(f"SET statement_timeout = '{READY_SECONDS:.0f}s'")
        oldest, waiting = conn.execute(OLDEST).fetchone(), conn.execute(WAITING).fetchone()
    assert oldest is not None
    assert waiting is not None
    return {"events_oldest_seconds": round(oldest[0], 1), "notifications_waiting": waiting[0], "notifications_oldest_seconds": round(waiting[1], 1)}


def insider(client: str, headers: Mapping[str, str]) -> bool:
    """Whether somebody may see how the process fares: whoever is on this machine, without a front in between, or has the token for it."""
    token = settings.current().metrics_token
    given = headers.get("authorization", "").removeprefix("Bearer ").strip()
    if token and given and hmac.compare_digest(given.encode(), token.encode()):
        return True
    try:
        near = ipaddress.ip_address(client).is_loopback
    except ValueError:
        near = False
    return near and _FORWARDED.isdisjoint(headers) and not given


def answer(path: str, client: str, headers: Mapping[str, str], *, worker: bool = False) -> tuple[int, str, bytes]:
    """(status, media type, body) of one of ADDRESSES. Waits for the database."""
    if path == "/healthz":
        return 200, "text/plain; charset=utf-8", b"ok\n"
    inside = insider(client, headers)
    if path == "/metrics":
        return (200, telemetry.MEDIA_TYPE, telemetry.page()) if inside else (403, "text/plain; charset=utf-8", b"forbidden\n")
    said = readiness()
    if worker and said.get("events_oldest_seconds", 0.0) > LATE_SECONDS:
        said["ready"] = False
    shown = said if inside else {"ready": said["ready"]}
    return 200 if said["ready"] else 503, "application/json", json.dumps(shown).encode()


# --- the plane


def area(path: str) -> str:
    """What of the plane a path belongs to, in few words: no id of anything is in it."""
    parts = path.split("/", 4)
    if len(parts) > 3 and parts[1] == "ngsi-ld":
        return f"/ngsi-ld/v1/{parts[3]}" if parts[3] in _NGSI else "/ngsi-ld/v1/?"
    return f"/{parts[1]}"


@lru_cache(maxsize=1000)
def _duration(method: str, where: str, status: int) -> Any:
    """The count of such requests, found once."""
    return telemetry.DURATION.labels(method, where, status)


class Watched:
    """Around the plane: counts and times requests, logs slow ones, opens spans, and sends new requests away while the process ends."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.slow_seconds = settings.current().slow_ms / 1000
        self.active = 0
        telemetry.ACTIVE.set_function(lambda: self.active)
        telemetry.watch("malha_turns_waiting", "Requests that wait for a thread", lambda: float(pool.waiting()))
        telemetry.watch("malha_figures_kept_bytes", "Memory of figures that questions are counted by", lambda: float(store.figures_kept_bytes()))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if scope["path"] in ADDRESSES:
            await self._own(scope, receive, send)
            return
        if ending.is_set():
            telemetry.REFUSED.labels("ending").inc()
            response = JSONResponse({"title": "Ending"}, 503, {"Retry-After": str(RETRY_SECONDS), "Connection": "close"}, "application/problem+json")
            await response(scope, receive, send)
            return
        if traces.tracer() is None and not any(name == b"traceparent" for name, _ in scope["headers"]):
            await self._timed(scope, receive, send)
            return
        with traces.span(f"{scope['method']} {area(scope['path'])}", "SERVER", _headers(scope), {"http.request.method": scope["method"]}) as told:
            told["http.response.status_code"] = await self._timed(scope, receive, send)

    async def _timed(self, scope: Scope, receive: Receive, send: Send) -> int:
        """Let the app answer; the status that it gave."""
        status = 500

        def sent(message: Message) -> Awaitable[None]:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            return send(message)

        kept = telemetry.statements.set([]) if self.slow_seconds else None
        self.active += 1
        start = time.perf_counter()
        try:
            await self.app(scope, receive, sent)
        finally:
            spent = time.perf_counter() - start
            self.active -= 1
            where = area(scope.get("malha.path", scope["path"]))
            _duration(scope["method"], where, status).observe(spent)
            if status in {429, 503}:
                telemetry.REFUSED.labels("quota" if status == 429 else "busy").inc()
            if kept is not None:
                if spent >= self.slow_seconds and where != "/events":
                    names = [name for name, _ in parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)]
                    telemetry.log_slow(spent * 1000, scope["method"], where, (name for name in names if name.isidentifier() and len(name) < 40), status)
                telemetry.statements.reset(kept)
        return status

    @staticmethod
    async def _own(scope: Scope, receive: Receive, send: Send) -> None:
        client = scope.get("client")
        status, media, body = await run_in_threadpool(answer, scope["path"], client[0] if client else "", _headers(scope))
        await Response(body, status, media_type=media)(scope, receive, send)


def _headers(scope: Scope) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}


# --- the worker


def serve_worker(port: int) -> ThreadingHTTPServer:
    """Answer ADDRESSES for the worker on this machine, in a thread of its own."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, media, body = answer(path, self.client_address[0], headers, worker=True) if path in ADDRESSES else (404, "text/plain", b"")
            self.send_response(status)
            self.send_header("Content-Type", media)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the name of the class above
            """Nothing: a scrape every few seconds is no news."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    threading.Thread(target=server.serve_forever, name="watched", daemon=True).start()
    return server
