"""What IPMA's open data say, turned into values of our models. Pure.

Shapes: IPMA's open-data API (api.ipma.pt, no key). -99 and "-99.0" are "no value" wherever they stand; times are UTC without a suffix.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from malha.kernel.text import msg
from malha.kernel.time import format_instant
from malha.sources.base.contracts import Refused, SourceChanged

MISSING = -99.0
#: classes of wind direction of the stations: 0 is no wind, then from the north clockwise; 9 is north again
STATION_WIND = {1: 0.0, 2: 45.0, 3: 90.0, 4: 135.0, 5: 180.0, 6: 225.0, 7: 270.0, 8: 315.0, 9: 0.0}
FORECAST_WIND = {"N": 0.0, "NE": 45.0, "E": 90.0, "SE": 135.0, "S": 180.0, "SW": 225.0, "W": 270.0, "NW": 315.0}
#: measured field → (our property, UN/CEFACT unit, factor): humidity to 0–1, hourly kJ/m² to W/m²
MEASURES = {
    "temperatura": ("temperature", "CEL", 1.0),
    "humidade": ("relativeHumidity", "C62", 0.01),
    "pressao": ("atmosphericPressure", "A97", 1.0),
    "precAcumulada": ("precipitation", "MMT", 1.0),
    "intensidadeVento": ("windSpeed", "MTS", 1.0),
    "radiacao": ("solarRadiation", "D54", 1000 / 3600),
}
#: fields that we know and do not keep: the same wind in another unit
KNOWN = frozenset({*MEASURES, "intensidadeVentoKM", "idDireccVento"})
PHENOMENA = {
    "Precipitação": "rainfall", "Trovoada": "thunderstorms", "Vento": "wind", "Neve": "snow", "Gelo": "ice", "Nevoeiro": "fog",
    "Agitação Marítima": "coastalEvent", "Tempo Frio": "lowTemperature", "Tempo Quente": "highTemperature",
}  # fmt: skip
AWARENESS = {"green": "informational", "yellow": "medium", "orange": "high", "red": "critical"}
FIRE_RISK = {
    1: ("informational", "Reduzido"),
    2: ("low", "Moderado"),
    3: ("medium", "Elevado"),
    4: ("high", "Muito elevado"),
    5: ("critical", "Máximo"),
}


@dataclass(frozen=True, slots=True)
class Station:
    """One station with its place (longitude, latitude)."""

    id: str
    name: str
    point: tuple[float, float]


@dataclass(slots=True)
class Observations:
    """Hours of all stations as columns, in order of time, and what could not be read."""

    stations: list[str] = field(default_factory=list)
    instants: list[datetime] = field(default_factory=list)
    values: dict[str, list[float | None]] = field(
        default_factory=lambda: {name: [] for name in (*(measure[0] for measure in MEASURES.values()), "windDirection")}
    )
    refused: list[Refused] = field(default_factory=list)
    silent: int = 0


def number(value: object) -> float | None:
    """A figure that may come as text; None for -99 and for nothing."""
    if value is None or value == "":
        return None
    try:
        figure = float(str(value))
    except ValueError as reason:
        raise SourceChanged(msg("O IPMA mandou “{value}” onde se espera um número."), value=str(value)[:40]) from reason
    return None if figure == MISSING else figure


def instant(text: object) -> datetime:
    """A UTC instant from a text without suffix. Raises SourceChanged."""
    try:
        value = datetime.fromisoformat(str(text))
    except ValueError as reason:
        raise SourceChanged(msg("O IPMA mandou “{value}” onde se espera um instante."), value=str(text)[:40]) from reason
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def mapping(data: object, what: str) -> Mapping[str, Any]:
    """`data` as an object. Raises SourceChanged naming what it should have been."""
    if not isinstance(data, Mapping):
        raise SourceChanged(msg("A resposta do IPMA mudou de forma ({reason})."), reason=what)
    return data


def sequence(data: object, what: str) -> Sequence[Any]:
    """`data` as a list. Raises SourceChanged naming what it should have been."""
    if not isinstance(data, list):
        raise SourceChanged(msg("A resposta do IPMA mudou de forma ({reason})."), reason=what)
    return data


def stations(data: object) -> dict[str, Station]:
    """The stations by id, from the GeoJSON-like list (an array of features, or a FeatureCollection)."""
    features = data.get("features") if isinstance(data, Mapping) else data
    found: dict[str, Station] = {}
    for feature in sequence(features, msg("estações")):
        properties, geometry = mapping(feature, msg("estações")).get("properties", {}), feature.get("geometry", {})
        key = str(properties.get("idEstacao", ""))
        coordinates: Sequence[Any] = geometry.get("coordinates") or ()
        if key and len(coordinates) >= 2:
            found[key] = Station(key, str(properties.get("localEstacao", "")).strip(), (float(coordinates[0]), float(coordinates[1])))
    return found


def observations(data: object) -> Observations:
    """Every hour of every station. A station that said nothing (null, or only -99) makes no row; unknown fields are refused and shown."""
    made = Observations()
    unknown: dict[str, int] = {}
    for hour, by_station in sorted(mapping(data, msg("observações")).items()):
        at = instant(hour)
        for station, values in sorted(mapping(by_station, msg("observações")).items()):
            if values is None:
                made.silent += 1
                continue
            figures = _figures(mapping(values, msg("observações")))
            for name in set(values) - KNOWN:
                unknown[name] = unknown.get(name, 0) + 1
            if all(figure is None for figure in figures.values()):
                made.silent += 1
                continue
            made.stations.append(station)
            made.instants.append(at)
            for name, column in made.values.items():
                column.append(figures[name])
    if made.stations == [] and not made.silent:
        raise SourceChanged(msg("A resposta do IPMA sobre observações veio vazia."))
    made.refused += [
        Refused(0, "unknown_field", msg("o IPMA manda um campo que não se conhece"), name, msg("Avise quem mantém a Malha."), {name: f"{count} vezes"})
        for name, count in sorted(unknown.items())
    ]
    return made


def _figures(values: Mapping[str, object]) -> dict[str, float | None]:
    figures: dict[str, float | None] = {}
    for name, (attribute, _unit, factor) in MEASURES.items():
        figure = number(values.get(name))
        figures[attribute] = None if figure is None else round(figure * factor, 6)
    wind = number(values.get("idDireccVento"))
    figures["windDirection"] = STATION_WIND.get(int(wind)) if wind is not None else None
    return figures


def forecast(item: Mapping[str, Any]) -> dict[str, object]:
    """The attributes of one period of a place's forecast, plain values; periods are 1, 3 or 24 hours."""
    start = instant(item.get("dataPrev"))
    hours = int(number(item.get("idPeriodo")) or 0)
    if hours not in {1, 3, 24}:
        raise SourceChanged(msg("O IPMA mandou uma previsão de {hours} horas."), hours=hours)
    made: dict[str, object] = {
        "dateIssued": moment(instant(item.get("dataUpdate"))),
        "validFrom": moment(start),
        "validTo": moment(datetime.fromtimestamp(start.timestamp() + hours * 3600, UTC)),
        "validity": f"PT{hours}H",
        "temperature": number(item.get("tMed")),
        "relativeHumidity": _scaled(item.get("hR"), 0.01),
        "feelsLikeTemperature": number(item.get("utci")),
        "windSpeed": _scaled(item.get("ffVento"), 1 / 3.6),
        "windDirection": FORECAST_WIND.get(str(item.get("ddVento", ""))),
        "precipitationProbability": _scaled(item.get("probabilidadePrecipita"), 0.01),
        "uVIndexMax": number(item.get("iUv")),
    }
    for attribute, name in (("dayMaximum", "tMax"), ("dayMinimum", "tMin")):
        figure = number(item.get(name))
        made[attribute] = {"temperature": figure} if figure is not None else None
    return {name: value for name, value in made.items() if value is not None}


def _scaled(value: object, factor: float) -> float | None:
    figure = number(value)
    return None if figure is None else round(figure * factor, 6)


def moment(value: datetime) -> dict[str, str]:
    """An instant as a JSON-LD typed value."""
    return {"@type": "DateTime", "@value": format_instant(value)}
