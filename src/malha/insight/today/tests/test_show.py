import json
from datetime import timedelta

import pytest
from django.test import Client

from malha.context.store import service as store
from malha.context.store.contracts import Column, EntityTable
from malha.foundation.access import service as access
from malha.foundation.access.contracts import RoleName
from malha.foundation.database import service as database
from malha.foundation.identity import service as identity
from malha.insight.today import service
from malha.kernel import time
from malha.packs.registry import service as packs


@pytest.fixture
def enter(new_tenant):
    """A client signed in with a role in a tenant of its own."""
    from uuid import uuid4

    from django.contrib.auth import get_user_model

    def make(role=RoleName.TENANT_MANAGER):
        tenant = new_tenant()
        person = identity.create_person(f"eva-{uuid4().hex[:10]}@exemplo.pt", name="Eva")
        access.grant(person.id, tenant.id, role)
        client = Client(SERVER_NAME="localhost")
        client.force_login(get_user_model().objects.get(pk=person.id), backend="malha.foundation.identity.backends.PersonBackend")
        return tenant, client

    return make


def write(tenant, level=1.0, minutes_ago=0):
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        table = EntityTable("FloodMonitoring", ["urn:x:ponte"], [Column("currentLevel", [level])], observed_at=[time.now() - timedelta(minutes=minutes_ago)])
        store.upsert_table(conn, tenant.id, table)
        packs.switch_on(conn, tenant.id, "civil_protection")


def test_it_works(enter):
    tenant, client = enter()
    write(tenant)
    home = client.get(f"/{tenant.slug}/")
    assert home.status_code == 200
    assert "Ribeiras, nível mais alto" in home.content.decode()
    card = client.get(f"/{tenant.slug}/indicadores/nivel-maximo/cartao/").content.decode()
    assert "1,00" in card
    spec = json.loads(client.get(f"/{tenant.slug}/indicadores/nivel-maximo/grafico.json?dias=1").content)
    assert spec["series"][0]["points"][-1][1] == 1.0
    layers = json.loads(client.get(f"/{tenant.slug}/mapa/camadas.json").content)
    assert layers["words"]["legend"] == "Camadas e legenda"


def test_a_manager_without_a_board_sees_the_first_day_and_a_viewer_does_not(enter):
    tenant, client = enter()
    assert "primeiro dia" in client.get(f"/{tenant.slug}/").content.decode()
    other, viewer = enter(RoleName.VIEWER)
    text = viewer.get(f"/{other.slug}/").content.decode()
    assert "primeiro dia" not in text
    assert "Ainda não há indicadores" in text
    assert viewer.get(f"/{other.slug}/primeiro-dia/").status_code == 403


@pytest.mark.parametrize(
    "path", ["", "mapa/", "mapa/camadas.json", "dados/entidades/", "agir/alarmes/", "agir/alarmes/regras/", "agir/sino/", "gestao/pacotes/"]
)
def test_another_tenant_and_strangers_see_nothing(enter, path):
    tenant, client = enter()
    stranger, _ = enter()
    assert client.get(f"/{stranger.slug}/{path}").status_code == 403
    assert Client(SERVER_NAME="localhost").get(f"/{tenant.slug}/{path}").status_code == 302


def test_what_is_silent_for_longer_than_usual_is_late(new_tenant):
    hours, days = timedelta(hours=1), timedelta(days=1)
    assert service.is_late(2 * hours, 900, observed=True)
    assert not service.is_late(timedelta(minutes=14), 60, observed=True)
    assert not service.is_late(2 * days, 86400, observed=True)  # once a day is no rhythm to hurry for
    assert service.is_late(4 * hours, None, observed=True)
    assert not service.is_late(4 * hours, None, observed=False)
    assert not service.is_late(30 * days, None, observed=True)


def test_health_says_when_each_source_last_spoke(enter):
    tenant, client = enter()
    write(tenant)
    assert "1 fonte em dia" in client.get(f"/{tenant.slug}/").content.decode()
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        (one,) = service.health(conn, tenant, time.now() + timedelta(hours=4), "pt", {"FloodMonitoring": 600.0})
        assert (one.label, one.count, one.late) == ("Nível de cheia", 1, True)
        assert service.usual_waits(conn, tenant) == {}
