"""One Malha opens to whoever signed in at another: OpenID Connect by authorization code between two running servers (Core 1.0 §3.1)."""

from uuid import uuid4

import pytest
from allauth.idp.oidc.models import Client

from malha.foundation.access.contracts import Capability
from malha.foundation.identity import machines
from malha.foundation.identity import service as identity
from malha.foundation.tenancy import service as tenancy


@pytest.fixture
def registered(new_tenant):
    """An application that the provider knows: its identifier and its secret."""
    tenant = new_tenant(name="Vila do Fornecedor")
    with tenancy.scope(tenant.id):
        machine, secret = machines.create(tenant.id, name="A outra Malha", capabilities={Capability.DATA_READ}, types=None, created_by=None)
    return machine.client_id, secret


def test_it_works(page, server, another_server, registered, sign_in, assert_accessible):
    client, secret = registered
    other = another_server(MALHA_OIDC_URL=server, MALHA_OIDC_CLIENT_ID=client, MALHA_OIDC_SECRET=secret, MALHA_OIDC_NAME="a conta da Vila")
    known = Client.objects.get(pk=client)
    known.set_redirect_uris([f"{other}/conta/oidc/oidc/login/callback/"])
    known.grant_types, known.scopes = Client.GrantType.AUTHORIZATION_CODE, "openid\nprofile\nemail\nmalha"
    known.save()
    person = identity.create_person(f"eva-{uuid4().hex[:8]}@exemplo.pt", name="Eva Ensaio")

    page.goto(f"{other}/conta/")
    assert page.url.startswith(f"{other}/conta/login/"), "nobody yet"
    sign_in(page, person=person)  # at the provider only: the other has another host name
    page.get_by_role("button", name="Entrar com a conta da Vila").click()
    page.wait_for_url(f"{server}/**")
    assert "A outra Malha" in page.locator("h1").inner_text()
    assert_accessible(page)
    page.get_by_role("button", name="Autorizar").click()
    page.wait_for_url(f"{other}/conta/**")
    page.goto(f"{other}/conta/")
    assert person.email in page.locator("main").inner_text()


def test_refusing_at_the_provider_opens_nothing(page, server, another_server, registered, sign_in):
    client, secret = registered
    other = another_server(MALHA_OIDC_URL=server, MALHA_OIDC_CLIENT_ID=client, MALHA_OIDC_SECRET=secret, MALHA_OIDC_NAME="a conta da Vila")
    known = Client.objects.get(pk=client)
    known.set_redirect_uris([f"{other}/conta/oidc/oidc/login/callback/"])
    known.grant_types, known.scopes = Client.GrantType.AUTHORIZATION_CODE, "openid\nprofile\nemail"
    known.save()
    sign_in(page)
    page.goto(f"{other}/conta/login/")
    page.get_by_role("button", name="Entrar com a conta da Vila").click()
    page.wait_for_url(f"{server}/**")
    page.get_by_role("button", name="Recusar").click()
    page.wait_for_url(f"{other}/**")
    page.goto(f"{other}/conta/")
    assert page.url.startswith(f"{other}/conta/login/")
