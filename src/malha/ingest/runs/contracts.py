"""Loads: what state they are in, what they did, and what may happen next.

RunError
├── UnknownRun       no such load in this tenant
├── RunBusy          another process works on it now
├── CutShort         the database went away; the load goes on later
├── CannotResume     it has ended for good
└── CannotUndo       too late, or there is nothing to undo
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from malha.ingest.quality.contracts import Group
from malha.kernel.errors import Conflict, MalhaError, NotFound
from malha.kernel.text import msg

FULL = msg("O disco encheu. O que já entrou está guardado; liberte espaço e escolha “Continuar”.")


class RunState(StrEnum):
    """Where a load stands."""

    WAITING = "waiting"
    RUNNING = "running"
    STOPPED = "stopped"
    DONE = "done"
    FAILED = "failed"
    UNDONE = "undone"


#: the state machine: what may follow what
NEXT: dict[RunState, frozenset[RunState]] = {
    RunState.WAITING: frozenset({RunState.RUNNING, RunState.STOPPED, RunState.FAILED}),
    RunState.RUNNING: frozenset({RunState.RUNNING, RunState.STOPPED, RunState.DONE, RunState.FAILED}),
    RunState.STOPPED: frozenset({RunState.RUNNING, RunState.WAITING, RunState.UNDONE}),
    RunState.FAILED: frozenset({RunState.RUNNING, RunState.WAITING, RunState.UNDONE}),
    RunState.DONE: frozenset({RunState.UNDONE}),
    RunState.UNDONE: frozenset(),
}


class RunKind(StrEnum):
    """What was loaded."""

    FILE = "file"
    SOURCE = "source"
    MENDED = "mended"
    HISTORY = "history"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Counts:
    """What a load did. `read` rows became `entered` and `held`; `repeated` said nothing new; `left_out` are titles and totals.

    `created`, `updated` and `unchanged` count things per batch; `observations` are values new to history; `removed` vanished by a replacement;
    `warned` rows entered although their data model would not let them through.
    """

    read: int = 0
    entered: int = 0
    held: int = 0
    repeated: int = 0
    left_out: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    observations: int = 0
    removed: int = 0
    outside: int = 0
    warned: int = 0

    @property
    def changes(self) -> int:
        """How much is different now: 0 for the same file twice."""
        return self.created + self.updated + self.observations + self.removed


@dataclass(frozen=True, slots=True)
class Run:
    """One load as pages and commands see it."""

    id: int
    tenant_id: int
    kind: RunKind
    title: str
    state: RunState
    type: str
    counts: Counts
    expected_rows: int = 0
    sha256: str = ""
    error: str = ""
    notes: tuple[str, ...] = ()
    actor: str = ""
    answers: Mapping[str, object] | None = None
    position: Mapping[str, int] = field(default_factory=dict)
    stop_asked: bool = False
    tries: int = 0
    source_id: int | None = None
    parent_id: int | None = None
    created_at: datetime | None = None
    started_at: datetime | None = None
    heard_at: datetime | None = None
    finished_at: datetime | None = None
    undone_at: datetime | None = None
    undone_by: str = ""

    @property
    def part(self) -> float | None:
        """How much of the file is read, from 0 to 1; None when nobody knows."""
        return min(1.0, self.counts.read / self.expected_rows) if self.expected_rows else None


@dataclass(frozen=True, slots=True)
class RunResult:
    """What came of a load that ended (or stopped): its counts, and what waits by reason."""

    run_id: int
    state: RunState
    counts: Counts
    seconds: float
    groups: tuple[Group, ...] = ()
    error: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Preview:
    """What a load would do, before it does it. `exact` is False when only the first rows were looked at; `warned` enter against their model."""

    entering: int
    waiting: int
    left_out: int
    groups: tuple[tuple[str, str, int], ...]  # (code, sentence, rows)
    points: tuple[tuple[float, float, str], ...]
    outside: int
    vanishing: int
    exact: bool
    notes: tuple[str, ...] = ()
    warned: int = 0


@dataclass(frozen=True, slots=True)
class Source:
    """A source that speaks by itself, as set up in one tenant."""

    id: int
    tenant_id: int
    connector: str
    settings: Mapping[str, str]
    progress: Mapping[str, object]
    every_seconds: int
    enabled: bool
    failures: int
    last_error: str
    last_heard_at: datetime | None
    next_at: datetime


class Stopped(Exception):
    """Somebody asked the load to stop; what was done so far stays."""


class RunError(MalhaError):
    """Something about loads does not hold."""

    slug = "run"


class UnknownRun(RunError, NotFound):
    """No such load in this tenant."""

    slug = "unknown-run"


class RunBusy(RunError, Conflict):
    """Another process works on this load now."""

    slug = "run-busy"


class CutShort(RunError):
    """The database went away in the middle of a load; what was acknowledged stays and the load goes on later."""

    slug = "load-cut-short"


class CannotResume(RunError, Conflict):
    """The load has ended, or was undone: there is nothing to go on with."""

    slug = "cannot-resume"


class CannotUndo(RunError, Conflict):
    """The load cannot be undone: it is too old, or it did nothing, or it is still running."""

    slug = "cannot-undo"
