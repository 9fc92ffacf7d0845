"""IPMA's open data: observations of stations, forecast, warnings, danger of fire. The connector."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from malha.context.store.contracts import Column, EntityDocument, EntityTable
from malha.kernel.text import msg, sentence
from malha.sources.base.contracts import Fetcher, Manifest, NotReady, Refused, SettingField, SourceBatch, SourceChanged, Tenancy
from malha.sources.ipma import rules
from malha.vocabulary.models.contracts import Label

BASE = "https://api.ipma.pt"
OBSERVATIONS = "/open-data/observation/meteorology/stations/observations.json"
STATIONS = "/open-data/observation/meteorology/stations/stations.json"
FORECAST = "/public-data/forecast/aggregate/{place}.json"
PLACES = "/public-data/forecast/locations.json"
WARNINGS = "/open-data/forecast/warnings/warnings_www.json"
FIRE_RISK = "/open-data/forecast/meteorology/rcm/rcm-d{day}.json"
SOURCE = "urn:ipma:Organization:IPMA"
#: stations so near the municipality speak for it too
NEAR_DEGREES = 0.25
UNITS = {"temperature": "CEL", "feelsLikeTemperature": "CEL", "windSpeed": "MTS", "windDirection": "DD"}

MANIFEST = Manifest(
    name="ipma",
    version="1.0.0",
    label=Label(msg("IPMA: tempo, avisos e perigo de incêndio"), "IPMA: weather, warnings and danger of fire"),
    description=Label(
        "Observações de hora a hora das estações, previsão para o município, avisos meteorológicos e perigo de incêndio rural",
        "Hourly observations of the stations, forecast for the municipality, weather warnings and danger of wildfire",
    ),
    publisher="Instituto Português do Mar e da Atmosfera",
    licence="https://creativecommons.org/licenses/by/4.0/",
    website="https://api.ipma.pt",
    types=("WeatherObserved", "WeatherForecast", "WeatherAlert", "Alert"),
    every_seconds=1800,
    silent_after_seconds=3 * 3600,
    incremental=True,
    settings=(
        SettingField("base", Label("Endereço", "Address"), Label("Deixe como está, a não ser em ensaios.", "Leave as it is, except in trials."), "url", BASE),
        SettingField(
            "reach",
            Label("Que estações", "Which stations"),
            Label("As do município e à volta, ou as do país inteiro.", "Those of the municipality and around it, or those of the whole country."),
            "choice",
            "near",
            (("near", Label("Do município e à volta", "The municipality and around it")), ("all", Label("Do país inteiro", "The whole country"))),
        ),
        *(
            SettingField(name, Label(*label), Label("", ""), "flag", "1")
            for name, label in (
                ("observations", ("Observações", "Observations")),
                ("forecast", ("Previsão", "Forecast")),
                ("warnings", ("Avisos", "Warnings")),
                ("fire_risk", ("Perigo de incêndio", "Danger of fire")),
            )
        ),
    ),
)


def place_id(dico: str) -> str:
    """IPMA's number of a municipality: region, DICO, 00. Madeira is region 2, the Azores 3."""
    region = "1" if dico < "31" else "2" if dico < "41" else "3"
    return f"{region}{dico}00"


class Ipma:
    """One fetch asks for the parts that are switched on; one part that fails does not take the others with it."""

    manifest = MANIFEST

    def fetch(self, fetcher: Fetcher, settings: Mapping[str, str], state: Mapping[str, object], tenancy: Tenancy) -> Iterator[SourceBatch]:
        """Batches of what IPMA says now. Raises the first failure after the other parts were given."""
        base = (settings.get("base") or BASE).rstrip("/")
        failure: NotReady | SourceChanged | None = None
        for name, part in (("observations", self._observations), ("forecast", self._forecast), ("warnings", self._warnings), ("fire_risk", self._fire_risk)):
            if settings.get(name, "1") not in {"1", "on", "true"}:
                continue
            try:
                yield from part(fetcher, base, settings, state, tenancy)
            except (NotReady, SourceChanged) as reason:
                failure = failure or reason
        if failure:
            raise failure

    def _observations(self, fetcher: Fetcher, base: str, settings: Mapping[str, str], state: Mapping[str, object], tenancy: Tenancy) -> Iterator[SourceBatch]:
        seen = rules.observations(fetcher.get_json(base + OBSERVATIONS))
        places = _stations(fetcher, base)
        chosen = _chosen(seen, places, settings, tenancy)
        stations, instants = [seen.stations[row] for row in chosen], [seen.instants[row] for row in chosen]
        known = [places.get(station) for station in stations]
        columns = [
            Column("name", [place.name if place else f"Estação {station}" for place, station in zip(known, stations, strict=True)]),
            Column("location", [{"type": "Point", "coordinates": list(place.point)} if place else None for place in known], "GeoProperty"),
            Column("dataProvider", ["IPMA"] * len(stations)),
            Column("dateObserved", [rules.moment(at) for at in instants]),
        ]
        units = {attribute: unit for attribute, unit, _factor in rules.MEASURES.values()} | {"windDirection": "DD", "relativeHumidity": ""}
        columns += [Column(name, [values[row] for row in chosen], unit=units.get(name, "")) for name, values in seen.values.items()]
        uris = [f"urn:ipma:WeatherObserved:{station}" for station in stations]
        newest = max(seen.instants, default=None)
        live = newest is not None and newest > datetime.now(UTC) - timedelta(hours=3)
        notes = (sentence(msg("{count} vezes uma estação não disse nada."), count=seen.silent),) if seen.silent else ()
        missing = sorted({station for station, place in zip(stations, known, strict=True) if place is None})
        refused = [*seen.refused, *_without_place(missing, listed=bool(places))]
        table = EntityTable("WeatherObserved", uris, columns, list(instants))
        after = dict(state) | ({"observations": newest.isoformat()} if newest else {})
        yield SourceBatch(table, refused=tuple(refused), state=after, live=live, notes=notes)

    def _forecast(self, fetcher: Fetcher, base: str, settings: Mapping[str, str], state: Mapping[str, object], tenancy: Tenancy) -> Iterator[SourceBatch]:
        del settings, state
        if not tenancy.dico:
            return
        place = place_id(tenancy.dico)
        items = rules.sequence(fetcher.get_json(base + FORECAST.format(place=place)), msg("previsão"))
        point = _place_of(fetcher, base, place)
        documents = []
        for item in items:
            values = rules.forecast(rules.mapping(item, msg("previsão")))
            start = values["validFrom"]["@value"]  # type: ignore[index]  # made by `forecast`
            common = {"name": tenancy.name, "dataProvider": "IPMA", "address": _address(tenancy)}
            attributes = _document(values | common, location=point)
            documents.append(EntityDocument(f"urn:ipma:WeatherForecast:{place}:{values['validity']}:{start}", ("WeatherForecast",), attributes))
        yield SourceBatch(documents=tuple(documents), live=False)

    def _warnings(self, fetcher: Fetcher, base: str, settings: Mapping[str, str], state: Mapping[str, object], tenancy: Tenancy) -> Iterator[SourceBatch]:
        del settings, state
        area = _warning_area(fetcher, base, tenancy)
        documents = []
        refused = []
        for item in rules.sequence(fetcher.get_json(base + WARNINGS), msg("avisos")):
            warning = rules.mapping(item, msg("avisos"))
            level, name = str(warning.get("awarenessLevelID", "")), str(warning.get("awarenessTypeName", ""))
            if level == "green" or (area and warning.get("idAreaAviso") != area):
                continue
            if level not in rules.AWARENESS or name not in rules.PHENOMENA:
                refused.append(Refused(0, "unknown_warning", msg("o IPMA mandou um aviso que não se conhece"), name or level, "", dict(warning)))
                continue
            documents.append(_warning(warning, level, name, tenancy))
        yield SourceBatch(documents=tuple(documents), refused=tuple(refused), live=True)

    def _fire_risk(self, fetcher: Fetcher, base: str, settings: Mapping[str, str], state: Mapping[str, object], tenancy: Tenancy) -> Iterator[SourceBatch]:
        del state
        for day in (0, 1):
            answer = rules.mapping(fetcher.get_json(base + FIRE_RISK.format(day=day)), msg("perigo de incêndio"))
            by_dico = rules.mapping(answer.get("local"), msg("perigo de incêndio"))
            wanted = by_dico if settings.get("reach") == "all" or not tenancy.dico else {tenancy.dico: by_dico[tenancy.dico]} if tenancy.dico in by_dico else {}
            yield SourceBatch(documents=tuple(_fire(answer, dico, entry, tenancy) for dico, entry in sorted(wanted.items())), live=day == 0)


def _stations(fetcher: Fetcher, base: str) -> dict[str, rules.Station]:
    """The list of stations; without it every station is shown without a place, rather than not at all."""
    try:
        return rules.stations(fetcher.get_json(base + STATIONS))
    except (NotReady, SourceChanged):
        return {}


def _chosen(seen: rules.Observations, places: dict[str, rules.Station], settings: Mapping[str, str], tenancy: Tenancy) -> list[int]:
    """The rows of the stations that this municipality wants; all of them where places or extent are not known."""
    rows = range(len(seen.stations))
    if settings.get("reach", "near") == "all" or not tenancy.extent or not places:
        return list(rows)
    west, south, east, north = tenancy.extent
    near = {
        key
        for key, place in places.items()
        if west - NEAR_DEGREES <= place.point[0] <= east + NEAR_DEGREES and south - NEAR_DEGREES <= place.point[1] <= north + NEAR_DEGREES
    }
    return [row for row in rows if seen.stations[row] in near]


def _without_place(stations: list[str], *, listed: bool) -> list[Refused]:
    """Stations that speak and stand in no list: said, not hidden. Without any list there is nothing to compare with."""
    if not listed:
        return []
    return [
        Refused(
            0, "station_without_place", msg("a estação fala mas não está na lista de estações; mostra-se sem lugar"), "location", "", {"idEstacao": station}
        )
        for station in stations
    ]


def _place_of(fetcher: Fetcher, base: str, place: str) -> tuple[float, float] | None:
    try:
        found = next((one for one in rules.sequence(fetcher.get_json(base + PLACES), msg("lugares")) if str(one.get("globalIdLocal")) == place), None)
    except (NotReady, SourceChanged):
        return None
    return (float(found["longitude"]), float(found["latitude"])) if found else None


def _warning_area(fetcher: Fetcher, base: str, tenancy: Tenancy) -> str:
    """The area of warnings (a district or group of islands) that the municipality lies in; "" is the whole country."""
    if not tenancy.dico:
        return ""
    places = rules.sequence(fetcher.get_json(base + PLACES), msg("lugares"))
    own = place_id(tenancy.dico)
    exact = next((one for one in places if str(one.get("globalIdLocal")) == own), None)
    district = next((one for one in places if str(one.get("globalIdLocal"))[1:3] == tenancy.dico[:2]), None)
    return str((exact or district or {}).get("idAreaAviso", ""))


def _address(tenancy: Tenancy) -> dict[str, str]:
    return {"addressLocality": tenancy.name, "addressCountry": "PT"}


def _document(values: Mapping[str, object], location: tuple[float, float] | None = None) -> dict[str, object]:
    """Normalized attributes from plain values."""
    made: dict[str, object] = {}
    for name, value in values.items():
        attribute: dict[str, object] = {"type": "Property", "value": value}
        if name in UNITS:
            attribute["unitCode"] = UNITS[name]
        made[name] = attribute
    if location:
        made["location"] = {"type": "GeoProperty", "value": {"type": "Point", "coordinates": list(location)}}
    return made


def _warning(warning: Mapping[str, Any], level: str, name: str, tenancy: Tenancy) -> EntityDocument:
    start, end = rules.instant(warning.get("startTime")), rules.instant(warning.get("endTime"))
    area = str(warning.get("idAreaAviso", ""))
    values = {
        "name": f"{name} ({area})", "description": str(warning.get("text", "")), "category": "weather", "subCategory": rules.PHENOMENA[name],
        "severity": rules.AWARENESS[level], "dateIssued": rules.moment(start), "validFrom": rules.moment(start), "validTo": rules.moment(end),
        "dataProvider": "IPMA", "areaServed": area, "address": _address(tenancy),
    }  # fmt: skip
    attributes = _document({key: value for key, value in values.items() if value})
    attributes["alertSource"] = {"type": "Relationship", "object": SOURCE}
    return EntityDocument(f"urn:ipma:WeatherAlert:{area}:{rules.PHENOMENA[name]}:{values['validFrom']['@value']}", ("WeatherAlert",), attributes)  # type: ignore[index]


def _fire(answer: Mapping[str, Any], dico: str, entry: object, tenancy: Tenancy) -> EntityDocument:
    local = rules.mapping(entry, msg("perigo de incêndio"))
    level = int(rules.number(rules.mapping(local.get("data"), msg("perigo de incêndio")).get("rcm")) or 0)
    if level not in rules.FIRE_RISK:
        raise SourceChanged(msg("O IPMA mandou a classe {level} de perigo de incêndio."), level=level)
    severity, word = rules.FIRE_RISK[level]
    day = rules.instant(answer.get("dataPrev"))
    values = {
        "name": f"Perigo de incêndio rural: {word}", "category": "naturalDisaster", "subCategory": "fireRisk", "severity": severity,
        "dateIssued": rules.moment(rules.instant(answer.get("dataRun"))), "validFrom": rules.moment(day), "validTo": rules.moment(day + timedelta(days=1)),
        "dataProvider": "IPMA", "areaServed": dico, "fireRiskClass": level, "alertSource": SOURCE,
    }  # fmt: skip
    if dico == tenancy.dico:
        values["address"] = _address(tenancy)
    point = (float(local["longitude"]), float(local["latitude"])) if "longitude" in local else None
    return EntityDocument(f"urn:ipma:Alert:rcm:{dico}:{day.date()}", ("Alert",), _document(values, location=point))


CONNECTOR = Ipma()
