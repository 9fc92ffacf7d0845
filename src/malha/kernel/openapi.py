"""The words of an OpenAPI 3.1 description that rooms keep beside their routes: parameters, bodies, summaries."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_STEP = re.compile(r"\{(\w+)(?::(\w+))?\}")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of the address, as JSON Schema says what it holds."""

    name: str
    description: str = ""
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})
    required: bool = False
    where: str = "query"
    example: object = None

    def written(self) -> dict[str, Any]:
        """The OpenAPI object."""
        said: dict[str, Any] = {"name": self.name, "in": self.where, "required": self.required or self.where == "path", "schema": dict(self.schema)}
        return said | ({"description": self.description} if self.description else {}) | ({"example": self.example} if self.example is not None else {})


@dataclass(frozen=True, slots=True)
class Operation:
    """What one route takes: parameters, and the JSON Schema of its body. `says` is its first line where the code's own does not serve."""

    parameters: tuple[Parameter, ...] = ()
    body: Mapping[str, Any] | None = None
    media: tuple[str, ...] = ("application/json",)
    answers: str = "application/json"
    says: str = ""


INTEGER: Mapping[str, Any] = {"type": "integer", "minimum": 0}
BOOLEAN: Mapping[str, Any] = {"type": "boolean"}
INSTANT: Mapping[str, Any] = {"type": "string", "format": "date-time"}


def choice(*values: str) -> dict[str, Any]:
    """One of these words."""
    return {"type": "string", "enum": list(values)}


def path_of(route: str) -> str:
    """`/entities/{id:path}` as OpenAPI writes it."""
    return _STEP.sub(r"{\1}", route)


def of_path(route: str) -> list[Parameter]:
    """The parameters in a route's own path."""
    kinds: dict[str, Mapping[str, Any]] = {"int": {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}, "float": {"type": "number"}}
    return [Parameter(name, schema=kinds.get(kind or "", {"type": "string", "minLength": 1}), where="path") for name, kind in _STEP.findall(route)]
