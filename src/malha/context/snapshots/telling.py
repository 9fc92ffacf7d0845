"""Tell who asked for it how a snapshot fares (GS CIM 009 §5.3.4, §5.16.6): when it is filled, changed and ended, after the answer."""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Mapping
from typing import Any

import msgspec
import psycopg

from malha.context.broker import pool
from malha.context.federation.asking import wire
from malha.context.snapshots import reading
from malha.context.snapshots.background import Background
from malha.context.snapshots.contracts import Snapshot
from malha.foundation.database import service as database
from malha.kernel.time import format_instant, now

logger = logging.getLogger(__name__)

TIMEOUT_SECONDS = 5.0
#: pauses before it is tried again; then it is given up: what is told can be read at any time
AGAIN_SECONDS = (1.0, 5.0)
_SLUG = "SELECT slug FROM organisation WHERE id = %s"
_background = Background()


def begin(one: Snapshot, *, ended: bool = False) -> None:
    """Tell of a snapshot as it is now, where it says whom; goes on after the answer. `ended` says that it is no more."""
    if not one.document.get("endpoint"):
        return
    _background.begin(_tell(one, document(one, ended=ended)))


async def stop() -> None:
    """Give up what is on its way, at shutdown."""
    await _background.stop()


def document(one: Snapshot, *, ended: bool = False) -> dict[str, Any]:
    """What is told (§5.3.4). One that ended is told of by an end that has passed."""
    moment, said = now(), reading.document(one)
    return {
        "id": f"urn:ngsi-ld:Notification:{uuid.uuid4()}", "type": "SnapshotNotification", "snapshotId": one.uri, "notifiedAt": format_instant(moment),
        "snapshotStatus": said["snapshotStatus"], "expiresAt": format_instant(min(one.expires_at, moment)) if ended else said["expiresAt"],
        **{name: said[name] for name in ("snapshotQueriesDetails",) if name in said},
        **({"temporalSnapshotQueriesDetails": list(one.temporal_details)} if one.temporal_details else {}),  # so called in table 5.3.4-1
    }  # fmt: skip


async def _tell(one: Snapshot, told: Mapping[str, Any]) -> None:
    try:
        slug = await pool.run(lambda: _slug(one.tenant_id))
        headers = {pair["key"]: pair["value"] for pair in one.document.get("receiverInfo", ())} | {"Content-Type": "application/json", "NGSILD-Tenant": slug}
        body = msgspec.json.encode(told)
        for pause in (*AGAIN_SECONDS, None):
            answer = await wire.current().once("POST", str(one.document["endpoint"]), headers, body, slug, TIMEOUT_SECONDS)
            if answer.ok or answer.warning == wire.REFUSED or pause is None:
                break
            await asyncio.sleep(pause)
        if not answer.ok:
            logger.warning("snapshot %s of tenant %s could not be told of: %s", one.id, one.tenant_id, answer.reason or f"HTTP {answer.status}")
    except psycopg.Error:
        logger.exception("snapshot %s of tenant %s could not be told of", one.id, one.tenant_id)


def _slug(tenant_id: int) -> str:
    with pool.connection() as conn, database.tenant_transaction(conn, [tenant_id]):
        row = conn.execute(_SLUG, [tenant_id]).fetchone()
    return str(row[0]) if row else ""
