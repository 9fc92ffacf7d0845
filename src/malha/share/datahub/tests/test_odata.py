import xml.etree.ElementTree as ET
from urllib.parse import quote

import pytest

from malha.foundation.access.contracts import RoleName
from malha.foundation.database import service as database
from malha.history.lake import service as lake
from malha.share.datahub.tests.town import air, basic, write
from malha.share.questions import odata as filters
from malha.share.questions.contracts import BadFilter, NotSupported


def values(answer):
    assert answer.status_code == 200, answer.text
    return answer.json()["value"]


def test_it_works(client, town):
    ours = client.of(town)
    sets = {one["name"] for one in values(ours.get("odata/"))}
    assert sets == {"AirQualityObserved", "AirQualityObserved_hourly", "AirQualityObserved_daily", "AirQualityObserved_series"}
    answer = ours.get("odata/AirQualityObserved")
    assert answer.headers["odata-version"] == "4.0"
    assert answer.headers["content-type"] == "application/json;odata.metadata=minimal"
    rows = values(answer)
    assert [row["id"][-5:] for row in rows] == ["00000", "00001", "00002", "00003", "00004"]
    assert rows[1]["pm10"] == 3.0
    assert rows[4]["pm10"] == 2.0 or rows[4]["pm10"] is None
    assert rows[0]["longitude"] == -8.6
    assert rows[0]["location"] == "POINT (-8.6 41.1)"
    assert answer.json()["@odata.context"].endswith(f"/{town.slug}/odata/$metadata#AirQualityObserved")


def test_metadata_is_csdl(client, town):
    ours = client.of(town)
    answer = ours.get("odata/$metadata")
    assert answer.headers["content-type"].startswith("application/xml")
    edm = "{http://docs.oasis-open.org/odata/ns/edm}"
    tree = ET.fromstring(answer.text)
    types = {one.get("Name"): one for one in tree.iter(f"{edm}EntityType")}
    pm10 = next(p for p in types["AirQualityObserved"].iter(f"{edm}Property") if p.get("Name") == "pm10")
    assert pm10.get("Type") == "Edm.Double"
    json = ours.get("odata/$metadata", params={"$format": "json"}).json()
    assert json["Malha"]["AirQualityObserved"]["pm10"]["$Type"] == "Edm.Double"
    assert json["$EntityContainer"] == "Malha.Container"


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("pm10 gt 3", [2, 3]),
        ("pm10 ge 3 and pm10 lt 5", [1, 2]),
        ("not (pm10 ge 3)", [0]),
        ("pm10 eq null", [4]),
        ("pm10 ne null and pm10 add 1 eq 4", [1]),
        ("pm10 ne 3", [0, 2, 3, 4]),
        ("id in ('urn:x:AirQualityObserved:00001','urn:x:AirQualityObserved:00003')", [1, 3]),
        ("contains(stationName,'Á')", [0]),
        ("tolower(stationName) eq 'estação á'", [0]),
        ("startswith(id,'urn:x') and endswith(id,'2')", [2]),
        ("note eq 'n''1'", [1]),
        ("length(note) eq 3 and indexof(note,'3') eq 2", [3]),
        ("year(modifiedAt) ge 2020 and modifiedAt lt now()", [0, 1, 2, 3, 4]),
        ("modifiedAt gt 2020-01-01", [0, 1, 2, 3, 4]),
        ("createdAt lt 1999-12-31T23:59:59Z", []),
        ("pm10 mod 2 eq 0 and -pm10 lt 0", [0, 2]),
        ("pm10 div 0 eq 1", []),
        ("longitude gt -8.5985", [2, 3, 4]),
    ],
)
def test_filters(client, town, question, found):
    rows = values(client.of(town).get("odata/AirQualityObserved", params={"$filter": question, "$select": "id"}))
    assert [int(row["id"][-5:]) for row in rows] == found
    assert all(set(row) == {"id"} for row in rows)


@pytest.mark.parametrize(
    "question",
    [
        "pm10 eq '; DROP TABLE entity; --'",
        "1 eq 1; select 1",
        "pm10 gt",
        "nada eq 1",
        "contains(pm10,'x')",
        "pm10",
        "id eq 'x' or",
        "(" * 200 + "pm10 eq 1" + ")" * 200,
        "pg_sleep(10) eq 1",
        "id eq 'a\x00b'",
        "pm10 mul 1e308 mul 1e308 gt 1",
        "createdAt gt 2026-13-45",
        "location eq 'x'",
        "'a' in ('b'",
        "id like '%'",
    ],
)
def test_bad_filters_are_told(client, town, question):
    answer = client.of(town).get("odata/AirQualityObserved", params={"$filter": question})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize(("query", "status"), [("$expand=x", 400), ("$expand=hourly/$count", 501), ("$expand=hourly($levels=2)", 501), ("$expand=hourly($skip=1)", 501), ("$search=x", 501), ("$nada=1", 400), ("$top=-1", 400), ("$skip=x", 400), ("$select=nada", 400),
    ("$orderby=pm10 up", 400), ("$skiptoken=AAAA", 400), ("$filter=a/any(x:x eq 1)", 501), ("$count=maybe", 400), ("$apply=compute(pm10 as x)", 501)])  # fmt: skip
def test_what_is_not_kept_is_said(client, town, query, status):
    assert client.of(town).get(f"odata/AirQualityObserved?{query}").status_code == status


def test_injection_finds_nothing_more(client, new_tenant, town):
    """Texts that would open a query that was put together by hand: each is compared as a text and matches nothing."""
    ours = client.of(town)
    for text in ("' OR '1'='1", "x' OR 1=1 --", "\\' OR 1=1 --", "%", "_____", "'; SELECT pg_sleep(5); --", "${7*7}", "%(tenant)s", "$h0"):
        quoted = text.replace("'", "''")
        assert values(ours.get("odata/AirQualityObserved", params={"$filter": f"id eq '{quoted}'"})) == []
    for text in ("%", "_"):
        assert values(ours.get("odata/AirQualityObserved", params={"$filter": f"contains(stationName,'{text}')"})) == []


def test_pages_follow_one_another(client, town):
    ours = client.of(town)
    seen, address, pages = [], "odata/AirQualityObserved?$orderby=pm10 desc&$select=id,pm10", 0
    while address:
        answer = ours.get(address, headers={"Prefer": "odata.maxpagesize=2"})
        seen += [row["pm10"] for row in values(answer)]
        address, pages = answer.json().get("@odata.nextLink"), pages + 1
        assert address is None or address.startswith(f"http://localhost/{town.slug}/odata/AirQualityObserved?")
    assert pages == 3
    assert seen == sorted(seen, key=lambda v: -1 if v is None else v, reverse=True)
    assert len(seen) == 5


def test_top_larger_than_a_page_still_goes_on(client, town):
    ours = client.of(town)
    first = ours.get("odata/AirQualityObserved?$top=3&$count=true", headers={"Prefer": "odata.maxpagesize=2"}).json()
    assert first["@odata.count"] == 5
    assert len(first["value"]) == 2
    second = ours.get(first["@odata.nextLink"]).json()
    assert len(second["value"]) == 1
    assert "@odata.nextLink" not in second
    assert ours.get("odata/AirQualityObserved?$top=2&$skip=4").json()["value"][0]["id"].endswith("4")
    assert values(ours.get("odata/AirQualityObserved?$top=0")) == []


def test_a_token_belongs_to_its_question(client, town, new_tenant):
    ours = client.of(town)
    link = ours.get("odata/AirQualityObserved?$top=3", headers={"Prefer": "odata.maxpagesize=2"}).json()["@odata.nextLink"]
    token = link.partition("$skiptoken=")[2]
    assert ours.get(f"odata/AirQualityObserved?$filter=pm10 gt 0&$skiptoken={token}").status_code == 400
    assert ours.get(f"odata/AirQualityObserved?$skiptoken={token[:-2]}AA").status_code == 400
    other = new_tenant()
    with database.connect() as conn, database.tenant_transaction(conn, [other.id]):
        air(conn, other.id, 9)
    assert client.of(other).get(f"odata/AirQualityObserved?$skiptoken={token}").status_code == 400


def test_count_and_keys(client, town):
    ours = client.of(town)
    assert ours.get("odata/AirQualityObserved/$count", params={"$filter": "pm10 gt 3"}).text == "2"
    one = ours.get(f"odata/AirQualityObserved({quote(chr(39) + 'urn:x:AirQualityObserved:00002' + chr(39))})?$select=pm10").json()
    assert one["pm10"] == 4.0
    assert one["@odata.context"].endswith("/$entity")
    assert ours.get("odata/AirQualityObserved('nada')").status_code == 404
    assert ours.get("odata/Nada").status_code == 404
    assert ours.get("odata/pg_user").status_code == 404


def test_groups(client, town):
    ours = client.of(town)
    asked = "filter(pm10 ne null)/groupby((stationName),aggregate(pm10 with sum as total,$count as n))/filter(total gt 2)"
    rows = values(ours.get("odata/AirQualityObserved", params={"$apply": asked, "$orderby": "total desc", "$count": "true"}))
    assert [(row["stationName"], row["total"], row["n"]) for row in rows] == [("Estação D", 5.0, 1), ("Estação C", 4.0, 1), ("Estação B", 3.0, 1)]
    whole = values(ours.get("odata/AirQualityObserved", params={"$apply": "aggregate(pm10 with average as m,pm10 with max as top,id with countdistinct as n)"}))
    assert whole == [{"m": 3.5, "top": 5.0, "n": 5}]
    first = ours.get("odata/AirQualityObserved", params={"$apply": "groupby((stationName))"}, headers={"Prefer": "odata.maxpagesize=2"}).json()
    rest = ours.get(first["@odata.nextLink"]).json()
    assert len(first["value"]) == len(rest["value"]) == 2
    assert first["value"] != rest["value"]
    assert ours.get("odata/AirQualityObserved", params={"$apply": "aggregate(stationName with sum as x)"}).status_code == 400


@pytest.mark.parametrize("compacted", [False, True], ids=["hot", "lake"])
def test_history(client, town, compacted):
    if compacted:
        lake.compact(town.id)
    ours = client.of(town)
    rows = values(ours.get("odata/AirQualityObserved_series", params={"$filter": "attribute eq 'pm10' and endswith(entity,'1')"}))
    assert [(row["observedAt"], row["value"], row["unit"]) for row in rows] == [
        ("2026-03-01T00:00:00Z", 1.0, "GQ"), ("2026-03-01T01:00:00Z", 2.0, "GQ"), ("2026-03-01T02:00:00Z", 3.0, "GQ")
    ]  # fmt: skip
    hours = values(
        ours.get("odata/AirQualityObserved_hourly", params={"$filter": "start ge 2026-03-01T01:00:00Z and attribute eq 'pm10'", "$orderby": "start,entity"})
    )
    assert [(row["start"][11:13], row["entity"][-1], row["count"], row["average"]) for row in hours][:2] == [("01", "0", 1, 1.0), ("01", "1", 1, 2.0)]
    assert len(hours) == 8
    days = values(ours.get("odata/AirQualityObserved_daily", params={"$apply": "groupby((attribute),aggregate(sum with sum as total,count with sum as n))"}))
    assert {row["attribute"]: (row["total"], row["n"]) for row in days}["pm10"] == (30.0, 12.0)
    seen, address = [], "odata/AirQualityObserved_series?$filter=attribute eq 'pm10'"
    while address:
        answer = ours.get(address, headers={"Prefer": "odata.maxpagesize=5"}).json()
        seen += [(row["entity"], row["observedAt"]) for row in answer["value"]]
        address = answer.get("@odata.nextLink")
    assert len(seen) == len(set(seen)) == 12
    assert ours.get("odata/AirQualityObserved_series/$count?$filter=attribute eq 'pm10'").text == "12"


def test_a_correction_hides_what_it_replaces(client, town):
    lake.compact(town.id)
    with database.connect() as conn, database.tenant_transaction(conn, [town.id]):
        air(conn, town.id, 2, hours=1)  # the same again: nothing
    write(
        town,
        (
            "urn:x:AirQualityObserved:00001",
            "AirQualityObserved",
            {"pm10": {"type": "Property", "value": 100, "unitCode": "GQ", "observedAt": "2026-03-01T02:00:00Z"}},
        ),
    )
    ours = client.of(town)
    for _ in range(2):
        rows = values(ours.get("odata/AirQualityObserved_series", params={"$filter": "attribute eq 'pm10' and endswith(entity,'1')"}))
        assert [row["value"] for row in rows] == [1.0, 2.0, 100.0]
        hours = values(ours.get("odata/AirQualityObserved_hourly", params={"$filter": "attribute eq 'pm10' and endswith(entity,'1')"}))
        assert [row["sum"] for row in hours] == [1.0, 2.0, 100.0]
        days = values(ours.get("odata/AirQualityObserved_daily", params={"$filter": "attribute eq 'pm10' and endswith(entity,'1')"}))
        assert [(row["sum"], row["count"], row["last"]) for row in days] == [(103.0, 3, 100.0)]
        lake.compact(town.id)


@pytest.mark.parametrize("path", ["odata/", "odata/$metadata", "odata/AirQualityObserved", "odata/AirQualityObserved/$count"])
def test_who_has_no_key_is_told_how(client, town, new_tenant, key_of, path):
    other = new_tenant()
    for headers in ({}, basic("nada"), {"Authorization": "Bearer mlh_1_" + "x" * 27}, {"Authorization": "Basic ???"}):
        answer = client.get(f"/{town.slug}/{path}", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Basic realm=")
    assert client.get(f"/{town.slug}/{path}", headers=basic(key_of(other))).status_code == 403
    text = key_of(town)
    for headers in (basic(text), {"Authorization": f"Bearer {text}"}, {"X-Api-Key": text}):
        assert client.get(f"/{town.slug}/{path}", headers=headers).status_code == 200
    assert client.head(f"/{town.slug}/{path}", headers=basic(text)).status_code == 200
    assert client.options(f"/{town.slug}/{path}").headers["allow"] == "GET, HEAD, OPTIONS"


def test_types_and_people_stay_out(client, town):
    write(town, ("urn:x:Incident:1", "Incident", {"status": {"type": "Property", "value": "closed"}}))
    few = client.of(town, scope={"types": ["AirQualityObserved"]})
    assert {one["name"].partition("_")[0] for one in values(few.get("odata/"))} == {"AirQualityObserved"}
    assert few.get("odata/Incident").status_code == 404
    assert client.of(town).get("odata/Incident").status_code == 200
    assert client.of(town, role=RoleName.VIEWER).get("odata/AirQualityObserved").status_code == 401


def test_pages_walk_things_of_two_types_in_their_turn(client, town):
    """One that is of the type besides another stands where its number puts it, whatever the order, and once."""
    write(town, ("urn:x:AirQualityObserved:zz", ["Device", "AirQualityObserved"], {"pm10": {"type": "Property", "value": 1.5}}))
    with database.connect() as conn, database.tenant_transaction(conn, [town.id]):
        air(conn, town.id, 7)
    ours, seen = client.of(town), []
    address = "odata/AirQualityObserved?$select=id"
    while address:
        body = ours.get(address, headers={"Prefer": "odata.maxpagesize=2"}).json()
        seen += [row["id"].rpartition(":")[2] for row in body["value"]]
        address = body.get("@odata.nextLink", "")
    assert seen == ["00000", "00001", "00002", "00003", "00004", "zz", "00005", "00006"]
    ordered = ours.get("odata/AirQualityObserved?$orderby=pm10 desc,id&$select=id,pm10&$top=4&$skip=1").json()["value"]
    assert [row["pm10"] for row in ordered] == sorted((row["pm10"] for row in ordered), reverse=True)
    assert len({row["id"] for row in ordered}) == 4


def test_a_reach_of_an_area_or_of_columns_is_kept_to(client, town):
    west = {"type": "Polygon", "coordinates": [[[-9, 38], [-8.5985, 38], [-8.5985, 42], [-9, 42], [-9, 38]]]}
    found = values(client.of(town, scope={"area": west}).get("odata/AirQualityObserved"))
    assert [row["id"][-1] for row in found] == ["0", "1"]
    narrow = values(client.of(town, scope={"attributes": ["pm10"]}).get("odata/AirQualityObserved"))
    assert {key for row in narrow for key in row} == {"id", "pm10", "createdAt", "modifiedAt"}


def test_unchanged_answers_are_not_sent_again(client, town):
    ours = client.of(town)
    first = ours.get("odata/AirQualityObserved")
    assert ours.get("odata/AirQualityObserved", headers={"If-None-Match": first.headers["etag"]}).status_code == 304
    assert "private" in first.headers["cache-control"]


POWER_QUERY = {
    "User-Agent": "Microsoft.Data.Mashup (https://go.microsoft.com/fwlink/?LinkID=304225)", "MaxDataServiceVersion": "3.0", "OData-MaxVersion": "4.0",
    "Accept": "application/json;odata.metadata=minimal;q=1.0,application/json;odata=minimalmetadata;q=0.9,application/atomsvc+xml;q=0.8,application/atom+xml;q=0.8,application/xml;q=0.7,text/plain;q=0.7",
    "Accept-Encoding": "gzip, deflate",
}  # fmt: skip


def test_what_power_query_sends(client, town, key_of):
    """The headers of Microsoft's mashup engine as server authors logged them: one OData-Version, minimal JSON, XML metadata."""
    headers = POWER_QUERY | basic(key_of(town, tool="powerbi"))
    assert client.get(f"/{town.slug}/odata", headers=POWER_QUERY).status_code == 401
    root = client.get(f"/{town.slug}/odata", headers=headers)
    assert root.json()["value"][0]["kind"] == "EntitySet"
    assert root.headers.get_list("odata-version") == ["4.0"]
    assert client.get(f"/{town.slug}/odata/$metadata", headers=headers).headers["content-type"].startswith("application/xml")
    folded = client.get(f"/{town.slug}/odata/AirQualityObserved?$filter=pm10%20gt%202&$select=id%2Cpm10&$orderby=pm10%20desc&$top=1000", headers=headers)
    assert [row["pm10"] for row in folded.json()["value"]] == [5.0, 4.0, 3.0]
    assert folded.headers["content-type"] == "application/json;odata.metadata=minimal"


def test_what_tableau_sends(client, town, key_of):
    headers = {"User-Agent": "Tableau", "Accept": "application/json;odata.metadata=full", "OData-Version": "4.0", "OData-MaxVersion": "4.0"} | basic(
        key_of(town), user="qualquer"
    )
    answer = client.get(f"/{town.slug}/odata/AirQualityObserved?$top=1", headers=headers)
    assert answer.json()["value"][0]["@odata.type"] == "#Malha.AirQualityObserved"
    assert client.get(f"/{town.slug}/odata/AirQualityObserved", headers={**headers, "Accept": "application/atom+xml"}).status_code == 406
    assert client.get(f"/{town.slug}/odata/AirQualityObserved", headers={**headers, "OData-MaxVersion": "3.0"}).status_code == 406


def test_the_grammar_refuses_what_it_cannot_read():
    for text in ("", "a eq", "and", "a eq 1)", "'open", "a eq 1 b"):
        with pytest.raises(BadFilter):
            filters.parse(text)
    for text in ("a/any(x: x eq 1)", "geo.distance(a,b) lt 1"):
        with pytest.raises(NotSupported):
            filters.parse(text)
