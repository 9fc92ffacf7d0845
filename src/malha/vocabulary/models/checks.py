"""Each property of a model compiled once into a function that reports what is wrong with a value.

A check takes the plain value, its path and a list to report to. What it may not take is decided here, so that
entity by entity (`validation`) and column by column (`columns`) say the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime
from difflib import get_close_matches
from math import isfinite
from typing import Any

from malha.kernel.text import unaccent
from malha.vocabulary.models import geometry
from malha.vocabulary.models.contracts import AttributeKind, Finding, ModelProperty, ValueType
from malha.vocabulary.models.sentences import finding, show

type Check = Callable[[Any, str, list[Finding]], None]

#: the only properties that may be null: the end of an interval that has not ended
OPEN_END = re.compile(r"^(end[A-Z]?.*|ended.*|validTo|.*Finished|.*[a-z](To|End|Ended|Until))$")
URI_PATTERN = r"^[A-Za-z][A-Za-z0-9+.-]*:\S+$"
_URI = re.compile(URI_PATTERN)
_MOST_CHOICES_SHOWN = 8


def is_empty(value: Any) -> bool:
    """What the national rules call no value: null, blank text, a dash, or nothing inside."""
    if value is None or value in ({}, []):
        return True
    return isinstance(value, str) and value.strip() in {"", "-"}


def is_open_end(name: str) -> bool:
    """Whether `name` ends an interval and may be null."""
    return OPEN_END.match(name) is not None


def compile_check(prop: ModelProperty) -> Check:
    """The function that checks values of `prop`, emptiness and unit apart."""
    own = _compile_type(prop, prop.type)
    if not prop.also:
        return own
    others = [_compile_type(prop, other) for other in prop.also]

    def check(value: Any, path: str, report: list[Finding]) -> None:
        found: list[Finding] = []
        own(value, path, found)
        if not found:
            return
        for other in others:
            tried: list[Finding] = []
            other(value, path, tried)
            if not tried:
                return
        report.extend(found)

    return check


def _compile_type(prop: ModelProperty, value_type: ValueType) -> Check:
    if value_type in {ValueType.NUMBER, ValueType.INTEGER}:
        return _number_check(prop, whole=value_type is ValueType.INTEGER)
    if value_type is ValueType.LIST:
        return _list_check(prop)
    if value_type is ValueType.OBJECT:
        return _object_check(prop)
    if value_type is ValueType.TEXT:
        return _text_check(prop)
    if value_type is ValueType.URI:
        return _uri_check(prop)
    return {
        ValueType.BOOLEAN: _check_boolean,
        ValueType.INSTANT: check_instant,
        ValueType.DATE: check_date,
        ValueType.DURATION: _check_text,
        ValueType.GEOMETRY: geometry.check,
    }[value_type]


def number_bounds(prop: ModelProperty, value: float, path: str, report: list[Finding]) -> None:
    """Report a number outside the range of its property."""
    if prop.minimum is not None and (value < prop.minimum or (prop.open_minimum and value == prop.minimum)):
        report.append(finding("low", path, minimum=_tidy(prop.minimum), value=show(value), unit=f" ({prop.unit})" if prop.unit else ""))
    elif prop.maximum is not None and (value > prop.maximum or (prop.open_maximum and value == prop.maximum)):
        report.append(finding("high", path, maximum=_tidy(prop.maximum), value=show(value), unit=f" ({prop.unit})" if prop.unit else ""))


def _tidy(number: float) -> str:
    return f"{number:g}"


def _number_check(prop: ModelProperty, *, whole: bool) -> Check:
    sentence = "integer" if whole else "number"

    def check(value: Any, path: str, report: list[Finding]) -> None:
        kind = type(value)
        if (kind is not int and kind is not float) or not isfinite(value) or (whole and kind is float and not value.is_integer()):
            report.append(finding(sentence, path, value=show(value)))
        else:
            number_bounds(prop, value, path, report)

    return check


def _check_boolean(value: Any, path: str, report: list[Finding]) -> None:
    if not isinstance(value, bool):
        report.append(finding("boolean", path, value=show(value)))


def _check_text(value: Any, path: str, report: list[Finding]) -> None:
    if not isinstance(value, str):
        report.append(finding("text", path, value=show(value)))


def choice_finding(prop: ModelProperty, value: Any, path: str) -> Finding:
    """The finding about a value outside the allowed ones, with the one that was probably meant."""
    near = nearest(str(value), prop.choices)
    if near:
        return finding("choice-near", path, value=show(value), near=near)
    shown = ", ".join(prop.choices[:_MOST_CHOICES_SHOWN]) + (", …" if len(prop.choices) > _MOST_CHOICES_SHOWN else "")
    return finding("choice", path, value=show(value), choices=shown)


def nearest(text: str, among: tuple[str, ...], likeness: float = 0.75) -> str:
    """The one of `among` that `text` probably means: the same but for case and accents, else a close spelling; or nothing."""
    folded = {unaccent(each).casefold(): each for each in among}
    close = get_close_matches(unaccent(text).casefold(), folded, n=1, cutoff=likeness)
    return folded[close[0]] if close else ""


def _text_check(prop: ModelProperty) -> Check:
    allowed = frozenset(prop.choices)
    pattern = re.compile(prop.pattern) if prop.pattern else None

    def check(value: Any, path: str, report: list[Finding]) -> None:
        if not isinstance(value, str):
            if isinstance(value, Mapping) and prop.kind in {AttributeKind.LANGUAGE_PROPERTY, AttributeKind.PROPERTY} and _is_language_map(value):
                return
            report.append(finding("text", path, value=show(value)))
        elif allowed and value not in allowed:
            report.append(choice_finding(prop, value, path))
        elif pattern is not None and not pattern.search(value):
            report.append(finding("pattern", path, value=show(value), pattern=prop.pattern))

    return check


def _is_language_map(value: Mapping[Any, Any]) -> bool:
    return bool(value) and all(isinstance(key, str) and (len(key.partition("-")[0]) <= 3) and isinstance(text, str | list) for key, text in value.items())


def _uri_check(prop: ModelProperty) -> Check:
    linked = prop.kind is AttributeKind.RELATIONSHIP

    def check(value: Any, path: str, report: list[Finding]) -> None:
        if linked and isinstance(value, list):  # a relationship may point at several entities
            for number, each in enumerate(value):
                check(each, f"{path}[{number}]", report)
        elif not isinstance(value, str):
            report.append(finding("text", path, value=show(value)))
        elif not _URI.match(value):
            report.append(finding("uri", path, value=show(value)))

    return check


def parse_instant(text: str) -> datetime | None:
    """The date and time of an ISO 8601 text, None where it is none; `2025-01-2T10:00` is none."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def check_instant(value: Any, path: str, report: list[Finding]) -> None:
    """An instant: ISO 8601 date and time, its offset asked for."""
    if isinstance(value, datetime):
        return
    when = parse_instant(value) if isinstance(value, str) else None
    if when is None:
        report.append(finding("instant", path, value=show(value)))
    elif when.tzinfo is None:
        report.append(finding("instant-zone", path, value=show(value)))


def check_date(value: Any, path: str, report: list[Finding]) -> None:
    """A date, alone or with a time."""
    if not isinstance(value, date) and (not isinstance(value, str) or parse_instant(value) is None):
        report.append(finding("date", path, value=show(value)))


def _list_check(prop: ModelProperty) -> Check:
    inner: Check | None = None
    if prop.item_type is not None:
        inner = _object_check(prop) if prop.item_type is ValueType.OBJECT else _compile_type(prop, prop.item_type)

    def check(value: Any, path: str, report: list[Finding]) -> None:
        if not isinstance(value, list | tuple):
            if prop.kind is AttributeKind.RELATIONSHIP and isinstance(value, str):  # one object is a list of one (GS CIM 009 §4.5.3)
                return
            report.append(finding("list", path, value=show(value)))
            return
        if len(value) < prop.minimum_items:
            report.append(finding("items", path, minimum=prop.minimum_items))
        if prop.unique_items and len({repr(each) for each in value}) < len(value):
            report.append(finding("repeated", path))
        if inner is not None:
            for number, each in enumerate(value):
                inner(each, f"{path}[{number}]", report)

    return check


def _object_check(prop: ModelProperty) -> Check:
    members = {member.name: (compile_check(member), member) for member in prop.members}
    required = [member.name for member in prop.members if member.required]

    def check(value: Any, path: str, report: list[Finding]) -> None:
        if not isinstance(value, Mapping):
            report.append(finding("object", path, value=show(value)))
            return
        report.extend(finding("missing", f"{path}.{name}") for name in required if name not in value)
        for name, each in value.items():
            known = members.get(name)
            if known is None:
                continue
            if is_empty(each) and known[1].type is not ValueType.LIST:
                if not is_open_end(name):
                    report.append(finding("empty", f"{path}.{name}", value=show(each)))
            else:
                known[0](each, f"{path}.{name}", report)

    return check
