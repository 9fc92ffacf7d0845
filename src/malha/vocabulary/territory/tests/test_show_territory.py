import json
from datetime import date

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from malha.foundation.access import service as access
from malha.foundation.access.contracts import RoleName
from malha.foundation.database import service as database
from malha.foundation.identity.models import Person
from malha.foundation.tenancy import service as tenancy
from malha.vocabulary.territory import service


@pytest.fixture
def browser(new_tenant):
    """A browser of somebody with a role in a tenant of their own, and the tenant."""

    def make(role):
        tenant = new_tenant(extent=[-8.6, 40.1, -8.2, 40.4])
        person = Person.objects.create(email=f"{tenant.slug}@exemplo.pt", name="Ana")
        with tenancy.scope(tenant.id):
            access.grant(person.pk, tenant.id, role)
        client = Client(headers={"host": "localhost"})
        client.force_login(person)
        return client, tenant

    return make


def test_it_works(browser, parish_map):
    client, tenant = browser(RoleName.TENANT_MANAGER)
    file = SimpleUploadedFile("mapa.gpkg", parish_map().read_bytes())
    base = f"/{tenant.slug}/dados/territorio/"
    assert "Ainda não há limites" in client.get(base).content.decode() or "Municípios" in client.get(base).content.decode()
    answer = client.post(f"{base}limites/importar/", {"file": file, "edition": "CAOP 2025", "valid_from": "2025-10-13"}, follow=True)
    text = answer.content.decode()
    assert "Entraram 3 elementos." in text
    assert "CAOP 2025" in text
    layers = client.get(f"{base}mapa.json").json()["layers"]
    assert "parish" in {layer["id"] for layer in layers}
    drawn = json.loads(client.get(f"{base}limites/parish.geojson").content)
    assert {feature["properties"]["name"] for feature in drawn["features"]} >= {"Ribeira", "Outeiro", "Vale"}


def test_streets_are_imported_and_an_address_found(browser):
    client, tenant = browser(RoleName.TENANT_MANAGER)
    base = f"/{tenant.slug}/dados/territorio/"
    file = SimpleUploadedFile("ruas.csv", b"rua;numero;x;y\nRua da Fonte;3;-8,42;40,2\n")
    text = client.post(f"{base}ruas/importar/", {"file": file, "source": "ruas"}, follow=True).content.decode()
    assert "1 ruas, 1 portas" in text
    assert "na porta" in client.get(base, {"q": "rua da fonte 3"}).content.decode()
    assert client.get(f"{base}ruas.json", {"q": "fonte"}).json()["streets"][0]["name"] == "Rua da Fonte"
    assert "Nada com esse nome" in client.get(base, {"q": "xpto zzz"}).content.decode()


def test_a_bad_file_is_said_and_nothing_is_kept(browser):
    client, tenant = browser(RoleName.TENANT_MANAGER)
    base = f"/{tenant.slug}/dados/territorio/"
    file = SimpleUploadedFile("mau.geojson", b'{"type": "FeatureCollection", "features": []}')
    answer = client.post(f"{base}limites/importar/", {"file": file, "edition": "1", "valid_from": "2025-10-13"})
    assert answer.status_code == 422
    assert "não tem geometrias" in answer.content.decode()


def test_who_only_reads_cannot_import(browser, parish_map):
    client, tenant = browser(RoleName.VIEWER)
    base = f"/{tenant.slug}/dados/territorio/"
    page = client.get(base)
    assert page.status_code == 200
    assert "Importar limites" not in page.content.decode()
    assert client.post(f"{base}limites/importar/", {}).status_code == 403


def test_another_tenant_draws_none_of_it(browser, parish_map):
    _, owner = browser(RoleName.TENANT_MANAGER)
    with tenancy.scope(owner.id):
        service.import_boundaries(database.current(), owner.id, parish_map(names=("Segredo",)), edition="1", valid_from=date(2020, 1, 1))
    client, other = browser(RoleName.VIEWER)
    drawn = json.loads(client.get(f"/{other.slug}/dados/territorio/limites/parish.geojson").content)
    assert "Segredo" not in {feature["properties"]["name"] for feature in drawn["features"]}
