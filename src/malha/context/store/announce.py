"""One event per written batch, in the transaction of the batch."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg

from malha.context.store.contracts import WriteOptions
from malha.context.store.state import IDS_IN_EVENT
from malha.foundation.events import service as events
from malha.kernel.time import format_instant


def changed(
    conn: psycopg.Connection[Any], tenant_id: int, type_: str, ids: Sequence[int], attributes: Sequence[str],
    observed_from: datetime | None, observed_to: datetime | None, options: WriteOptions,
) -> None:  # fmt: skip
    """Publish `entities.changed`; a batch of more than a thousand entities names none."""
    said = payload(type_, len(ids), attributes, observed_from, observed_to, options)
    if len(ids) <= IDS_IN_EVENT:
        said["ids"] = list(ids)
    events.publish(conn, tenant_id, "entities.changed", said)


def payload(
    type_: str, count: int, attributes: Sequence[str], observed_from: datetime | None, observed_to: datetime | None, options: WriteOptions
) -> dict[str, object]:  # fmt: skip
    """What the event says, but for the ids."""
    said: dict[str, object] = {"type": type_, "count": count, "attrs": sorted(attributes), "live": options.live, "run_id": options.run_id}
    if observed_from and observed_to:
        said |= {"observed_from": format_instant(observed_from), "observed_to": format_instant(observed_to)}
    return said


def deleted(conn: psycopg.Connection[Any], tenant_id: int, ids: Sequence[int], types: Sequence[str], run_id: int | None) -> None:
    """Publish `entities.deleted`."""
    payload: dict[str, object] = {"types": sorted(set(types)), "count": len(ids), "run_id": run_id}
    if len(ids) <= IDS_IN_EVENT:
        payload["ids"] = list(ids)
    events.publish(conn, tenant_id, "entities.deleted", payload)
