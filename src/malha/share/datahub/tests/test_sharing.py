import csv
import io
import json
import time
from urllib.parse import urlsplit

import pyarrow.parquet as pq
import pytest

from malha.context.store import service as store
from malha.foundation.access.contracts import RoleName
from malha.foundation.database import service as database
from malha.history.lake import service as lake
from malha.share.datahub import files, signing
from malha.share.datahub.tests.town import lines, write


def at(town, schema="agora", table="AirQualityObserved"):
    return f"delta-sharing/shares/{town.slug}/schemas/{schema}/tables/{table}"


def fetched(client, address):
    answer = client.get(urlsplit(address).path)
    assert answer.status_code == 200, answer.text
    return pq.read_table(io.BytesIO(answer.content))


def test_it_works(client, town):
    ours = client.of(town)
    assert [one["name"] for one in ours.get("delta-sharing/shares").json()["items"]] == [town.slug]
    assert [one["name"] for one in ours.get(f"delta-sharing/shares/{town.slug}/schemas").json()["items"]] == ["agora", "hora", "dia", "valores"]
    every = ours.get(f"delta-sharing/shares/{town.slug}/all-tables?maxResults=3").json()
    rest = ours.get(f"delta-sharing/shares/{town.slug}/all-tables", params={"pageToken": every["nextPageToken"]}).json()
    assert len(every["items"]) + len(rest["items"]) == 4
    answer = ours.post(f"{at(town)}/query", json={})
    assert int(answer.headers["delta-table-version"]) >= 1
    protocol, meta, one = lines(answer.text)
    assert protocol == {"protocol": {"minReaderVersion": 1}}
    assert {"name": "pm10", "type": "double"}.items() <= next(f for f in json.loads(meta["metaData"]["schemaString"])["fields"] if f["name"] == "pm10").items()
    table = fetched(client, one["file"]["url"])
    assert table.column("pm10").to_pylist() == [2.0, 3.0, 4.0, 5.0, None]
    assert json.loads(table.schema.metadata[b"geo"])["primary_column"] == "location"
    assert one["file"]["size"] == len(client.get(urlsplit(one["file"]["url"]).path).content)


def test_versions_grow_with_changes(client, town):
    ours = client.of(town)

    def version():
        return int(ours.get(f"{at(town)}/version").headers["delta-table-version"])

    first = version()
    assert version() == first
    write(town, ("urn:x:AirQualityObserved:00000", "AirQualityObserved", {"pm10": {"type": "Property", "value": 50}}))
    assert version() == first + 1
    assert ours.get(f"{at(town)}/metadata").headers["delta-table-version"] == str(first + 1)
    assert ours.post(f"{at(town)}/query", json={"version": first}).status_code == 400


def test_what_was_deleted_or_corrected_is_not_in_the_files(client, town):
    lake.compact(town.id)
    write(
        town,
        (
            "urn:x:AirQualityObserved:00001",
            "AirQualityObserved",
            {"pm10": {"type": "Property", "value": 100, "unitCode": "GQ", "observedAt": "2026-03-01T02:00:00Z"}},
        ),
    )
    with database.connect() as conn, database.tenant_transaction(conn, [town.id]):
        store.delete(conn, town.id, ["urn:x:AirQualityObserved:00000"])
    ours = client.of(town)
    for _ in range(2):
        found = [line["file"] for line in lines(ours.post(f"{at(town, 'valores')}/query", json={}).text) if "file" in line]
        rows = [row for one in found for row in fetched(client, one["url"]).to_pylist() if row["attribute"] == "pm10"]
        values = {(row["entity"][-1], row["observedAt"].hour): row["value"] for row in rows}
        assert values["1", 2] == 100
        assert not any(entity == "0" for entity, _ in values)
        assert len(rows) == 9
        hours = [
            row
            for line in lines(ours.post(f"{at(town, 'hora')}/query", json={}).text)
            if "file" in line
            for row in fetched(client, line["file"]["url"]).to_pylist()
        ]
        assert {row["sum"] for row in hours if row["entity"].endswith("1") and row["attribute"] == "pm10"} == {1.0, 2.0, 100.0}
        lake.compact(town.id)


def test_hints_choose_months(client, town):
    write(town, ("urn:x:AirQualityObserved:00001", "AirQualityObserved", {"pm10": {"type": "Property", "value": 9, "observedAt": "2026-05-02T02:00:00Z"}}))
    hints = {
        "op": "greaterThanOrEqual",
        "children": [
            {"op": "column", "name": "observedAt", "valueType": "timestamp"},
            {"op": "literal", "value": "2026-05-01T00:00:00Z", "valueType": "timestamp"},
        ],
    }
    ours = client.of(town)
    assert len([line for line in lines(ours.post(f"{at(town, 'valores')}/query", json={}).text) if "file" in line]) >= 2
    some = [line["file"] for line in lines(ours.post(f"{at(town, 'valores')}/query", json={"jsonPredicateHints": json.dumps(hints)}).text) if "file" in line]
    rows = [row for one in some for row in fetched(client, one["url"]).to_pylist()]
    assert rows
    assert min(row["observedAt"] for row in rows).month >= 5


def test_links_are_signed_and_end(client, town, key_of):
    text = key_of(town)
    headers = {"Authorization": f"Bearer {text}"}
    address = client.get(f"/{town.slug}/hub/AirQualityObserved.parquet?link=1", headers=headers).text.strip()
    path = urlsplit(address).path
    whole = client.get(path)
    assert whole.status_code == 200
    part = client.get(path, headers={"Range": "bytes=0-3"})
    assert (part.status_code, part.content) == (206, b"PAR1")
    assert part.headers["content-range"] == f"bytes 0-3/{len(whole.content)}"
    assert client.head(path).headers["content-length"] == str(len(whole.content))
    assert client.get(path, headers={"If-None-Match": whole.headers["etag"]}).status_code in {200, 304}
    assert client.get(path.replace(".parquet", "A.parquet")).status_code == 403
    old = signing.seal("file", {"t": town.id, "f": "x.parquet", "e": int(time.time()) - 1, "k": None})
    assert client.get(f"/{town.slug}/hub/files/{old}.parquet").status_code == 410
    for name in ("../../../secrets/postgres.json", "nada.parquet"):
        gone = signing.seal("file", {"t": town.id, "f": name, "e": int(time.time()) + 9, "k": None})
        assert client.get(f"/{town.slug}/hub/files/{gone}.parquet").status_code in {403, 410}
    with database.connect() as conn, database.tenant_transaction(conn, [town.id]):
        conn.execute("UPDATE hub_key SET revoked_at = now() WHERE tenant_id = %s", [town.id])
    assert client.get(path).status_code == 403


@pytest.mark.parametrize("path", ["delta-sharing/shares", "hub/AirQualityObserved.parquet"])
def test_who_has_no_right_gets_nothing(client, town, new_tenant, key_of, path):
    other = new_tenant()
    assert client.get(f"/{town.slug}/{path}").status_code == 401
    assert client.get(f"/{town.slug}/{path}", headers={"Authorization": f"Bearer {key_of(other)}"}).status_code == 403
    assert client.of(other).get(f"{at(town)}/version").status_code == 404
    assert client.of(town, role=RoleName.VIEWER).get(path).status_code == 401
    few = client.of(town, scope={"types": ["Incident"]})
    assert few.get(f"{at(town)}/metadata").status_code == 404
    assert few.get("hub/AirQualityObserved.parquet").status_code == 404


def test_old_files_are_swept(town, tmp_path, monkeypatch):
    place = tmp_path / "a.parquet"
    place.write_bytes(b"x")
    monkeypatch.setattr(files, "KEPT_SECONDS", -10)
    files._sweep(tmp_path)
    assert not place.exists()


def test_csv_is_whole_and_guarded(client, town):
    write(
        town,
        (
            "urn:x:AirQualityObserved:00000",
            "AirQualityObserved",
            {"stationName": {"type": "Property", "value": "=1+1"}, "note": {"type": "Property", "value": 'a,"b"'}},
        ),
    )
    answer = client.of(town).get("hub/AirQualityObserved.csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == 5
    assert rows[0]["stationName"] == "'=1+1"
    assert rows[0]["note"] == 'a,"b"'
    assert rows[1]["pm10"] == "3"
    assert rows[4]["pm10"] == ""
    assert rows[0]["longitude"] == "-8.6"
    again = client.of(town).get("hub/AirQualityObserved.csv", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304
