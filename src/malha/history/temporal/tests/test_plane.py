"""History over HTTP: as NGSI-LD, and as a chart."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from django.conf import settings
from pyarrow import parquet

from malha.context.broker import auth, pool
from malha.context.store import service as store
from malha.context.store.contracts import Column, EntityTable
from malha.foundation.access.contracts import Capability
from malha.foundation.database import service as database
from malha.foundation.tokens import service as tokens
from malha.history.lake import service as lake
from malha.project import plane
from malha.vocabulary.models import service as models

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # starlette would like another client than the one that it ships with
    from starlette.testclient import TestClient

START = datetime(2026, 5, 4, tzinfo=UTC)
URI = "urn:ensaio:WeatherObserved:1"


@pytest.fixture
def client() -> Iterator[Any]:
    auth.forget()
    with TestClient(plane.application(), base_url="http://localhost") as made:
        yield made
    pool.close()


def headers(tenant: int) -> dict[str, str]:
    with database.connect(autocommit=True) as conn:
        token = tokens.issue(conn, settings.SECRET_KEY, subject="client:test", tenants=[tenant], capabilities=[Capability.DATA_READ])
    return {"Authorization": f"Bearer {token}", "Accept": "application/json"}


def observed(tenant: int) -> None:
    with database.connect() as connection, database.tenant_transaction(connection, [tenant]):
        for hour in range(48):
            columns = [Column("temperature", [10.0 + hour % 24], unit="CEL"), Column("weatherType", ["sunny"])]
            store.upsert_table(connection, tenant, EntityTable("WeatherObserved", [URI], columns, observed_at=[START + timedelta(hours=hour)]))


def test_it_works(new_tenant: Any, client: Any) -> None:
    tenant = new_tenant()
    observed(tenant.id)
    base = f"/{tenant.slug}/ngsi-ld/v1/temporal/entities/{URI}"
    period = {"timerel": "between", "timeAt": "2026-05-04T00:00:00Z", "endTimeAt": "2026-05-06T00:00:00Z", "attrs": "temperature"}
    for _ in range(2):
        full = client.get(base, params=period, headers=headers(tenant.id)).json()
        assert (full["id"], full["type"]) == (URI, "WeatherObserved")
        assert [(one["value"], one["observedAt"], one["unitCode"]) for one in full["temperature"]][:2] == [
            (10, "2026-05-04T00:00:00Z", "CEL"),
            (11, "2026-05-04T01:00:00Z", "CEL"),
        ]
        assert len(full["temperature"]) == 48
        pairs = client.get(base, params={**period, "options": "temporalValues", "lastN": "2"}, headers=headers(tenant.id)).json()
        assert pairs["temperature"]["values"] == [[32, "2026-05-05T22:00:00Z"], [33, "2026-05-05T23:00:00Z"]]
        sums = {**period, "options": "aggregatedValues", "aggrMethods": "avg,totalCount", "aggrPeriodDuration": "P1D"}
        days = client.get(base, params=sums, headers=headers(tenant.id)).json()["temperature"]
        assert days["totalCount"][0] == [24, "2026-05-04T00:00:00Z", "2026-05-05T00:00:00Z"]  # days begin where the period does
        lake.compact(tenant.id)


def test_a_chart_reads_it(new_tenant: Any, client: Any) -> None:
    tenant = new_tenant()
    observed(tenant.id)
    params = {"type": "WeatherObserved", "attribute": "temperature", "from": "2026-05-04T00:00:00Z", "to": "2026-05-06T00:00:00Z", "grain": "hour"}
    chart = client.get(f"/{tenant.slug}/history/series", params=params, headers=headers(tenant.id)).json()
    assert chart["unit"] == "°C"
    assert chart["x"] == {"type": "time", "zone": "Europe/Lisbon"}
    assert chart["series"][0]["points"][0] == [int(START.timestamp() * 1000), 10.0]
    assert len(chart["series"][0]["points"]) == 48


def test_who_may_not_read_reads_nothing(new_tenant: Any, client: Any) -> None:
    tenant, other = new_tenant(), new_tenant()
    observed(tenant.id)
    path = f"/{tenant.slug}/ngsi-ld/v1/temporal/entities/{URI}?lastN=1"
    assert client.get(path).status_code == 401
    assert client.get(path, headers=headers(other.id)).status_code == 403
    assert client.get(f"/{other.slug}/ngsi-ld/v1/temporal/entities/{URI}?lastN=1", headers=headers(other.id)).status_code == 404
    assert client.get(f"/{tenant.slug}/history/series?type=A&attribute=b", headers=headers(other.id)).status_code == 403


def test_what_is_about_people_stays_hidden(new_tenant: Any, client: Any) -> None:
    tenant = new_tenant()
    plate = personal_attribute()
    with database.connect() as connection, database.tenant_transaction(connection, [tenant.id]):
        store.upsert_table(connection, tenant.id, EntityTable(plate[0], [URI], [Column(plate[1], ["segredo"]), Column("other", [1])], observed_at=[START]))
    base = f"/{tenant.slug}/ngsi-ld/v1/temporal/entities"
    assert "segredo" not in client.get(f"{base}/{URI}", headers=headers(tenant.id)).text
    listed = client.get(base, params={"type": plate[0]}, headers=headers(tenant.id))
    assert listed.status_code == 200
    assert "other" in listed.text
    assert "segredo" not in listed.text
    asked = client.get(base, params={"type": plate[0], "q": f'{plate[1]}=="segredo"'}, headers=headers(tenant.id))
    assert asked.status_code == 403
    assert client.get(f"/{tenant.slug}/history/series", params={"type": plate[0], "attribute": plate[1]}, headers=headers(tenant.id)).status_code == 403


def personal_attribute() -> tuple[str, str]:
    """A type that is built in, and one of its attributes that is about people."""
    return next((model.type, prop.name) for model in models.all_models() for prop in model.properties if prop.personal)


@pytest.mark.parametrize(
    "query",
    ["timeAt=2026-05-04T00:00:00Z", "timerel=between&timeAt=2026-05-04T00:00:00Z", "timerel=after&timeAt=ontem", "lastN=0", "lastN=1&timeproperty=birth"],
)
def test_questions_without_a_period_are_refused(new_tenant: Any, client: Any, query: str) -> None:
    tenant = new_tenant()
    answer = client.get(f"/{tenant.slug}/ngsi-ld/v1/temporal/entities/{URI}?{query}", headers=headers(tenant.id))
    assert answer.status_code == 400
    assert answer.json()["type"].endswith("BadRequestData")


def test_people_read_it_in_any_form_and_in_pages(new_tenant: Any, client: Any) -> None:
    tenant = new_tenant(time_zone="Atlantic/Azores")
    observed(tenant.id)
    params = {"type": "WeatherObserved", "attribute": "temperature", "from": "2026-05-04T00:00:00Z", "to": "2026-05-06T00:00:00Z", "grain": "hour"}
    path = f"/{tenant.slug}/history/values"
    whole = client.get(path, params=params, headers=headers(tenant.id)).json()
    assert (whole["timeZone"], whole["unit"], whole["next"], len(whole["values"])) == ("Atlantic/Azores", "CEL", None, 48)
    assert whole["values"][0] == {"entity": "", "at": "2026-05-04T00:00:00Z", "local": "2026-05-04T00:00:00+00:00", "value": 10.0, "count": 1}
    pages, url, asked = [], path, {**params, "limit": "20"}
    for _ in range(5):
        answer = client.get(url, params=asked, headers=headers(tenant.id)).json()
        pages = answer["values"] + pages
        if not answer["next"]:
            break
        url, asked = answer["next"], None
    assert [row["at"] for row in pages] == [row["at"] for row in whole["values"]]
    table = client.get(path, params={**params, "format": "csv"}, headers=headers(tenant.id))
    assert table.text.splitlines()[0] == '"entity","at","local","value","unit","count"'
    assert len(table.text.splitlines()) == 49
    stream = client.get(path, params={**params, "format": "arrow"}, headers=headers(tenant.id)).content
    assert pa.ipc.open_stream(stream).read_all().column("value").to_pylist() == [row["value"] for row in whole["values"]]
    files = client.get(path, params={**params, "format": "parquet", "quantile": "0.5"}, headers=headers(tenant.id)).content
    assert parquet.read_table(io.BytesIO(files)).column("value").to_pylist() == [pytest.approx(row["value"], rel=0.01) for row in whole["values"]]


@pytest.mark.parametrize("wrong", [{"limit": "0"}, {"limit": "1000001"}, {"format": "doc"}, {"quantile": "2"}, {"quantile": "meio"}, {"grain": "semana"}])
def test_what_cannot_be_answered_is_said(new_tenant: Any, client: Any, wrong: dict[str, str]) -> None:
    tenant, other = new_tenant(), new_tenant()
    params = {"type": "WeatherObserved", "attribute": "temperature"}
    assert client.get(f"/{tenant.slug}/history/values", params=params | wrong, headers=headers(tenant.id)).status_code == 400
    assert client.get(f"/{tenant.slug}/history/values", params=params, headers=headers(other.id)).status_code == 403
    assert client.get(f"/{tenant.slug}/history/values", params=params).status_code == 401
