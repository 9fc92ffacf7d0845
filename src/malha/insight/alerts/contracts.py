"""Words of alerting: rules, what was heard, what is remembered between two values, alarms."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from malha.kernel.errors import BadInput, Conflict, MalhaError, NotFound
from malha.kernel.text import msg


class Severity(StrEnum):
    """How bad it is, in four steps; the fifth of the design system, "no data", belongs to silence only."""

    INFORMATION = "info"
    ATTENTION = "attention"
    WARNING = "warning"
    CRITICAL = "critical"
    NO_DATA = "nodata"


SEVERITY_LABELS = {
    Severity.INFORMATION: msg("Informação"),
    Severity.ATTENTION: msg("Atenção"),
    Severity.WARNING: msg("Aviso"),
    Severity.CRITICAL: msg("Crítico"),
    Severity.NO_DATA: msg("Sem dados"),
}
#: order in which a person looks at them
SEVERITY_RANK = {Severity.CRITICAL: 4, Severity.WARNING: 3, Severity.ATTENTION: 2, Severity.NO_DATA: 1, Severity.INFORMATION: 0}


class RuleKind(StrEnum):
    """A value beyond a bound, or nothing heard at all."""

    THRESHOLD = "threshold"
    SILENCE = "silence"


class Operator(StrEnum):
    """How a value stands to the bound when the alarm starts."""

    ABOVE = ">"
    AT_LEAST = ">="
    BELOW = "<"
    AT_MOST = "<="
    EQUALS = "=="


class Status(StrEnum):
    """The life of an alarm. WOULD_HAVE never rang: its values came late or by a load of history."""

    OPEN = "open"
    TAKEN = "taken"
    ENDED = "ended"
    WOULD_HAVE = "would_have"


class ChannelKind(StrEnum):
    """How somebody is told."""

    EMAIL = "email"
    WEBHOOK = "webhook"


@dataclass(frozen=True, slots=True)
class Rule:
    """When to ring, and what to do then.

    A threshold rule compares `attribute` of entities of `type` with `bound` (in the unit in which the values
    are kept) and rings once the comparison has held for `for_seconds` of event time; it ends when the value is
    back on the quiet side of `end_bound` for `end_for_seconds`. A silence rule rings when nothing has been
    heard for `silence_seconds`. The scope is all entities of the type, or those in `uris`, or those inside
    `area` (GeoJSON polygon, EPSG:4326). Values older than `late_seconds` when they arrive never ring.
    """

    id: int
    tenant_id: int
    name: str
    kind: RuleKind
    type: str
    attribute: str = ""
    operator: Operator = Operator.ABOVE
    bound: float | None = None
    bound_text: str = ""
    end_bound: float | None = None
    for_seconds: int = 0
    end_for_seconds: int = 0
    silence_seconds: int = 0
    late_seconds: int = 7200
    uris: tuple[str, ...] = ()
    area: dict[str, object] | None = None
    area_name: str = ""
    severity: Severity = Severity.WARNING
    unit: str = ""
    decimals: int = 1
    what_to_do: str = ""
    call_whom: str = ""
    channels: tuple[int, ...] = ()
    enabled: bool = True
    pack: str = ""
    key: str = ""


class Phase(StrEnum):
    """What a rule knows of one thing."""

    QUIET = "quiet"
    PENDING = "pending"
    FIRING = "firing"
    ENDING = "ending"


@dataclass(frozen=True, slots=True)
class State:
    """What is remembered of one rule and one thing; kept in a table, so that durations survive a restart.

    `since` is when the present phase's condition began (for FIRING and ENDING: when the alarm's did),
    `quiet_since` when the end's condition began.
    """

    phase: Phase = Phase.QUIET
    since: datetime | None = None
    quiet_since: datetime | None = None
    last_at: datetime | None = None
    last_value: float | str | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """One value of one thing at one instant of its own clock (UTC)."""

    uri: str
    at: datetime
    value: float | str


class Change(StrEnum):
    """What one value did to a rule."""

    FIRED = "fired"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Firing:
    """An alarm that history holds or would have held: from when the bound was passed, when it rang, when it ended."""

    uri: str
    since: datetime
    fired_at: datetime
    value: float | str
    peak: float | str
    ended_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm as pages and notices read it. `since` is event time; instants are UTC."""

    id: int
    tenant_id: int
    rule_id: int | None
    rule_name: str
    kind: RuleKind
    severity: Severity
    status: Status
    uri: str
    thing: str
    type: str
    attribute: str
    label: str
    operator: str
    bound: float | None
    bound_text: str
    value: float | None
    value_text: str
    peak: float | None
    unit: str
    decimals: int
    since: datetime
    fired_at: datetime
    ended_at: datetime | None
    taken_by: str
    taken_at: datetime | None
    ended_by: str
    what_to_do: str
    call_whom: str
    reason: str = ""
    longitude: float | None = None
    latitude: float | None = None

    @property
    def rank(self) -> int:
        """Worst first."""
        return SEVERITY_RANK[self.severity]


@dataclass(frozen=True, slots=True)
class Actor:
    """Who does something with an alarm: a person by name, or a part of ours."""

    name: str
    person_id: int | None = None

    @property
    def key(self) -> str:
        """As the audit trail names actors."""
        return f"person:{self.person_id}" if self.person_id else self.name or "malha"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of an alarm's story."""

    at: datetime
    kind: str
    actor: str
    text: str
    params: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Channel:
    """Where notices go; `secret` signs webhooks and never leaves the server."""

    id: int
    kind: ChannelKind
    name: str
    target: str
    secret: str
    enabled: bool


class AlertError(MalhaError):
    """Something about alerts does not hold."""

    slug = "alerts"


class UnusableRule(AlertError, BadInput):
    """A rule that could never ring, or never stop."""

    slug = "unusable-rule"


class AlarmNotFound(AlertError, NotFound):
    """No such alarm in this tenant."""

    slug = "alarm-not-found"


class AlarmConflict(AlertError, Conflict):
    """Somebody else took or ended it in between."""

    slug = "alarm-conflict"


class UnusableTarget(AlertError, BadInput):
    """A webhook address that may not be called."""

    slug = "unusable-target"
