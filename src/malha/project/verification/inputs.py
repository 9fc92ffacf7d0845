"""Find the folder of real files, or write small ones of the same formats."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import islice
from pathlib import Path

from malha.kernel.errors import BadInput
from malha.kernel.text import msg
from malha.project.verification.contracts import Inputs

#: where the sample folder has them; elsewhere they are known by their columns
USUAL_PLACES, USUAL_TABLE = "carris-metropolitana/facilities/schools.csv", "carris-metropolitana/sla.csv"
USUAL_WEATHER = "feeds/ipma/observations.json"
TABLE_COLUMNS = ("line_id", "operational_day", "total_trip_count", "pass_trip_count")
MOST_LOOKED_AT = 2_000
MOST_BYTES = 50 * 2**20
STATIONS = 6
HOURS = 24


def find(named: Path | None) -> Path | None:
    """The sample folder: the one that was named, else `MALHA_SAMPLES`, else the usual place beside the checkout; None where that is no folder."""
    set_to = os.environ.get("MALHA_SAMPLES")
    beside = Path(__file__).resolve().parents[4].parent / "shared" / "data"
    place = named or (Path(set_to) if set_to else beside)
    return place if place.is_dir() else None


def choose(samples: Path | None, into: Path, *, asked: bool = False) -> Inputs:
    """The real files that the folder has, and small ones written below `into` for those it lacks.

    A file is known by what is in it, wherever it lies and whatever it is called. Raises BadInput when the folder was
    `asked` for and has none of them: a verification of something else would mislead.
    """
    own = _write(into)
    if samples is None:
        return own
    folder = samples.resolve()
    found = {"models": _models(folder), "places": _first(folder, USUAL_PLACES, _are_places), "table": _first(folder, USUAL_TABLE, _is_table)}
    found["weather"] = _first(folder, USUAL_WEATHER, _is_weather)
    if asked and not any(found.values()):
        raise BadInput(
            msg(
                "Em {folder} não há nada com que verificar: uma pasta de modelos (*.schema.json), um CSV com id, name, lat e lon, um com {table}, ou observações do IPMA em JSON."
            ),
            folder=samples,
            table=", ".join(TABLE_COLUMNS),
        )
    return replace(own, folder=folder, **{name: path for name, path in found.items() if path is not None})


def _models(folder: Path) -> Path | None:
    """The folder of schemas: the usual one, else the first that holds some."""
    if (folder / "cnmd").is_dir():
        return folder / "cnmd"
    schema = next(iter(sorted(folder.rglob("*.schema.json"))), None)
    return None if schema is None else folder if schema.parent == folder else folder / schema.relative_to(folder).parts[0]


def _first(folder: Path, usual: str, fits: Callable[[Path], bool]) -> Path | None:
    """The usual file, else the first one of its kind that fits."""
    candidates = [folder / usual, *islice(sorted(folder.rglob(f"*{Path(usual).suffix}")), MOST_LOOKED_AT)]
    return next((path for path in candidates if path.is_file() and fits(path)), None)


def _header(path: Path) -> set[str]:
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        return {name.strip().strip('"') for name in file.readline(10_000).split(",")}


def _are_places(path: Path) -> bool:
    return {"id", "name", "lat", "lon"} <= _header(path)


def _is_table(path: Path) -> bool:
    return set(TABLE_COLUMNS) <= _header(path)


def _is_weather(path: Path) -> bool:
    """Instants, then stations, then measures: the shape of IPMA's observations."""
    if path.stat().st_size > MOST_BYTES:
        return False
    try:
        hours = json.loads(path.read_bytes())
        station = next(iter(next(iter(hours.values())).values()))
        return "temperatura" in station and bool(datetime.fromisoformat(next(iter(hours))))
    except (ValueError, AttributeError, TypeError, StopIteration):
        return False


def _write(into: Path) -> Inputs:
    models = into / "modelos"
    models.mkdir(parents=True)
    (models / "BicycleCounted.schema.json").write_text(json.dumps(_schema(), ensure_ascii=False), encoding="utf-8")
    places, table, weather = into / "escolas.csv", into / "linhas.csv", into / "observacoes.json"
    places.write_text(_places(), encoding="utf-8")
    table.write_text(_table(), encoding="utf-8")
    weather.write_text(json.dumps(_weather()), encoding="utf-8")
    return Inputs(None, models, places, table, weather)


def _schema() -> dict[str, object]:
    """A data model in the catalogue's way: JSON Schema 2020-12 of the simplified form."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Contagem de bicicletas",
        "description": "Bicicletas que passaram num ponto da ciclovia",
        "type": "object",
        "required": ["id", "type", "dateObserved", "count"],
        "properties": {
            "id": {"type": "string"},
            "type": {"type": "string", "enum": ["BicycleCounted"]},
            "dateObserved": {"type": "string", "format": "date-time"},
            "count": {"type": "integer", "minimum": 0, "description": "Bicicletas na última hora"},
            "location": {"$ref": "https://geojson.org/schema/Geometry.json"},
        },
    }


def _places() -> str:
    rows = [f"E{n:03},Escola de Ensaio {n},{38.70 + n / 1000:.6f},{-9.15 + n / 1000:.6f},{n % 2},1106,Lisboa" for n in range(40)]
    return "\n".join(["id,name,lat,lon,pre_school,municipality_id,municipality_name", *rows]) + "\n"


def _table() -> str:
    first = date(2026, 7, 1)
    rows = [
        f"44,{4600 + line},{first + timedelta(days=day):%Y%m%d},{20 + line},{17 + line},{(17 + line) / (20 + line):.4f}"
        for day in range(30)
        for line in range(20)
    ]
    return "\n".join(["agency_id,line_id,operational_day,total_trip_count,pass_trip_count,pass_trip_percentage", *rows]) + "\n"


def _weather() -> dict[str, object]:
    """24 hours of a few stations in the shape of IPMA's observations; -99.0 says that there is no value."""
    start = datetime(2022, 7, 27, 7)  # noqa: DTZ001 -- the feed writes UTC without saying so
    return {
        (start + timedelta(hours=hour)).strftime("%Y-%m-%dT%H:%M"): {
            str(1200500 + station): {
                "intensidadeVentoKM": round(5 + station, 1),
                "temperatura": -99.0 if hour == 3 and station == 0 else round(18 + 6 * math.sin(hour / 4) + station / 2, 1),
                "radiacao": -99.0,
                "idDireccVento": 1 + station,
                "precAcumulada": 0.0,
                "intensidadeVento": round((5 + station) / 3.6, 1),
                "humidade": 60.0,
                "pressao": 1015.0,
            }
            for station in range(STATIONS)
        }
        for hour in range(HOURS)
    }
