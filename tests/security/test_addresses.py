"""One walk over every page and every route of the plane: nobody, and somebody of another tenant, get in nowhere.

Addresses added later are walked without a change here. What is open to all stands in OPEN with its reason.
"""

from __future__ import annotations

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from uuid import uuid4

import httpx
import pytest
from django.test import Client
from django.urls import URLPattern, get_resolver

from malha.context.broker import pool
from malha.foundation.access import service as access
from malha.foundation.access.contracts import Capability, Principal, RoleName
from malha.foundation.identity import service as people
from malha.foundation.identity.models import Person
from malha.project import operating, plane

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

#: pages that anybody may open, by name or beginning of name, each with its reason
OPEN = {
    "home": "sends on to sign in, or shows who we are",
    "identity:enter_demo": "only where demo people exist, on this computer",
    "identity:invitation": "the link's secret opens it, once",
    "identity:account": "one's own account",
    "identity:entered": "where one lands after signing in; shows one's own name only",
    "identity:renew_plane_cookie": "one's own token, with one's own capabilities in that tenant",
    "account_": "signing in",
    "conta/": "old addresses of signing in, which lead to the new ones",
    "mfa_": "one's own second factors",
    "socialaccount_": "signing in elsewhere",
    "openid_connect_": "signing in elsewhere",
    "usersessions_": "one's own sessions",
    "idp:oidc:": "the identity provider's own protocol",
    "identity/o/authorize": "the identity provider's own protocol: who is nobody is asked to sign in",
    "mail:demo": "the demonstration's post, on this computer only",
    "administration:arms": "arms are public",
    "catalogue": "published data",
    "opendata:": "published data",
    "accessibility": "public by law",
    "privacy": "public by law",
    "ui:": "help, language and frame: hold no tenant's rows (searches and indexes show what the reader may open)",
}
#: routes of the plane that anybody may read
OPEN_ROUTES = {"/health": "says that the process answers", "/openapi.json": "says what there is to ask, nothing of what there is"}

OPEN_ROUTES |= dict.fromkeys(
    [f"/ogc/abertos{path}" for path in ("", "/", "/api", "/conformance", "/collections", "/tileMatrixSets", "/tileMatrixSets/WebMercatorQuad")],
    "published data",
)

SAMPLES = {"int": "1", "slug": "nada", "str": "nada", "path": "nada", "uuid": "00000000-0000-0000-0000-000000000000"}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
#: answers that give nothing away: go and sign in, you may not, there is nothing, not that way, gone
SHUT = {301, 302, 400, 401, 403, 404, 405, 410, 415, 422}


@dataclass(frozen=True)
class Page:
    name: str
    path: str


def pages(patterns=None, prefix="", names=()) -> list[Page]:
    """Every address of the apps with something in the place of its parameters."""
    found = []
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        here = prefix + filled(str(pattern.pattern))
        if isinstance(pattern, URLPattern):
            found.append(Page(":".join((*names, pattern.name or here)), here))
        else:
            found += pages(pattern.url_patterns, here, (*names, pattern.namespace) if pattern.namespace else names)
    return found


def filled(pattern: str) -> str:
    """`gestao/pessoas/<int:person_id>/` as an address that matches it."""
    pattern = re.sub(r"\(\?P<\w+>[^)]*\)", "nada", pattern.removeprefix("^").removesuffix("$").replace("\\Z", ""))
    return re.sub(r"<(?:(\w+):)?\w+>", lambda match: SAMPLES.get(match[1] or "str", "nada"), pattern)


def is_open(name: str) -> bool:
    return any(name == one or (one.endswith((":", "_", "/")) and name.startswith(one)) for one in OPEN)


@pytest.fixture
def stranger(new_tenant):
    """A tenant, and a browser of somebody who manages another one."""
    theirs, mine = new_tenant(name="Vila Alheia"), new_tenant(name="Vila Própria")
    person = people.create_person(f"{uuid4().hex[:12]}@exemplo.pt", name="Estranha")
    access.grant(person.id, mine.id, RoleName.TENANT_MANAGER)
    access.grant(person.id, mine.id, RoleName.DATA_PROTECTION_OFFICER)
    browser = Client(headers={"host": "localhost"}, raise_request_exception=False)
    browser.force_login(Person.objects.get(pk=person.id))
    return theirs, mine, browser, person


def test_pages_are_shut_to_nobody_and_to_strangers(stranger):
    theirs, _mine, browser, _ = stranger
    nobody = Client(headers={"host": "localhost"}, raise_request_exception=False)
    walked, found = [page for page in pages() if not is_open(page.name)], []
    for page in walked:
        for who, client in (("nobody", nobody), ("a stranger", browser)):
            for method in ("GET", "POST"):
                answer = client.generic(method, f"/{theirs.slug}/{page.path}")
                if answer.status_code not in SHUT:
                    found.append(f"{page.name}: {who} gets {answer.status_code} on {method} /{page.path}")
                elif answer.status_code in {301, 302} and who == "a stranger" and "/conta/" not in answer["Location"]:
                    found.append(f"{page.name}: a stranger is sent on to {answer['Location']} from {method} /{page.path}")
    assert len(walked) > 20
    assert found == [], "\n" + "\n".join(found)


def test_every_page_that_is_not_open_says_what_it_asks_for():
    """The guard is declared on the view itself, so that it cannot be forgotten in a branch."""
    bare = [page.name for page, view in _views() if not is_open(page.name) and not getattr(view, "capabilities", None)]
    assert bare == []


def _views(patterns=None, prefix="", names=()):
    for pattern in get_resolver().url_patterns if patterns is None else patterns:
        here = prefix + filled(str(pattern.pattern))
        if isinstance(pattern, URLPattern):
            yield Page(":".join((*names, pattern.name or here)), here), pattern.callback
        else:
            yield from _views(pattern.url_patterns, here, (*names, pattern.namespace) if pattern.namespace else names)


def test_tenant_pages_do_not_exist_on_the_platforms_address(stranger):
    _theirs, _mine, browser, _ = stranger
    platform = {"identity:tenants", "identity:create_tenant", "identity:invite_manager", "mail:trial", "identity:create_member"}
    found = []
    for page in pages():
        if is_open(page.name) or page.name in platform:
            continue
        answer = browser.get(f"/{page.path}")
        if answer.status_code not in {404, 405}:
            found.append(f"{page.name}: {answer.status_code} on /{page.path}")
    assert found == []


def test_own_pages_never_break(stranger):
    """A manager opens every page of their own tenant: whatever is in it, none answers with an error of ours."""
    _theirs, mine, browser, _ = stranger
    found = []
    for page in pages():
        answer = browser.get(f"/{mine.slug}/{page.path}")
        if answer.status_code >= 500:
            found.append(f"{page.name}: {answer.status_code} on /{page.path}")
    assert found == []


def routes(found=None, prefix=""):
    """Every route of the plane: (path with something in the place of its parameters, methods)."""
    from malha.project import plane

    for route in plane.routes() if found is None else found:
        inner = getattr(route, "routes", None)
        path = prefix + re.sub(r"\{\w+(?::(\w+))?\}", lambda match: {"int": "1", "float": "1.0"}.get(match[1] or "", "nada"), getattr(route, "path", ""))
        if inner:
            yield from routes(inner, path)
        else:
            yield path, sorted(getattr(route, "methods", None) or METHODS)


async def ask(requests):
    from malha.project import plane

    transport = httpx.ASGITransport(plane.application(), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost", timeout=20) as client:
        answers = []
        for method, path, headers in requests:
            try:
                answers.append((await asyncio.wait_for(client.request(method, path, headers=headers, content=b"{}"), 5)).status_code)
            except TimeoutError:
                answers.append(200)  # a stream that opened
        return answers


def test_routes_of_the_plane_are_shut_to_nobody_and_to_strangers(stranger):
    theirs, mine, _browser, person = stranger
    own = people.issue_token(Principal(mine.id, frozenset(Capability), person_id=person.id))
    forged = own[:-6] + ("AAAAAA" if not own.endswith("AAAAAA") else "BBBBBB")
    requests, names = [], []
    for path, methods in routes():
        if path in OPEN_ROUTES:
            continue
        for method in methods:
            if method in {"HEAD", "OPTIONS"}:
                continue
            for who, headers in (
                ("nobody", {}),
                ("a stranger", {"Authorization": f"Bearer {own}"}),
                ("a stranger naming the tenant", {"Authorization": f"Bearer {own}", "NGSILD-Tenant": theirs.slug}),
                ("a forged token", {"Authorization": f"Bearer {forged}"}),
                ("a stranger's cookie", {"Cookie": f"malha_plane={own}"}),
            ):
                for at in (f"/{theirs.slug}{path}", path):
                    if at == path and who in {"a stranger", "a stranger's cookie"}:
                        continue  # their own tenant's data, which is theirs
                    requests.append((method, at, {**headers, "Content-Type": "application/json"}))
                    names.append(f"{who} on {method} {at}")
    try:
        # in a thread of its own: the browser tests of the same worker keep a loop running in this one
        answers = ThreadPoolExecutor(1).submit(asyncio.run, ask(requests)).result()
    finally:
        pool.close()
    found = [f"{name}: {status}" for name, status in zip(names, answers, strict=True) if status not in SHUT]
    assert found == [], "\n" + "\n".join(found)


def test_what_watches_tells_strangers_nothing():
    async def look():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(plane.application(), client=("203.0.113.9", 1)), base_url="http://localhost") as http:
            return {path: await http.get(path) for path in sorted(operating.ADDRESSES)}

    try:
        said = ThreadPoolExecutor(1).submit(asyncio.run, look()).result()
    finally:
        pool.close()
    assert (said["/healthz"].text, said["/metrics"].status_code, set(said["/readyz"].json())) == ("ok\n", 403, {"ready"})


def test_the_walk_knows_all_addresses():
    assert len(pages()) > 100
    assert {"/health", "/ngsi-ld/v1/entities"} <= {path for path, _ in routes()}
