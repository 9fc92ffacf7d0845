"""The description of the plane holds, and whatever is sent to what it describes never makes it fall (Schemathesis)."""

import warnings

import hypothesis
import pytest
from django.conf import settings
from hypothesis import HealthCheck, Phase, given
from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.routing import Match

from malha.context.broker import auth, pool
from malha.foundation.access.contracts import Capability
from malha.foundation.database import service as database
from malha.foundation.tokens import service as tokens
from malha.history.engines import service as engines
from malha.project import openapi, plane

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # starlette would like another client than the one that it ships with
    import schemathesis
    from starlette.testclient import TestClient

#: answers of 5xx that say something: not offered (OData, SensorThings), and a context that cannot be fetched
SAID = {501, 504}
#: streams do not end
LEFT_OUT = {"/events/stream"}


@pytest.fixture
def told(new_tenant):
    """A client with every right in a tenant of its own with a few entities, and the description as it is served there."""
    auth.forget()
    tenant = new_tenant()
    with database.connect(autocommit=True) as conn:
        token = tokens.issue(conn, settings.SECRET_KEY, subject="client:openapi", tenants=[tenant.id], capabilities=list(Capability))
    with TestClient(
        plane.application(), base_url=f"http://localhost/{tenant.slug}", headers={"Authorization": f"Bearer {token}"}, raise_server_exceptions=False
    ) as client:
        said = client.get("openapi.json").json()
        entities = [
            {"id": f"urn:x:AirQualityObserved:{n}", "type": "AirQualityObserved", "pm10": {"type": "Property", "value": n, "observedAt": "2026-03-01T00:00:00Z"},
             "location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [-8.6, 41.1 + n / 100]}}}
            for n in range(3)
        ]  # fmt: skip
        assert client.post("ngsi-ld/v1/entityOperations/create", json=entities).status_code == 201
        yield client, said
    pool.close()
    engines.forget_readers()


def test_it_is_openapi_3_1_and_says_where_it_is(told):
    client, said = told
    OpenAPIV31SpecValidator(said).validate()
    assert said["openapi"] == "3.1.0"
    assert said["servers"] == [{"url": str(client.base_url).removeprefix("http://localhost").rstrip("/")}]
    ids = [one["operationId"] for path in said["paths"].values() for one in path.values()]
    assert len(ids) == len(set(ids))
    assert all(one["summary"].strip() for path in said["paths"].values() for one in path.values())


def test_everything_that_rooms_describe_is_there():
    routes = plane.routes()
    for key in openapi.known():
        method, _, path = key.partition(" ")
        scope = {"type": "http", "method": method, "path": path.replace("{id}", "x").replace("{attr}", "a"), "headers": []}
        assert any(route.matches(scope)[0] is Match.FULL for route in routes), key


def attempt(client, operation, examples, seed, found):
    """Ask one operation in `examples` ways; what falls is added to `found`."""

    @hypothesis.seed(seed)
    @hypothesis.settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate])
    @given(case=operation.as_strategy())
    def ask(case):
        sent = case.as_transport_kwargs(base_url=str(client.base_url))
        headers = {name: value for name, value in (sent.get("headers") or {}).items() if name.lower() in {"content-type", "accept"}}
        more = {name: sent[name] for name in ("json", "data") if sent.get(name) is not None}
        content = {"content": more.pop("data")} if isinstance(more.get("data"), bytes | str) else {}
        answer = client.request(case.method, sent["url"], params=sent.get("params"), headers=headers, **more, **content)
        if answer.status_code >= 500 and answer.status_code not in SAID:
            found.append((operation.label, answer.status_code, sent["url"], sent.get("params"), str(more)[:300], answer.text[:200]))

    ask()


def fallen(client, said, examples, seed):
    """What fell: (operation, status, what was sent)."""
    schema, found = schemathesis.openapi.from_dict(said), []
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path in LEFT_OUT:
            continue

        attempt(client, operation, examples, seed, found)
    return found


@pytest.mark.timeout(240)
def test_nothing_that_is_sent_makes_it_fall(told):
    found = fallen(*told, examples=3, seed=20)
    assert found == [], "\n".join(map(str, found[:20]))


@pytest.mark.rehearsal
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(3))
def test_nothing_that_is_sent_makes_it_fall_for_long(told, seed):
    found = fallen(*told, examples=60, seed=seed)
    assert found == [], "\n".join(map(str, found[:20]))
