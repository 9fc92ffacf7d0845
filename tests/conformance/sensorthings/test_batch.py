"""OGC 18-088 §11: several requests in one."""

import email
import json
from email import policy

import pytest

from malha.foundation.access.contracts import Capability

BATCH = {"Content-Type": "multipart/mixed; boundary=all"}
STREAM = {
    "name": "Temperatura", "description": "na sala", "observationType": "http://www.opengis.net/def/observationType/OGC-OM/2.0/OM_Measurement",
    "unitOfMeasurement": {"name": "degree Celsius", "symbol": "°C", "definition": "ucum:Cel"},
    "Sensor": {"name": "DHT22", "description": "sonda", "encodingType": "application/pdf", "metadata": "https://exemplo.pt/dht22.pdf"},
    "ObservedProperty": {"name": "Air Temperature", "definition": "http://exemplo.pt/AirTemperature", "description": "do ar"},
}  # fmt: skip
THING = {"name": "Caixa", "description": "de teste", "properties": {"type": "Device", "dono da caixa": "câmara"}}


@pytest.fixture
def empty(client, new_tenant):
    return client(new_tenant())


def part(line, body=None, name=""):
    said = "" if body is None else json.dumps(body, ensure_ascii=False)
    mark = f"Content-ID: {name}\r\n" if name else ""
    kind = "Content-Type: application/json\r\n" if said else ""
    return f"Content-Type: application/http\r\nContent-Transfer-Encoding: binary\r\n{mark}\r\n{line} HTTP/1.1\r\nHost: exemplo.pt\r\n{kind}\r\n{said}"


def joined(parts, mark):
    return "".join(f"--{mark}\r\n{one}\r\n" for one in parts) + f"--{mark}--\r\n"


def together(*parts):
    return "Content-Type: multipart/mixed; boundary=set\r\n\r\n" + joined(parts, "set")


def send(sta, *parts, **headers):
    answer = sta.post("$batch", content=joined(parts, "all").encode(), headers=BATCH | headers)
    assert answer.status_code == 200, answer.text
    return told(f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode() + answer.content)


def told(content):
    """(status, body) of each part; a list of them for a change set."""
    found = []
    for one in email.message_from_bytes(content, policy=policy.HTTP).iter_parts():
        if one.is_multipart():
            found.append(told(one.as_bytes()))
            continue
        head, _, body = one.get_payload(decode=True).partition(b"\r\n\r\n")
        found.append((int(head.split()[1]), json.loads(body) if body.strip() else None))
    return found


def test_reads_and_writes_one_after_the_other(empty):
    (status, made), (_, there), (missing, why) = send(
        empty, part("POST Things", THING), part("GET Things?$count=true&$select=name"), part("GET Things(999999999999)")
    )
    assert (status, made["name"], made["properties"]["dono da caixa"]) == (201, "Caixa", "câmara")
    assert there == {"@iot.count": 1, "value": [{"name": "Caixa"}]}
    assert (missing, why["status"]) == (404, 404)
    base = str(empty.base_url).rstrip("/")
    key = made["@iot.id"]
    changed = send(
        empty, part(f"PATCH {base}/Things({key})", {"name": "Outra"}), part(f"DELETE {base.partition('localhost')[2]}/Things({key})"), part("GET Things")
    )
    assert [status for status, _ in changed] == [200, 200, 200]
    assert changed[0][1]["name"] == "Outra"
    assert changed[2][1]["value"] == []


def test_a_change_set_names_what_it_made(empty):
    observation = {"phenomenonTime": "2026-03-01T10:00:00Z", "result": 21.5, "Datastream": {"@iot.id": "$stream"}}
    asks = [part("POST Things", THING, "box"), part("POST $box/Datastreams", STREAM, "stream"), part("POST Observations", observation)]
    (answers,) = send(empty, together(*asks))
    assert [status for status, _ in answers] == [201, 201, 201]
    assert empty.get("Observations").json()["value"][0]["result"] == 21.5


def test_a_change_set_goes_in_whole_or_not_at_all(empty):
    answers = send(
        empty, together(part("POST Things", THING), part("POST Things", {"description": "sem nome"})), part("GET Things"), Prefer="odata.continue-on-error"
    )
    assert answers[0][0] == 400
    assert answers[1] == (200, {"value": []})


@pytest.mark.parametrize(("prefer", "statuses"), [("", [201, 400]), ("odata.continue-on-error", [201, 400, 201])])
def test_after_a_failure_it_goes_on_only_where_that_was_asked(empty, prefer, statuses):
    answers = send(empty, part("POST Things", THING), part("POST Things", {}), part("POST Things", THING), Prefer=prefer)
    assert [status for status, _ in answers] == statuses
    assert len(empty.get("Things").json()["value"]) == statuses.count(201)


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("GET http://outro.pt/sensorthings/v1.1/Things", 400),
        ("GET /outra/sensorthings/v1.1/Things", 400),
        ("GET $box", 400),
        ("PUT Things(1)", 501),
        ("GET Nada", 404),
    ],
)
def test_what_is_not_of_this_service_is_refused_alone(empty, line, status):
    assert [found for found, _ in send(empty, part(line, {} if line[0] == "P" else None))] == [status]


@pytest.mark.parametrize(
    ("body", "media", "status"),
    [
        (joined([part("GET Things")], "other"), BATCH["Content-Type"], 400),
        (joined([together(part("GET Things"))], "all"), BATCH["Content-Type"], 400),
        (joined(["Content-Type: text/plain\r\n\r\nGET Things"], "all"), BATCH["Content-Type"], 400),
        (joined([part("Things")], "all"), BATCH["Content-Type"], 400),
        (joined([part("GET Things")] * 1001, "all"), BATCH["Content-Type"], 400),
        ("", BATCH["Content-Type"], 400),
        ("{}", "application/json", 415),
        ("x", "multipart/mixed", 400),
    ],
)
def test_what_is_no_batch_is_refused(empty, body, media, status):
    assert empty.post("$batch", content=body.encode(), headers={"Content-Type": media}).status_code == status


def test_a_batch_gives_no_right_that_a_request_has_not(client, new_tenant):
    tenant = new_tenant()
    asks = joined([part("POST Things", THING)], "all").encode()
    assert client(tenant, Capability.DATA_READ).post("$batch", content=asks, headers=BATCH).status_code == 403
    both = joined([part("POST Things", THING), part("GET Things")], "all").encode()
    assert client(tenant, Capability.DATA_WRITE).post("$batch", content=both, headers=BATCH).status_code == 403
    assert send(client(tenant), part("GET Things"))[0][1]["value"] == []
