"""What a request asks of history: the temporal query of GS CIM 009 §4.11 and §4.5.19, and the chart's own parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from malha.context.broker.contracts import BadRequestData, InvalidRequest
from malha.history.temporal.contracts import Grain, SeriesQuery
from malha.kernel.text import msg
from malha.kernel.time import now, parse_instant
from malha.vocabulary.models.contracts import Aggregation

#: names of §4.5.19 → ours
METHODS = {
    "avg": Aggregation.AVERAGE, "sum": Aggregation.SUM, "min": Aggregation.MINIMUM, "max": Aggregation.MAXIMUM, "totalCount": Aggregation.COUNT,
}  # fmt: skip
PERIODS = {"PT15M": Grain.QUARTER, "PT1H": Grain.HOUR, "P1D": Grain.DAY, "P1M": Grain.MONTH}
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
MOST_VALUES = 10_000
#: where a chart does not say how fine, by the length of its period
_GRAINS = ((timedelta(days=3), Grain.RAW), (timedelta(days=45), Grain.HOUR), (timedelta(days=1100), Grain.DAY))


@dataclass(frozen=True, slots=True)
class TemporalQuestion:
    """The period [start, end), how many values, and which aggregates over which buckets."""

    start: datetime
    end: datetime
    last_n: int
    methods: tuple[str, ...] = ()
    grain: Grain = Grain.DAY


def temporal(params: Mapping[str, str]) -> TemporalQuestion:
    """Read `timerel`, `timeAt`, `endTimeAt`, `lastN`, `aggrMethods`, `aggrPeriodDuration`."""
    start, end = _period(params)
    if params.get("timeproperty", "observedAt") != "observedAt":
        raise BadRequestData(msg("A história guarda-se pelo instante da observação: use timeproperty=observedAt."))
    options = params.get("options", "").split(",")
    if "aggregatedValues" not in options:
        return TemporalQuestion(start, end, _count(params.get("lastN", str(MOST_VALUES))))
    methods = tuple(method for method in params.get("aggrMethods", "").split(",") if method)
    unknown = [method for method in methods if method not in METHODS]
    if unknown or not methods:
        raise BadRequestData(msg("Diga aggrMethods com um ou mais de {known}."), known=", ".join(METHODS))
    period = params.get("aggrPeriodDuration", "P1D")
    if period not in PERIODS:
        raise BadRequestData(msg("aggrPeriodDuration pode ser {known}."), known=", ".join(PERIODS))
    return TemporalQuestion(start, end, _count(params.get("lastN", str(MOST_VALUES))), methods, PERIODS[period])


def chart(params: Mapping[str, str]) -> SeriesQuery:
    """Read `type`, `attribute`, `uri`, `from`, `to`, `grain`, `aggregation`: the last day where no period is said."""
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
    return SeriesQuery(params["type"], params["attribute"], start, end, uris, grain, aggregation, group_by_entity=bool(uris), limit=20_000)


def _period(params: Mapping[str, str]) -> tuple[datetime, datetime]:
    relation, far = params.get("timerel"), now() + timedelta(days=366)
    if relation is None:
        if params.get("lastN"):
            return BEGINNING, far
        raise BadRequestData(msg("Diga o período: timerel=before, after ou between, com timeAt (e endTimeAt)."))
    if relation not in {"before", "after", "between"} or not params.get("timeAt") or (relation == "between" and not params.get("endTimeAt")):
        raise BadRequestData(msg("Diga o período: timerel=before, after ou between, com timeAt (e endTimeAt)."))
    at = _instant(params["timeAt"], "timeAt")
    if relation == "before":
        return BEGINNING, at
    if relation == "after":
        return at + timedelta(microseconds=1), far
    until = _instant(params["endTimeAt"], "endTimeAt")
    if until <= at:
        raise BadRequestData(msg("endTimeAt tem de vir depois de timeAt."))
    return at, until


def _instant(text: str, name: str) -> datetime:
    try:
        return parse_instant(text.replace(" ", "+"))  # a plus that a form decoded
    except ValueError as reason:
        raise BadRequestData(msg("{name}={text} não é um instante, como 2026-11-23T02:00:00Z."), name=name, text=text[:40]) from reason


def _count(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) <= MOST_VALUES:
        raise BadRequestData(msg("lastN vai de 1 a {most}."), most=MOST_VALUES)
    return int(text)
