"""The express lane answers as the usual road does, and writes the same."""

import asyncio

import httpx
import pytest
from django.conf import settings

from malha.context.broker import auth, express, pool, rendering, turns
from malha.foundation.access.contracts import Capability
from malha.foundation.database import service as database
from malha.foundation.tokens import service as tokens
from malha.project import plane
from malha.vocabulary.models import service as models
from malha.vocabulary.models.contracts import DataModel, Label, ModelProperty

THING = {
    "id": "urn:x:Thing:1", "type": "Thing", "name": "Praça", "level": {"type": "Property", "value": 1, "observedAt": "2026-11-20T10:00:00Z", "unitCode": "CEL"},
    "both": [{"type": "Property", "value": 1, "datasetId": "urn:x:a"}, {"type": "Property", "value": 2, "datasetId": "urn:x:b"}],
    "place": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [-8.6, 41.1]}},
}  # fmt: skip
AT = "entities/urn:x:Thing:1"
#: verb, path, body
WALK = [
    ("POST", "entities", THING),
    ("POST", "entities", THING),
    ("GET", AT, None),
    ("GET", AT + "?options=keyValues", None),
    ("GET", AT + "?attrs=level", None),
    ("GET", AT + "?attrs=nothing", None),
    ("GET", AT + "?type=Other", None),
    ("GET", AT + "?join=inline", None),
    ("GET", AT + "?unknown=1", None),
    ("GET", "entities/urn:x:Thing:2", None),
    ("GET", "entities/no-uri", None),
    ("PATCH", AT + "/attrs/level", {"value": 2, "observedAt": "2026-11-20T11:00:00Z"}),
    ("PATCH", AT + "/attrs/level", {"value": 2, "observedAt": "2026-11-20T11:00:00Z"}),
    ("PATCH", AT + "/attrs/level", {"value": 9, "observedAt": "2026-11-20T09:00:00Z"}),
    ("PATCH", AT + "/attrs/both", {"value": 7, "datasetId": "urn:x:b"}),
    ("PATCH", AT + "/attrs/nothing", {"value": 2}),
    ("PATCH", AT + "/attrs/level", {"type": "Relationship", "object": "urn:x"}),
    ("PATCH", AT + "/attrs/place", {"value": {"type": "Point", "coordinates": [-8.7, 41.2]}}),
    ("PATCH", AT + "/attrs", {"level": {"type": "Property", "value": 3}, "other": {"type": "Property", "value": 4}}),
    ("POST", AT + "/attrs", {"more": {"type": "Property", "value": 5}}),
    ("POST", AT + "/attrs?options=noOverwrite", {"more": {"type": "Property", "value": 6}, "name": "Rua"}),
    ("PATCH", AT, {"level": {"value": 8}, "name": "Largo"}),
    ("PATCH", AT + "/attrs", {"other": "urn:ngsi-ld:null"}),
    ("POST", "entities", {"id": "urn:x:Thing:3", "type": "Thing", "bad": {"type": "Property"}}),
    ("POST", "entities", {"id": "urn:x:Thing:4", "type": "Thing", "scope": "/a/b"}),
    ("GET", "entities/urn:x:Thing:4", None),
    ("GET", AT, None),
]


def run(tenant, work, **token):
    """Run `work(client)` on a plane whose lane is open."""
    auth.forget()
    with database.connect(autocommit=True) as conn:
        key = tokens.issue(
            conn, settings.SECRET_KEY, subject="client:test", tenants=[tenant.id], capabilities=(Capability.DATA_READ, Capability.DATA_WRITE), **token
        )

    async def inside():
        await express.open_lane()
        try:
            transport = httpx.ASGITransport(plane.application(), raise_app_exceptions=False)
            async with httpx.AsyncClient(
                transport=transport, base_url=f"http://localhost/{tenant.slug}/ngsi-ld/v1/", headers={"Authorization": f"Bearer {key}"}, timeout=30
            ) as client:  # fmt: skip
                return await work(client)
        finally:
            await express.close_lane()

    try:
        return asyncio.run(inside())
    finally:
        pool.close()


def kept(tenant):
    """What a walk left behind: documents without stamps, history, events."""
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        stamps = "'createdAt', 'modifiedAt'"
        docs = conn.execute(f"SELECT uri, doc - ARRAY[{stamps}], name_key, scopes FROM entities ORDER BY uri").fetchall()
        history = conn.execute(
            "SELECT a.name, h.kind, h.num, h.txt, h.op, h.dataset_id <> 0, h.unit_id IS NOT NULL, h.received_at = h.observed_at FROM observation_hot h JOIN attribute a ON a.id = h.attr_id "
            "ORDER BY h.seq"
        ).fetchall()
        events = conn.execute("SELECT payload - 'ids' - 'observed_from' - 'observed_to', jsonb_array_length(payload -> 'ids') FROM outbox WHERE tenant_id = %s ORDER BY seq", [tenant.id]).fetchall()  # fmt: skip
    return [(uri, without_stamps(doc), key, scopes) for uri, doc, key, scopes in docs], sorted(history, key=str), events


def without_stamps(thing):
    if isinstance(thing, dict):
        return {key: without_stamps(value) for key, value in thing.items() if key not in {"createdAt", "modifiedAt"}}
    return [without_stamps(each) for each in thing] if isinstance(thing, list) else thing


async def walk(client):
    await client.get("entities/urn:x:Thing:0")  # the first request fills the memory
    answers = []
    for verb, path, body in WALK:
        answer = await client.request(verb, path, json=body)
        said = answer.json() if answer.content else {}
        answers.append((verb, path, answer.status_code, answer.headers.get("content-type"), answer.headers.get("location"), list(said.items())))
    return answers


def test_both_roads_answer_and_write_the_same(new_tenant, monkeypatch):
    usual, quick, taken = new_tenant(), new_tenant(), []
    with monkeypatch.context() as patched:
        patched.setattr(express, "lane", lambda: None)
        expected = run(usual, walk)
    fetch = express.Lane.fetch

    async def counted(lane, statement, params):
        taken.append(statement)
        return await fetch(lane, statement, params)

    monkeypatch.setattr(express.Lane, "fetch", counted)
    found = run(quick, walk)
    assert [tuple(str(part).replace(quick.slug, usual.slug) for part in one) for one in found] == [tuple(map(str, one)) for one in expected]
    assert kept(quick) == kept(usual)
    made, edited = (sum(f"entity_{what}(" in one for one in taken) for what in ("made", "edited"))
    assert made, "creates took the usual road"
    assert edited >= 3, "edits took the usual road"


def test_nobody_is_overwritten(new_tenant):
    tenant = new_tenant()

    async def work(client):
        body = {
            "id": "urn:x:Thing:1",
            "type": "Thing",
            **{f"a{n}": {"type": "Property", "value": 0} for n in range(10)},
            "sum": {"type": "Property", "value": {"x": 0}},
        }
        assert (await client.post("entities", json=body)).status_code == 201
        answers = await asyncio.gather(
            *(client.patch(f"{AT}/attrs/a{n % 10}", json={"value": n}) for n in range(40)),
            *(client.patch(AT, json={"sum": {"value": {f"m{n}": n}}}) for n in range(20)),
        )
        assert {answer.status_code for answer in answers} == {204}
        return (await client.get(AT + "?options=keyValues")).json()

    found = run(tenant, work)
    assert set(found["sum"]) == {"x", *(f"m{n}" for n in range(20))}
    assert all(found[f"a{n}"] % 10 == n for n in range(10))


def test_a_tenant_sees_and_changes_its_own_only(new_tenant):
    mine, theirs = new_tenant(), new_tenant()

    async def make(client):
        return (await client.post("entities", json=THING)).status_code

    async def look(client):
        await client.get(AT)
        seen = (await client.get(AT)).status_code
        changed = (await client.patch(AT + "/attrs/level", json={"value": 66})).status_code
        other = (await client.get(f"http://localhost/{theirs.slug}/ngsi-ld/v1/{AT}")).status_code
        return seen, changed, other

    assert run(theirs, make) == 201
    assert run(mine, look) == (404, 404, 403)


def test_types_beyond_reach_are_refused(new_tenant):
    tenant = new_tenant()

    async def work(client):
        await client.get(AT)
        return [
            (await client.post("entities", json=THING)).status_code,
            (await client.post("entities", json=THING | {"type": "Other"})).status_code,
            (await client.get(AT)).status_code,
        ]

    assert run(tenant, work, types=["Other"]) == [403, 201, 200]


def test_beyond_so_many_who_wait_others_are_told_to_come_back(new_tenant, monkeypatch):
    monkeypatch.setattr(turns, "WAITING", 3)
    tenant = new_tenant()

    async def work(client):
        await client.post("entities", json=THING)
        await client.get(AT)
        answers = await asyncio.gather(*(client.get(AT) for _ in range(60)))
        return [(answer.status_code, answer.headers.get("retry-after")) for answer in answers]

    found = run(tenant, work)
    assert set(found) == {(200, None), (503, "1")}


@pytest.mark.parametrize("verb", ["GET", "PATCH"])
def test_without_a_token_nobody_passes(new_tenant, verb):
    async def work(client):
        return (await client.request(verb, f"{AT}/attrs/level" if verb == "PATCH" else AT, json={"value": 1}, headers={"Authorization": ""})).status_code

    assert run(new_tenant(), work) == 401


def test_what_is_changed_again_is_not_read_first(new_tenant, monkeypatch):
    tenant = new_tenant()
    read: list[str] = []
    named = express.named

    async def noted(here, who, uri):
        read.append(uri)
        return await named(here, who, uri)

    monkeypatch.setattr(express, "named", noted)

    def change(n):
        return {"value": n, "observedAt": f"2026-11-20T12:00:{n:02}Z"}

    async def work(client):
        await client.post("entities", json=THING)
        said = [(await client.patch(AT + "/attrs/level", json=change(n))).status_code for n in (2, 3)]
        assert said == [204, 204]
        assert len(read) <= 1  # not even once where memory told who asks in time for the creation
        with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):  # somebody else, whom this process does not hear of
            doc = """doc - 'name' || '{"more": {"type": "Property", "value": 1}}' || jsonb_build_object('level', doc -> 'level' || '{"value": 9}')"""
            conn.execute(f"UPDATE entities SET doc = {doc}, modified_at = now() WHERE tenant_id = %s", [tenant.id])
        assert (await client.patch(AT + "/attrs/more", json={"value": 2})).status_code == 204
        assert (await client.patch(AT + "/attrs/name", json={"value": "Largo"})).status_code == 404
        assert (await client.patch(AT + "/attrs/level", json=change(3))).status_code == 204  # what was remembered said so already, what is there does not
        with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
            conn.execute("UPDATE entities SET doc = jsonb_set(doc, '{level,value}', '5'), modified_at = now() WHERE tenant_id = %s", [tenant.id])
        assert (await client.patch(AT + "/attrs/level", json=change(3))).status_code == 204
        found = (await client.get(AT)).json()
        await client.delete(AT)
        return found, (await client.patch(AT + "/attrs/level", json=change(4))).status_code

    found, gone = run(tenant, work)
    assert (found["level"]["value"], found["more"]["value"], "name" in found, gone) == (3, 2, False, 404)
    history = [row for row in kept(tenant)[1] if row[0] == "level"]
    assert [row[2] for row in history if row[2] is not None] == [1, 2, 3, 3, 3]


def test_what_was_just_made_is_not_read_before_it_is_changed(new_tenant, monkeypatch):
    tenant = new_tenant()
    read: list[str] = []
    made: list[str] = []
    named, fetch = express.named, express.Lane.fetch

    async def noted(here, who, uri):
        read.append(uri)
        return await named(here, who, uri)

    async def fetched(lane, statement, params):
        if "entity_made" in statement:
            made.append(params["uri"])
        return await fetch(lane, statement, params)

    monkeypatch.setattr(express, "named", noted)
    monkeypatch.setattr(express.Lane, "fetch", fetched)

    async def make(client, first, more):
        for number in range(first, first + 50):  # the lane is taken as soon as memory tells who asks
            uri = f"urn:x:Thing:{number}"
            assert (await client.post("entities", json=THING | more | {"id": uri})).status_code == 201
            if uri in made:
                return uri
        raise AssertionError("creates took the usual road")

    async def work(client):
        scoped = await make(client, 100, {"scope": "/a"})
        for first in (200, 300, 400):  # a machine that does much else may lose the moment once
            plain = await make(client, first, {})
            known = [uri for _, uri in express.lane().rows.kept]
            assert (plain in known, scoped in known) == (True, False)
            for uri in (plain, scoped):
                assert (await client.patch(f"entities/{uri}/attrs/level", json={"value": 2, "observedAt": "2026-11-20T12:00:00Z"})).status_code == 204
            if plain not in read:
                break
        assert plain not in read
        return (await client.get(f"entities/{plain}")).json()

    found = run(tenant, work)
    assert (found["level"]["value"], found["place"]["value"]["coordinates"], found["both"][1]["value"]) == (2, [-8.6, 41.1], 2)


#: what is told of each is its document as it lies there, or is not, and why
AS_STORED = {
    "plain": THING, "bare": {}, "of two types": {"type": ["Thing", "Other"]}, "far": {"n": {"type": "Property", "value": "Ação “à” \\ \"createdBy\" \u0001"}},
    "deep": {"p": {"type": "Property", "value": {"x": [1.50, 1e3, True]}, "q": {"type": "Property", "value": 1}}},
    "saying so": {"p": {"type": "Property", "value": {"createdAt": "ontem"}}}, "changed": THING | {"p": {"type": "Property", "value": 1}},
}  # fmt: skip
READ = {
    "scoped": {"scope": "/a"}, "ending": {"expiresAt": "2099-01-01T00:00:00Z"}, "ending in part": {"p": {"type": "Property", "value": 1, "expiresAt": "2099-01-01T00:00:00Z"}},
    "shaped": {"location": {"type": "GeoProperty", "value": {"type": "LineString", "coordinates": [[-8.6, 41.1], [-8.7, 41.2]]}}},
    "about people": {"type": "Owner", "owner": "Ana", "level": 1},
}  # fmt: skip


def test_what_is_shown_as_it_is_stored_reads_as_on_the_usual_road(new_tenant, monkeypatch):
    tenant = new_tenant()
    words = Label("Dono", "Owner")
    with database.connect(autocommit=True) as conn, database.tenant_transaction(conn, [tenant.id]):
        models.create_model(conn, tenant.id, DataModel("Owner", "1.0.0", words, words, (ModelProperty("owner", personal=True), ModelProperty("level"))))
    uris = {what: f"urn:x:Thing:{number}" for number, what in enumerate((*AS_STORED, *READ))}
    shown: list[str] = []
    as_stored = rendering.as_stored

    def noted(uri, *rest):
        shown.append(uri)
        return as_stored(uri, *rest)

    monkeypatch.setattr(rendering, "as_stored", noted)

    async def work(client):
        for what, body in (AS_STORED | READ).items():
            if (await client.get(f"entities/{uris[what]}")).status_code == 404:
                answer = await client.post("entities", json={"type": "Thing"} | body | {"id": uris[what]})
                assert answer.status_code == 201, answer.text
                if what == "changed":
                    more = {
                        "p": {"type": "Property", "value": 2, "q": {"type": "Property", "value": 3}},
                        "both": THING["both"][::-1],
                        "new": {"value": {"modifiedAt": 1}},
                    }
                    answer = await client.post(f"entities/{uris[what]}/attrs", json=more)
                    assert answer.status_code == 204, answer.text
        found = []
        for uri in uris.values():
            for accept in ("application/ld+json", "application/json", "application/geo+json"):
                answer = await client.get(f"entities/{uri}", headers={"Accept": accept})
                found.append((answer.status_code, answer.headers["content-type"], answer.headers.get("link"), list(answer.json().items())))
        return found

    run(tenant, work)
    shown.clear()
    quick = run(tenant, work)
    assert {uris[what] for what in AS_STORED} == set(shown)
    shown.clear()
    with monkeypatch.context() as patched:
        patched.setattr(express, "lane", lambda: None)
        assert run(tenant, work) == quick
    assert shown == []
    texts = [str(members) for _, _, _, members in quick]
    assert [sum(f"'{stamp}'" in text for text in texts) for stamp in ("createdAt", "modifiedAt")] == [3, 3]  # values of their senders
    assert [members for _, kind, _, members in quick if kind == "application/json" and ("type", "Owner") in members] == [
        [("id", uris["about people"]), ("type", "Owner"), ("level", {"type": "Property", "value": 1})]
    ]


def test_other_words_and_forms_are_not_those_of_the_store(new_tenant, monkeypatch):
    tenant = new_tenant()
    monkeypatch.setattr(rendering, "as_stored", lambda *_: pytest.fail("shown as it is stored"))

    async def work(client):
        await client.post("entities", json=THING | {"words": {"type": "LanguageProperty", "languageMap": {"pt": "um"}}})
        found = []
        for query, headers in (
            ("?options=sysAttrs", {}), ("?options=keyValues", {}), ("?attrs=level", {}), ("?pick=id,level", {}), ("?omit=level", {}), ("?lang=pt", {}), ("?datasetId=urn:x:a", {}),
            ("", {"Prefer": "ngsi-ld=1.3"}), ("", {"Link": '<https://smart-data-models.github.io/dataModel.Environment/context.jsonld>; rel="http://www.w3.org/ns/json-ld#context"'}),
        ):  # fmt: skip
            answer = await client.get(AT + query, headers=headers)
            found.append(answer.status_code)
        return found

    assert set(run(tenant, work)) <= {200, 203}
