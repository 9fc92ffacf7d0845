from datetime import UTC, datetime, timedelta

import pytest

from malha.context.store import service
from malha.context.store.contracts import (
    Column,
    EntityDocument,
    EntityNotFound,
    EntityQuery,
    EntityTable,
    GeoRelation,
    UnusableEntity,
    UnusableQuery,
    WriteMode,
    WriteOptions,
    WriteOutcome,
)
from malha.foundation.database import service as database

T0 = datetime(2026, 11, 20, 10, tzinfo=UTC)


@pytest.fixture
def town(new_tenant):
    """(connection in an open transaction, tenant id)."""
    tenant = new_tenant()
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        yield conn, tenant.id
        raise_rollback(conn)


def raise_rollback(conn):
    conn.execute("SELECT set_config('malha.tenants', '', true)")


def table(*rows, **columns):
    """rows: (uri, minutes); columns: name=values."""
    made = [Column(name, values, unit="CEL" if name == "temperature" else "") for name, values in columns.items()]
    return EntityTable("WeatherObserved", [uri for uri, _ in rows], made, [T0 + timedelta(minutes=m) for _, m in rows])


def hot(conn, tenant_id, name="temperature"):
    return [
        (row[0], row[1], (row[2] - T0).total_seconds() / 60)
        for row in conn.execute(
            "SELECT entity_id, coalesce(num::text, txt), observed_at FROM observation_hot h JOIN attribute a ON a.id = h.attr_id "
            "WHERE tenant_id = %s AND a.name = %s ORDER BY observed_at, seq",
            [tenant_id, name],
        )
    ]


def test_it_works(town):
    conn, tenant = town
    outcome = service.upsert_table(conn, tenant, table(("urn:x:W:1", 0), ("urn:x:W:2", 0), temperature=[21.5, 19], name=["Praça da Sé", None]))
    assert outcome == WriteOutcome(created=2, observations=3)
    entity = service.retrieve(conn, tenant, "urn:x:W:1")
    assert entity.types == ("WeatherObserved",)
    assert entity.attributes["temperature"] == {"type": "Property", "value": 21.5, "unitCode": "CEL", "observedAt": "2026-11-20T10:00:00Z"}
    assert "name" not in service.retrieve(conn, tenant, "urn:x:W:2").attributes
    assert [e.uri for e in service.query(conn, [tenant], EntityQuery(text="praca se")).entities] == []
    assert [e.uri for e in service.query(conn, [tenant], EntityQuery(text="PRACA DA")).entities] == ["urn:x:W:1"]
    assert service.types(conn, tenant)[0][:2] == ("WeatherObserved", 2)


def test_same_batch_twice_changes_nothing(town):
    conn, tenant = town
    batch = lambda: table(("urn:x:W:1", 0), ("urn:x:W:1", 5), ("urn:x:W:2", 0), temperature=[21.5, 22, 19], name=['a"b', "c\\d", None])  # noqa: E731
    service.upsert_table(conn, tenant, batch())
    before = conn.execute("SELECT count(*) FROM outbox").fetchone()
    assert service.upsert_table(conn, tenant, batch()) == WriteOutcome(unchanged=2)
    assert conn.execute("SELECT count(*) FROM outbox").fetchone() == before
    assert len(hot(conn, tenant)) == 3


def test_rows_of_one_entity_make_one_observation_each_in_observed_order(town):
    conn, tenant = town
    service.upsert_table(conn, tenant, table(("urn:x:W:1", 10), ("urn:x:W:1", 0), ("urn:x:W:1", 5), temperature=[3, 1, 2]))
    assert [value for _, value, _ in hot(conn, tenant)] == ["1", "2", "3"]
    assert service.retrieve(conn, tenant, "urn:x:W:1").value("temperature") == 3


def test_late_value_is_history_only_and_correction_changes_state(town):
    conn, tenant = town
    service.upsert_table(conn, tenant, table(("urn:x:W:1", 10), temperature=[3]))
    assert service.upsert_table(conn, tenant, table(("urn:x:W:1", 5), temperature=[1])) == WriteOutcome(unchanged=1, observations=1)
    assert service.upsert_table(conn, tenant, table(("urn:x:W:1", 5), temperature=[1])) == WriteOutcome(unchanged=1)
    assert service.retrieve(conn, tenant, "urn:x:W:1").value("temperature") == 3
    assert service.upsert_table(conn, tenant, table(("urn:x:W:1", 10), temperature=[4])) == WriteOutcome(updated=1, observations=1)
    assert service.retrieve(conn, tenant, "urn:x:W:1").value("temperature") == 4


def test_values_without_time_are_compared_with_the_present(town):
    conn, tenant = town
    batch = EntityTable("School", ["urn:x:S:1"], [Column("name", ["Escola"]), Column("places", [30])])
    assert service.upsert_table(conn, tenant, batch).created == 1
    assert service.upsert_table(conn, tenant, batch) == WriteOutcome(unchanged=1)
    again = EntityTable("School", ["urn:x:S:1"], [Column("name", ["Escola"]), Column("places", [31])])
    assert service.upsert_table(conn, tenant, again) == WriteOutcome(updated=1, observations=1)


def test_kinds_of_values(town):
    conn, tenant = town
    point = {"type": "Point", "coordinates": [-8.6, 41.1]}
    square = {"type": "Polygon", "coordinates": [[[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0], [0.0, 0.0]]]}
    values = {
        "on": ([True, None], "Property"), "owner": (["urn:x:O:1", None], "Relationship"), "location": ([point, square], "GeoProperty"),
        "title": ([{"pt": "Água", "en": "Water"}, None], "LanguageProperty"), "tags": ([["a", "b"], []], "Property"), "when": ([T0, None], "Property"),
    }  # fmt: skip
    batch = EntityTable("Thing", ["urn:x:T:1", "urn:x:T:2"], [Column(name, v, kind) for name, (v, kind) in values.items()])
    assert service.upsert_table(conn, tenant, batch).observations == 8
    one, two = service.retrieve(conn, tenant, "urn:x:T:1"), service.retrieve(conn, tenant, "urn:x:T:2")
    assert one.location == point
    assert two.location == square
    assert one.value("on") is True
    assert one.attributes["owner"] == {"type": "Relationship", "object": "urn:x:O:1"}
    assert one.attributes["when"]["value"] == "2026-11-20T10:00:00Z"
    assert [v for _, v, _ in hot(conn, tenant, "on")] == ["1"]
    assert service.upsert_table(conn, tenant, batch) == WriteOutcome(unchanged=2)
    stored = conn.execute("SELECT doc -> 'location' ? 'value', geom IS NOT NULL FROM entities WHERE tenant_id = %s ORDER BY id", [tenant]).fetchall()
    assert stored == [(True, False), (False, True)]


def test_what_cannot_be_stored_is_named_and_the_rest_goes_in(town):
    conn, tenant = town
    batch = EntityTable(
        "Thing",
        ["urn:x:T:1", "no uri", "urn:x:T:2"],
        [
            Column("value", [1.0, 2.0, float("nan")]),
            Column("text", ["a\x00b", "c", "d"]),
            Column("location", [b"\x01\x02", None, {"type": "Point", "coordinates": [200, 1]}], "GeoProperty"),
        ],
    )
    outcome = service.upsert_table(conn, tenant, batch)
    assert outcome.created == 2
    assert sorted(uri for uri, _ in outcome.refused) == ["no uri", "urn:x:T:1", "urn:x:T:1", "urn:x:T:2", "urn:x:T:2"]
    assert service.retrieve(conn, tenant, "urn:x:T:2").attributes == {"text": {"type": "Property", "value": "d"}}
    with pytest.raises(UnusableEntity):
        service.upsert_table(conn, tenant, EntityTable("Thing", ["urn:x:T:1"], [Column("a", [1, 2])]))


def test_documents_merge_instances_and_take_attributes_away(town):
    conn, tenant = town
    first = {
        "speed": [{"type": "Property", "value": 1}, {"type": "Property", "value": 2, "datasetId": "urn:x:ds"}],
        "b": {"type": "Property", "value": "x", "note": {"type": "Property", "value": 1}},
    }
    assert service.upsert_documents(conn, tenant, [EntityDocument("urn:x:C:1", ("Car",), first)]) == WriteOutcome(created=1, observations=3)
    assert service.upsert_documents(conn, tenant, [EntityDocument("urn:x:C:1", ("Car",), first)]) == WriteOutcome(unchanged=1)
    change = {"speed": {"type": "Property", "value": 5, "datasetId": "urn:x:ds"}, "b": None}
    assert service.upsert_documents(conn, tenant, [EntityDocument("urn:x:C:1", ("Bus",), change)]) == WriteOutcome(updated=1, observations=2)
    entity = service.retrieve(conn, tenant, "urn:x:C:1")
    assert entity.types == ("Car", "Bus")
    assert [i["value"] for i in entity.attributes["speed"]] == [1, 5]
    assert "b" not in entity.attributes
    replaced = WriteOptions(mode=WriteMode.REPLACE)
    service.upsert_documents(conn, tenant, [EntityDocument("urn:x:C:1", ("Car",), {"c": {"type": "Property", "value": 1}})], replaced)
    assert list(service.retrieve(conn, tenant, "urn:x:C:1").attributes) == ["c"]
    assert service.delete(conn, tenant, ["urn:x:C:1", "urn:x:C:2"]) == 1
    with pytest.raises(EntityNotFound):
        service.retrieve(conn, tenant, "urn:x:C:1")


def test_undo_gives_back_what_was(town):
    conn, tenant = town
    square = {"type": "Polygon", "coordinates": [[[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0], [0.0, 0.0]]]}
    service.upsert_table(conn, tenant, table(("urn:x:W:1", 0), ("urn:x:W:3", 0), temperature=[10, 30], location=[None, None]))
    service.upsert_documents(conn, tenant, [EntityDocument("urn:x:W:1", ("W",), {"location": {"type": "GeoProperty", "value": square}})])
    before = service.retrieve(conn, tenant, "urn:x:W:1").attributes
    load = WriteOptions(run_id=7, live=False)
    service.upsert_table(conn, tenant, table(("urn:x:W:1", 5), ("urn:x:W:2", 5), ("urn:x:W:3", 5), temperature=[11, 20, 31], name=["n", "m", "o"]), load)
    place = {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [1, 1]}}
    service.upsert_documents(conn, tenant, [EntityDocument("urn:x:W:1", ("W",), {"location": place})], load)
    service.upsert_table(conn, tenant, table(("urn:x:W:3", 9), temperature=[99]))  # somebody else, later
    assert {e.uri for e in service.query(conn, [tenant], EntityQuery(run_id=7)).entities} == {"urn:x:W:1", "urn:x:W:2", "urn:x:W:3"}
    assert service.undo_run(conn, tenant, 7) == (1, 2, 7)
    assert service.retrieve(conn, tenant, "urn:x:W:1").attributes == before
    assert conn.execute("SELECT bbox::text FROM entities WHERE uri = 'urn:x:W:1' AND tenant_id = %s", [tenant]).fetchone() == ("(2,2),(0,0)",)
    third = service.retrieve(conn, tenant, "urn:x:W:3").attributes
    assert third["temperature"]["value"] == 99
    assert "name" not in third
    assert [v for _, v, _ in hot(conn, tenant)] == ["10", "30", "99"]
    assert conn.execute("SELECT count(*) FROM outbox WHERE name = 'run.undone' AND tenant_id = %s", [tenant]).fetchone() == (1,)


def test_event_tells_of_the_batch(town):
    conn, tenant = town
    service.upsert_table(conn, tenant, table(("urn:x:W:1", 0), ("urn:x:W:2", 7), temperature=[1, 2]), WriteOptions(run_id=3, live=False))
    name, payload = conn.execute("SELECT name, payload FROM outbox WHERE tenant_id = %s", [tenant]).fetchone()
    assert name == "entities.changed"
    assert len(payload.pop("ids")) == 2
    assert payload == {
        "type": "WeatherObserved", "count": 2, "attrs": ["temperature"], "live": False, "run_id": 3,
        "observed_from": "2026-11-20T10:00:00Z", "observed_to": "2026-11-20T10:07:00Z",
    }  # fmt: skip


def test_places(town):
    conn, tenant = town
    points = [(0.0, 0.0), (0.001, 0.0), (1.0, 1.0), (5.0, 5.0)]
    shapes = [{"type": "Point", "coordinates": list(p)} for p in points]
    shapes.append({"type": "LineString", "coordinates": [[0.5, -1.0], [0.5, 1.0]]})
    service.upsert_table(conn, tenant, EntityTable("P", [f"urn:x:P:{n}" for n in range(5)], [Column("location", shapes, "GeoProperty")]))
    ask = lambda **q: [e.uri[-1] for e in service.query(conn, [tenant], EntityQuery(types=("P",), **q)).entities]  # noqa: E731
    triangle = {"type": "Polygon", "coordinates": [[[-1, -1], [3, -1], [-1, 3], [-1, -1]]]}
    assert ask(bbox=(-0.5, -0.5, 0.6, 0.5)) == ["0", "1", "4"]
    assert ask(near=(0.0, 0.0, 50)) == ["0"]
    assert ask(near=(0.0, 0.0, 112)) == ["0", "1"]
    assert ask(within=triangle) == ["0", "1", "4"]  # (1, 1) lies on its edge
    assert ask(geo=GeoRelation("intersects", triangle)) == ["0", "1", "2", "4"]
    assert ask(geo=GeoRelation("disjoint", triangle)) == ["3"]
    assert ask(near=(0.0, 0.0, 100_000), limit=1, offset=1) == ["1"]
    page = service.query(conn, [tenant], EntityQuery(types=("P",), within=triangle, limit=1, count=True))
    assert (page.total, len(page.entities)) == (3, 1)


@pytest.mark.parametrize(
    ("q", "found"),
    [
        ("a", "123"), ("zz", ""), ("a==1", "1"), ("a!=1", "23"), ("a>1", "2"), ("a>=1", "12"), ("a==1..5", "12"), ("a==1,7,9", "1"), ('a=="x"', "3"),
        ("a==2;b", "2"), ("a==1|a==2", "12"), ("(a==1|a==2);b==true", "2"), ('n~="^Pon"', "1"), ("n!~=^Pon", "2"), ("n[pt]==Ponte", "1"), ("n[*]==Bridge", "1"),
        ("a.note==5", "2"), ("o[deep.er]==1", "3"), ("r==urn:x:O:1", "2"), ("t>2026-01-01T00:00:00Z", "3"), ("t==2026-02-01T00:00:00Z..2026-02-03T00:00:00Z", "3"),
        ("a.observedAt>=2026-03-01T00:00:00Z", "1"), ("createdAt>2020-01-01T00:00:00Z", "123"), ("t", "3"), ("l==2", "2"), ("a.note", "2"), ('s=="\'); DROP TABLE entity;--"', ""),
    ],
)  # fmt: skip
def test_question(town, q, found):
    conn, tenant = town
    kind = "Property"
    docs = [
        {
            "a": {"type": kind, "value": 1, "observedAt": "2026-03-01T00:00:00Z"},
            "n": {"type": "LanguageProperty", "languageMap": {"pt": "Ponte", "en": "Bridge"}},
        },
        {
            "a": {"type": kind, "value": 2, "note": {"type": kind, "value": 5}},
            "b": {"type": kind, "value": True},
            "r": {"type": "Relationship", "object": "urn:x:O:1"},
            "l": {"type": kind, "value": [1, 2]},
            "n": {"type": kind, "value": "x"},
        },
        {
            "a": {"type": kind, "value": "x"},
            "o": {"type": kind, "value": {"deep": {"er": 1}}},
            "t": {"type": kind, "value": {"@type": "DateTime", "@value": "2026-02-02T00:00:00.000Z"}},
        },
    ]
    service.upsert_documents(conn, tenant, [EntityDocument(f"urn:x:E:{n}", ("E",), doc) for n, doc in enumerate(docs, 1)])
    page = service.query(conn, [tenant], EntityQuery(q=q, count=True))
    assert "".join(e.uri[-1] for e in page.entities) == found
    assert page.total == len(found)


@pytest.mark.parametrize("q", ["", "a==", "a=1", "(a", "a)", "a==1..", 'a=="x', "a~=(", ";a", "a[b", "a>1..2", "(" * 40 + "a" + ")" * 40])
def test_question_that_cannot_be_read(town, q):
    conn, tenant = town
    if q:
        with pytest.raises(UnusableQuery):
            service.query(conn, [tenant], EntityQuery(q=q))


def test_pages_and_other_terms(town):
    conn, tenant = town
    service.upsert_table(conn, tenant, table(*((f"urn:x:W:{n}", 0) for n in range(9)), temperature=list(range(9))))
    walk, after = [], 0
    while page := service.query(conn, [tenant], EntityQuery(types=("WeatherObserved",), limit=4, after_id=after)).entities:
        walk += [e.value("temperature") for e in page]
        after = page[-1].id
    assert walk == list(range(9))
    assert service.query(conn, [tenant], EntityQuery(id_pattern="W:[12]$", count=True)).total == 2
    assert service.query(conn, [tenant], EntityQuery(uris=("urn:x:W:3",))).entities[0].value("temperature") == 3
    assert service.query(conn, [tenant], EntityQuery(attrs=("nothing",))).entities == []
    assert service.query(conn, [tenant], EntityQuery(types=("Nothing",), count=True)).total == 0
    with pytest.raises(UnusableQuery):
        service.query(conn, [tenant], EntityQuery(id_pattern="("))
