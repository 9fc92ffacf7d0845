import json

import pytest
from django.test import Client

from malha.foundation.access import service as access
from malha.foundation.access.contracts import RoleName
from malha.foundation.database import service as database
from malha.foundation.identity.models import Person
from malha.foundation.tenancy import service as tenancy
from malha.vocabulary.models import service
from malha.vocabulary.models.contracts import DataModel, Label, ModelProperty

BENCHES = DataModel("Bench", "1", Label("Banco", "Bench"), Label("Banco de jardim"), (ModelProperty("seats", label=Label("Lugares", "Seats")),))


@pytest.fixture
def reader(new_tenant):
    """A browser of somebody who reads one tenant, and the tenant."""
    tenant = new_tenant()
    person = Person.objects.create(email=f"{tenant.slug}@exemplo.pt", name="Ana")
    with tenancy.scope(tenant.id):
        access.grant(person.pk, tenant.id, RoleName.VIEWER)
        service.create_model(database.current(), tenant.id, BENCHES)
    client = Client(headers={"host": "localhost"})
    client.force_login(person)
    return client, tenant


def test_it_works(reader):
    client, tenant = reader
    page = client.get(f"/{tenant.slug}/dados/modelos/", {"q": "ruido"})
    assert page.status_code == 200
    assert "NoiseLevelObserved" in page.content.decode()
    assert "FloodMonitoring" not in page.content.decode()


def test_themes_filter_and_nothing_found_says_what_to_do(reader):
    client, tenant = reader
    assert "WasteContainer" in client.get(f"/{tenant.slug}/dados/modelos/", {"tema": "residuos"}).content.decode()
    assert "Nenhum modelo" in client.get(f"/{tenant.slug}/dados/modelos/", {"q": "dragão"}).content.decode()


def test_the_page_of_a_model_says_units_values_and_an_example(reader):
    client, tenant = reader
    text = client.get(f"/{tenant.slug}/dados/modelos/WasteContainer/").content.decode()
    for said in ("Nível de enchimento", "obrigatória", "Tampa aberta", "°C (CEL)", f"urn:{tenant.slug}:WasteContainer:1"):
        assert said in text, said
    assert "Revisão 1" in client.get(f"/{tenant.slug}/dados/modelos/Bench/").content.decode()


def test_another_tenant_does_not_find_it(reader, new_tenant):
    client, _ = reader
    other = new_tenant()
    assert client.get(f"/{other.slug}/dados/modelos/Bench/").status_code in {403, 404}


def test_the_files_of_a_model_are_downloads(reader):
    client, tenant = reader
    base = f"/{tenant.slug}/dados/modelos/Streetlight"
    schema = client.get(f"{base}/esquema.json")
    assert schema["Content-Type"] == "application/schema+json; charset=utf-8"
    assert json.loads(schema.content)["properties"]["type"] == {"const": "Streetlight"}
    assert "Streetlight" in json.loads(client.get(f"{base}/contexto.jsonld").content)["@context"]
    entity = json.loads(client.get(f"{base}/exemplo.json").content)
    assert service.validate(entity, service.get("Streetlight")) == []
    assert client.get(f"/{tenant.slug}/dados/modelos/Dragon/").status_code == 404


def test_pasted_entities_are_tried_and_nothing_is_kept(reader):
    client, tenant = reader
    address = f"/{tenant.slug}/dados/modelos/validar/"
    assert client.get(address).status_code == 200
    entities = [
        {"id": "urn:a:Streetlight:1", "type": "Streetlight", "location": {"type": "Point", "coordinates": [-8, 40]}, "status": "ok"},
        {"type": "Dragon"},
        7,
    ]
    text = client.post(address, {"text": json.dumps(entities)}).content.decode()
    assert "1 de 3 aceites" in text
    assert "Não há nenhum modelo de dados “Dragon”" in text
    Person.objects.filter(email=f"{tenant.slug}@exemplo.pt").update(language="en")
    wrong = client.post(address, {"text": json.dumps(entities[0] | {"status": "OK"}), "type": "Streetlight"}).content.decode()
    assert "Did you mean “ok”?" in wrong
    assert client.post(address, {"text": "{"}).status_code == 422


def test_who_has_not_signed_in_is_sent_to_do_so(new_tenant):
    assert Client(headers={"host": "localhost"}).get(f"/{new_tenant().slug}/dados/modelos/").status_code == 302
