"""Find code lists and translate values between them. Built-in lists are package data, read when first asked for."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

from malha.kernel.text import msg, normalise
from malha.vocabulary.codelists.contracts import Code, CodeList, UnknownCodeList

LISTS = Path(__file__).resolve().parent / "lists"


def names() -> list[str]:
    """Every built-in list, in order of name."""
    return sorted(path.stem for path in LISTS.glob("*.toml"))


@cache
def get(name: str) -> CodeList:
    """The list called `name`. Raises UnknownCodeList."""
    path = LISTS / f"{name}.toml"
    if name != path.stem or not path.is_file():
        raise UnknownCodeList(msg("Não há nenhuma lista de códigos “{name}”."), name=name)
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    codes = tuple(Code(value, *_pair(value, label)) for value, label in data["codes"].items())
    return CodeList(name, data["version"], data["label"][0], data["label"][1], data.get("source", ""), codes)


def severity(source: str, value: object) -> str:
    """Our step (info, attention, warning, critical, nodata) for the word of another system.

    `source` is ipma, ipma-fire, cap, anepc, weather-alert, incident or emergency-incident; no value, or one that the
    table does not have, is nodata: never green. Raises UnknownCodeList for an unknown source.
    """
    table = _severities().get(source)
    if table is None:
        raise UnknownCodeList(msg("Não há nenhuma lista de códigos “{name}”."), name=source)
    return table.get(normalise(str(value)), "nodata") if value is not None else "nodata"


@cache
def _severities() -> dict[str, dict[str, str]]:
    data = tomllib.loads((LISTS / "severity.toml").read_text(encoding="utf-8"))
    return {source: {normalise(value): step for value, step in table.items()} for source, table in data["maps"].items()}


def _pair(value: str, label: list[str] | str) -> tuple[str, str]:
    """A label may be both languages, or English alone when the value is Portuguese already."""
    return (value, label) if isinstance(label, str) else (label[0], label[1])
