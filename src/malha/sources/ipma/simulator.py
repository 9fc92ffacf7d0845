"""A simulator of IPMA's open API, ours, for trials and tests: it answers on the loopback in the documented shapes.

`python -m malha.sources.ipma.simulator --port 8790`, and the address `http://127.0.0.1:8790` in the set-up of the source (with
`MALHA_FETCH_PRIVATE=1`). Everything it says is invented and says so ("Simulador da Malha").
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from malha.kernel.time import now

OWNER = "Simulador da Malha"
#: invented stations: id, name, longitude, latitude
STATIONS = (
    (1990001, "Estação simulada da Foz", -8.66, 40.64),
    (1990002, "Estação simulada da Serra", -8.39, 40.72),
    (1990003, "Estação simulada do Sul", -8.90, 37.10),
)
#: speaks and stands in no list, as some of the real ones do
UNLISTED = 1990099
PLACES = (
    ("1010500", "AVR", "Aveiro", "40.6413", "-8.6535"),
    ("1110600", "LSB", "Lisboa", "38.7660", "-9.1286"),
    ("2310300", "MCS", "Funchal", "32.6485", "-16.9084"),
)
HOURS = 24


class Simulator:
    """The answers, made from the clock: the same moment gives the same bytes."""

    def __init__(self, clock: Callable[[], datetime] = now) -> None:
        self.clock = clock

    def hour(self) -> datetime:
        """The full hour that has just ended."""
        return self.clock().astimezone(UTC).replace(minute=0, second=0, microsecond=0)

    def stations(self) -> list[dict[str, Any]]:
        """The list of stations."""
        return [
            {"geometry": {"type": "Point", "coordinates": [lon, lat]}, "type": "Feature", "properties": {"idEstacao": key, "localEstacao": name}}
            for key, name, lon, lat in STATIONS
        ]

    def observations(self) -> dict[str, dict[str, dict[str, float] | None]]:
        """A day of hours; one station is silent at four in the morning, and none measures radiation at night."""
        answer: dict[str, dict[str, dict[str, float] | None]] = {}
        for back in range(HOURS - 1, -1, -1):
            at = self.hour() - timedelta(hours=back)
            answer[at.strftime("%Y-%m-%dT%H:%M")] = {
                str(key): None if at.hour == 4 and place == 1 else _observation(at, place) for place, key in enumerate([*(s[0] for s in STATIONS), UNLISTED])
            }
        return answer

    def forecast(self, place: str) -> list[dict[str, Any]]:
        """Ten days and a day of hours for a place, numbers as text."""
        midnight = self.hour().replace(hour=0)
        stamp = self.hour().strftime("%Y-%m-%dT%H:%M:%S")
        days = [
            {
                "tMin": f"{9 + day % 3:.1f}", "tMax": f"{18 + day % 5:.1f}", "idPeriodo": 24, "idTipoTempo": 3, "idFfxVento": 2, "ddVento": "NW", "iUv": "4.1",
                "intervaloHora": "12h-16h", "probabilidadePrecipita": f"{(day * 13) % 90:.1f}", "globalIdLocal": int(place), "dataUpdate": stamp,
                "dataPrev": (midnight + timedelta(days=day)).strftime("%Y-%m-%dT%H:%M:%S"),
            }
            for day in range(10)
        ]  # fmt: skip
        hours = [
            {
                "tMed": f"{_temperature(self.hour() + timedelta(hours=hour), 0):.1f}", "hR": "71.0", "ffVento": "14.4", "ddVento": "N", "utci": "15.0", "idPeriodo": 1,
                "idTipoTempo": 2, "probabilidadePrecipita": "-99.0", "globalIdLocal": int(place), "dataUpdate": stamp,
                "dataPrev": (self.hour() + timedelta(hours=hour)).strftime("%Y-%m-%dT%H:%M:%S"),
            }
            for hour in range(24)
        ]  # fmt: skip
        return days + hours

    def warnings(self) -> list[dict[str, str]]:
        """One yellow warning of wind at Aveiro and green ones elsewhere."""
        start, end = (self.hour() + timedelta(hours=hours) for hours in (1, 13))
        span = {"startTime": start.strftime("%Y-%m-%dT%H:%M:%S"), "endTime": end.strftime("%Y-%m-%dT%H:%M:%S")}
        windy = {"text": f"{OWNER}: rajadas até 80 km/h.", "awarenessTypeName": "Vento", "idAreaAviso": "AVR", "awarenessLevelID": "yellow", **span}
        calm = [{"text": "", "awarenessTypeName": name, "idAreaAviso": "LSB", "awarenessLevelID": "green", **span} for name in ("Nevoeiro", "Trovoada")]
        return [windy, *calm]

    def fire_risk(self, day: int) -> dict[str, Any]:
        """The class of two municipalities of the mainland."""
        today = self.hour().date()
        local = {
            dico: {"data": {"rcm": rcm}, "dico": dico, "latitude": float(lat), "longitude": float(lon)}
            for dico, rcm, lat, lon in (("0105", 2 + day, "40.6413", "-8.6535"), ("1106", 3, "38.7660", "-9.1286"))
        }
        return {"dataPrev": str(today + timedelta(days=day)), "dataRun": str(today), "fileDate": f"{today} 00:05:02", "local": local}

    def places(self) -> list[dict[str, Any]]:
        """Places with their number and area of warnings, coordinates as text."""
        return [{"globalIdLocal": int(key), "idAreaAviso": area, "local": name, "latitude": lat, "longitude": lon} for key, area, name, lat, lon in PLACES]

    def application(self) -> Starlette:
        """The answers over HTTP, at IPMA's own paths."""

        def answer(make: Callable[[Request], object]) -> Callable[[Request], JSONResponse]:
            return lambda request: JSONResponse(make(request), headers={"X-Simulator": OWNER})

        return Starlette(
            routes=[
                Route("/open-data/observation/meteorology/stations/stations.json", answer(lambda _: self.stations())),
                Route("/open-data/observation/meteorology/stations/observations.json", answer(lambda _: self.observations())),
                Route("/public-data/forecast/aggregate/{place:int}.json", answer(lambda request: self.forecast(str(request.path_params["place"])))),
                Route("/public-data/forecast/locations.json", answer(lambda _: self.places())),
                Route("/open-data/forecast/warnings/warnings_www.json", answer(lambda _: self.warnings())),
                Route("/open-data/forecast/meteorology/rcm/rcm-d{day:int}.json", answer(lambda request: self.fire_risk(request.path_params["day"]))),
            ]
        )


def _temperature(at: datetime, place: int) -> float:
    return 14 + 5 * math.sin((at.hour - 9) / 24 * 2 * math.pi) + place


def _observation(at: datetime, place: int) -> dict[str, float]:
    wind = 2 + (at.hour + place) % 5
    return {
        "intensidadeVentoKM": round(wind * 3.6, 1), "temperatura": round(_temperature(at, place), 1), "radiacao": -99.0 if at.hour < 7 or at.hour > 20 else 900.0,
        "idDireccVento": float(1 + (at.hour + place) % 9), "precAcumulada": 0.4 if at.hour == 5 else 0.0, "intensidadeVento": float(wind),
        "humidade": float(60 + at.hour), "pressao": -99.0 if place == 2 else 1015.2,
    }  # fmt: skip


def main() -> None:
    """Answer on the loopback until stopped."""
    import uvicorn  # noqa: PLC0415 -- only the command serves

    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--port", type=int, default=8790)
    uvicorn.run(Simulator().application(), host="127.0.0.1", port=options.parse_args().port, log_level="warning")


if __name__ == "__main__":
    main()
