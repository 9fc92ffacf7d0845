"""Rows that wait, by reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from malha.kernel.errors import BadInput, MalhaError


class QuarantineError(MalhaError):
    """Something about rows that wait does not hold."""

    slug = "quarantine"


class UnknownGroup(QuarantineError, BadInput):
    """No rows wait under that reason."""

    slug = "unknown-group"


@dataclass(frozen=True, slots=True)
class Group:
    """Rows of one load that wait for the same reason. `sentence` is "188 linhas: a data não existe"."""

    run_id: int
    code: str
    path: str
    message: str
    mend: str
    count: int
    examples: tuple[Mapping[str, object], ...] = ()


@dataclass(frozen=True, slots=True)
class HeldRow:
    """One row that waits, with what came."""

    id: int
    run_id: int
    row_number: int
    code: str
    path: str
    message: str
    cells: Mapping[str, object]
