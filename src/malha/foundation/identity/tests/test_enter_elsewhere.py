"""Signing in at an OpenID Connect provider: a small one of our own, over real HTTP on loopback."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
from django.conf import settings as django_settings
from django.test import Client

from malha.foundation.identity import configuration, service
from malha.foundation.settings.contracts import Settings


class Provider(BaseHTTPRequestHandler):
    """Discovery, token and userinfo (OpenID Connect Discovery 1.0 §4, Core 1.0 §3.1.3 and §5.3)."""

    person: dict[str, object] = {}
    asked: list[dict[str, list[str]]] = []

    def _say(self, body):
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        root = f"http://127.0.0.1:{self.server.server_port}"
        if "openid-configuration" in self.path:
            self._say(
                {
                    "issuer": root,
                    "authorization_endpoint": f"{root}/authorize",
                    "token_endpoint": f"{root}/token",
                    "userinfo_endpoint": f"{root}/me",
                    "jwks_uri": f"{root}/keys",
                }
            )
        else:
            assert self.headers["Authorization"] == "Bearer abc"
            self._say(self.person)

    def do_POST(self):
        self.asked.append(parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode()))
        self._say({"access_token": "abc", "token_type": "Bearer", "expires_in": 60})

    def log_message(self, *_args):
        pass


@pytest.fixture
def provider(monkeypatch):
    server = HTTPServer(("127.0.0.1", 0), Provider)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    conf = Settings(oidc_url=f"http://127.0.0.1:{server.server_port}", oidc_client_id="malha", oidc_secret="segredo", oidc_name="Conta do município")
    monkeypatch.setattr(django_settings, "SOCIALACCOUNT_PROVIDERS", configuration.django_settings(conf, secure=False)["SOCIALACCOUNT_PROVIDERS"])
    Provider.asked.clear()
    yield Provider
    server.shutdown()
    server.server_close()


def enter(browser, person):
    Provider.person = person
    away = browser.post("/conta/oidc/oidc/login/", {"next": "/conta/"})
    said = parse_qs(urlsplit(away.url).query)
    assert said["client_id"] == ["malha"]
    assert said["code_challenge_method"] == ["S256"]
    return browser.get("/conta/oidc/oidc/login/callback/", {"code": "xyz", "state": said["state"][0]}, follow=True)


def test_it_works(provider):
    person = service.create_person(f"eva-{uuid4().hex[:8]}@exemplo.pt", name="Eva")
    browser = Client(SERVER_NAME="localhost")
    answer = enter(browser, {"sub": uuid4().hex, "email": person.email, "email_verified": True})
    assert answer.request["PATH_INFO"] == "/conta/"
    assert person.email in answer.content.decode()
    assert provider.asked[0]["code"] == ["xyz"]
    assert "code_verifier" in provider.asked[0]


@pytest.mark.parametrize("verified", [True, False])
def test_a_stranger_does_not_get_an_account(provider, verified):
    email = f"ninguem-{uuid4().hex[:8]}@exemplo.pt"
    answer = enter(Client(SERVER_NAME="localhost"), {"sub": uuid4().hex, "email": email, "email_verified": verified})
    assert "por convite" in answer.content.decode()
    assert service.by_email(email) is None


def test_an_address_that_the_provider_did_not_check_opens_no_account(provider):
    person = service.create_person(f"eva-{uuid4().hex[:8]}@exemplo.pt")
    browser = Client(SERVER_NAME="localhost")
    enter(browser, {"sub": uuid4().hex, "email": person.email, "email_verified": False})
    assert browser.get("/conta/").status_code == 302


def test_the_button_leads_to_the_platforms_address(provider, new_tenant):
    tenant = new_tenant()
    page = Client(SERVER_NAME="localhost").get(f"/{tenant.slug}/conta/login/").content.decode()
    assert 'action="/conta/oidc/oidc/login/"' in page
    assert f'name="next" value="/{tenant.slug}/"' in page


def test_its_origin_is_a_place_that_forms_may_lead_to():
    assert configuration.form_targets(Settings(oidc_url="https://entrada.exemplo.pt/reino")) == ["https://entrada.exemplo.pt"]
    assert configuration.form_targets(Settings()) == []
