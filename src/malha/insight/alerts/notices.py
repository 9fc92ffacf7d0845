"""What a notice says: pure, in Portuguese, with the numbers and hours of the municipality."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from malha.insight.alerts.contracts import SEVERITY_LABELS, Alarm, RuleKind, Status
from malha.kernel import formats
from malha.kernel.time import format_instant

_SIGNS = {">=": "≥", "<=": "≤", "==": "="}


def comparison(alarm: Alarm, language: str = "pt") -> str:
    """What happened, in figures: "2,31 m > 2,00 m", or since when nothing is heard."""
    if alarm.kind is RuleKind.SILENCE:
        return "no signal" if language.startswith("en") else "sem sinal"
    if alarm.value is None or alarm.bound is None:
        return alarm.value_text or alarm.bound_text
    value = formats.quantity(alarm.value, alarm.unit, alarm.decimals, language)
    bound = formats.quantity(alarm.bound, alarm.unit, alarm.decimals, language)
    return f"{value} {_SIGNS.get(alarm.operator, alarm.operator)} {bound}"


def since(alarm: Alarm, zone: ZoneInfo, now: datetime, language: str = "pt") -> str:
    """The hour alone on the same day, else with the day."""
    same_day = alarm.since.astimezone(zone).date() == now.astimezone(zone).date()
    return formats.clock(alarm.since, zone, language) if same_day else formats.instant(alarm.since, zone, language)


def headline(alarm: Alarm, zone: ZoneInfo, now: datetime) -> str:
    """The line of an e-mail: "[Crítico] Ribeira 2,31 m > 2,00 m — Ponte Velha — desde 02:51"."""
    return f"[{SEVERITY_LABELS[alarm.severity]}] {alarm.rule_name} {comparison(alarm)} — {alarm.thing} — desde {since(alarm, zone, now)}"


def body(alarm: Alarm, zone: ZoneInfo, now: datetime, *, link: str, tenant_name: str) -> str:
    """The text of an e-mail: what, what to do, whom to call, where to take it."""
    parts = [headline(alarm, zone, now), ""]
    if alarm.what_to_do:
        parts += ["O que fazer:", alarm.what_to_do, ""]
    if alarm.call_whom:
        parts += [f"A quem ligar: {alarm.call_whom}", ""]
    parts += [f"Ver e ficar com este alarme: {link}", "", tenant_name]
    return "\n".join(parts)


def payload(alarm: Alarm, event: str, *, link: str, tenant: str) -> dict[str, object]:
    """What a webhook carries: a CloudEvents 1.0 envelope in structured JSON."""
    return {
        "specversion": "1.0",
        "id": f"{tenant}:{alarm.id}:{event}",
        "source": f"/{tenant}/agir/alarmes/{alarm.id}/",
        "type": f"pt.malha.alarm.{event}",
        "time": format_instant(alarm.ended_at if event == "ended" and alarm.ended_at else alarm.fired_at),
        "datacontenttype": "application/json",
        "data": {
            "alarm": alarm.id, "status": str(Status(alarm.status)), "severity": str(alarm.severity), "rule": alarm.rule_name, "kind": str(alarm.kind),
            "entity": alarm.uri, "name": alarm.thing, "type": alarm.type, "attribute": alarm.attribute, "value": alarm.value_text or alarm.value,
            "operator": alarm.operator, "bound": alarm.bound if alarm.bound is not None else alarm.bound_text, "unitCode": alarm.unit,
            "since": format_instant(alarm.since), "endedAt": format_instant(alarm.ended_at) if alarm.ended_at else None, "takenBy": alarm.taken_by,
            "whatToDo": alarm.what_to_do, "callWhom": alarm.call_whom, "link": link,
        },
    }  # fmt: skip
