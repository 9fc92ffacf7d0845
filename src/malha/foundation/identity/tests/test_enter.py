from dataclasses import replace
from uuid import uuid4

import pytest
from django.test import Client

from malha.foundation.access import service as access
from malha.foundation.access.contracts import RoleName
from malha.foundation.identity import backends, checks, configuration, service
from malha.foundation.identity.contracts import DemoElsewhere
from malha.foundation.identity.models import Person
from malha.foundation.settings import service as settings
from malha.foundation.settings.contracts import Settings

PASSWORD = "três gatos dormem ao sol"


def address():
    return f"p-{uuid4().hex[:10]}@exemplo.pt"


def browse():
    return Client(SERVER_NAME="localhost", REMOTE_ADDR=f"127.0.{uuid4().int % 250}.{uuid4().int % 250}")


@pytest.fixture
def opened(monkeypatch):
    """The same installation, but reachable by others."""
    conf = replace(settings.current(), host="0.0.0.0", public_url="https://malha.exemplo.pt", smtp_url="smtp://correio")
    monkeypatch.setattr(settings, "current", lambda: conf)


def sign_in(browser, email, password=PASSWORD):
    return browser.post("/conta/login/", {"login": email, "password": password})


def test_it_works():
    person = service.create_person(address(), password=PASSWORD)
    browser = browse()
    assert sign_in(browser, person.email.upper(), "errada").status_code == 200
    assert sign_in(browser, person.email.upper()).status_code == 302
    assert browser.get("/conta/").status_code == 200


def test_an_unknown_address_reads_like_a_known_one():
    known = service.create_person(address())
    pages = [browse().post("/conta/login/code/", {"email": email}, follow=True).content.decode().replace(email, "X") for email in (known.email, address())]
    assert all("acabámos de lhe enviar" in page for page in pages)


def test_attempts_are_counted():
    person = service.create_person(address(), password=PASSWORD)
    browser = browse()
    for _ in range(6):
        answer = sign_in(browser, person.email, "errada")
    assert "demasiadas tentativas" in answer.content.decode()
    assert sign_in(browser, person.email).status_code == 200, "not even with the right one, for a while"


def test_somebody_put_out_stays_out():
    person = service.create_person(address(), password=PASSWORD)
    browser = browse()
    sign_in(browser, person.email)
    service.set_active(person.id, active=False)
    assert browser.get("/conta/").status_code == 302
    assert sign_in(browse(), person.email).status_code == 302
    assert "inactive" in sign_in(browse(), person.email).url


def test_people_of_the_demonstration_enter_with_one_click(new_tenant):
    tenant = new_tenant(is_demo=True)
    person = service.create_demo_person(address(), name="Gestora inventada")
    access.grant(person.id, tenant.id, RoleName.TENANT_MANAGER)
    assert service.create_demo_person(person.email, name="outra vez").id == person.id
    browser = browse()
    assert "Gestora inventada" in browser.get(f"/{tenant.slug}/conta/login/").content.decode()
    browser.post(f"/{tenant.slug}/conta/demonstracao/", {"person": person.id})
    assert browser.get(f"/{tenant.slug}/gestao/pessoas/").status_code == 200


def test_people_of_the_demonstration_do_not_exist_elsewhere(opened, monkeypatch):
    here_only = replace(settings.current(), host="127.0.0.1", public_url="", smtp_url="")
    with monkeypatch.context() as here:
        here.setattr(settings, "current", lambda: here_only)
        person = service.create_demo_person(address(), name="Gestora inventada", password=PASSWORD)
    assert service.demo_people(None) == []
    assert browse().post("/conta/demonstracao/", {"person": person.id}).status_code == 404
    answer = sign_in(browse(), person.email)
    assert answer.status_code == 302
    assert "inactive" in answer.url
    assert backends.PersonBackend().get_user(person.id) is None, "a session that began before ends too"
    with pytest.raises(DemoElsewhere):
        service.create_demo_person(address(), name="Outra")


def test_a_real_person_is_no_demo_person():
    person = service.create_person(address())
    assert browse().post("/conta/demonstracao/", {"person": person.id}).status_code == 404


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, set()),
        ({"host": "0.0.0.0"}, {"identity.E001", "identity.W001"}),
        ({"public_url": "https://malha.pt"}, {"identity.E001"}),
        ({"public_url": "https://malha.pt", "smtp_url": "smtp://x"}, set()),
        ({"public_url": "http://vila.localhost:8700"}, set()),
        ({"passkey_domain": "https://malha.pt"}, {"identity.E002"}),
        ({"oidc_url": "https://entrada.pt"}, {"identity.E003"}),
    ],
)
def test_checks_settings(changes, found):
    assert {one.id for one in checks.found(Settings(**changes))} == found


def test_no_button_without_a_provider():
    assert "Conta da organização" not in browse().get("/conta/login/").content.decode()
    apps = configuration.django_settings(Settings(), secure=False)["SOCIALACCOUNT_PROVIDERS"]["openid_connect"]["APPS"]
    assert apps == []


def test_a_button_with_a_provider(monkeypatch):
    from django.conf import settings as django_settings

    conf = Settings(oidc_url="https://entrada.exemplo.pt", oidc_client_id="malha", oidc_secret="x", oidc_name="Conta do município")
    monkeypatch.setattr(django_settings, "SOCIALACCOUNT_PROVIDERS", configuration.django_settings(conf, secure=True)["SOCIALACCOUNT_PROVIDERS"])
    page = browse().get("/conta/login/").content.decode()
    assert "Entrar com Conta do município" in page
    assert "/conta/oidc/oidc/login/" in page


def test_nobody_makes_an_account_alone():
    page = browse().get("/conta/signup/").content.decode()
    assert "por convite" in page


@pytest.mark.parametrize("smtp", ["smtps://ana:a%40b@correio.pt:465", "smtp://correio.pt"])
def test_reads_the_mail_server(smtp):
    options = configuration.django_settings(Settings(smtp_url=smtp), secure=False)["MAILERS"]["default"]["OPTIONS"]
    assert options["host"] == "correio.pt"
    assert options.get("password") in {None, "a@b"}
    assert options["port"] in {465, 587}


def test_every_own_page_answers():
    person = service.create_person(address(), password=PASSWORD)
    browser = browse()
    sign_in(browser, person.email)
    for path in ("", "email/", "password/change/", "2fa/", "2fa/webauthn/", "sessions/", "logout/", "3rdparty/"):
        answer = browser.get(f"/conta/{path}", follow=True)
        assert answer.status_code == 200, path
        assert "Malha, software livre" in answer.content.decode(), path
    for path in ("password/reset/", "inactive/", "login/code/", "signup/"):
        assert browse().get(f"/conta/{path}").status_code == 200, path


def test_the_footer_changes_the_persons_language():
    person = service.create_person(address(), password=PASSWORD)
    browser = browse()
    sign_in(browser, person.email)
    assert "A minha conta" in browser.get("/conta/").content.decode()
    browser.post("/lingua/", {"language": "en", "next": "/conta/"})
    assert Person.objects.get(pk=person.id).language == "en"
    assert "My account" in browser.get("/conta/").content.decode()
    assert "My account" in _again(person).get("/conta/").content.decode(), "in another browser too"


def _again(person):
    browser = browse()
    sign_in(browser, person.email)
    return browser


def test_signing_out_ends_the_planes_tokens():
    person = service.create_person(address(), password=PASSWORD)
    browser = _again(person)
    before = service.person_generation(person.id)
    browser.post("/conta/logout/")
    assert service.person_generation(person.id) == before + 1


def test_the_night_forgets_what_is_over():
    from django.contrib.sessions.models import Session

    from malha.foundation.identity import jobs
    from malha.kernel.time import now

    person = service.create_person(address(), password=PASSWORD)
    browser = _again(person)
    key = browser.session.session_key
    Session.objects.filter(pk=key).update(expire_date=now())
    jobs.tidy()
    assert not Session.objects.filter(pk=key).exists()
