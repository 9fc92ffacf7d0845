"""The recording of 28 July 2022 in the sample folder."""

from __future__ import annotations

import json

import pytest

from malha.sources.base.contracts import NotReady, Tenancy
from malha.sources.ipma import service

pytestmark = pytest.mark.samples


class Recorded:
    """Answers from the folder; what was not recorded does not answer."""

    def __init__(self, folder):
        self.folder = folder

    def get_json(self, url):
        place = self.folder / url.rsplit("/", 1)[1]
        if not place.exists():
            raise NotReady("não está na gravação")
        return json.loads(place.read_text())


def test_it_works(samples):
    fetcher = Recorded(samples / "feeds" / "ipma")
    tenancy = Tenancy("aveiro", "Aveiro", "0105", extent=(-8.75, 40.53, -8.52, 40.73))
    batches = []
    with pytest.raises(NotReady):  # the warnings were not recorded
        batches.extend(service.CONNECTOR.fetch(fetcher, {}, {}, tenancy))
    table = batches[0].table
    given = json.loads((samples / "feeds" / "ipma" / "observations.json").read_text())
    expected = {
        (station, hour): values["temperatura"]
        for hour, stations in given.items()
        for station, values in stations.items()
        if values and any(value != -99.0 for name, value in values.items() if name not in {"idDireccVento", "intensidadeVentoKM"})
    }
    temperature = next(column for column in table.columns if column.name == "temperature").values
    found = {(uri.rsplit(":", 1)[1], at.strftime("%Y-%m-%dT%H:%M")): value for uri, at, value in zip(table.uris, table.observed_at, temperature, strict=True)}
    assert found == {key: None if value == -99.0 else value for key, value in expected.items() if key in found}
    assert set(expected) <= set(found)
    assert not batches[0].live
    forecasts = [document for batch in batches for document in batch.documents if document.types == ("WeatherForecast",)]
    assert len(forecasts) == 105
    risk = [document for batch in batches for document in batch.documents if document.types == ("Alert",)]
    assert [document.attributes["fireRiskClass"]["value"] for document in risk] == [
        json.loads((samples / "feeds" / "ipma" / f"rcm-d{day}.json").read_text())["local"]["0105"]["data"]["rcm"] for day in (0, 1)
    ]
