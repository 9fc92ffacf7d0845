from uuid import uuid4

import pytest
from django.test import Client

from malha.foundation.access.contracts import RoleName
from malha.share.datahub.tests.town import basic


@pytest.fixture
def browser(town):
    from malha.foundation.access import service as access
    from malha.foundation.identity import service as people
    from malha.foundation.identity.models import Person

    person = people.create_person(f"{uuid4().hex[:12]}@exemplo.pt", name="Ana")
    access.grant(person.id, town.id, RoleName.ANALYST)
    made = Client(headers={"host": "localhost"})
    made.force_login(Person.objects.get(pk=person.id))
    made.person_id = person.id
    return made


def at(town, path=""):
    return f"/{town.slug}/dados/ferramentas/{path}"


def test_it_works(browser, town):
    page = browser.get(at(town)).content.decode()
    for name in ("Power BI", "Excel", "Tableau", "QGIS", "DuckDB", "Delta Sharing"):
        assert name in page
    assert "AirQualityObserved" in page


def test_every_recipe_opens_and_says_how_far_it_was_tried(browser, town):
    from malha.share.datahub import recipes

    for tool in recipes.TOOLS:
        page = browser.get(at(town, f"{tool.code}/")).content.decode()
        assert "O que vai ver" in page
        assert "por nós" in page or "teste nosso" in page
    assert "1 048 576" in browser.get(at(town, "excel/")).content.decode()
    assert browser.get(at(town, "nada/")).status_code == 404
    assert "base de dados embutida" in browser.get(at(town, "sql/")).content.decode()


def test_a_recipe_names_what_the_reader_has_and_where_the_tool_finds_it(browser, town, new_tenant):
    """The address is that of the tool, whole and to be copied; the example is a table of this town, and where it has none a usual one."""
    qgis = browser.get(at(town, "qgis/")).content.decode()
    assert f'data-copy="http://localhost/{town.slug}/ogc"' in qgis
    assert "/ogc/collections/AirQualityObserved/tiles/WebMercatorQuad/{z}/{y}/{x}" in qgis
    assert f'data-copy="http://localhost/{town.slug}/delta-sharing"' in browser.get(at(town, "sharing/")).content.decode()
    assert f"&#x27;{town.slug}.share#{town.slug}.agora.AirQualityObserved&#x27;" in browser.get(at(town, "sharing/")).content.decode()
    assert f"user=hub_{town.slug.replace('-', '_')} " in browser.get(at(town, "sql/")).content.decode()
    profile = browser.post(at(town, "sharing/"), {"action": "profile"})
    assert f'filename="{town.slug}.share"' in profile["Content-Disposition"]
    assert qgis.index('id="vistos"') < qgis.index('id="sua-chave"') < qgis.index('id="passos"')


def test_a_key_is_shown_once_used_renewed_and_ended(browser, client, town):
    made = browser.post(at(town, "powerbi/"), {"action": "create"}).content.decode()
    text = made.partition('id="chave">')[2].partition("<")[0]
    assert text.startswith(f"mlh_{town.id}_")
    again = browser.get(at(town, "powerbi/")).content.decode()
    assert text not in again
    assert "ainda não" in again
    assert client.get(f"/{town.slug}/odata/", headers=basic(text)).status_code == 200
    assert "ainda não" not in browser.get(at(town, "powerbi/")).content.decode().partition("sua-chave")[2].partition("vistos")[0]
    renewed = browser.post(at(town, "powerbi/"), {"action": "create"}).content.decode().partition('id="chave">')[2].partition("<")[0]
    assert client.get(f"/{town.slug}/odata/", headers=basic(text)).status_code == 401
    assert client.get(f"/{town.slug}/odata/", headers=basic(renewed)).status_code == 200
    number = browser.get(at(town, "powerbi/")).content.decode().partition("/dados/ferramentas/chave/")[2].partition("/")[0]
    assert browser.post(at(town, f"chave/{number}/")).status_code == 302
    assert client.get(f"/{town.slug}/odata/", headers=basic(renewed)).status_code == 401
    assert browser.post(at(town, f"chave/{number}/")).status_code == 404


def test_a_key_ends_with_the_role_of_its_person(browser, client, town):
    from malha.foundation.access import service as access

    text = browser.post(at(town, "python/"), {"action": "create"}).content.decode().partition('id="chave">')[2].partition("<")[0]
    assert client.get(f"/{town.slug}/odata/", headers=basic(text)).status_code == 200
    access.revoke(browser.person_id, town.id)
    assert client.get(f"/{town.slug}/odata/", headers=basic(text)).status_code == 401


def test_files_that_open_programs(browser, client, town):
    opened = browser.get(at(town, "abrir.pbids"))
    assert opened.json()["connections"][0]["details"] == {"protocol": "odata", "address": {"url": f"http://localhost/{town.slug}/odata"}}
    assert ".pbids" in opened["Content-Disposition"]
    profile = browser.post(at(town, "sharing/"), {"action": "profile"}).json()
    assert profile["shareCredentialsVersion"] == 1
    assert profile["endpoint"] == f"http://localhost/{town.slug}/delta-sharing"
    assert client.get(f"/{town.slug}/odata/", headers={"Authorization": f"Bearer {profile['bearerToken']}"}).status_code == 200
