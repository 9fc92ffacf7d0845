"""A corrected value says so wherever it is read: what it was, when it was corrected, by whom and why.

One value is corrected by a file that is loaded again, as somebody does from the page of loads; another through the API.
"""

from __future__ import annotations

import csv
import io
import json
import warnings
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pyarrow as pa
import pytest
from django.conf import settings
from django.db import transaction
from django.test import Client
from pyarrow import parquet

from malha.context.broker import auth, pool
from malha.foundation.access import service as access
from malha.foundation.access.contracts import Capability, RoleName
from malha.foundation.database import service as database
from malha.foundation.database.django import scope
from malha.foundation.identity import machines
from malha.foundation.identity import service as people
from malha.foundation.identity.models import Person
from malha.foundation.tokens import service as tokens
from malha.history.lake import service as lake
from malha.ingest.runs import service as runs
from malha.project import plane
from malha.share.datahub import keys

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # starlette would like another client than the one that it ships with
    from starlette.testclient import TestClient

START = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=6)
COLUMNS = [{"column": "PM10", "attribute": "pm10", "type": "number", "decimal": ",", "unit": "GQ"}]
ANSWERS = {"kind": "model", "type": "AirQualityObserved", "key": ["Código"], "time": {"columns": ["Data"], "zone": "UTC"}, "columns": COLUMNS}


def at(hour):
    return (START + timedelta(hours=hour)).strftime("%Y-%m-%dT%H:%M:%SZ")


@pytest.fixture
def town(new_tenant, tmp_path):
    """Four hours of a station; the second hour corrected by another file, by Ana, the third through the API."""
    tenant = new_tenant(name="Vila Corrigida")
    ana = people.create_person(f"ana-{uuid4().hex[:10]}@exemplo.pt", name="Ana Técnica")
    for role in (RoleName.TENANT_MANAGER, RoleName.DATA_PROTECTION_OFFICER):
        access.grant(ana.id, tenant.id, role)

    def load(name, values):
        path = tmp_path / name
        path.write_text("Código;Data;PM10\n" + "".join(f"E1;{at(hour)};{value}\n" for hour, value in values.items()), encoding="utf-8")
        runs.load_file(tenant.id, path, ANSWERS, actor=f"person:{ana.id}")

    auth.forget()
    with TestClient(plane.application(), base_url="http://localhost") as client:
        yield tenant, ana, client, load
    pool.close()


def bearer(tenant, *capabilities, subject="client:test"):
    with database.connect(autocommit=True) as conn:
        token = tokens.issue(conn, settings.SECRET_KEY, subject=subject, tenants=[tenant.id], capabilities=list(capabilities))
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.whole_lake
def test_it_works(town):
    tenant, ana, client, load = town
    load("janeiro.csv", {0: "10,0", 1: "99,0", 2: "12,0", 3: "13,0"})
    uri = _uri(client, tenant)
    lake.compact(tenant.id)
    load("janeiro-corrigido.csv", {1: "11,0"})
    body = {"pm10": {"type": "Property", "value": 14.5, "unitCode": "GQ", "observedAt": at(3)}}
    with transaction.atomic(), scope(tenant.id):
        machine, _ = machines.create(tenant.id, name="Rede do ar", capabilities=[Capability.DATA_READ, Capability.DATA_WRITE], types=None, created_by=None)
    writer = bearer(tenant, Capability.DATA_READ, Capability.DATA_WRITE, subject=f"client:{machine.client_id}")
    answer = client.patch(f"/{tenant.slug}/ngsi-ld/v1/entities/{uri}/attrs", json=body, headers=writer)
    assert answer.status_code == 204, answer.text
    for step in ("hot over the lake", "in the lake"):
        _in_the_history_of_people(client, tenant, ana, step)
        _on_the_page(tenant, ana, uri, step)
        _in_the_feeds(client, tenant, ana, step)
        lake.compact(tenant.id)


def _uri(client, tenant):
    found = client.get(f"/{tenant.slug}/ngsi-ld/v1/entities?type=AirQualityObserved", headers=bearer(tenant, Capability.DATA_READ)).json()
    return found[0]["id"]


def _in_the_history_of_people(client, tenant, ana, step):
    asked = {"type": "AirQualityObserved", "attribute": "pm10", "uri": _uri(client, tenant), "grain": "raw", "from": at(-1), "to": at(5)}
    headers = bearer(tenant, Capability.DATA_READ)
    told = client.get(f"/{tenant.slug}/history/values", params=asked, headers=headers).json()["values"]
    assert [one["value"] for one in told] == [10.0, 11.0, 12.0, 14.5], step
    assert "corrected" not in told[0]
    by_file, by_api = told[1]["corrected"], told[3]["corrected"]
    assert (by_file["from"], by_file["by"], by_file["why"]) == (99.0, "alguém que trabalha neste município", "janeiro-corrigido.csv"), step
    assert (by_api["from"], by_api["by"], by_api["why"]) == (13.0, "Rede do ar", None), step
    for allowed in (bearer(tenant, Capability.DATA_READ, Capability.PERSONAL_READ), bearer(tenant, Capability.DATA_READ, subject=f"person:{ana.id}")):
        again = client.get(f"/{tenant.slug}/history/values", params=asked, headers=allowed).json()["values"]
        assert [again[n]["corrected"]["by"] for n in (1, 3)] == ["Ana Técnica", "Rede do ar"]
    assert by_file["at"] < by_api["at"]
    rows = list(csv.DictReader(io.StringIO(client.get(f"/{tenant.slug}/history/values", params={**asked, "format": "csv"}, headers=headers).text)))
    assert [(row["value"], row["corrected_from"], row["corrected_why"]) for row in rows] == [
        ("10", "", ""), ("11", "99.0", "janeiro-corrigido.csv"), ("12", "", ""), ("14.5", "13.0", ""),
    ]  # fmt: skip
    arrow = client.get(f"/{tenant.slug}/history/values", params={**asked, "format": "arrow"}, headers=headers).content
    assert pa.ipc.open_stream(arrow).read_all().column("corrected_from").to_pylist() == [None, "99.0", None, "13.0"]
    drawn = client.get(f"/{tenant.slug}/history/series", params=asked, headers=headers).json()
    assert [(one["value"], one["from"]) for one in drawn["corrected"]] == [(11.0, 99.0), (14.5, 13.0)]


def _on_the_page(tenant, ana, uri, step):
    browser = Client(SERVER_NAME="localhost")
    browser.force_login(Person.objects.get(pk=ana.id))
    base = f"/{tenant.slug}/dados/entidades/AirQualityObserved/"
    page = browser.get(f"{base}registo/", {"id": uri}).content.decode()
    said = page.split('id="correcoes"')[1].split("</section>")[0]
    assert "era 99\xa0µg/m³" in said, step
    assert "janeiro-corrigido.csv" in said
    assert "Ana Técnica" in said
    assert "era 13\xa0µg/m³" in said
    assert "pela API (programa Rede do ar)" in said
    chart = json.loads(browser.get(f"{base}grafico.json", {"id": uri, "medida": "pm10", "dias": "1"}).content)
    assert [(one["value"], "era 99" in one["text"], "Ana Técnica" in one["text"]) for one in chart["marks"]] == [(11.0, True, True), (14.5, False, False)]
    assert "pela API (programa Rede do ar)" in chart["marks"][1]["text"]
    answer = browser.get(f"/{tenant.slug}/dados/exportar/serie.csv", {"type": "AirQualityObserved", "attribute": "pm10", "id": uri, "dias": "7"})
    lines = [line for line in b"".join(answer.streaming_content).decode().splitlines() if not line.startswith("#")]
    rows = list(csv.DictReader(lines))
    told = [(float(row["pm10"]), float(row["correctedFrom"] or 0), row["correctedBy"], row["correctedWhy"]) for row in rows]
    assert told == [(10.0, 0.0, "", ""), (11.0, 99.0, "Ana Técnica", "janeiro-corrigido.csv"), (12.0, 0.0, "", ""), (14.5, 13.0, "Rede do ar", "")]


def _in_the_feeds(client, tenant, ana, step):
    """OData, Delta Sharing's Parquet and the CSV say it; who, only a key that reads what is about people."""
    for with_personal in (False, True):
        with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
            key = {"X-Api-Key": keys.create(conn, tenant.id, ana.id, "python", with_personal=with_personal)[1]}
        feed = f"/{tenant.slug}/odata/AirQualityObserved_series"
        only = {"$filter": "attribute eq 'pm10'"}
        told = client.get(feed, params=only, headers=key).json()["value"]
        assert [(one["value"], one["correctedFrom"], one["correctedWhy"]) for one in told] == [
            (10.0, None, None), (11.0, 99.0, "janeiro-corrigido.csv"), (12.0, None, None), (14.5, 13.0, None),
        ], step  # fmt: skip
        assert [one["correctedAt"] is not None for one in told] == [False, True, False, True]
        assert [one.get("correctedBy") for one in told] == ([None, "Ana Técnica", None, "Rede do ar"] if with_personal else [None] * 4)
        assert ("correctedBy" in told[0]) == with_personal
        marked = {"$filter": "correctedAt ne null and attribute eq 'pm10'", "$count": "true", "$select": "value"}
        answer = client.get(feed, params=marked, headers=key).json()
        assert (answer["@odata.count"], [one["value"] for one in answer["value"]]) == (2, [11.0, 14.5])
        grouped = {"$apply": "filter(correctedAt ne null)/aggregate($count as many,correctedFrom with sum as were)"}
        assert client.get(feed, params=grouped, headers=key).json()["value"] == [{"many": 2, "were": 112.0}]
        file = client.get(f"/{tenant.slug}/hub/AirQualityObserved_series.parquet", headers=key).content
        rows = [row for row in parquet.read_table(io.BytesIO(file)).to_pylist() if row["attribute"] == "pm10"]
        assert [(row["value"], row["correctedFrom"], row.get("correctedBy")) for row in rows] == [
            (one["value"], one["correctedFrom"], one.get("correctedBy")) for one in told
        ]
