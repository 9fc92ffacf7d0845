"""Words of erasing: what was found of a person, and the proof that it went."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from malha.kernel.errors import BadInput, Conflict, MalhaError


@dataclass(frozen=True, slots=True)
class FoundEntity:
    """An entity that speaks of the person. `whole`: its own address names them."""

    id: int
    uri: str
    type: str
    whole: bool


@dataclass(frozen=True, slots=True)
class Found:
    """What there is of a person, before anything is done: entities, rows by table, files of the tenant, rows of the lake."""

    entities: list[FoundEntity] = field(default_factory=list)
    rows: dict[str, int] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    lake: dict[str, int] = field(default_factory=dict)

    @property
    def anything(self) -> bool:
        """Whether there is anything at all."""
        return bool(self.entities or self.rows or self.files or self.lake)


@dataclass(frozen=True, slots=True)
class Proof:
    """One erasure, without any of the data. `counts` by place; `remains` is what was found afterwards and cannot
    be touched, by place. Neither `done_at` nor `failure`: it is going on.
    """

    tenant_id: int
    id: int
    asked_at: datetime
    done_at: datetime | None
    asked_by: str
    ground: str
    digests: list[str]
    entity_ids: list[int]
    files: list[str]
    counts: dict[str, int]
    remains: dict[str, int]
    failure: str = ""


class ErasureError(MalhaError):
    """Something of a person cannot be erased as asked."""

    slug = "erasure"


class TooVague(ErasureError, BadInput):
    """An identifier is so short that it would meet other people's data."""

    slug = "identifier-too-vague"


class OnHold(ErasureError, Conflict):
    """The law keeps these data."""

    slug = "on-legal-hold"
