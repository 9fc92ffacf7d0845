"""A municipality is read alike, whether it is a tenant of the same installation (by agreement) or another installation (by federation)."""

import dataclasses
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import uvicorn
from django.conf import settings

from malha.context.broker import auth, pool
from malha.context.federation import service
from malha.context.federation.partners import links, viewing
from malha.context.federation.registrations import registry
from malha.context.store import service as store
from malha.context.store.contracts import EntityDocument, EntityQuery
from malha.foundation.access.contracts import Capability, Principal
from malha.foundation.agreements import service as agreements
from malha.foundation.agreements.contracts import Terms
from malha.foundation.database import service as database
from malha.foundation.settings import service as malha_settings
from malha.foundation.tokens import service as tokens
from malha.kernel.time import now
from malha.project import plane
from malha.vocabulary.contexts import service as contexts

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from starlette.testclient import TestClient

TYPE = "Contentor"


def token_of(tenant, *capabilities):
    with database.connect(autocommit=True) as conn:
        return tokens.issue(conn, settings.SECRET_KEY, subject="client:leitor", tenants=[tenant.id], capabilities=capabilities)


@pytest.fixture
def parties(new_tenant, monkeypatch):
    conf = dataclasses.replace(malha_settings.current(), internal_hosts=("*=127.0.0.0/8",))
    monkeypatch.setattr(malha_settings, "current", lambda: conf)
    auth.forget()
    nation, town = new_tenant(name="Nação"), new_tenant(name="Vila")
    docs = [
        EntityDocument(f"urn:x:{TYPE}:{n}", (TYPE,), {"nivel": {"type": "Property", "value": n, "observedAt": f"2026-01-01T0{n}:00:00Z"}}) for n in range(1, 6)
    ]
    with database.connect() as conn, database.tenant_transaction(conn, [town.id]):
        store.upsert_documents(conn, town.id, [*docs, EntityDocument("urn:x:Outro:1", ("Outro",), {"a": {"type": "Property", "value": 1}})])
    yield nation, town
    pool.close()


def by_agreement(nation, town):
    with database.connect() as conn, database.tenant_transaction(conn, [town.id]):
        terms = Terms(types=(TYPE,), purpose="ensaio", until=now() + timedelta(days=1))
        number = agreements.sign(conn, town.id, nation.id, terms, by="ensaio")
    with database.connect() as conn, database.tenant_transaction(conn, [nation.id]):
        (found,) = [one for one in agreements.granted(conn, nation.id) if one.id == number]
        service.create(conn, nation.id, links.of_agreement(found), contexts.CORE, agreement_id=found.id, giver_id=town.id)

    def end():
        with database.connect() as conn, database.tenant_transaction(conn, [town.id]):
            agreements.end(conn, town.id, number, by="ensaio")

    return end, lambda: None


def by_federation(nation, town):
    server = uvicorn.Server(uvicorn.Config(plane.application(), host="127.0.0.1", port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        threading.Event().wait(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    pairs = {"Authorization": f"Bearer {token_of(town, Capability.DATA_READ)}"}
    said = links.registration("Vila", f"http://127.0.0.1:{port}/{town.slug}/ngsi-ld/v1", links.Terms(types=(TYPE,)), pairs)
    with database.connect() as conn, database.tenant_transaction(conn, [nation.id]):
        uri = service.create(conn, nation.id, said, contexts.CORE)

    def end():
        with database.connect() as conn, database.tenant_transaction(conn, [nation.id]):
            service.delete(conn, nation.id, uri)

    def stop():
        server.should_exit = True
        thread.join(10)

    return end, stop


@pytest.mark.parametrize("way", [by_agreement, by_federation])
def test_a_reader_sees_the_same(parties, way):
    nation, town = parties
    end, stop = way(nation, town)
    registry.forget()
    try:
        token = token_of(nation, Capability.DATA_READ)
        with TestClient(
            plane.application(),
            base_url=f"http://localhost/{nation.slug}/ngsi-ld/v1/",
            headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
        ) as client:
            found = client.get("entities", params={"type": TYPE, "q": "nivel>2", "count": "true", "options": "sysAttrs"})
            assert ([one["nivel"]["value"] for one in found.json()], found.headers["ngsild-results-count"]) == ([3, 4, 5], "3")
            assert all("createdAt" in one for one in found.json())
            page = client.get("entities", params={"type": TYPE, "limit": 2, "offset": 2, "options": "keyValues"})
            assert [one["nivel"] for one in page.json()] == [3, 4]
            one = client.get(f"entities/urn:x:{TYPE}:4?options=keyValues").json()
            assert one == {"id": f"urn:x:{TYPE}:4", "type": TYPE, "nivel": 4}
            assert client.get("entities/urn:x:Outro:1").status_code == 404
            assert client.get("entities", params={"type": "Outro"}).json() == []
            assert client.get("entities", params={"type": TYPE, "local": "true"}).json() == []
            end()
            registry.forget()
            assert client.get("entities", params={"type": TYPE}).json() == []
    finally:
        stop()


@pytest.mark.parametrize("way", [by_agreement, by_federation])
def test_people_who_look_see_the_same(parties, way):
    nation, town = parties
    end, stop = way(nation, town)
    reader = Principal(nation.id, frozenset({Capability.DATA_READ}), person_id=1)

    def places():
        with database.connect() as conn, database.tenant_transaction(conn, [nation.id]):
            return viewing.places(conn, nation.id)

    def look(place, **asked):
        question = EntityQuery(types=(TYPE,), limit=2, count=True, **asked)
        with ThreadPoolExecutor(1) as apart:  # in the thread of the tests a browser's loop may be running
            return apart.submit(viewing.look, nation, reader, [place], question, "pt-pt").result()

    try:
        (place,) = places()
        assert (place.name, place.types) == ("Vila", {TYPE})
        view = look(place, offset=1)
        assert ([one.value("nivel") for one in view.entities], view.total, view.amiss) == ([2, 3], 5, ())
        assert view.found_at["urn:x:Contentor:2"] == ["Vila"]
        view = look(place, q="nivel>4")
        assert ([one.value("nivel") for one in view.entities], view.total) == ([5], 1)
        end()
        assert places() == [] or look(place).amiss == (("Vila", "o acordo já não está em vigor"),)
    finally:
        stop()


def test_people_see_all_sources_together(parties):
    nation, town = parties
    (end, _), (_, stop) = by_agreement(nation, town), by_federation(nation, town)
    reader = Principal(nation.id, frozenset({Capability.DATA_READ}), person_id=1)
    try:
        with database.connect() as conn, database.tenant_transaction(conn, [nation.id]):
            found = viewing.places(conn, nation.id)
        question = EntityQuery(types=(TYPE,), limit=2, offset=3, count=True)
        with ThreadPoolExecutor(1) as apart:
            view = apart.submit(viewing.look, nation, reader, found, question, "pt-pt").result()
            assert [one.value("nivel") for one in view.entities] == [4, 5]
            assert view.found_at["urn:x:Contentor:4"] == ["Vila", "Vila"]
            assert view.total == 5  # each once, although it lies at both
            end()
            view = apart.submit(viewing.look, nation, reader, found, question, "pt-pt").result()
        assert ([one.value("nivel") for one in view.entities], len(view.amiss)) == ([4, 5], 1)
    finally:
        stop()
