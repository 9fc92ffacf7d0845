from datetime import timedelta
from uuid import uuid4

import pytest
from django.test import Client

from malha.context.federation.partners import joining
from malha.context.federation.partners.links import Terms
from malha.context.store import service as store
from malha.context.store.contracts import EntityDocument
from malha.context.subscriptions import failures
from malha.foundation.access import service as access
from malha.foundation.access.contracts import Capability, RoleName
from malha.foundation.database import django as django_database
from malha.foundation.database import service as database
from malha.foundation.identity import service as identity
from malha.foundation.identity.models import MachineClient, Person
from malha.ingest.devices import queries
from malha.ingest.devices import service as devices
from malha.ingest.devices.contracts import DoorKind
from malha.kernel.time import now
from malha.share.datahub import keys


@pytest.fixture
def town(new_tenant):
    """A town with a program, an analyst's key and a door that says what is wrong."""
    tenant = new_tenant()
    person = identity.create_person(f"{uuid4().hex[:12]}@exemplo.pt", name="Rita")
    access.grant(person.id, tenant.id, RoleName.ANALYST)
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        door, _key = devices.open_door(conn, tenant.id, DoorKind.MQTT, "Estações", {"host": "exemplo.pt", "topic": "a"})
        queries.change_door(conn, tenant.id, door.id, last_error="o servidor recusou a senha")
        keys.create(conn, tenant.id, person.id, "excel")
    with django_database.scope(tenant.id):
        identity.create_machine(tenant.id, name="Frota", capabilities=[Capability.DATA_READ], types=["Vehicle"], created_by=None)
    return tenant


def browser(tenant, role):
    person = identity.create_person(f"{uuid4().hex[:12]}@exemplo.pt", name="Gestora")
    access.grant(person.id, tenant.id, role)
    made = Client(headers={"host": "localhost"})
    made.force_login(Person.objects.get(pk=person.id))
    return made


def test_it_works(town):
    manager = browser(town, RoleName.TENANT_MANAGER)
    page = manager.get(f"/{town.slug}/dados/ligacoes/todas/").content.decode()
    assert page.index("Estações") < page.index("Frota")  # what is in trouble comes first
    for words in ("o servidor recusou a senha", "chave de Rita", "1 ligação está a falhar", "3 ligações", "Vehicle"):
        assert words in page
    only = manager.get(f"/{town.slug}/dados/ligacoes/todas/?tipo=chave&procurar=RITA").content.decode()
    assert "excel" in only
    assert "Frota" not in only
    Person.objects.filter(pk=manager.session["_auth_user_id"]).update(language="en")
    manager.cookies["malha_language"] = "en"
    english = manager.get(f"/{town.slug}/dados/ligacoes/todas/").content.decode()
    assert "Who speaks with this data" in english
    assert "3 connections" in english


def test_a_manager_ends_a_key_of_another_person(town):
    manager = browser(town, RoleName.TENANT_MANAGER)
    with database.connect() as conn, database.tenant_transaction(conn, [town.id]):
        ((key, _whose, _person),) = keys.of_tenant(conn, town.id)
    assert manager.post(f"/{town.slug}/dados/ligacoes/chave/{key.id}/terminar/").status_code == 302
    assert manager.post(f"/{town.slug}/dados/ligacoes/chave/{key.id}/terminar/").status_code == 404
    with database.connect() as conn, database.tenant_transaction(conn, [town.id]):
        assert keys.of_tenant(conn, town.id) == []


def test_who_may_not_manage_connections_sees_none(town):
    assert browser(town, RoleName.ANALYST).get(f"/{town.slug}/dados/ligacoes/todas/").status_code == 403


def test_the_key_of_another_installation_is_prolonged_and_not_changed(town):
    with database.connect() as conn, database.tenant_transaction(conn, [town.id]), django_database.scope(town.id):
        joining.invite(conn, town, "Nação", Terms(("Vehicle",)), person_id=None, by="ensaio")
        (machine,) = [one for one in identity.machines_of(town.id) if one.name.endswith("Nação")]
        MachineClient.objects.filter(pk=machine.id).update(expires_at=now() + timedelta(days=1))
    manager = browser(town, RoleName.TENANT_MANAGER)
    page = manager.get(f"/{town.slug}/dados/ligacoes/todas/?procurar=Nação").content.decode()
    assert "Prolongar um ano" in page
    assert "Renovar segredo" not in page
    assert manager.post(f"/{town.slug}/dados/ligacoes/{machine.id}/", {"action": "prolong"}).status_code == 302
    with django_database.scope(town.id):
        (after,) = [one for one in identity.machines_of(town.id) if one.id == machine.id]
    assert after.expires_at > now() + timedelta(days=300)
    assert after.client_id == machine.client_id


def test_an_invitation_that_comes_back_keeps_what_was_not_ticked(town):
    with database.connect() as conn, database.tenant_transaction(conn, [town.id]):
        store.upsert_documents(conn, town.id, [EntityDocument("urn:x:Vehicle:1", ("Vehicle",), {"speed": {"type": "Property", "value": 3}})])
    answer = browser(town, RoleName.TENANT_MANAGER).post(f"/{town.slug}/dados/federacao/convidar/", {"nome": "Nação", "licenca": "CC0-1.0"})
    page = answer.content.decode()
    assert answer.status_code == 422
    assert 'value="Vehicle"' in page
    assert "checked" not in page
    assert '<option value="CC0-1.0" selected>' in page


@pytest.mark.parametrize(
    ("error", "words"), [("HTTP 401", "peça outro convite"), ("HTTP 500", "erro 500"), ("ConnectError: x", "desligada"), ("ReadError", "a meio")]
)
def test_why_a_source_is_silent_is_said_in_words(error, words):
    assert words in failures.of_source(error)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("ConnectionRefusedError [Errno 111] Connect call failed ('127.0.0.1', 1)", "está desligado"), ("gaierror [Errno -2] Name or service not known", "está desligado"),
        ("ConnectionResetError [Errno 104]", "a meio"), ("SSLCertVerificationError x", "certificado"), ("MQTT: [Errno 111] Connection refused", "está desligado"),
    ],
)  # fmt: skip
def test_why_a_receiver_gets_nothing_is_said_in_words(error, words):
    said = failures.words(error)
    assert words in said
    assert "Errno" not in said
