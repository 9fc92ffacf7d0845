"""What a chart asks of history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from malha.context.broker.contracts import BadRequestData, InvalidRequest
from malha.history.temporal import tracks
from malha.history.temporal.contracts import Grain, SeriesQuery
from malha.kernel.text import msg
from malha.kernel.time import now, parse_instant
from malha.vocabulary.models.contracts import Aggregation

#: where a chart does not say how fine, by the length of its period
_GRAINS = ((timedelta(days=3), Grain.RAW), (timedelta(days=45), Grain.HOUR), (timedelta(days=1100), Grain.DAY))

#: what a person asks for; further out the arithmetic of days would leave the calendar
_YEARS = range(1000, 9000)
#: days of one track
TRACK_DAYS = 31


def chart(params: Mapping[str, str]) -> SeriesQuery:
    """Read `type`, `attribute`, `uri`, `from`, `to`, `grain`, `aggregation`, `at`: the last day where no period is said."""
    for name in ("type", "attribute"):
        if not params.get(name):
            raise InvalidRequest(msg("Falta o parâmetro {name}."), name=name)
    end = _instant(params["to"], "to") if params.get("to") else now()
    start = _instant(params["from"], "from") if params.get("from") else end - timedelta(days=1)
    try:
        grain = Grain(params["grain"]) if params.get("grain") else next((g for length, g in _GRAINS if end - start <= length), Grain.MONTH)
        aggregation = Aggregation(params.get("aggregation", Aggregation.AVERAGE))
    except ValueError as reason:
        raise InvalidRequest(msg("{reason}: escolha um grão e uma agregação que existam."), reason=str(reason)) from reason
    uris = tuple(uri for uri in params.get("uri", "").split(",") if uri)
    if grain is Grain.RAW and not uris:
        grain = Grain.QUARTER  # every value of every device is no line
    return SeriesQuery(
        params["type"],
        params["attribute"],
        start,
        end,
        uris,
        grain,
        aggregation,
        group_by_entity=bool(uris),
        limit=20_000,
        known_at=_instant(params["at"], "at") if params.get("at") else None,
    )


@dataclass(frozen=True, slots=True)
class AskedTrack:
    """The track of `uri` over [start, end); with `at`, only where it was then."""

    uri: str
    start: datetime
    end: datetime
    at: datetime | None
    fastest_km_h: float


def track(params: Mapping[str, str]) -> AskedTrack:
    """Read `id`, `from`, `to`, `at`, `fastest` (km/h): the last day where no period is said. Raises InvalidRequest, BadRequestData."""
    if not params.get("id"):
        raise InvalidRequest(msg("Falta o parâmetro {name}."), name="id")
    at = _instant(params["at"], "at") if params.get("at") else None
    end = _instant(params["to"], "to") if params.get("to") else (at + tracks.GAP if at else now())
    start = _instant(params["from"], "from") if params.get("from") else (at or end) - timedelta(days=1)
    if not start < end <= start + timedelta(days=TRACK_DAYS):
        raise BadRequestData(msg("Um percurso vai de from a to, no máximo {days} dias."), days=TRACK_DAYS)
    try:
        fastest = float(params.get("fastest", tracks.FASTEST_KM_H))
    except ValueError:
        fastest = 0.0
    if not 0 < fastest < 10_000:
        raise BadRequestData(msg("fastest é uma velocidade em km/h."))
    return AskedTrack(params["id"], start, end, at, fastest)


def _instant(text: str, name: str) -> datetime:
    try:
        instant = parse_instant(text.replace(" ", "+"))  # a plus that a form decoded
    except ValueError as reason:
        raise BadRequestData(msg("{name}={text} não é um instante, como 2026-11-23T02:00:00Z."), name=name, text=text[:40]) from reason
    if instant.year not in _YEARS:
        raise BadRequestData(msg("{name}={text} está fora dos anos de {first} a {last}."), name=name, text=text[:40], first=_YEARS[0], last=_YEARS[-1])
    return instant
