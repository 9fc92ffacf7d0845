"""Forgetting a password, moving to another address, ending other sessions."""

import re
from uuid import uuid4

import pytest
from django.test import Client

from malha.foundation.identity import service
from malha.foundation.mail import service as mail

PASSWORD, OTHER = "três gatos dormem ao sol", "quatro cães ladram à lua"


@pytest.fixture
def person():
    return service.create_person(f"c-{uuid4().hex[:10]}@exemplo.pt", name="Carla", password=PASSWORD)


def browse():
    return Client(SERVER_NAME="localhost", REMOTE_ADDR=f"127.2.{uuid4().int % 250}.{uuid4().int % 250}")


def sign_in(browser, email, password=PASSWORD):
    return browser.post("/conta/login/", {"login": email, "password": password})


def code_for(email):
    return re.search(r"^([A-Z0-9-]{6,9})$", mail.kept(email)[0].body, re.MULTILINE).group(1)


def test_it_works(person):
    """Another password for whoever forgot it, by code."""
    browser = browse()
    page = browser.post("/conta/password/reset/", {"email": person.email}, follow=True)
    assert "Escreva o código" in page.content.decode()
    page = browser.post(page.request["PATH_INFO"], {"code": code_for(person.email)}, follow=True)
    assert "Palavra-passe nova" in page.content.decode()
    short = browser.post(page.request["PATH_INFO"], {"password1": "curta", "password2": "curta"})
    assert short.status_code == 200, "twelve characters at least"
    page = browser.post(page.request["PATH_INFO"], {"password1": OTHER, "password2": OTHER}, follow=True)
    assert "foi mudada" in page.content.decode()
    assert sign_in(browse(), person.email).status_code == 200
    assert sign_in(browse(), person.email, OTHER).status_code == 302
    assert "foi mudada" in mail.kept(person.email)[0].subject


@pytest.mark.parametrize("at", ["platform", "tenant"])
def test_moves_to_another_address(person, new_tenant, at):
    root = "" if at == "platform" else f"/{new_tenant().slug}"
    browser, new = browse(), f"Nova-{uuid4().hex[:8]}@exemplo.pt"
    sign_in(browser, person.email)
    asked = browser.post(f"{root}/conta/email/", {"email": new, "action_add": ""}, follow=True)
    assert "Confirme que é a própria pessoa" in asked.content.decode()
    page = browser.post(f"{root}/conta/reauthenticate/", {"password": PASSWORD, "next": f"{root}/conta/email/"}, follow=True)
    assert "Escreva o código" in page.content.decode(), "what was being done goes on"
    assert service.by_id(person.id).email == person.email, "not before it is confirmed"
    browser.post(page.request["PATH_INFO"], {"code": code_for(new.lower())}, follow=True)
    assert service.by_id(person.id).email == new.lower()
    assert sign_in(browse(), new).status_code == 302


def test_ends_other_sessions(person):
    here, there = browse(), browse()
    sign_in(here, person.email)
    sign_in(there, person.email)
    page = here.get("/conta/sessions/", follow=True)
    if "Confirme que é a própria pessoa" in page.content.decode():
        here.post("/conta/reauthenticate/", {"password": PASSWORD, "next": "/conta/sessions/"})
    assert "Fechar as outras sessões" in here.get("/conta/sessions/").content.decode()
    here.post("/conta/sessions/")
    assert here.get("/conta/").status_code == 200
    assert there.get("/conta/").status_code == 302


def test_changes_the_password(person):
    browser = browse()
    sign_in(browser, person.email)
    said = {"oldpassword": PASSWORD, "password1": OTHER, "password2": OTHER}
    assert browser.post("/conta/password/change/", said).status_code == 302
    assert browser.get("/conta/").status_code == 200
    assert sign_in(browse(), person.email, OTHER).status_code == 302


def test_chooses_a_first_password():
    person = service.create_person(f"c-{uuid4().hex[:10]}@exemplo.pt")
    browser = browse()
    browser.post("/conta/login/code/", {"email": person.email}, follow=True)
    browser.post("/conta/login/code/confirm/", {"code": code_for(person.email)})
    assert "Escolher palavra-passe" in browser.get("/conta/password/set/").content.decode()
    assert browser.post("/conta/password/set/", {"password1": OTHER, "password2": OTHER}).status_code == 302
    assert sign_in(browse(), person.email, OTHER).status_code == 302
