"""The temporal query language (GS CIM 009 §4.11), the forms of the answer (§4.5.7 to §4.5.9) and aggregates (§4.5.19), as a request writes them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from malha.context.broker.contracts import BadRequestData, InvalidRequest
from malha.history.temporal.contracts import Duration, TimeProperty
from malha.kernel.text import msg
from malha.kernel.time import now

#: the eight methods of §4.5.19.1
METHODS = ("totalCount", "distinctCount", "sum", "avg", "min", "max", "stddev", "sumsq")
BEGINNING = datetime(1, 1, 2, tzinfo=UTC)
#: parameters of a temporal request that are no part of the question about entities
PARAMETERS = frozenset({"timerel", "timeAt", "endTimeAt", "timeproperty", "lastN", "aggrMethods", "aggrPeriodDuration", "options", "format", "at"})
_OPTIONS = frozenset({"temporalValues", "aggregatedValues", "sysAttrs", "count", "normalized", "audit", "entityMap"})
_FORMATS = frozenset({"temporalValues", "simplified", "aggregatedValues", "normalized"})
_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}([.,]\d+)?(Z|[+-]\d{2}:?\d{2})")
_DURATION = re.compile(r"P(?=.)(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?=\d)(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")


class Form(StrEnum):
    """How an evolution is written."""

    INSTANCES = "instances"
    VALUES = "temporalValues"
    AGGREGATES = "aggregatedValues"


@dataclass(frozen=True, slots=True)
class TemporalQuery:
    """Which instances, [start, end) by `by`, and in which form. `relation` is empty where no period was said."""

    relation: str = ""
    start: datetime = BEGINNING
    end: datetime = BEGINNING
    by: TimeProperty = TimeProperty.OBSERVED
    last_n: int | None = None
    form: Form = Form.INSTANCES
    methods: tuple[str, ...] = ()
    duration: Duration = Duration()
    system: bool = False
    count: bool = False
    known_at: datetime | None = None


def read(params: Mapping[str, str], *, needed: bool = False) -> TemporalQuery:
    """The temporal part of a request. Raises BadRequestData for what cannot be, InvalidRequest for options that do not exist."""
    form, options = _form(params)
    relation, start, end = _period(params, needed=needed)
    methods, duration = _aggregation(params) if form is Form.AGGREGATES else ((), Duration())
    try:
        by = TimeProperty(params.get("timeproperty") or "observedAt")
    except ValueError as reason:
        raise BadRequestData(msg("timeproperty é observedAt, createdAt, modifiedAt ou deletedAt.")) from reason
    return TemporalQuery(
        relation, start, end, by, _last_n(params.get("lastN", "")), form, methods, duration, system="sysAttrs" in options, count="count" in options or params.get("count") == "true",
        known_at=instant(params["at"], "at") if params.get("at") else None,
    )  # fmt: skip


def of_body(found: Any) -> dict[str, str]:
    """The member `temporalQ` of a Query (§5.2.21) as the parameters that say the same. Raises BadRequestData."""
    if not isinstance(found, dict):
        raise BadRequestData(msg("“temporalQ” é um objeto."))
    out: dict[str, str] = {}
    for name in ("timerel", "timeAt", "endTimeAt", "timeproperty", "lastN", "aggrMethods", "aggrPeriodDuration"):
        value = found.get(name)
        if value is None:
            continue
        out[name] = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        if name == "lastN" and (isinstance(value, bool) or not isinstance(value, int) or value <= 0):
            raise BadRequestData(msg("lastN é um número inteiro a partir de 1."))
    if "aggrMethods" in out:
        out["options"] = Form.AGGREGATES
    return out


def _form(params: Mapping[str, str]) -> tuple[Form, set[str]]:
    options = {option for option in params.get("options", "").split(",") if option}
    if unknown := options - _OPTIONS:
        raise InvalidRequest(msg("A opção “{name}” não existe."), name=min(unknown)[:40])
    wanted = params.get("format", "")
    if wanted and wanted not in _FORMATS:
        raise InvalidRequest(msg("O formato “{name}” não existe."), name=wanted[:40])
    if not wanted:
        both = options & {"temporalValues", "aggregatedValues"}
        if len(both) > 1:
            raise BadRequestData(msg("Escolha temporalValues ou aggregatedValues."))
        wanted = next(iter(both), "")
    return Form(wanted.replace("simplified", "temporalValues")) if wanted not in {"", "normalized"} else Form.INSTANCES, options


def _period(params: Mapping[str, str], *, needed: bool) -> tuple[str, datetime, datetime]:
    relation, ever = params.get("timerel", ""), now() + timedelta(days=36600)
    if not relation:
        if params.get("timeAt") or params.get("endTimeAt") or needed:
            raise BadRequestData(msg("Diga o período: timerel=before, after ou between, com timeAt (e endTimeAt)."))
        return "", BEGINNING, ever
    if relation not in {"before", "after", "between"} or not params.get("timeAt") or (relation == "between" and not params.get("endTimeAt")):
        raise BadRequestData(msg("Diga o período: timerel=before, after ou between, com timeAt (e endTimeAt)."))
    at = instant(params["timeAt"], "timeAt")
    if relation == "before":
        return relation, BEGINNING, at
    if relation == "after":
        return relation, at, ever
    until = instant(params["endTimeAt"], "endTimeAt")
    if until <= at:
        raise BadRequestData(msg("endTimeAt tem de vir depois de timeAt."))
    return relation, at, until


def instant(text: str, name: str) -> datetime:
    """The DateTime that a parameter gives (§4.6.3). Raises BadRequestData."""
    text = text.strip().replace(" ", "+")  # a plus that a form decoded
    if not _INSTANT.fullmatch(text):
        raise BadRequestData(msg("{name}={text} não é um instante, como 2026-11-23T02:00:00Z."), name=name, text=text[:40])
    try:
        return datetime.fromisoformat(text.replace(",", ".")).astimezone(UTC)
    except (ValueError, OverflowError) as reason:
        raise BadRequestData(msg("{name}={text} não é um instante, como 2026-11-23T02:00:00Z."), name=name, text=text[:40]) from reason


def _last_n(text: str) -> int | None:
    if not text:
        return None
    if not text.isdigit() or not 0 < int(text) < 10**9:
        raise BadRequestData(msg("lastN é um número inteiro a partir de 1."))
    return int(text)


def _aggregation(params: Mapping[str, str]) -> tuple[tuple[str, ...], Duration]:
    methods = tuple(dict.fromkeys(method.strip() for method in params.get("aggrMethods", "").split(",") if method.strip()))
    if not methods or any(method not in METHODS for method in methods):
        raise BadRequestData(msg("Diga aggrMethods com um ou mais de {known}."), known=", ".join(METHODS))
    text = params.get("aggrPeriodDuration", "") or "PT0S"
    match = _DURATION.fullmatch(text)
    if not match:
        raise BadRequestData(msg("aggrPeriodDuration={text} não é uma duração, como PT1H ou P1M."), text=text[:40])
    years, months, weeks, days, hours, minutes = (int(part or 0) for part in match.groups()[:6])
    seconds = float(match.group(7) or 0)
    duration = Duration(months=years * 12 + months, microseconds=round((((weeks * 7 + days) * 24 + hours) * 60 + minutes) * 60_000_000 + seconds * 1_000_000))
    if duration.months and duration.microseconds:
        raise BadRequestData(msg("aggrPeriodDuration conta anos e meses, ou semanas, dias, horas, minutos e segundos; não os dois juntos."))
    if duration.months > 12_000 or duration.microseconds > 10**16:
        raise BadRequestData(msg("aggrPeriodDuration={text} é demasiado longo."), text=text[:40])
    return methods, duration
