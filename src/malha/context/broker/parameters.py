"""Parameters of an address that several doors of the broker read alike (GS CIM 009 §6.3)."""

from __future__ import annotations

from collections.abc import Mapping

from malha.context.broker.contracts import BadRequestData, InvalidRequest
from malha.kernel.text import msg

DIGITS = 18  # what a bigint of PostgreSQL surely holds


def number(params: Mapping[str, str], name: str, default: int) -> int:
    """A whole number, zero or more; `default` where nothing is said. Raises BadRequestData."""
    text = params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit()) or len(text) > DIGITS:
        raise BadRequestData(msg("“{name}” é um número inteiro, zero ou mais."), name=name)
    return int(text)


def system(params: Mapping[str, str], known: frozenset[str]) -> bool:
    """Whether system attributes are asked for, at a door that knows these parameters besides. Raises InvalidRequest for any other."""
    unknown = [name for name in params if name not in known | {"options", "local", "sysAttrs"}]
    if unknown:
        raise InvalidRequest(msg("O parâmetro “{name}” não existe."), name=unknown[0][:40])
    options = [one for one in params.get("options", "").split(",") if one]
    if wrong := [one for one in options if one not in {"sysAttrs", "count"}]:
        raise InvalidRequest(msg("A opção “{name}” não existe."), name=wrong[0][:40])
    return "sysAttrs" in options or params.get("sysAttrs") == "true"
