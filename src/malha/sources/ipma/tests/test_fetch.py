"""The connector against our simulator, called directly."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from malha.sources.base.contracts import NotReady, SourceChanged, Tenancy
from malha.sources.ipma import rules, service
from malha.sources.ipma.simulator import UNLISTED, Simulator
from malha.vocabulary.models import service as models

SUMMER = datetime(2026, 7, 20, 12, 30, tzinfo=UTC)
WINTER = datetime(2026, 1, 20, 12, 30, tzinfo=UTC)
AVEIRO = Tenancy("aveiro", "Aveiro", "0105", extent=(-8.75, 40.53, -8.52, 40.73))


class Direct:
    """A fetcher that asks the simulator without a network; `broken` answers something else for a path."""

    def __init__(self, at=SUMMER, **broken):
        self.simulator = Simulator(lambda: at)
        self.broken = broken

    def get_json(self, url):
        for part, answer in self.broken.items():
            if part in url:
                if isinstance(answer, Exception):
                    raise answer
                return answer
        for part, make in (
            ("stations.json", self.simulator.stations),
            ("observations.json", self.simulator.observations),
            ("aggregate", lambda: self.simulator.forecast("1010500")),
            ("locations", self.simulator.places),
            ("warnings", self.simulator.warnings),
            ("rcm-d0", lambda: self.simulator.fire_risk(0)),
            ("rcm-d1", lambda: self.simulator.fire_risk(1)),
        ):
            if part in url:
                return make()
        raise AssertionError(url)


def fetch(fetcher, tenancy=AVEIRO, **settings):
    return list(service.CONNECTOR.fetch(fetcher, settings, {}, tenancy))


def observed(fetcher, **settings):
    return fetch(fetcher, **{"reach": "all", "forecast": "0", "warnings": "0", "fire_risk": "0"} | settings)[0]


def column(batch, name):
    return next(one for one in batch.table.columns if one.name == name)


def test_it_works():
    batches = fetch(Direct())
    kinds = {batch.table.type for batch in batches if batch.table} | {document.types[0] for batch in batches for document in batch.documents}
    assert kinds == {"WeatherObserved", "WeatherForecast", "WeatherAlert", "Alert"}
    risk = [document for batch in batches for document in batch.documents if document.types == ("Alert",)]
    assert {document.uri for document in risk} == {"urn:ipma:Alert:rcm:0105:2026-07-20", "urn:ipma:Alert:rcm:0105:2026-07-21"}
    assert risk[0].attributes["fireRiskClass"]["value"] == 2
    warnings = [document for batch in batches for document in batch.documents if document.types == ("WeatherAlert",)]
    assert [document.attributes["subCategory"]["value"] for document in warnings] == ["wind"]


def test_what_comes_out_fits_the_models():
    for batch in fetch(Direct()):
        for document in batch.documents:
            entity = {"id": document.uri, "type": document.types[0], **document.attributes}
            found = [finding for finding in models.validate(entity, models.get(document.types[0])) if finding.severity == "error"]
            assert [finding for finding in found if not finding.path.startswith("address")] == []


def test_minus_99_is_no_value():
    batch = observed(Direct())
    pressure, radiation = column(batch, "atmosphericPressure").values, column(batch, "solarRadiation").values
    assert None in pressure
    assert None in radiation
    assert all(value is None or value >= 0 for value in [*pressure, *radiation])
    assert rules.number("-99.0") is None
    assert rules.number(-99) is None
    assert rules.number("0.0") == 0.0


def test_near_stations_only():
    batch = fetch(Direct(), forecast="0", warnings="0", fire_risk="0")[0]
    assert {uri.rsplit(":", 1)[1] for uri in batch.table.uris} == {"1990001", "1990002"}


def test_a_station_in_no_list_has_no_place():
    batch = observed(Direct())
    places = dict(zip(batch.table.uris, column(batch, "location").values, strict=True))
    assert places[f"urn:ipma:WeatherObserved:{UNLISTED}"] is None
    assert places["urn:ipma:WeatherObserved:1990001"]["coordinates"] == [-8.66, 40.64]
    assert [refused.code for refused in batch.refused] == ["station_without_place"]


def test_without_a_list_every_station_is_shown_without_a_place():
    batch = observed(Direct(**{"stations.json": NotReady("x")}), reach="near")
    assert set(column(batch, "location").values) == {None}
    assert len(batch.table.uris) == 4 * 24 - 1


@pytest.mark.parametrize("at", [SUMMER, WINTER])
def test_hours_are_utc_whatever_the_season(at):
    batch = observed(Direct(at))
    assert max(batch.table.observed_at) == at.replace(minute=0)
    assert rules.instant("2026-10-25T01:30") == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


def test_units_are_those_of_the_model():
    batch = observed(Direct())
    model = models.get("WeatherObserved")
    for one in batch.table.columns:
        if one.unit:
            assert one.unit == model.find(one.name).unit
    assert all(0 <= value <= 1 for value in column(batch, "relativeHumidity").values if value is not None)


def test_not_ready_is_said_once_and_other_parts_still_come():
    batches = []
    with pytest.raises(NotReady):
        batches.extend(service.CONNECTOR.fetch(Direct(**{"observations.json": NotReady("não responde")}), {}, {}, AVEIRO))
    assert any(document.types == ("WeatherForecast",) for batch in batches for document in batch.documents)


@pytest.mark.parametrize(
    ("path", "answer"), [("observations.json", []), ("observations.json", {}), ("rcm-d0", {"local": []}), ("warnings", {"x": 1}), ("aggregate", {})]
)
def test_a_changed_shape_is_noticed(path, answer):
    with pytest.raises(SourceChanged):
        fetch(Direct(**{path: answer}))


def test_an_unknown_field_is_shown():
    answer = Simulator(lambda: SUMMER).observations()
    next(iter(answer.values()))["1990001"]["poeira"] = 3.0
    batch = observed(Direct(**{"observations.json": answer}))
    assert ("unknown_field", "poeira") in {(refused.code, refused.path) for refused in batch.refused}


def test_islands_have_their_own_numbers():
    assert [service.place_id(dico) for dico in ("0105", "3103", "4201")] == ["1010500", "2310300", "3420100"]
