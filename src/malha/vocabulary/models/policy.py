"""How strictly what is written is held to its model: off, warn or enforce, by tenant and type. Django-free.

Rules are remembered by process for a few seconds; warnings are counted in memory and written by the handful, so that
a sender with a fault in every message costs no row lock in each.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

import psycopg

from malha.vocabulary.models import service as models
from malha.vocabulary.models.contracts import Finding, Severity

FRESH_SECONDS = 5.0
FLUSH_SECONDS = 5.0
JSON_LD = "application/ld+json"


class Mode(StrEnum):
    """What happens to an entity that its model does not let through."""

    OFF = "off"
    WARN = "warn"
    ENFORCE = "enforce"


@dataclass(frozen=True, slots=True)
class Rule:
    """How one type is held to its model, and whether an address that lacks is completed from the place."""

    mode: Mode = Mode.OFF
    complete_address: bool = False


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of a tenant; `usual_media` is what answers are in when the reader asks for nothing, `dico` its municipality."""

    rules: dict[str, Rule] = field(default_factory=dict)
    usual_media: str = JSON_LD
    dico: str = ""

    def of(self, entity_type: str) -> Rule:
        """The rule of a type, else that of all types."""
        return self.rules.get(entity_type) or self.rules.get("") or _NONE

    @property
    def any(self) -> bool:
        """Whether any rule does anything."""
        return any(rule != _NONE for rule in self.rules.values())


@dataclass(frozen=True, slots=True)
class Warned:
    """A fault that was let in, and how often."""

    type: str
    path: str
    code: str
    sentence: str
    example_uri: str
    count: int
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one model has to say against an entity, and how strictly the tenant holds its type to it."""

    type: str
    mode: Mode
    errors: list[Finding]


_NONE = Rule()
_known: dict[tuple[str, int], tuple[float, Policy]] = {}
_counted: dict[tuple[str, int], dict[tuple[str, str, str], tuple[int, str, str]]] = {}
_flushed: dict[tuple[str, int], float] = {}


def _key(conn: psycopg.Connection[Any], tenant_id: int) -> tuple[str, int]:
    return f"{conn.info.host}:{conn.info.port}/{conn.info.dbname}", tenant_id


def of_tenant(conn: psycopg.Connection[Any], tenant_id: int) -> Policy:
    """The rules of a tenant, at most a few seconds old."""
    until, known = _known.get(_key(conn, tenant_id), (0.0, None))
    if known is not None and time.monotonic() < until:
        return known
    with conn.transaction():
        conn.execute("SELECT set_config('malha.tenants', %s, true)", [f"{{{int(tenant_id)}}}"])
        rows = conn.execute("SELECT type, mode, complete_address, usual_media FROM model_policy WHERE tenant_id = %s", [tenant_id]).fetchall()
        dico = conn.execute("SELECT dico FROM organisation WHERE id = %s", [tenant_id]).fetchone()
    media = next((str(row[3]) for row in rows if row[0] == ""), JSON_LD)
    known = Policy({str(row[0]): Rule(Mode(row[1]), bool(row[2])) for row in rows}, media, str(dico[0]) if dico else "")
    if len(_known) > 2_000:
        _known.clear()
    _known[_key(conn, tenant_id)] = (time.monotonic() + FRESH_SECONDS, known)
    return known


def set_rule(conn: psycopg.Connection[Any], tenant_id: int, entity_type: str, rule: Rule, *, usual_media: str = JSON_LD, by: str = "") -> None:
    """Set the rule of a type ("" for all others), in the tenant's transaction. `usual_media` counts in the rule of all."""
    conn.execute(
        "INSERT INTO model_policy (tenant_id, type, mode, complete_address, usual_media, changed_by) VALUES (%s, %s, %s, %s, %s, %s) "
        "ON CONFLICT (tenant_id, type) DO UPDATE SET mode = excluded.mode, complete_address = excluded.complete_address, "
        "usual_media = excluded.usual_media, changed_by = excluded.changed_by, changed_at = now()",
        [tenant_id, entity_type, rule.mode, rule.complete_address, usual_media, by],
    )
    _known.pop(_key(conn, tenant_id), None)


def remove_rule(conn: psycopg.Connection[Any], tenant_id: int, entity_type: str) -> None:
    """Take the rule of a type away; that of all types holds then."""
    conn.execute("DELETE FROM model_policy WHERE tenant_id = %s AND type = %s", [tenant_id, entity_type])
    _known.pop(_key(conn, tenant_id), None)


def judged(conn: psycopg.Connection[Any], tenant_id: int, types: Sequence[str], entity: Mapping[str, Any]) -> Verdict | None:
    """The model among those of an entity's types that does not let it through, one that is enforced first; None where none objects or no rule asks."""
    rules = of_tenant(conn, tenant_id)
    verdict: Verdict | None = None
    for entity_type in types:
        mode = rules.of(entity_type).mode
        model = models.find(entity_type, tenant_id) if mode is not Mode.OFF else None
        if model is None:
            continue
        errors = [found for found in models.validate(entity, model) if found.severity is Severity.ERROR]
        if errors and (verdict is None or mode is Mode.ENFORCE):
            verdict = Verdict(entity_type, mode, errors)
            if mode is Mode.ENFORCE:
                break
    return verdict


def warned(conn: psycopg.Connection[Any], tenant_id: int, entity_type: str, uri: str, findings: Iterable[Finding]) -> None:
    """Remember faults that were let in, in the tenant's transaction: the first of its kind at once, then every few seconds."""
    warned_rows(conn, tenant_id, entity_type, [(uri, found, 1) for found in findings])


def warned_rows(conn: psycopg.Connection[Any], tenant_id: int, entity_type: str, faults: Iterable[tuple[str, Finding, int]]) -> None:
    """As `warned`, for batches: (the URI of one that has the fault, what is wrong, in how many rows)."""
    key = _key(conn, tenant_id)
    counted = _counted.setdefault(key, {})
    for uri, found, number in faults:
        one = (entity_type, found.path, found.code)
        counted[one] = (counted.get(one, (0, "", ""))[0] + number, models.kept_words(found)[0], uri)
    if len(counted) > 1_000 or time.monotonic() - _flushed.get(key, 0.0) > FLUSH_SECONDS:
        flush(conn, tenant_id)


def flush(conn: psycopg.Connection[Any], tenant_id: int) -> None:
    """Write the faults counted in this process, in the tenant's transaction."""
    key = _key(conn, tenant_id)
    counted = sorted(_counted.pop(key, {}).items())
    _flushed[key] = time.monotonic()
    if counted:
        conn.execute(
            "INSERT INTO model_warning AS w (tenant_id, type, path, code, sentence, example_uri, count) "
            "SELECT %s, * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[]) "
            "ON CONFLICT (tenant_id, type, path, code) DO UPDATE SET count = w.count + excluded.count, sentence = excluded.sentence, "
            "example_uri = excluded.example_uri, last_at = now()",
            [
                tenant_id, [k[0] for k, _ in counted], [k[1] for k, _ in counted], [k[2] for k, _ in counted], [v[1] for _, v in counted],
                [v[2] for _, v in counted], [v[0] for _, v in counted],
            ],
        )  # fmt: skip


def warnings(conn: psycopg.Connection[Any], tenant_id: int, *, limit: int = 200) -> list[Warned]:
    """The faults that were let in, the last first, in the tenant's transaction."""
    flush(conn, tenant_id)
    statement = "SELECT type, path, code, sentence, example_uri, count, first_at, last_at FROM model_warning WHERE tenant_id = %s ORDER BY last_at DESC, type, path LIMIT %s"
    return [Warned(*row) for row in conn.execute(statement, [tenant_id, limit]).fetchall()]


def forget() -> None:
    """Forget what was remembered: for tests."""
    _known.clear()
    _counted.clear()
    _flushed.clear()
