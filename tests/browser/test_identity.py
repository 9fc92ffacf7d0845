"""Being invited, signing in by passkey and by code, and connecting a program, in a real browser."""

import json
import os
import re
import subprocess
import sys
import urllib.parse
import urllib.request
from uuid import uuid4

import pytest

from malha.foundation.access.contracts import RoleName
from malha.foundation.identity import invitations
from malha.foundation.mail import service as mail
from malha.foundation.tenancy import service as tenancy

EVERYWHERE = {"sizes": ("phone", "laptop"), "themes": ("light", "dark")}


@pytest.fixture
def invited(server, new_tenant):
    """A tenant, the address that it invites, and the path of the invitation."""
    tenant = new_tenant(name="Vila Nova")
    email = f"rita-{uuid4().hex[:8]}@exemplo.pt"
    with tenancy.scope(tenant.id):
        _, link = invitations.invite(tenant, email=email, role=RoleName.TENANT_MANAGER, name="Rita Lopes")
    return tenant, email, urllib.parse.urlsplit(link).path


def code_for(page, server, email):
    """The code in the newest letter to `email`, read as a person reads it."""
    page.goto(f"{server}/correio/?para={urllib.parse.quote(email)}")
    return re.search(r"^([A-Z0-9-]{6,9})$", page.locator("article pre").first.inner_text(), re.MULTILINE).group(1)


def test_it_works(page, server, invited, passkeys, assert_accessible, shoot):
    """From the invitation to a second sign-in with the passkey."""
    tenant, email, path = invited
    passkeys(page)
    page.goto(server + path)
    assert_accessible(page)
    shoot(page, "convite", **EVERYWHERE)
    page.get_by_role("button", name="Com chave de acesso").click()
    page.wait_for_url("**/conta/2fa/webauthn/add/**")
    assert_accessible(page)
    page.get_by_role("button", name="Criar chave neste aparelho").click()
    page.wait_for_url("**/conta/2fa/recovery-codes/")
    assert page.locator(".codes li").count() == 10
    assert_accessible(page)
    page.get_by_role("link", name="Já os guardei, continuar").click()
    page.wait_for_load_state()
    assert f"/{tenant.slug}/" in page.url

    page.goto(f"{server}/{tenant.slug}/conta/logout/")
    page.get_by_role("button", name="Sair", exact=True).click()
    page.wait_for_url("**/conta/login/**")
    assert_accessible(page)
    shoot(page, "entrar", **EVERYWHERE)
    page.get_by_role("button", name="Entrar com chave de acesso").click()
    page.wait_for_url(lambda url: "/conta/login/" not in url)
    page.goto(f"{server}/{tenant.slug}/conta/")
    assert email in page.locator("main").inner_text()
    assert_accessible(page)
    shoot(page, "conta", **EVERYWHERE)


def test_the_invitation_works_once(page, server, invited, passkeys, assert_accessible):
    _, _, path = invited
    page.goto(server + path)
    page.get_by_role("button", name="Com código por correio").click()
    page.wait_for_url("**/conta/login/code/confirm/")
    page.goto(server + path)
    assert "já foi usado" in page.locator("main").inner_text()
    assert_accessible(page)


def test_signs_in_by_code(page, server, invited, assert_accessible, shoot):
    tenant, email, path = invited
    page.goto(server + path)
    page.get_by_role("button", name="Com código por correio").click()
    page.wait_for_url("**/conta/login/code/confirm/")
    assert_accessible(page)
    other = page.context.new_page()
    code = code_for(other, server, email)
    assert_accessible(other)
    shoot(other, "correio-de-demonstracao")
    other.close()
    page.get_by_label("Código").fill(code)
    page.get_by_role("button", name="Continuar").click()
    page.wait_for_url(lambda url: "/login/" not in url)

    page.context.clear_cookies()
    page.goto(f"{server}/{tenant.slug}/gestao/pessoas/")
    page.get_by_label("Endereço de correio eletrónico").first.fill(email)
    page.get_by_role("button", name="Receber código").click()
    page.wait_for_url("**/conta/login/code/confirm/**")
    other = page.context.new_page()
    code = code_for(other, server, email)
    other.close()
    page.get_by_label("Código").fill("ERRADO")
    page.get_by_role("button", name="Continuar").click()
    assert "não está certo" in page.locator("main").inner_text()
    page.get_by_label("Código").fill(code)
    page.get_by_role("button", name="Continuar").click()
    page.wait_for_url(f"**/{tenant.slug}/gestao/pessoas/")
    assert "Rita Lopes" in page.locator("table").first.inner_text()
    assert_accessible(page)
    shoot(page, "pessoas", **EVERYWHERE)


def test_invites_a_colleague_and_lets_in_who_lost_the_phone(page, server, new_tenant, sign_in, passkeys, assert_accessible):
    tenant = new_tenant(name="Vila Velha")
    sign_in(page, tenant)
    page.goto(f"{server}/{tenant.slug}/gestao/pessoas/")
    assert "Nomeie uma segunda pessoa" in page.locator("main").inner_text()
    page.get_by_role("link", name="Convidar outra pessoa para gerir").click()
    assert_accessible(page)
    email = f"rui-{uuid4().hex[:8]}@exemplo.pt"
    page.get_by_label("Endereço de correio eletrónico").fill(email)
    page.get_by_role("button", name="Enviar convite").click()
    page.wait_for_url("**/gestao/pessoas/")
    assert email in page.locator("main").inner_text()
    assert_accessible(page)
    link = re.search(r"http\S+/conta/convite/\S+", mail.kept(email)[0].body).group(0)

    context = page.context.browser.new_context(locale="pt-PT")
    guest = context.new_page()
    passkeys(guest)
    guest.goto(server + urllib.parse.urlsplit(link).path)
    guest.get_by_label("O seu nome").fill("Rui Alves")
    guest.get_by_role("button", name="Com chave de acesso").click()
    guest.get_by_role("button", name="Criar chave neste aparelho").click()
    guest.wait_for_url("**/recovery-codes/")
    context.close()  # the phone, with its passkey, is lost

    page.reload()
    page.get_by_role("link", name="Rui Alves").click()
    assert_accessible(page)
    page.get_by_role("button", name="Repor o segundo passo").click()
    page.wait_for_url("**/gestao/pessoas/")
    other = page.context.browser.new_context(locale="pt-PT")
    again = other.new_page()
    again.goto(f"{server}/{tenant.slug}/conta/login/")
    again.get_by_label("Endereço de correio eletrónico").first.fill(email)
    again.get_by_role("button", name="Receber código").click()
    again.wait_for_url("**/confirm/**")
    reader = other.new_page()
    code = code_for(reader, server, email)
    again.get_by_label("Código").fill(code)
    again.get_by_role("button", name="Continuar").click()
    again.wait_for_url(lambda url: "/login/" not in url and "/2fa/" not in url)
    other.close()


def test_changes_person_on_a_shared_desk(page, server, new_tenant, sign_in, assert_accessible):
    """The next person comes back to the page that was open, and is not the one before."""
    tenant = new_tenant()
    other = sign_in(page, tenant, name="Bruno Seguinte")
    sign_in(page, tenant, name="Ana Primeira")
    page.goto(f"{server}/{tenant.slug}/gestao/pessoas/?vista=1")
    page.get_by_label("Conta de Ana Primeira").click()
    page.get_by_role("link", name="Sair ou mudar de pessoa").click()
    assert_accessible(page)
    page.get_by_role("button", name="Mudar de pessoa").click()
    page.get_by_label("Endereço de correio eletrónico").first.fill(other.email)
    page.get_by_role("button", name="Receber código").click()
    page.wait_for_url("**/confirm/**")
    code = code_for(reader := page.context.new_page(), server, other.email)
    reader.close()
    page.get_by_label("Código").fill(code)
    page.get_by_role("button", name="Continuar").click()
    page.wait_for_url(f"**/{tenant.slug}/gestao/pessoas/?vista=1")
    assert page.get_by_label("Conta de Bruno Seguinte").count() == 1


ASK = """
import json, sys, urllib.parse, urllib.request
url, client, secret = sys.argv[1:]
form = urllib.parse.urlencode({"grant_type": "client_credentials", "client_id": client, "client_secret": secret}).encode()
token = json.load(urllib.request.urlopen(url, form))["access_token"]
from malha.foundation.database import service as database
from malha.foundation.tokens import service as tokens
with database.connect(autocommit=True) as conn:
    claims = tokens.verify(conn, token)
assert "django" not in sys.modules
print(json.dumps({"subject": claims.subject, "tenants": claims.tenants, "caps": sorted(claims.capabilities)}))
"""


def test_connects_a_program(page, server, new_tenant, sign_in, assert_accessible, shoot):
    """The secret of the page gives another process a token that the plane's code accepts without Django."""
    tenant = new_tenant(name="Vila Nova")
    sign_in(page, tenant)
    page.goto(f"{server}/{tenant.slug}/dados/ligacoes/")
    assert_accessible(page)
    page.get_by_role("link", name="Criar ligação").first.click()
    page.get_by_label("Nome da ligação").fill("Sensores do rio")
    page.get_by_label("Escrever entidades e medições").check()
    assert_accessible(page)
    page.get_by_role("button", name="Criar e ver o segredo").click()
    page.locator("#segredo").wait_for()
    assert_accessible(page)
    shoot(page, "ligacao-segredo")
    secret, client = page.locator("#segredo").inner_text(), page.locator("dd code").first.inner_text()
    environment = {**os.environ, "MALHA_PORT": str(urllib.parse.urlsplit(server).port), "MALHA_PUBLIC_URL": server}
    said = subprocess.run(
        [sys.executable, "-c", ASK, f"{server}/{tenant.slug}/identity/o/api/token", client, secret],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout) == {"subject": f"client:{client}", "tenants": [tenant.id], "caps": ["data.read", "data.write"]}
    page.goto(f"{server}/{tenant.slug}/dados/ligacoes/")
    assert secret not in page.content()
    shoot(page, "ligacoes", **EVERYWHERE)
    page.locator("summary", has_text="Revogar").click()
    page.get_by_role("button", name="Revogar de vez").click()
    assert "revogada" in page.locator("table").inner_text()


def test_the_operator_makes_a_town(page, server, sign_in, assert_accessible, shoot):
    from malha.foundation.access import service as access
    from malha.foundation.tenancy import country

    page.goto(f"{server}/")
    assert_accessible(page)
    shoot(page, "malha", **EVERYWHERE)
    access.make_operator(sign_in(page, name="Operadora").id)
    page.goto(f"{server}/")
    assert_accessible(page)
    page.get_by_role("link", name="Gerir a plataforma").click()
    assert_accessible(page)
    page.get_by_role("link", name="Criar município").first.click()
    assert_accessible(page)
    taken = {tenancy.by_id(one).slug for one in tenancy.all_ids()}
    town = next(one for one in reversed(country.municipalities().values()) if one.slug not in taken)
    email = f"gestora-{uuid4().hex[:8]}@exemplo.pt"
    page.get_by_label("Município").select_option(town.dico)
    page.get_by_label("Endereço de quem vai gerir o serviço").fill(email)
    page.get_by_role("button", name="Criar e convidar").click()
    page.wait_for_url("**/plataforma/")
    assert town.name in page.locator("table").inner_text()
    shoot(page, "plataforma", **EVERYWHERE)
    page.get_by_role("link", name="Ver e ensaiar o correio").click()
    page.get_by_role("button", name="Enviar ensaio").click()
    assert "Ensaio enviado" in page.locator("main").inner_text()
    assert_accessible(page)
    page.goto(server + urllib.parse.urlsplit(re.search(r"http\S+/conta/convite/\S+", mail.kept(email)[0].body).group(0)).path)
    assert "está aqui como" in page.locator("main").inner_text(), "somebody else's invitation says whose it is"
    assert_accessible(page)


def test_reads_without_script(browser, server, invited):
    """By code one signs in without any script."""
    tenant, email, path = invited
    context = browser.new_context(locale="pt-PT", java_script_enabled=False)
    page = context.new_page()
    page.goto(server + path)
    page.get_by_role("button", name="Com código por correio").click()
    code = code_for(reader := context.new_page(), server, email)
    reader.close()
    page.get_by_label("Código").fill(code)
    page.get_by_role("button", name="Continuar").click()
    page.goto(f"{server}/{tenant.slug}/conta/")
    assert email in page.locator("main").inner_text()
    context.close()


def test_speaks_english(page, server, assert_accessible):
    page.goto(f"{server}/conta/login/")
    page.get_by_role("button", name="English").click()
    page.wait_for_load_state()
    assert page.locator("h1").inner_text() == "Sign in"
    assert page.get_by_role("button", name="Send me a code").count() == 1
