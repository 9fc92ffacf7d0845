"""What a reader picks and omits (GS CIM 009 §4.21), and which parameters an address takes (§6.3.2)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from starlette.requests import Request

from malha.context.broker.contracts import BadRequestData, InvalidRequest
from malha.kernel.text import msg

_NAME = re.compile(r"[^\s,;|{}()\[\]\"'<>=!~]+")
DEPTH = 8
#: members of an entity that are named as they are
OWN = frozenset({"id", "type", "scope", "createdAt", "modifiedAt", "deletedAt", "expiresAt"})
COMMON = frozenset({"options", "format", "sysAttrs", "lang", "local", "attrs", "pick", "omit", "datasetId", "geometryProperty", "join", "joinLevel", "containedBy", "jsonKeys", "entityMap", "entityMapLifetime", "type", "csf"})  # fmt: skip
RETRIEVE = COMMON


@dataclass(frozen=True, slots=True)
class Projection:
    """Members by internal name, with what is picked or omitted of the entities that a relationship leads to."""

    names: Mapping[str, Projection | None] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.names)

    def below(self, name: str) -> Projection | None:
        """The projection of the entities that the relationship `name` leads to, None where it says nothing of them."""
        return self.names.get(name)

    def depth(self) -> int:
        """How many relationships deep it goes."""
        return max((1 + part.depth() for part in self.names.values() if part is not None), default=0)


NOTHING = Projection()


def parse(text: str, expand: Callable[[str], str]) -> Projection:
    """`a,rel{b,c}` as a projection. Raises BadRequestData for what is no list of names."""
    if not text:
        return NOTHING
    found, at = _list(text, 0, expand, 0)
    if at != len(text):
        raise _wrong(text, at)
    return found


def _wrong(text: str, at: int) -> BadRequestData:
    return BadRequestData(msg("Não se percebe a lista de membros na posição {position}: “{rest}”."), position=at + 1, rest=text[at : at + 30])


def _list(text: str, at: int, expand: Callable[[str], str], depth: int) -> tuple[Projection, int]:
    if depth > DEPTH:
        raise BadRequestData(msg("A lista de membros tem níveis a mais."))
    names: dict[str, Projection | None] = {}
    while True:
        match = _NAME.match(text, at)
        if not match:
            raise _wrong(text, at)
        at = match.end()
        name = match.group() if match.group() in OWN else expand(match.group())
        below: Projection | None = None
        if at < len(text) and text[at] == "{":
            below, at = _list(text, at + 1, expand, depth + 1)
            if at >= len(text) or text[at] != "}":
                raise _wrong(text, at)
            at += 1
        names[name] = below
        if at >= len(text) or text[at] not in ",|":
            return Projection(names), at
        at += 1


def check_parameters(request: Request, known: frozenset[str]) -> None:
    """Raise InvalidRequest for a parameter that the operation does not have, or one given twice."""
    for name in request.query_params:
        if name not in known:
            raise InvalidRequest(msg("O parâmetro “{name}” não existe."), name=name[:40])


def attributes(text: str, expand: Callable[[str], str]) -> frozenset[str]:
    """A plain list of attributes (`attrs`). Raises BadRequestData for what is no name."""
    if not text:
        return frozenset()
    parts = [part.strip() for part in text.split(",")]
    if not all(part and _NAME.fullmatch(part) for part in parts):
        raise BadRequestData(msg("Não se percebe a lista de membros na posição {position}: “{rest}”."), position=1, rest=text[:30])
    return frozenset(map(expand, parts))
