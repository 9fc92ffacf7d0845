"""An NGSI-LD broker of somebody else, read with one token: of the newest version, and of one that knows little (GS CIM 009 v1.3)."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from malha.context.federation.contracts import Unusable
from malha.context.federation.partners import brokers, joining
from malha.context.federation.partners.brokers import Broker
from malha.context.federation.partners.links import Invitation, Terms
from malha.foundation.database import django as database
from malha.foundation.language import service as language
from malha.foundation.tenancy import service as tenancy

BIN = {"id": "urn:alheio:Contentor:1", "type": "Contentor", "nivel": {"type": "Property", "value": 40}, "dono": {"type": "Property", "value": "eu"}}
SPOT = {"id": "urn:alheio:Lugar:1", "type": "Lugar", "nome": {"type": "Property", "value": "Largo"}}


@pytest.fixture(autouse=True)
def apart(monkeypatch):
    """Others are asked from a thread of its own: in the one of the tests a browser's loop may be running."""
    run = asyncio.run
    with ThreadPoolExecutor(1) as thread:
        monkeypatch.setattr(joining.asyncio, "run", lambda work: thread.submit(run, work).result())
        yield


@pytest.fixture
def tenant(broker):
    return tenancy.by_slug(broker.base_url.path.split("/")[1])


def guarded(answer):
    """Only who comes with the token is answered."""

    def check(asked):
        if asked.headers.get("Authorization") != "Bearer abc":
            return 401, {"title": "no"}
        return answer(asked) if callable(answer) else answer

    return check


@pytest.fixture
def newest(source):
    other = source()
    other.serve(BIN, SPOT)
    listed = [
        {"id": "x:1", "type": "EntityType", "typeName": "Contentor", "attributeNames": ["dono", "nivel"]},
        {"id": "x:2", "type": "EntityType", "typeName": "Lugar", "attributeNames": ["nome"]},
        {"id": "x:3", "type": "EntityType", "typeName": "Vazio", "attributeNames": ["nada"]},
        {"id": "x:4", "type": "EntityType", "typeName": "https://smartdatamodels.org/dataModel.Environment/NoiseLevelObserved", "attributeNames": []},
    ]
    other.answers["GET", "/types"] = (200, listed)
    other.answers["GET", "/temporal/entities"] = (200, [])
    other.answers = {key: guarded(answer) for key, answer in other.answers.items()}
    return other


def look(here, other, **more):
    return joining.look_at_broker(here, Broker("Alheio", other.url, **more))


def test_what_would_come_is_seen_before(tenant, newest):
    found = look(tenant, newest, token="abc", tenant="cidade")
    assert [(one.type, one.attributes, one.count) for one in found.offer.types] == [("Contentor", ("dono", "nivel"), 1), ("Lugar", ("nome",), 1)]
    assert [what for what, _reason, _more in found.offer.refused] == ["Vazio", "https://smartdatamodels.org/dataModel.Environment/NoiseLevelObserved"]
    assert (found.local, found.past) == (True, True)
    assert {asked.headers["NGSILD-Tenant"] for asked in newest.asked} == {"cidade"}
    with pytest.raises(Unusable, match="HTTP 401"):
        look(tenant, newest, token="outro")


def test_what_was_chosen_comes_and_ends(broker, tenant, newest):
    with database.scope(tenant.id):
        number, machine, _secret = joining.join_broker(
            database.current(), tenant, Broker("Alheio", newest.url, token="abc"), Terms(), ["Contentor"], ["nivel"], "CC-BY-4.0", person_id=None, by="ensaio"
        )
    assert machine is None
    headers = {"Accept": "application/json"}
    (one,) = broker.get("entities?type=Contentor&options=keyValues", headers=headers).json()
    assert (one["id"], one["nivel"]) == (BIN["id"], 40)
    assert newest.asked[-1].params["attrs"] == "nivel"
    assert broker.get("entities?type=Lugar", headers=headers).json() == []
    (told,) = broker.get("csourceRegistrations?type=Contentor", headers=headers).json()
    assert "abc" not in str(told)  # what lets us in there is not told here
    with database.scope(tenant.id):
        assert joining.end(database.current(), tenant, number, person_id=None, by="ensaio")
    assert broker.get("entities?type=Contentor", headers=headers).json() == []


def test_a_key_is_made_for_what_leaves(broker, tenant, newest):
    assert broker.post("entities", json={"id": "urn:x:Meu:1", "type": "Meu", "a": {"type": "Property", "value": 1}}).status_code == 201
    with database.scope(tenant.id):
        number, machine, secret = joining.join_broker(
            database.current(),
            tenant,
            Broker("Alheio", newest.url, token="abc"),
            Terms(("Meu",), ("a",)),
            ["Lugar"],
            None,
            "interno",
            person_id=None,
            by="ensaio",
        )
        assert secret
        assert set(machine.types) == {"Meu"}
        (one,) = joining.health(database.current(), tenant)
        assert (one.link.id, one.link.kind, one.link.gives.types, one.link.takes.types) == (number, "ngsild", ("Meu",), ("Lugar",))


def test_one_that_knows_little(broker, tenant, source):
    """It names types only, counts nothing, refuses `local` and knows no past."""
    other = source()
    other.serve(BIN)
    query = other.answers["GET", "/entities"]
    other.answers["GET", "/entities"] = lambda asked: (400, {"title": "local?"}) if "local" in asked.params else query(asked)[:2]
    other.answers["GET", "/types"] = (200, {"id": "urn:x:list", "type": "EntityTypeList", "typeList": ["Contentor"]})
    found = look(tenant, other)
    assert [(one.type, one.attributes, one.count) for one in found.offer.types] == [("Contentor", (), None)]
    assert (found.local, found.past) == (False, False)
    with database.scope(tenant.id):
        joining.join_broker(database.current(), tenant, Broker("Alheio", other.url), Terms(), ["Contentor"], [], "interno", person_id=None, by="ensaio")
    (one,) = broker.get("entities?type=Contentor&options=keyValues", headers={"Accept": "application/json"}).json()
    assert (one["nivel"], one["dono"]) == (40, "eu")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("ftp://broker.pt", "não serve"),
        ("http://127.0.0.1:1/", "não se consegue ligar"),
        ("http://169.254.169.254/", "MALHA_INTERNAL_HOSTS"),
        ("https://eu:senha@broker.pt/", "nome ou uma senha"),
        ("http://[", "não serve"),
        ("  ", "Falta o endereço"),
    ],
)
def test_what_is_no_broker_is_said(tenant, source, url, said):
    source()
    with pytest.raises(Unusable, match=said):
        joining.look_at_broker(tenant, Broker("Alheio", url))


@pytest.mark.parametrize(
    ("answer", "url", "said"),
    [
        ((401, {"error": "invalid_client"}), "", "não conhece este convite"),
        ((500, {}), "", "HTTP 500"),
        (None, "http://127.0.0.1:1", "não se consegue ligar"),
        (None, "http://169.254.169.254", "MALHA_INTERNAL_HOSTS"),
        (None, "http://nao-existe.invalid", "nao-existe.invalid"),
    ],
)
def test_why_an_invitation_does_not_serve_is_said(tenant, source, answer, url, said):
    other = source()
    if answer is not None:
        other.answers["POST", "/nacao/identity/o/api/token"] = answer
    with pytest.raises(Unusable) as told:
        joining.look(tenant, Invitation("Nação", url or other.url.removesuffix("/ngsi-ld/v1"), "nacao", "id", "segredo"))
    text = language.explain(told.value, "pt-pt")
    assert said in text
    assert ".." not in text
    assert language.explain(told.value, "en") != text


def test_what_answers_something_else_is_said(tenant, source):
    other = source()
    with pytest.raises(Unusable, match="HTTP 404"):
        look(tenant, other)
    other.answers["GET", "/types"] = (200, b"<html>")
    with pytest.raises(Unusable, match="JSON"):
        look(tenant, other)
    other.answers["GET", "/types"] = (200, {"hello": "world"})
    with pytest.raises(Unusable, match="que tipos tem"):
        look(tenant, other)
    with pytest.raises(Unusable, match="@context"):
        look(tenant, other, context=f"{other.url}/nenhum.jsonld")


def test_what_is_asked_for_in_vain_is_said(tenant, newest, monkeypatch):
    for said in ({"token": "abc\r\nX: y"}, {"token": "abc", "tenant": "a\nb"}):
        with pytest.raises(Unusable, match="uma só linha"):
            look(tenant, newest, **said)
    assert newest.asked == []
    with database.scope(tenant.id), pytest.raises(Unusable, match="Nada: o broker não o tem"):
        joining.join_broker(
            database.current(), tenant, Broker("Alheio", newest.url, token="abc"), Terms(), ["Lugar", "Nada"], None, "interno", person_id=None, by="ensaio"
        )
    monkeypatch.setattr(brokers, "MOST_TYPES", 1)
    found = look(tenant, newest, token="abc")
    assert [one.type for one in found.offer.types] == ["Contentor"]
    assert {reason for _, reason, _ in found.offer.refused} == {brokers.BEYOND}
