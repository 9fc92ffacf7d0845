import email

import pytest

from malha.share.datahub.odata import batch
from malha.share.datahub.tests.town import write

AIR = "AirQualityObserved"


def asked(client, *requests, **headers):
    return client.post("odata/$batch", json={"requests": [{"method": "GET", **one} for one in requests]}, headers=headers)


def test_several_readings_in_one(client, town):
    ours = client.of(town)
    answer = asked(
        ours,
        {"id": "a", "url": f"{AIR}?$filter=pm10 gt 4&$select=pm10"},
        {"id": "b", "url": f"/{town.slug}/odata/{AIR}/$count"},
        {"id": "c", "url": f"http://localhost/{town.slug}/odata/{AIR}('urn:x:AirQualityObserved:00001')?$select=pm10", "headers": {"Accept": "application/json;odata.metadata=none"}},
        {"id": "d", "url": "$metadata"},
        {"id": "e", "url": ""},
    )  # fmt: skip
    assert answer.status_code == 200, answer.text
    assert answer.headers["odata-version"] == "4.0"
    told = {one["id"]: one for one in answer.json()["responses"]}
    assert [told[name]["status"] for name in "abcde"] == [200] * 5
    assert told["a"]["body"]["value"] == [{"pm10": 5.0}]
    assert told["b"]["body"] == "5"
    assert told["c"]["body"]["pm10"] == 3.0
    assert told["d"]["body"].startswith("<?xml")
    assert len(told["e"]["body"]["value"]) == 4
    assert told["c"]["headers"]["content-type"] == "application/json;odata.metadata=none"


def test_multipart(client, town):
    body = "".join(
        f"--b\r\nContent-Type: application/http\r\nContent-Transfer-Encoding: binary\r\nContent-ID: {name}\r\n\r\nGET {target} HTTP/1.1\r\nAccept: application/json\r\n\r\n\r\n"
        for name, target in (("1", f"{AIR}?$select=id&$top=1"), ("2", f"/{town.slug}/odata/{AIR}/$count"))
    )
    answer = client.of(town).post("odata/$batch", content=body + "--b--\r\n", headers={"Content-Type": "multipart/mixed; boundary=b"})
    assert answer.status_code == 200, answer.text
    whole = email.message_from_string(f"Content-Type: {answer.headers['content-type']}\r\n\r\n{answer.text}")
    parts = whole.get_payload()
    assert [part["Content-ID"] for part in parts] == ["1", "2"]
    assert all(part.get_payload().startswith("HTTP/1.1 200 OK") for part in parts)
    assert '"id":"urn:x:AirQualityObserved:00000"' in parts[0].get_payload()
    assert parts[1].get_payload().rstrip().endswith("5")


def test_each_part_is_checked_by_itself(client, town, new_tenant):
    """Another tenant's address, a type beyond the reader's, a method that writes, a batch in a batch: each refused, the others answered."""
    write(town, ("urn:x:Incident:1", "Incident", {"status": {"type": "Property", "value": "closed"}}))
    other = new_tenant()
    few = client.of(town, scope={"types": [AIR]})
    urls = [
        f"{AIR}/$count",
        "Incident",
        f"/{other.slug}/odata/",
        "http://elsewhere.example/odata/x",
        "$batch",
        f"../../{other.slug}/odata/",
        f"/{town.slug}/hub/{AIR}.csv",
        f"{AIR}/$count",
    ]
    answer = asked(
        few, *({"id": str(n), "url": url} for n, url in enumerate(urls)), {"id": "w", "method": "DELETE", "url": AIR}, Prefer="odata.continue-on-error"
    )
    assert [one["status"] for one in answer.json()["responses"]] == [200, 404, 400, 400, 501, 501, 400, 200, 501]
    stopped = asked(few, {"id": "1", "url": "Incident"}, {"id": "2", "url": AIR})
    assert [one["id"] for one in stopped.json()["responses"]] == ["1"]
    spoofed = asked(few, {"id": "1", "url": f"{AIR}/$count", "headers": {"Authorization": "Bearer nada", "Host": "elsewhere", "Cookie": "x=y"}})
    assert spoofed.json()["responses"][0]["status"] == 200
    assert client.post(f"/{town.slug}/odata/$batch", json={"requests": [{"id": "1", "method": "GET", "url": AIR}]}).status_code == 401


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400), (b'{"requests":[]}', 400), (b'{"requests":[{"id":"1","method":"GET"}]}', 400), (b"[" * 5000, 400),
        (b'{"requests":[{"id":"1","method":"GET","url":"x"},{"id":"1","method":"GET","url":"x"}]}', 400),
        (b'{"requests":[{"id":"1","method":"POST","url":"x","atomicityGroup":"g"}]}', 501),
        (b'{"requests":[' + b",".join(b'{"id":"%d","method":"GET","url":""}' % n for n in range(batch.MOST + 1)) + b"]}", 400),
        (b" " * (batch.MOST_BYTES + 1), 400),
    ],
    ids=["cut", "empty", "no address", "deep", "twice", "change set", "many", "large"],
)  # fmt: skip
def test_bad_batches_are_told(client, town, body, status):
    answer = client.of(town).post("odata/$batch", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["message"]


def test_a_change_set_is_refused_by_name(client, town):
    inner = "--c\r\nContent-Type: application/http\r\n\r\nDELETE x HTTP/1.1\r\n\r\n\r\n--c--\r\n"
    body = f"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n{inner}\r\n--b--\r\n"
    answer = client.of(town).post("odata/$batch", content=body, headers={"Content-Type": "multipart/mixed; boundary=b", "Accept-Language": "pt"})
    assert answer.status_code == 501
    assert "mudanças" in answer.json()["error"]["message"]
    assert client.of(town).post("odata/$batch", content="x", headers={"Content-Type": "text/plain"}).status_code == 400


def test_what_cannot_be_read_is_shown_as_it_should_be(client, town):
    answer = client.of(town).post("odata/$batch", content=b"{x", headers={"Content-Type": "application/json"})
    assert answer.json()["error"]["message"] == 'O lote não se consegue ler: `{"requests":[{"id":"1","method":"GET","url":"…"}]}`.'


def test_a_part_that_writes_is_refused_by_name_whatever_it_carries(client, town):
    answer = asked(client.of(town), {"id": "w", "method": "POST", "url": AIR, "body": {"pm10": 1}, "dependsOn": ["v"]})
    [one] = answer.json()["responses"]
    assert one["status"] == 501
    assert "POST" in one["body"]["error"]["message"]
