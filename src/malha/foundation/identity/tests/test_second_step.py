"""Authenticator app and recovery codes, from switching on to signing in with them."""

import re
import time
from uuid import uuid4

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal import auth as totp
from django.test import Client

from malha.foundation.identity import service

PASSWORD = "três gatos dormem ao sol"


@pytest.fixture
def person():
    return service.create_person(f"t-{uuid4().hex[:10]}@exemplo.pt", name="Teresa", password=PASSWORD)


def browse():
    return Client(SERVER_NAME="localhost", REMOTE_ADDR=f"127.1.{uuid4().int % 250}.{uuid4().int % 250}")


def sign_in(browser, person):
    return browser.post("/conta/login/", {"login": person.email, "password": PASSWORD})


def code_of(secret):
    return totp.format_hotp_value(totp.hotp_value(secret, int(time.time()) // 30))


def switch_on(browser):
    """Switch the app on as a person does; gives its secret and the recovery codes."""
    answer = browser.get("/conta/2fa/totp/activate/", follow=True)
    assert "Confirme que é a própria pessoa" in answer.content.decode()
    answer = browser.post(
        answer.request["PATH_INFO"] + "?" + answer.request["QUERY_STRING"], {"password": PASSWORD, "next": "/conta/2fa/totp/activate/"}, follow=True
    )
    secret = re.search(r"<code>([A-Z2-7]{16,})</code>", answer.content.decode()).group(1)
    assert "não foi aceite" in browser.post("/conta/2fa/totp/activate/", {"code": "000000"}).content.decode()
    page = browser.post("/conta/2fa/totp/activate/", {"code": code_of(secret)}, follow=True).content.decode()
    return secret, re.findall(r"<li><code>(\d{8})</code></li>", page)


def test_it_works(person):
    browser = browse()
    sign_in(browser, person)
    secret, codes = switch_on(browser)
    assert len(codes) == 10
    assert secret not in str(Authenticator.objects.filter(user_id=person.id).values("data")), "what makes codes is sealed"

    again = browse()
    assert sign_in(again, person).url == "/conta/2fa/authenticate/"
    assert again.get("/conta/").status_code == 302, "one step is not enough"
    assert "não foi aceite" in again.post("/conta/2fa/authenticate/", {"code": "00000000"}).content.decode()
    again.post("/conta/2fa/authenticate/", {"code": codes[0]})
    assert again.get("/conta/").status_code == 200

    third = browse()
    sign_in(third, person)
    third.post("/conta/2fa/authenticate/", {"code": codes[0]})
    assert third.get("/conta/").status_code == 302, "a recovery code works once"


def test_switching_off(person):
    browser = browse()
    sign_in(browser, person)
    switch_on(browser)
    browser.post("/conta/2fa/totp/deactivate/")
    assert not Authenticator.objects.filter(user_id=person.id).exists()
    again = browse()
    sign_in(again, person)
    assert again.get("/conta/").status_code == 200
