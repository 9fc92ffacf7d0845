"""The figures of a platform that runs: how soon it is ready, how fast home opens, how soon a reading is on the map, how much it holds.

Run by `road.py` as a process of its own; prints one JSON object. Two platforms are started in throw-away folders,
one empty, one with the demo town and its simulator.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import psutil

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
TOWN = "vila-de-malha"
SENSORS, PER_SECOND, BROWSERS = 300, 50, 5
FIRST = 1_000_000.5  # a value that nothing else says
READY_SECONDS = 300
SETTLE_SECONDS = 20  # a town that was made this minute still has its events to work off


@contextmanager
def platform(port: int, *arguments: str):
    """`malha up` in a folder of its own; yields (its process, its folder, seconds until it answered)."""
    with tempfile.TemporaryDirectory(prefix="malha-bench-") as folder:
        clean = {key: value for key, value in os.environ.items() if not key.startswith("MALHA_")}
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "malha", "up", "--data", folder, "--port", str(port), *arguments],
            env=clean, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            while time.monotonic() - began < READY_SECONDS and process.poll() is None:
                try:
                    urllib.request.urlopen(f"http://localhost:{port}/health", timeout=2)
                    break
                except OSError:
                    time.sleep(0.1)
            yield process, Path(folder), time.monotonic() - began
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)


def enter(folder: Path) -> tuple[str, str]:
    """A session cookie of the demo's manager and a token that may write, made beside the running platform."""
    code = """
from malha.project import supervisor
with supervisor.platform():
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
    from django.contrib.sessions.backends.db import SessionStore
    from malha.foundation.access.contracts import Capability
    from malha.foundation.identity import machines, service as identity
    from malha.foundation.tenancy import service as tenancy
    town = tenancy.by_slug("vila-de-malha")
    user = get_user_model().objects.get(pk=identity.by_email("gestora@vila-de-malha.example").id)
    session = SessionStore()
    session[SESSION_KEY], session[BACKEND_SESSION_KEY] = str(user.pk), "malha.foundation.identity.backends.PersonBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    with tenancy.scope(town.id):
        machine, secret = machines.create(town.id, name="bench", capabilities=[Capability.DATA_READ, Capability.DATA_WRITE], types=None, created_by=None)
    print(session.session_key, machine.client_id, secret)
"""
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "MALHA_DATA": str(folder)}, capture_output=True, text=True, check=True)
    cookie, client, secret = done.stdout.split()[-3:]
    return cookie, f"{client} {secret}"


def home(port: int, cookie: str, loads: int) -> tuple[list[float], list[float], list[float]]:
    """Per load of *Hoje* in Chromium: milliseconds of its slowest request, until its last card and layer have values, until the map is painted."""
    from playwright.sync_api import sync_playwright

    slowest, complete, painted = [], [], []
    base = f"http://localhost:{port}"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=FLAGS)
        context = browser.new_context(viewport={"width": 1366, "height": 900}, bypass_csp=True)
        context.add_cookies([{"name": "malha_session", "value": cookie, "url": base}])
        page, times = context.new_page(), []  # one tab: a new window costs Chromium a second of its own start, with or without us
        page.on(
            "requestfinished",
            lambda request: times.append(request.timing["responseEnd"]) if f"/{TOWN}/" in request.url and "/events/" not in request.url else None,
        )
        for _ in range(loads + 1):  # the first fills the browser's own cache and is not counted
            page.goto("about:blank")
            page.wait_for_timeout(700)  # what the page before had open is closed
            times.clear()
            began = time.monotonic()
            page.goto(f"{base}/{TOWN}/", wait_until="domcontentloaded")
            page.wait_for_function(
                "!document.querySelector('.indicator-slot [aria-busy=true]') && [...document.querySelectorAll('malha-map, malha-chart')].every(e => e.getAttribute('aria-busy') !== 'true')",
                timeout=30_000,
            )
            complete.append((time.monotonic() - began) * 1000)
            page.wait_for_function("[...document.querySelectorAll('malha-map')].every(e => e.dataset.state === 'drawn')", timeout=30_000)
            painted.append((time.monotonic() - began) * 1000)
            page.wait_for_timeout(300)
            slowest.append(max(times))
        browser.close()
    return slowest[1:], complete[1:], painted[1:]


#: in the page: when each value was first in the source that its map draws from, in milliseconds of the machine's clock
WATCH = """() => {
  const map = document.querySelector('malha-map');
  window.arrived = {};
  window.setInterval(() => { for (const one of map.held.get('ar').features.values()) window.arrived[one.properties.pm10] ??= Date.now(); }, 20);
}"""


def post_to_map(port: int, cookie: str, secret: str, seconds: int) -> list[float]:
    """Milliseconds from sending a reading until each of five browsers that have *Hoje* open holds it in the source of its map.

    A new value of a sensor may come before the one before it was fetched; what no map ever held is missing from the list.
    """
    from playwright.sync_api import sync_playwright

    base = f"http://localhost:{port}/{TOWN}"
    client, password = secret.split()
    token = _token(base, client, password)
    with sync_playwright() as playwright:
        pages = []
        for _ in range(BROWSERS):  # each a process of its own, as on five desks
            browser = playwright.chromium.launch(executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=FLAGS)
            context = browser.new_context(viewport={"width": 1366, "height": 900}, bypass_csp=True)
            context.add_cookies([{"name": "malha_session", "value": cookie, "url": base}])
            page = context.new_page()
            page.goto(f"{base}/")
            page.wait_for_function("document.querySelector('malha-map')?.dataset.state === 'drawn'", timeout=60_000)
            page.evaluate(WATCH)
            pages.append(page)
        sent = _send(base, token, seconds)
        pages[0].wait_for_timeout(2000)
        arrived = [{float(value): at for value, at in page.evaluate("window.arrived").items() if value not in {"null", "undefined"}} for page in pages]
        for page in pages:
            page.context.browser.close()
    return [at - sent[value] for page in arrived for value, at in page.items() if value in sent]


def post_to_client(port: int, cookie: str, secret: str, seconds: int) -> list[float]:
    """The same without browsers: five programs that hear of the change on the event stream and ask for what changed, as the map does."""
    base = f"http://localhost:{port}/{TOWN}"
    client, password = secret.split()
    token = _token(base, client, password)
    arrived: list[tuple[float, float]] = []
    stop = threading.Event()

    def board() -> None:
        seen: set[float] = set()
        since = datetime.now(UTC).isoformat()
        cookies = {"malha_session": cookie}
        with httpx.Client(cookies=cookies, timeout=30) as web:
            web.get(f"{base}/")  # the page gives the cookie of the plane
            with web.stream("GET", f"{base}/events/stream?types=AirQualityObserved") as stream:
                for line in stream.iter_lines():
                    if stop.is_set():
                        return
                    if not line.startswith("data:") or "AirQualityObserved" not in line:
                        continue
                    found = web.get(f"{base}/mapa/camadas.geojson", params={"camadas": "ar", "desde": since}).json()
                    since, now = found["at"], time.time() * 1000
                    for value in {feature["properties"].get("pm10") for feature in found["layers"]["ar"]} - seen:
                        seen.add(value)
                        arrived.append((value, now))

    boards = [threading.Thread(target=board, daemon=True) for _ in range(BROWSERS)]
    for one in boards:
        one.start()
    time.sleep(2)
    sent = _send(base, token, seconds, first=FIRST * 2)
    time.sleep(2)
    stop.set()
    return [at - sent[value] for value, at in arrived if value in sent]


def _token(base: str, client: str, password: str) -> str:
    form = {"grant_type": "client_credentials", "client_id": client, "client_secret": password}
    return str(httpx.post(f"{base}/identity/o/api/token", data=form, timeout=20).json()["access_token"])


def _readings(numbers: range, first: float) -> list[dict[str, Any]]:
    """Each of `numbers` as a reading of its sensor, which says `first + number`."""
    at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return [
        {
            "id": f"urn:bench:AirQualityObserved:{number % SENSORS}",
            "type": "AirQualityObserved",
            "pm10": {"type": "Property", "value": first + number, "unitCode": "GQ", "observedAt": at},
            "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [-8.9 + number % SENSORS / 10000, 39.4]}},
        }
        for number in numbers
    ]


def _send(base: str, token: str, seconds: int, first: float = FIRST) -> dict[float, float]:
    """`PER_SECOND` readings a second of `SENSORS` sensors that are known already, a batch each second: each value and when it left, in milliseconds."""
    sent: dict[float, float] = {}
    with httpx.Client(headers={"Authorization": f"Bearer {token}", "Content-Type": "application/json"}, timeout=30) as web:

        def upsert(numbers: range, start: float) -> None:
            web.post(f"{base}/ngsi-ld/v1/entityOperations/upsert", content=json.dumps(_readings(numbers, start))).raise_for_status()

        upsert(range(SENSORS), first + FIRST / 2)
        time.sleep(3)
        for tick in range(seconds):
            began, numbers = time.monotonic(), range(tick * PER_SECOND, (tick + 1) * PER_SECOND)
            sent |= dict.fromkeys((first + number for number in numbers), time.time() * 1000)
            upsert(numbers, first)
            time.sleep(max(0.0, 1 - (time.monotonic() - began)))
    return sent


def memory_mb(process: subprocess.Popen[bytes]) -> float:
    """Sum of the proportional set sizes of the supervisor and everything below it."""
    root = psutil.Process(process.pid)
    return sum(one.memory_full_info().pss for one in [root, *root.children(recursive=True)]) / 1e6


def p95(values: list[float]) -> float:
    """The value that 95 of 100 do not pass."""
    return statistics.quantiles(values, n=20)[-1] if len(values) > 1 else values[0]


def main() -> None:
    """Measure and print."""
    given = argparse.ArgumentParser()
    given.add_argument("--loads", type=int, default=50)
    given.add_argument("--seconds", type=int, default=60)
    given.add_argument("--idle", type=int, default=300)
    asked = given.parse_args()
    with platform(8871, "--no-demo") as (_process, _folder, ready):
        pass
    with platform(8872) as (process, folder, ready_demo):
        cookie, secret = enter(folder)
        time.sleep(SETTLE_SECONDS)
        slowest, complete, painted = home(8872, cookie, asked.loads)
        heard = post_to_client(8872, cookie, secret, asked.seconds)
        delays = post_to_map(8872, cookie, secret, asked.seconds)
        time.sleep(asked.idle)
        memory = memory_mb(process)
    print(
        json.dumps(
            {
                "ready_s": ready,
                "ready_demo_s": ready_demo,
                "home_p95_ms": p95(slowest),
                "home_slowest_ms": [round(one) for one in slowest],
                "home_complete_ms": statistics.median(complete),
                "home_painted_ms": statistics.median(painted),
                "post_to_map_p95_ms": p95(delays) if delays else None,
                "post_to_client_p95_ms": p95(heard) if heard else None,
                "readings_heard": len(heard),
                "readings_seen": len(delays),
                "idle_memory_mb": memory,
                "expected": asked.seconds * PER_SECOND * BROWSERS,
            }
        )
    )


if __name__ == "__main__":
    main()
