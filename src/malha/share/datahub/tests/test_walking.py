from dataclasses import replace
from datetime import timedelta

import pytest

from malha.context.store import service as store
from malha.context.store.contracts import Column, EntityTable
from malha.foundation.database import service as database
from malha.history.lake import service as lake
from malha.share.datahub import tables
from malha.share.datahub.tests.town import START, write


def observed(tenant, names, hours, value):
    """One PM10 and one note an hour of each of these, whose numbers have another order than their names."""
    with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
        for hour in hours:
            uris = [f"urn:x:AirQualityObserved:{name}" for name in names]
            columns = [Column("pm10", [value + hour] * len(uris), unit="GQ"), Column("note", [f"à {hour}"] * len(uris))]
            store.upsert_table(conn, tenant.id, EntityTable("AirQualityObserved", uris, columns, [START + timedelta(hours=hour)] * len(uris)))


def walked(client, address, size):
    found = []
    while address:
        answer = client.get(address, headers={"Prefer": f"odata.maxpagesize={size}"})
        assert answer.status_code == 200, answer.text
        found += answer.json()["value"]
        address = answer.json().get("@odata.nextLink")
    return found


@pytest.mark.parametrize("kind", ["series", "hourly", "daily"])
def test_pages_of_any_size_are_the_whole_in_its_order(client, new_tenant, kind):
    """Of the lake, of what is hot over it, and of both: late rows, a corrected value, an entity that only the hot rows know."""
    town = new_tenant()
    observed(town, "gcfade", range(4), 1.0)
    lake.compact(town.id)
    key = ["attribute", "entity", "instance", "observedAt"] if kind == "series" else ["attribute", "entity", "instance", "start", "unit"]
    ours, name = client.of(town), f"odata/AirQualityObserved_{kind}"
    for late in (False, True):
        if late:
            observed(town, "cbz", [1, 5], 9.0)
            tables.forget()
        every = walked(ours, name, 10_000)
        assert [[row[part] for part in key] for row in every] == sorted([row[part] for part in key] for row in every)
        assert len(every) > 5
        for size in (1, 3, 7):
            assert walked(ours, name, size) == every
    corrected = [row for row in every if row["entity"][-1] == "c" and row["attribute"] == "pm10"]
    assert (corrected[1]["value"] if kind == "series" else corrected[1 if kind == "hourly" else 0]["maximum"]) == {
        "series": 10.0,
        "hourly": 10.0,
        "daily": 14.0,
    }[kind]


def test_a_filter_is_walked_too(client, new_tenant):
    town = new_tenant()
    observed(town, "gcfade", range(4), 1.0)
    lake.compact(town.id)
    ours = client.of(town)
    for asked, count in (
        ("value gt 2", 12), ("attribute eq 'pm10' and entity eq 'urn:x:AirQualityObserved:a'", 4), ("entity in ('urn:x:AirQualityObserved:a','urn:x:nada')", 8),
        ("attribute eq 'pm10' or entity eq 'urn:x:AirQualityObserved:a'", 28), ("entity eq 'x'", 0), ("entity eq 5", None), ("entity eq null", 0),
    ):  # fmt: skip
        address = f"odata/AirQualityObserved_series?$filter={asked}"
        if count is None:
            assert ours.get(address).status_code == 400
        else:
            assert len(walked(ours, address, 3)) == count, asked


def test_a_walk_goes_on_after_what_was_compacted_meanwhile(client, new_tenant):
    town = new_tenant()
    observed(town, "ba", range(3), 1.0)
    lake.compact(town.id)
    ours = client.of(town)
    first = ours.get("odata/AirQualityObserved_series", headers={"Prefer": "odata.maxpagesize=5"}).json()
    observed(town, "c", [0], 2.0)
    lake.compact(town.id)
    rest = walked(ours, first["@odata.nextLink"], 5)
    assert len(first["value"]) + len(rest) == 14
    assert {row["entity"][-1] for row in rest} == {"a", "b", "c"}


def test_columns_beyond_the_model_are_found_when_they_come(client, new_tenant, monkeypatch):
    """What changed is looked at again, not everything; what has another type by now is text."""
    town = new_tenant()
    write(town, ("urn:x:Thing:1", "Thing", {"size": {"type": "Property", "value": 5}}))
    ours = client.of(town)
    assert ours.get("odata/Thing").json()["value"][0]["size"] == 5
    write(town, ("urn:x:Thing:2", "Thing", {"size": {"type": "Property", "value": "grande"}, "colour": {"type": "Property", "value": "azul"}}))
    assert "colour" not in ours.get("odata/Thing").json()["value"][1]
    monkeypatch.setattr(tables, "SEEN_SECONDS", -1.0)
    for one in list(tables._seen):
        tables._seen[one] = replace(tables._seen[one], until=0.0)
    rows = ours.get("odata/Thing").json()["value"]
    assert [row["size"] for row in rows] == ["5", "grande"]
    assert rows[1]["colour"] == "azul"
