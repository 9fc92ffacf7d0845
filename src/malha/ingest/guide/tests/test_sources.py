"""The page of a source: set up, asked now, silenced."""

from __future__ import annotations

from malha.foundation.database import service as database
from malha.ingest.runs import fetching


def only(tenant):
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        return fetching.sources(conn, tenant.id)[0]


def test_it_works(new_tenant, signed):
    tenant = new_tenant(dico="0105")
    browser = signed(tenant)
    said = {"base": "https://api.ipma.pt", "reach": "all", "observations": "on", "forecast": "on", "every_minutes": "30"}
    assert browser.send("/dados/fontes/ipma/", said).status_code == 302
    source = only(tenant)
    assert (source.every_seconds, source.enabled) == (1800, True)
    assert source.settings == {"base": "https://api.ipma.pt", "reach": "all", "observations": "1", "forecast": "1", "warnings": "0", "fire_risk": "0"}
    assert "Ainda não falou" in browser.open("/dados/fontes/").content.decode()
    browser.send("/dados/fontes/ipma/ligar/")
    assert not only(tenant).enabled


def test_a_bad_answer_is_said_at_its_field(new_tenant, signed):
    browser = signed(new_tenant())
    answer = browser.send("/dados/fontes/ipma/", {"base": "não é", "reach": "all", "every_minutes": "1"})
    assert answer.status_code == 422


def test_an_unknown_source_is_not_there(new_tenant, signed):
    assert signed(new_tenant()).open("/dados/fontes/nenhuma/").status_code == 404
