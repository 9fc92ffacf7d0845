"""Reading `pack.toml`: what is wrong is said by file and key."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from malha.insight.alerts import rules as alert_rules
from malha.insight.alerts.contracts import Operator, Rule, RuleKind, Severity
from malha.insight.maps import rules as map_rules
from malha.insight.metrics import rules as metric_rules
from malha.kernel.errors import MalhaError
from malha.kernel.text import msg
from malha.packs.registry.contracts import Pack, UnknownPack, UnusablePack

PACKS = Path(__file__).resolve().parents[1]


@cache
def all_packs() -> tuple[Pack, ...]:
    """Every pack of this installation, in order."""
    return tuple(sorted((read(path) for path in PACKS.glob("*/pack.toml")), key=lambda pack: (pack.position, pack.name)))


def pack(name: str) -> Pack:
    """One pack. Raises UnknownPack."""
    found = next((one for one in all_packs() if one.name == name), None)
    if found is None:
        raise UnknownPack(msg("Não há nenhum pacote “{name}”."), name=name)
    return found


def read(path: Path) -> Pack:
    """A pack from its folder. Raises UnusablePack."""
    try:
        return _pack(path.parent.name, tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, KeyError, ValueError, TypeError, MalhaError) as reason:
        raise UnusablePack(msg("{path} não se consegue ler: {reason}."), path=path, reason=str(reason)) from reason


def _pack(name: str, given: Mapping[str, Any]) -> Pack:
    head = given["pack"]
    place = int(head.get("position", 0))
    return Pack(
        name=name, version=int(head["version"]), label=metric_rules.label_of(head["label"]), description=metric_rules.label_of(head["description"]),
        needs=metric_rules.label_of(head.get("needs", "")), types=tuple(head["types"]), position=place,
        metrics=tuple(metric_rules.from_definition(one["key"], one, pack=name, position=place * 10 + index) for index, one in enumerate(given.get("metric", ()))),
        layers=tuple(map_rules.from_definition(one["key"], one, pack=name, position=place * 10 + index) for index, one in enumerate(given.get("layer", ()))),
        rules=tuple(_rule(name, one) for one in given.get("rule", ())),
    )  # fmt: skip


def _rule(name: str, given: Mapping[str, Any]) -> Rule:
    bound = given.get("bound")
    rule = Rule(
        id=0, tenant_id=0, name=given["name"], kind=RuleKind(given["kind"]), type=given["type"], attribute=given.get("attribute", ""),
        operator=Operator(given.get("operator", ">")), bound=float(bound) if isinstance(bound, (int, float)) else None,
        bound_text=bound if isinstance(bound, str) else "", end_bound=float(given["end_bound"]) if "end_bound" in given else None,
        for_seconds=60 * int(given.get("for_minutes", 0)), end_for_seconds=60 * int(given.get("end_for_minutes", 0)),
        silence_seconds=60 * int(given.get("silence_minutes", 0)), late_seconds=60 * int(given.get("late_minutes", 120)), severity=Severity(given["severity"]),
        unit=given.get("unit", ""), decimals=int(given.get("decimals", 1)), what_to_do=given.get("what_to_do", ""), call_whom=given.get("call_whom", ""),
        enabled=bool(given.get("enabled", True)), pack=name, key=given["key"],
    )  # fmt: skip
    alert_rules.check(rule)
    return rule
