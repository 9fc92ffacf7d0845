"""The pages of tables, of retention, of copies and of erasing, as those who may see them do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from malha.foundation.access import service as access
from malha.foundation.access.contracts import RoleName
from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.foundation.identity import service as people
from malha.foundation.identity.models import Person
from malha.history.erasure import worker
from malha.history.lake import service as lake
from malha.history.lake.tests.test_bulk_load import make_entities
from malha.history.lake.tests.test_compact import in_lake, write_hot
from malha.history.retention import service as retention
from malha.history.sets import service as sets

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def entered(new_tenant: Any) -> Any:
    """A tenant and a browser in which somebody with a role has signed in."""

    def make(role: RoleName = RoleName.TENANT_MANAGER) -> Any:
        tenant = new_tenant()
        card = people.create_person(f"{uuid4().hex[:12]}@exemplo.pt", name="Ana Gestora")
        access.grant(card.id, tenant.id, role)
        browser = Client(headers={"host": "localhost"})
        browser.force_login(Person.objects.get(pk=card.id))
        return tenant, browser

    return make


def upload(text: str) -> SimpleUploadedFile:
    return SimpleUploadedFile("contratos.csv", text.encode(), content_type="text/csv")


def test_a_table_comes_and_comes_again(entered: Any) -> None:
    tenant, browser = entered()
    base = f"/{tenant.slug}/dados/tabelas/"
    assert "Ainda não há nenhuma tabela" in browser.get(base).content.decode()
    first = "código;nome;valor\n1;Obra A;10,5\n2;Obra B;20\n"
    answer = browser.post(base, {"title": "Contratos", "keys": "código", "file": upload(first)}, follow=True)
    assert "Obra A" in answer.content.decode()
    (made,) = sets.all_sets(tenant.id)
    again = browser.post(f"{base}{made.id}/nova-versao/", {"file": upload("código;nome;valor\n1;Obra A;12\n3;=Obra C;30\n")}, follow=True).content.decode()
    assert "linhas novas: 1; alteradas: 1; retiradas: 1" in again
    compared = browser.get(f"{base}{made.id}/diferencas/?de=1&para=2").content.decode()
    assert "10,5 → 12" in compared
    assert "Obra B" in browser.get(f"{base}{made.id}/?versao=1").content.decode()
    sent = browser.get(f"{base}{made.id}/exportar/?versao=2")
    assert b"".join(sent.streaming_content).decode("utf-8-sig").splitlines() == ["código;nome;valor", "1;Obra A;12", "3;'=Obra C;30"]
    assert browser.get(f"{base}{made.id}/exportar/?versao=2&formato=parquet").content.startswith(b"PAR1")
    assert browser.get(f"{base}{made.id}/?versao=9").status_code == 404
    first_at, second_at = (one.at for one in reversed(sets.versions(tenant.id, made.id)))
    as_it_was = browser.get(f"{base}{made.id}/", {"em": (first_at + (second_at - first_at) / 2).isoformat()}).content.decode()
    assert "Valia então a versão 1." in as_it_was
    assert "Obra B" in as_it_was
    assert "ainda não havia esta tabela" in browser.get(f"{base}{made.id}/", {"em": "2001-01-01T10:00"}).content.decode()
    refused = browser.post(base, {"title": "Outra", "keys": "não há", "file": upload(first)})
    assert refused.status_code == 422
    assert len(sets.all_sets(tenant.id)) == 1
    browser.post(f"{base}{made.id}/apagar/", {"title": "Contratos"})
    assert sets.all_sets(tenant.id) == []


def test_how_long_values_are_kept(entered: Any) -> None:
    """What would go is shown before; a hold keeps it; sums stay."""
    tenant, browser = entered()
    make_entities(tenant.id, ["urn:ensaio:0"])
    with database.connect(Role.OWNER) as conn:
        entity = conn.execute("SELECT id FROM entity WHERE tenant_id = %s", [tenant.id]).fetchone()[0]  # type: ignore[index]
    old, new = datetime.now(UTC) - timedelta(days=100), datetime.now(UTC) - timedelta(days=1)
    write_hot(tenant.id, [(entity, old, 1.0), (entity, new, 2.0)])
    lake.compact(tenant.id)
    page = f"/{tenant.slug}/gestao/retencao/"
    assert "para sempre" in browser.get(page).content.decode()
    rule = {"how": "period", "count": "90", "unit": "D", "hold_reason": ""}
    assert "saem já esta noite" in browser.post(f"{page}Ensaio/", rule).content.decode()
    assert browser.post(f"{page}Ensaio/", {**rule, "count": "2"}).status_code == 422
    held = browser.post(f"{page}Ensaio/", {**rule, "hold_reason": "Processo 12/2026"}, follow=True).content.decode()
    assert "Processo 12/2026" in held
    assert retention.let_go(tenant.id, datetime.now(UTC)) == []
    browser.post(f"{page}Ensaio/", {**rule, "confirm": "1"})
    assert [one.rows for one in retention.let_go(tenant.id, datetime.now(UTC))] == [1]
    assert [row[2] for row in in_lake(tenant.id)] == [2.0]
    assert sum(row[0] for row in in_lake(tenant.id, "sum", "rollup_day")) == 3.0
    assert retention.let_go(tenant.id, datetime.now(UTC)) == []
    assert "O que já saiu" in browser.get(page).content.decode()


def test_copies_and_who_may_see_them(entered: Any) -> None:
    tenant, browser = entered()
    assert "pias de segurança" in browser.get(f"/{tenant.slug}/gestao/copias/").content.decode()
    tenant, browser = entered(RoleName.VIEWER)
    assert browser.get(f"/{tenant.slug}/gestao/copias/").status_code == 403
    assert browser.get(f"/{tenant.slug}/gestao/retencao/").status_code == 403
    assert browser.post(f"/{tenant.slug}/dados/tabelas/1/apagar/").status_code == 403


def test_a_person_is_looked_for_before_anything_goes(entered: Any, monkeypatch: Any) -> None:
    tenant, browser = entered(RoleName.DATA_PROTECTION_OFFICER)
    make_entities(tenant.id, ["urn:ensaio:Pessoa:Perdigoto"])
    page = f"/{tenant.slug}/gestao/apagar-pessoa/"
    asked = {"identifiers": "Perdigoto", "ground": "RGPD art. 17.º, n.º 1, al. b)"}
    assert browser.post(page, {**asked, "identifiers": "abc"}).status_code == 422
    assert "urn:ensaio:Pessoa:Perdigoto" in browser.post(page, asked).content.decode()
    started: list[Any] = []
    monkeypatch.setattr(worker, "start", lambda *given, **more: started.append((given, more)))
    browser.post(page, {**asked, "erase": "1", "whole": "7"})
    assert started[0][0] == (tenant.id, ["Perdigoto"])
    assert started[0][1]["whole"] == [7]
    tenant, browser = entered()  # a manager without a right to data on people
    assert browser.get(f"/{tenant.slug}/gestao/apagar-pessoa/").status_code == 403
