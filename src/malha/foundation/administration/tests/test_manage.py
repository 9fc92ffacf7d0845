import ast
import struct
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from malha.foundation.access import service as access
from malha.foundation.access.contracts import RoleName
from malha.foundation.administration import words
from malha.foundation.agreements import service as agreements
from malha.foundation.audit import service as audit
from malha.foundation.database import django as database
from malha.foundation.identity import service as people
from malha.foundation.identity.models import Person
from malha.foundation.tenancy import service as tenancy
from malha.foundation.tenancy.contracts import OrganisationKind
from malha.kernel.time import now

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00\x00\x00\rIHDR" + struct.pack(">II", 64, 80) + b"\x08\x06\x00\x00\x00" + b"\x00" * 40


@pytest.fixture
def manager(new_tenant):
    """A tenant and a browser in which its manager has signed in."""

    def make(role=RoleName.TENANT_MANAGER, **fields):
        tenant = new_tenant(**fields)
        card = people.create_person(f"{uuid4().hex[:12]}@exemplo.pt", name="Ana Gestora")
        access.grant(card.id, tenant.id, role)
        browser = Client(headers={"host": "localhost"})
        browser.force_login(Person.objects.get(pk=card.id))
        return tenant, browser, card

    return make


def test_it_works(manager):
    tenant, browser, _ = manager(name="Vila Velha")
    for page in ("identidade", "delegacao", "acordos", "acordos/novo", "auditoria"):
        answer = browser.get(f"/{tenant.slug}/gestao/{page}/")
        assert answer.status_code == 200, page
        assert b"<h1" in answer.content


def test_name_and_arms_are_shown_at_once(manager):
    tenant, browser, _ = manager(name="Vila Velha")
    upload = SimpleUploadedFile("brasao.png", PNG, content_type="image/png")
    answer = browser.post(f"/{tenant.slug}/gestao/identidade/", {"name": "Vila Nova", "accent": "#034ad8", "arms": upload}, follow=True)
    assert "Vila Nova" in answer.content.decode()
    theme = tenancy.by_id(tenant.id).theme
    assert theme["accent"] == "#034ad8"
    image = browser.get(theme["arms"])
    assert (image.status_code, image["Content-Type"], image.content) == (200, "image/png", PNG)
    browser.post(f"/{tenant.slug}/gestao/identidade/", {"name": "Vila Nova", "accent": "", "remove_arms": "1"})
    assert tenancy.by_id(tenant.id).theme == {}
    assert browser.get(theme["arms"]).status_code == 404


def test_unusable_arms_and_colours_are_refused_with_the_reason(manager):
    tenant, browser, _ = manager()
    upload = SimpleUploadedFile("brasao.svg", b"<svg onload='x()'/>", content_type="image/png")
    answer = browser.post(f"/{tenant.slug}/gestao/identidade/", {"name": "Vila", "accent": "#ffff00", "arms": upload})
    assert answer.status_code == 422
    assert "PNG, JPEG ou WebP" in answer.content.decode()
    assert "mais escura" in answer.content.decode()


def test_an_agreement_is_made_seen_and_ended_in_one_click(manager, new_tenant):
    tenant, browser, _ = manager()
    reader = new_tenant(name="Comunidade do Rio")
    form = {
        "grantee": reader.id,
        "types": ["AirQualityObserved", "NoiseLevelObserved"],
        "attributes": "",
        "grain": "day",
        "purpose": "Plano do ar",
        "until": (now() + timedelta(days=30)).date(),
    }
    page = browser.post(f"/{tenant.slug}/gestao/acordos/novo/", form, follow=True).content.decode()
    assert "Comunidade do Rio" in page
    assert "Plano do ar" in page
    with tenancy.scope(tenant.id):
        (made,) = agreements.given(database.current(), tenant.id)
        agreements.open_reading(
            database.current(), made.id, grantee_id=reader.id, tenant_id=tenant.id, reader="client:x", what="AirQualityObserved, 3 entidades"
        )
    page = browser.get(f"/{tenant.slug}/gestao/acordos/{made.id}/").content.decode()
    assert "AirQualityObserved, 3 entidades" in page
    browser.post(f"/{tenant.slug}/gestao/acordos/{made.id}/terminar/")
    with tenancy.scope(reader.id):
        assert agreements.granted(database.current(), reader.id) == []
    assert browser.get(f"/{tenant.slug}/gestao/acordos/").status_code == 200


def test_terms_without_a_purpose_or_in_the_past_are_refused(manager, new_tenant):
    tenant, browser, _ = manager()
    form = {"grantee": new_tenant().id, "types": ["AirQualityObserved"], "grain": "day", "purpose": "", "until": "2020-01-01"}
    assert browser.post(f"/{tenant.slug}/gestao/acordos/novo/", form).status_code == 422


def test_a_member_delegates_to_its_community_and_takes_it_back(manager):
    cim, cim_browser, _ = manager(name="CIM do Rio", kind=OrganisationKind.INTERMUNICIPAL_COMMUNITY)
    town, browser, _ = manager(name="Vila do Rio", parent_id=cim.id)
    assert "CIM do Rio pode gerir o serviço por si" in browser.get(f"/{town.slug}/primeiro-dia/").content.decode()  # offered first
    page = browser.get(f"/{town.slug}/gestao/delegacao/").content.decode()
    assert "CIM do Rio pode gerir o serviço por si" in page
    assert cim_browser.get(f"/{town.slug}/gestao/identidade/").status_code == 403
    browser.post(f"/{town.slug}/gestao/delegacao/", {"delegate": cim.id, "until": ""})
    answer = cim_browser.get(f"/{town.slug}/gestao/identidade/")
    assert answer.status_code == 200
    assert f'href="/{town.slug}/"' in answer.content.decode()  # the top bar lets one move between them
    assert f'href="/{cim.slug}/"' in answer.content.decode()
    assert cim_browser.get(f"/{town.slug}/gestao/acordos/").status_code == 403  # kept by the town
    assert "Vila do Rio" in cim_browser.get(f"/{cim.slug}/gestao/delegacao/").content.decode()
    browser.post(f"/{town.slug}/gestao/delegacao/{cim.id}/retirar/")
    assert cim_browser.get(f"/{town.slug}/gestao/identidade/").status_code == 403


def test_the_trail_says_who_did_what(manager):
    tenant, browser, card = manager()
    browser.post(f"/{tenant.slug}/gestao/identidade/", {"name": "Outra Vila"})
    with tenancy.scope(tenant.id):
        audit.record(tenant.id, f"person:{card.id}", "personal.exported", "dataset:9", personal=True)
    page = browser.get(f"/{tenant.slug}/gestao/auditoria/").content.decode()
    assert "Mudou nome, cor ou brasão" in page
    assert "Ana Gestora" in page
    narrowed = browser.get(f"/{tenant.slug}/gestao/auditoria/?acao=access.").content.decode()
    assert "Deu uma função" in narrowed
    assert "Mudou nome" not in narrowed
    only = browser.get(f"/{tenant.slug}/gestao/auditoria/?pessoais=1").content.decode()
    assert "Exportou dados sobre pessoas" in only
    assert "Mudou nome" not in only


def test_every_action_of_the_code_has_words():
    root = Path(words.__file__).resolve().parents[2]
    found = set()
    for path in root.rglob("*.py"):
        if "tests" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in {"record", "record_on"}:
                at = 3 if node.func.attr == "record_on" else 2
                if len(node.args) > at and isinstance(node.args[at], ast.Constant):
                    found.add(node.args[at].value)
    assert len(found) > 20
    assert sorted(name for name in found if words.action(name) == name) == []


def test_details_are_said_in_words(manager):
    tenant, _, _ = manager()
    values = {
        "name": "Ribeira",
        "enabled": True,
        "rows": 1234,
        "role": "viewer",
        "until": "2026-07-01T10:00:00+00:00",
        "empty": None,
        "scope": {"types": ["A", "B"]},
    }
    assert words.details(values, tenant, "pt") == "nome: Ribeira; a funcionar: sim; linhas: 1234; função: Leitura; até: 1 jul. 2026, 11:00; limites: tipos A, B"
    assert words.subject("alert_rule:7") == "Regra de alarme 7"
    assert words.subject("urn:x:Thing:1") == "urn:x:Thing:1"


@pytest.mark.parametrize("page", ["identidade", "delegacao", "acordos", "auditoria"])
def test_others_are_kept_out(manager, page):
    tenant, _, _ = manager()
    _, stranger, _ = manager()
    _viewed, viewer, _ = manager(role=RoleName.VIEWER)
    assert Client(headers={"host": "localhost"}).get(f"/{tenant.slug}/gestao/{page}/").status_code == 302
    assert stranger.get(f"/{tenant.slug}/gestao/{page}/").status_code == 403
    assert viewer.get(f"/{_viewed.slug}/gestao/{page}/").status_code == 403
    assert stranger.get(f"/gestao/{page}/").status_code == 404
