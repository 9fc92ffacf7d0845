from dataclasses import replace
from uuid import uuid4

from django.test import Client

from malha.foundation.mail import rules, service
from malha.foundation.settings import service as settings


def test_it_works():
    email = f"{uuid4().hex}@exemplo.pt"
    assert service.send([email, f"outra-{email}"], "Olá", "Veja http://localhost:8700/vila/ <b>") == 2
    letter = next(one for one in service.kept(email) if one.recipients == email)
    assert letter.subject == "Olá"
    page = Client(SERVER_NAME="localhost").get(f"/correio/?para={email}").content.decode()
    assert '<a href="http://localhost:8700/vila/">' in page
    assert "&lt;b&gt;" in page


def test_is_read_only_on_this_computer(monkeypatch):
    assert Client(SERVER_NAME="localhost", REMOTE_ADDR="192.0.2.7").get("/correio/").status_code == 404
    before = settings.current()
    for changes in ({"smtp_url": "smtp://correio"}, {"host": "0.0.0.0"}, {"public_url": "https://malha.pt"}):
        conf = replace(before, **changes)
        monkeypatch.setattr(settings, "current", lambda conf=conf: conf)
        assert Client(SERVER_NAME="localhost").get("/correio/").status_code == 404, changes


def test_finds_links():
    assert rules.with_links("a http://x/y b") == [(False, "a "), (True, "http://x/y"), (False, " b")]
