"""A live server on the test run's own database, and Debian's Chromium in front of it.

server              address of the running platform, http://localhost:PORT
another_server      a function that starts a second one beside, with settings of its own
page                a fresh page at laptop size, Portuguese, Lisbon time; fails the test on script errors
phone               the same at 360 × 740
sign_in(page, tenant, role=…, person=…)   be somebody in a tenant without walking through the sign-in page
shoot(page, name)   keep docs/screens/NAME-*.png when MALHA_SCREENS=1
assert_accessible(page)                   axe finds nothing (WCAG 2.1 A and AA)
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib import resources
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

# Playwright's synchronous face runs an event loop in this thread; Django's database calls here are ours alone.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
ROOT = Path(__file__).resolve().parents[2]
SCREENS = ROOT / "docs" / "screens"
CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
SIZES = {"phone": {"width": 360, "height": 740}, "laptop": {"width": 1366, "height": 768}, "wall": {"width": 3840, "height": 2160}}
AXE_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _serving(log: Path, host: str, more: dict[str, str]) -> Iterator[str]:
    port = _free_port()
    url = f"http://{host}:{port}"
    environment = {**os.environ, "MALHA_PORT": str(port), "MALHA_PUBLIC_URL": url, **more}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "malha.project.oneport:application", "--host", "127.0.0.1", "--port", str(port), "--timeout-graceful-shutdown", "2", "--log-level", "warning"],
            env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output,
        )  # fmt: skip
        try:
            _wait(url, process, log)
            yield url
        finally:
            process.terminate()
            try:
                process.wait(8)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The whole of Malha on one port, over the database that the tests see."""
    with _serving(tmp_path_factory.mktemp("server") / "server.log", "localhost", {}) as url:
        yield url


@pytest.fixture
def another_server(tmp_path: Path) -> Iterator[Callable[..., str]]:
    """`another_server(MALHA_…=…)` starts a second one beside, at another host name so that no cookie is shared; gives its address."""
    with ExitStack() as running:
        yield lambda **more: running.enter_context(_serving(tmp_path / "another.log", "127.0.0.1", more))


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=2):
                return
        except (OSError, urllib.error.URLError):
            time.sleep(0.1)
    raise AssertionError(f"the server did not start:\n{log.read_text(errors='replace')[-4000:]}")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        pytest.skip(f"falta o Chromium ({CHROMIUM})")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield running
        running.close()


def _context(browser: Browser, size: str) -> BrowserContext:
    return browser.new_context(locale="pt-PT", timezone_id="Europe/Lisbon", viewport=SIZES[size], reduced_motion="reduce")  # type: ignore[arg-type]


def _open(context: BrowserContext, problems: list[str]) -> Page:
    opened = context.new_page()
    opened.set_default_timeout(30_000)  # a busy machine is no fault of a page
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on("console", lambda said: problems.append(said.text) if "Content Security Policy" in said.text else None)
    return opened


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """When a test fails, say where its page stood and what it read."""
    report = yield
    opened = getattr(item, "funcargs", {}).get("page") or getattr(item, "funcargs", {}).get("phone")
    if report.when == "call" and report.failed and opened is not None and not opened.is_closed():
        report.sections.append(("page", f"{opened.url}\n{opened.locator('body').inner_text()[:3000]}"))
    return report


@pytest.fixture
def page(browser: Browser, server: str) -> Iterator[Page]:
    context, problems = _context(browser, "laptop"), list[str]()
    yield _open(context, problems)
    context.close()
    assert not problems, problems


@pytest.fixture
def phone(browser: Browser, server: str) -> Iterator[Page]:
    context, problems = _context(browser, "phone"), list[str]()
    yield _open(context, problems)
    context.close()
    assert not problems, problems


@pytest.fixture
def sign_in(server: str) -> Callable[..., Any]:
    """`sign_in(page, tenant)` makes a manager and is them; `role=` another role, `person=` somebody known (their card), `base=` another server."""
    from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
    from django.contrib.sessions.backends.db import SessionStore

    from malha.foundation.access import service as access
    from malha.foundation.access.contracts import RoleName
    from malha.foundation.identity import service as identity

    def enter(page: Page, tenant: Any = None, *, role: str = RoleName.TENANT_MANAGER, person: Any = None, name: str = "Ana Ensaio", base: str = "") -> Any:
        known = person or identity.create_person(f"ana-{uuid4().hex[:10]}@exemplo.pt", name=name)
        if person is None and tenant is not None:
            access.grant(known.id, tenant.id, RoleName(role))
        user = get_user_model().objects.get(pk=known.id)
        session = SessionStore()
        session[SESSION_KEY] = str(user.pk)
        session[BACKEND_SESSION_KEY] = "malha.foundation.identity.backends.PersonBackend"
        session[HASH_SESSION_KEY] = user.get_session_auth_hash()
        session.save()
        page.context.add_cookies([{"name": "malha_session", "value": session.session_key, "url": base or server, "httpOnly": True}])
        return known

    return enter


@pytest.fixture
def shoot() -> Callable[..., None]:
    """`shoot(page, "hoje")` keeps docs/screens/hoje-laptop-light.png; `sizes=` and `themes=` keep more. Only with MALHA_SCREENS=1."""

    def keep(page: Page, name: str, *, sizes: tuple[str, ...] = ("laptop",), themes: tuple[str, ...] = ("light",), full_page: bool = False) -> None:
        if os.environ.get("PYTEST_MALHA_SCREENS") != "1":
            return
        SCREENS.mkdir(parents=True, exist_ok=True)
        before = page.viewport_size
        for size in sizes:
            page.set_viewport_size(SIZES[size])  # type: ignore[arg-type]
            for theme in themes:
                page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
                page.wait_for_timeout(200)
                page.screenshot(path=SCREENS / f"{name}-{size}-{theme}.png", full_page=full_page)
        page.emulate_media(color_scheme="light")
        if before:
            page.set_viewport_size(before)

    return keep


@pytest.fixture(scope="session")
def assert_accessible() -> Callable[..., None]:
    """`assert_accessible(page)`: axe finds no violation of WCAG 2.1 A and AA; `without=` leaves rules out, with a reason beside."""
    script = resources.files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")

    def check(page: Page, *, without: tuple[str, ...] = (), within: str | None = None) -> None:
        page.evaluate(script)
        options = {"resultTypes": ["violations"], "runOnly": {"type": "tag", "values": AXE_TAGS}, "rules": {rule: {"enabled": False} for rule in without}}
        found = page.evaluate("([within, options]) => axe.run(within || document, options)", [within, options])
        told = [
            f"{one['id']} ({one['impact']}): {one['help']}\n    " + "\n    ".join(node["html"][:160] for node in one["nodes"][:5])
            for one in found["violations"]
        ]
        assert not told, f"{page.url}\n" + "\n".join(told)

    return check


@pytest.fixture
def passkeys() -> Callable[[Page], Any]:
    """`passkeys(page)` gives the page a virtual authenticator that confirms at once (WebAuthn §11)."""

    def attach(page: Page) -> Any:
        session = page.context.new_cdp_session(page)
        session.send("WebAuthn.enable")
        options = {
            "protocol": "ctap2",
            "transport": "internal",
            "hasResidentKey": True,
            "hasUserVerification": True,
            "isUserVerified": True,
            "automaticPresenceSimulation": True,
        }
        session.send("WebAuthn.addVirtualAuthenticator", {"options": options})
        return session

    return attach
