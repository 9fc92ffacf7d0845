"""A snapshot as it came, checked (GS CIM 009 §5.2.41, §5.16.1.4, §5.16.4.4), and as it is told."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from malha.context.broker import entity_maps
from malha.context.snapshots.contracts import Said, Snapshot, Status, Unusable
from malha.context.subscriptions.reading import address, is_uri, pairs
from malha.kernel.text import msg
from malha.kernel.time import format_instant, now

TYPE = "Snapshot"
QUERIES = 10
USUAL, LONGEST = timedelta(days=1), timedelta(days=30)
PRIORITY, HIGHEST = 5, 10
#: one that is still being filled after so long was left behind by a process that ended
ABANDONED = timedelta(minutes=5)
_CHANGED = frozenset({"id", "type", "@context", "snapshotPriority", "snapshotLifetime", "endpoint", "receiverInfo"})
_SAID = _CHANGED | {"snapshotQueries", "snapshotTemporalQueries"}
#: whom a snapshot tells how it fares, which is nobody else's, and so neither copied nor shown
OWN = frozenset({"endpoint", "receiverInfo"})
#: what is worked out here: passed over in one that is made, refused in one that is changed
COMPUTED = frozenset({
    "snapshotStatus", "snapshotQueriesDetails", "snapshotTemporalQueriesDetails", "createdAt", "modifiedAt", "lastUsedAt", "expiresAt",
})  # fmt: skip


def made(payload: Any) -> Said:
    """A snapshot that is to be made. Raises Unusable."""
    said = _said({name: value for name, value in payload.items() if name not in COMPUTED} if isinstance(payload, dict) else payload, _SAID)
    if not said.queries and not said.temporal:
        raise Unusable(msg("Diga que perguntas guardar (snapshotQueries, snapshotTemporalQueries)."))
    if len(said.queries) + len(said.temporal) > QUERIES:
        raise Unusable(msg("Um instantâneo tem no máximo {most} perguntas."), most=QUERIES)
    return said


def changed(payload: Any) -> Said:
    """What may be said of a snapshot that is there: its priority and how long it lives. Raises Unusable."""
    return _said(payload, _CHANGED)


def _said(payload: Any, known: frozenset[str]) -> Said:
    if not isinstance(payload, dict) or payload.get("type", TYPE) != TYPE:
        raise Unusable(msg("Envie um objeto JSON com type “Snapshot”."))
    for name in payload:
        if name not in known:
            raise Unusable(msg("“{member}” não se pode dizer de um instantâneo."), member=name[:80])
    uri, priority, lifetime = payload.get("id"), payload.get("snapshotPriority"), payload.get("snapshotLifetime")
    if uri is not None and not (isinstance(uri, str) and is_uri(uri)):
        raise Unusable(msg("“{member}” tem de ser um URI."), member="id")
    if priority is not None and (isinstance(priority, bool) or not isinstance(priority, int) or not 1 <= priority <= HIGHEST):
        raise Unusable(msg("“{member}” vai de 1 a {most}."), member="snapshotPriority", most=HIGHEST)
    span = entity_maps.duration(lifetime) if isinstance(lifetime, str) else None
    if lifetime is not None and span is None:
        raise Unusable(msg("“{member}” é uma duração, como P1D."), member="snapshotLifetime")
    seconds = None if span is None else max(1, int(min(span, LONGEST).total_seconds()))
    told: dict[str, Any] = {"endpoint": _endpoint(payload["endpoint"])} if "endpoint" in payload else {}
    told |= {"receiverInfo": pairs("receiverInfo", payload["receiverInfo"])} if "receiverInfo" in payload else {}
    return Said(uri, priority, seconds, lifetime, _queries(payload, "snapshotQueries"), _queries(payload, "snapshotTemporalQueries"), told)


def _endpoint(said: Any) -> str:
    """Where a snapshot tells how it fares: http(s), without a name or a password."""
    if not isinstance(said, str) or not address(said).startswith("http"):
        raise Unusable(msg("“{member}” é um endereço que começa por http:// ou https://."), member="endpoint")
    return said


def _queries(payload: Mapping[str, Any], member: str) -> tuple[Mapping[str, Any], ...]:
    said = payload.get(member, [])
    if not isinstance(said, list) or not all(isinstance(one, dict) and one.get("type") == "Query" for one in said):
        raise Unusable(msg("“{member}” é uma lista de objetos com type “Query”."), member=member)
    if any(("temporalQ" in one) is not (member == "snapshotTemporalQueries") for one in said):
        raise Unusable(msg("As perguntas de “snapshotTemporalQueries” têm “temporalQ”; as de “snapshotQueries” não."))
    return tuple(said)


def document(one: Snapshot) -> dict[str, Any]:
    """A snapshot as it is told (§5.2.41)."""
    abandoned = one.status is Status.PREPARING and one.created_at + ABANDONED < now()
    out: dict[str, Any] = {
        "id": one.uri, "type": TYPE, **{name: each for name, each in one.document.items() if name != "receiverInfo"}, "snapshotPriority": one.priority, "snapshotStatus": Status.FAILURE if abandoned else one.status,
        "createdAt": format_instant(one.created_at), "modifiedAt": format_instant(one.modified_at), "lastUsedAt": format_instant(one.last_used_at),
        "expiresAt": format_instant(one.expires_at),
    }  # fmt: skip
    details = {"snapshotQueriesDetails": one.details, "snapshotTemporalQueriesDetails": one.temporal_details}
    return out | {name: list(each) for name, each in details.items() if each}
