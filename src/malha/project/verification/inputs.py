"""Find the folder of real files, or write small ones of the same formats."""

from __future__ import annotations

import json
import math
import os
from datetime import date, datetime, timedelta
from pathlib import Path

from malha.foundation.language.service import say
from malha.kernel.text import msg
from malha.project.verification.contracts import Inputs

OWN = msg("escritos pelo projeto")
STATIONS = 6
HOURS = 24


def find(named: Path | None) -> Path | None:
    """The sample folder: the one that was named, `MALHA_SAMPLES`, or the usual place beside the checkout."""
    beside = Path(__file__).resolve().parents[4].parent / "shared" / "data"
    for place in (named, Path(os.environ["MALHA_SAMPLES"]) if os.environ.get("MALHA_SAMPLES") else None, beside):
        if place is not None and place.is_dir():
            return place
    return None


def choose(samples: Path | None, into: Path) -> Inputs:
    """The real files where the folder has them, else small ones written below `into`."""
    own = _write(into)
    if samples is None:
        return own
    wanted = Inputs(
        origin=samples.name,
        models=samples / "cnmd",
        places=samples / "carris-metropolitana" / "facilities" / "schools.csv",
        table=samples / "carris-metropolitana" / "sla.csv",
        weather=samples / "feeds" / "ipma" / "observations.json",
    )
    return wanted if all(path.exists() for path in (wanted.models, wanted.places, wanted.table, wanted.weather)) else own


def _write(into: Path) -> Inputs:
    models = into / "modelos"
    models.mkdir(parents=True)
    (models / "BicycleCounted.schema.json").write_text(json.dumps(_schema(), ensure_ascii=False), encoding="utf-8")
    places, table, weather = into / "escolas.csv", into / "linhas.csv", into / "observacoes.json"
    places.write_text(_places(), encoding="utf-8")
    table.write_text(_table(), encoding="utf-8")
    weather.write_text(json.dumps(_weather()), encoding="utf-8")
    return Inputs(say(OWN), models, places, table, weather)


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
