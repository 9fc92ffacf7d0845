"""GS CIM 009 §4.3.6.8: `Prefer: ngsi-ld=1.x` answers in the words of an earlier version; 203 where that changed something."""

import pytest

VOCAB = {"type": "VocabProperty", "vocab": "aberto"}


@pytest.fixture
def kept(broker):
    entity = {
        "id": "urn:x:Contentor:1", "type": ["Contentor", "Coisa"], "scope": "/a", "nivel": {"type": "Property", "value": 3}, "estado": VOCAB,
        "nome": {"type": "LanguageProperty", "languageMap": {"pt": "Vidrão"}}, "extra": {"type": "JsonProperty", "json": {"a": 1}},
        "partes": {"type": "ListRelationship", "objectList": [{"object": "urn:x:a"}, {"object": "urn:x:b"}]},
    }  # fmt: skip
    assert broker.post("entities", json=entity).status_code == 201
    return broker


def ask(broker, prefer, path="entities/urn:x:Contentor:1", **params):
    return broker.get(path, params=params, headers={"Prefer": prefer})


def test_what_is_newer_becomes_a_property(kept):
    answer = ask(kept, "ngsi-ld=1.5")
    assert (answer.status_code, answer.headers["Preference-Applied"]) == (203, "ngsi-ld=1.5")
    said = answer.json()
    assert said["estado"] == {"type": "Property", "value": "aberto"}
    assert said["extra"] == {"type": "Property", "value": {"a": 1}}
    assert said["partes"] == {"type": "Property", "value": ["urn:x:a", "urn:x:b"]}
    assert said["nome"]["type"] == "LanguageProperty"
    assert said["nivel"] == {"type": "Property", "value": 3}


def test_before_scopes_and_many_types(kept):
    said = ask(kept, "ngsi-ld=1.3").json()
    assert (said["type"], "scope" in said, said["nome"]) == ("Contentor", False, {"type": "Property", "value": {"pt": "Vidrão"}})


def test_nothing_changes_for_the_native_version(kept):
    answer = ask(kept, "ngsi-ld=1.9")
    assert (answer.status_code, answer.headers["Preference-Applied"], answer.json()["estado"]) == (200, "ngsi-ld=1.9", VOCAB)
    one = ask(kept, "ngsi-ld=1.0", attrs="nivel")
    assert one.status_code == 203  # its types and its scope


@pytest.mark.parametrize("prefer", ["NGSI-LD=1.5", 'ngsi-ld="1.5"', "respond-async, ngsi-ld=1.5;q=0.1"])
def test_however_it_is_written(kept, prefer):
    answer = ask(kept, prefer, "entities", type="Contentor")
    assert (answer.status_code, answer.headers["Preference-Applied"], answer.json()[0]["estado"]["type"]) == (203, "ngsi-ld=1.5", "Property")


@pytest.mark.parametrize("prefer", ["ngsi-ld=2.0", "ngsi-ld=1.10", "body=json", "ngsi-ld=x"])
def test_an_unknown_version_is_no_preference(kept, prefer):
    answer = ask(kept, prefer)
    assert (answer.status_code, "Preference-Applied" in answer.headers) == (200, False)


def test_other_things_than_entities_stay(broker):
    said = {"id": "urn:x:s", "type": "Subscription", "entities": [{"type": "Contentor"}], "notification": {"endpoint": {"uri": "https://192.0.2.1/a"}}}
    assert broker.post("subscriptions", json=said).status_code in {201, 400}
    answer = ask(broker, "ngsi-ld=1.0", "subscriptions")
    assert (answer.status_code, answer.headers["Preference-Applied"]) == (200, "ngsi-ld=1.0")
