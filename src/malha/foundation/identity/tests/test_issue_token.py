import json
from uuid import uuid4

import pytest
from allauth.idp.oidc.models import Client as OIDCClient
from django.test import Client as Browser

from malha.foundation.access import service as access
from malha.foundation.access.contracts import Capability, Principal, RoleName
from malha.foundation.database import service as database
from malha.foundation.identity import service
from malha.foundation.identity.middleware import COOKIE
from malha.foundation.identity.models import Person
from malha.foundation.tenancy import service as tenancy
from malha.foundation.tokens import service as tokens
from malha.foundation.tokens.contracts import TokenRefused


def verify(token):
    with database.connect(autocommit=True) as conn:
        return tokens.verify(conn, token)


@pytest.fixture
def machine(new_tenant):
    tenant = new_tenant()
    with tenancy.scope(tenant.id):
        known, secret = service.create_machine(tenant.id, name="Estação do rio", capabilities=[Capability.DATA_READ, Capability.DATA_WRITE], types=["Device"])
    return tenant, known, secret


def ask(path, known, secret):
    return Browser(SERVER_NAME="localhost").post(path, {"grant_type": "client_credentials", "client_id": known.client_id, "client_secret": secret})


def test_it_works(new_tenant):
    tenant = new_tenant()
    token = service.issue_token(Principal(tenant.id, frozenset({Capability.DATA_READ}), client_id="ensaio"))
    claims = verify(token)
    assert claims.subject == "client:ensaio"
    assert claims.tenants == (tenant.id,)


@pytest.mark.parametrize("at", ["tenant", "platform"])
def test_a_machine_gets_a_token(machine, at):
    tenant, known, secret = machine
    answer = ask(f"/{tenant.slug}/identity/o/api/token" if at == "tenant" else "/identity/o/api/token", known, secret)
    assert answer.status_code == 200, answer.content
    body = json.loads(answer.content)
    assert body["expires_in"] == 900
    claims = verify(body["access_token"])
    assert claims.subject == f"client:{known.client_id}"
    assert claims.tenants == (tenant.id,)
    assert claims.capabilities == {"data.read", "data.write"}
    assert claims.types == {"Device"}
    with tenancy.scope(tenant.id):
        assert service.machines_of(tenant.id)[0].last_used_at is not None


def test_refuses_a_wrong_secret_and_another_tenant(machine, new_tenant):
    _, known, secret = machine
    assert ask("/identity/o/api/token", known, "errado").status_code == 401
    assert ask(f"/{new_tenant().slug}/identity/o/api/token", known, secret).status_code == 401


def test_revoking_ends_secret_and_tokens(machine):
    tenant, known, secret = machine
    token = json.loads(ask("/identity/o/api/token", known, secret).content)["access_token"]
    with tenancy.scope(tenant.id):
        service.revoke_machine(tenant.id, known.id, by=None)
    with pytest.raises(TokenRefused):
        verify(token)
    assert ask("/identity/o/api/token", known, secret).status_code == 401


def test_renewing_changes_the_secret(machine):
    tenant, known, secret = machine
    with tenancy.scope(tenant.id):
        _, other = service.renew_machine(tenant.id, known.id, by=None)
    assert ask("/identity/o/api/token", known, secret).status_code == 401
    assert verify(json.loads(ask("/identity/o/api/token", known, other).content)["access_token"]).generation == 1


def test_another_tenant_sees_no_machine(machine, new_tenant):
    tenant, _, _ = machine
    with tenancy.scope(new_tenant().id):
        assert service.machines_of(tenant.id) == []


def test_publishes_its_public_keys(machine):
    answer = Browser(SERVER_NAME="localhost").get("/.well-known/jwks.json")
    with database.connect(autocommit=True) as conn:
        assert {key["kid"] for key in json.loads(answer.content)["keys"]} == set(tokens.public_keys(conn, fresh=True))
    assert json.loads(Browser(SERVER_NAME="localhost").get("/.well-known/openid-configuration").content)["issuer"] == tokens.issuer()


def test_pages_carry_the_plane_cookie(new_tenant):
    tenant, other = new_tenant(), new_tenant()
    person = service.create_person(f"ana-{tenant.slug}@exemplo.pt", name="Ana")
    access.grant(person.id, tenant.id, RoleName.VIEWER)
    browser = Browser(SERVER_NAME="localhost")
    browser.force_login(service.Person.objects.get(pk=person.id))
    cookie = browser.get(f"/{tenant.slug}/conta/entrou/").cookies[COOKIE]
    assert cookie["path"] == f"/{tenant.slug}/"
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    claims = verify(cookie.value)
    assert claims.subject == f"person:{person.id}"
    assert claims.tenants == (tenant.id,)
    assert claims.capabilities == {"data.read"}
    assert COOKIE not in browser.get(f"/{tenant.slug}/conta/entrou/").cookies, "a fresh token is kept"
    access.grant(person.id, tenant.id, RoleName.ANALYST)
    renewed = verify(browser.get(f"/{tenant.slug}/conta/entrou/").cookies[COOKIE].value)
    assert renewed.generation == claims.generation + 1
    assert "data.load" in renewed.capabilities, "what somebody may do changes at the next page"
    assert COOKIE not in browser.get("/conta/entrou/").cookies, "the platform's own pages need none"
    assert verify(browser.get(f"/{other.slug}/conta/entrou/").cookies[COOKIE].value).capabilities == frozenset()


def test_consent_leads_to_the_registered_address_and_no_other(machine):
    _, known, _ = machine
    application = OIDCClient.objects.get(pk=known.client_id)
    application.set_redirect_uris(["https://aplicacao.exemplo.pt/volta"])
    application.grant_types, application.scopes = OIDCClient.GrantType.AUTHORIZATION_CODE, "openid"
    application.save()
    browser = Browser(SERVER_NAME="localhost")
    browser.force_login(Person.objects.get(pk=service.create_person(f"eva-{uuid4().hex[:8]}@exemplo.pt").id))
    asked = {"client_id": known.client_id, "response_type": "code", "scope": "openid", "state": "x"}
    page = browser.get("/identity/o/authorize", {**asked, "redirect_uri": "https://aplicacao.exemplo.pt/volta"})
    assert 'value="grant"' in page.content.decode()
    targets = page.headers["Content-Security-Policy"].partition("form-action ")[2].partition(";")[0]
    assert targets.split()[0] == "'self'"
    assert targets.split()[-1] == "https://aplicacao.exemplo.pt"
    strange = browser.get("/identity/o/authorize", {**asked, "redirect_uri": "https://outra.exemplo.pt/volta"})
    assert 'value="grant"' not in strange.content.decode()
    assert "outra.exemplo.pt" not in strange.headers["Content-Security-Policy"]
