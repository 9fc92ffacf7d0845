"""What the worker does every few seconds: send what waits, look for silence."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime

import httpx
import psycopg
from django.core.mail import EmailMessage

from malha.foundation.database import service as database
from malha.foundation.settings import service as settings
from malha.foundation.tenancy import service as tenancy
from malha.foundation.tenancy.contracts import Tenant
from malha.insight.alerts import notices, queries, service, webhook
from malha.insight.alerts.contracts import AlertError, Channel, ChannelKind
from malha.kernel import time

logger = logging.getLogger(__name__)
#: how long to wait after each failed attempt; after the last it is given up and the page says so
BACK_OFF_SECONDS = (15, 60, 300, 1800, 7200, 21600)


def link(tenant: Tenant, alarm_id: int | None) -> str:
    """The permanent address of an alarm (or of the list)."""
    conf = settings.current()
    base = (conf.public_url or f"http://localhost:{conf.port}").rstrip("/")
    root = f"https://{tenant.hostname}" if tenant.hostname else f"{base}/{tenant.slug}"
    return f"{root}/agir/alarmes/{f'{alarm_id}/' if alarm_id else ''}"


def send_due() -> int:
    """Send every notice that is due, tenant by tenant; gives how many arrived."""
    with database.connect() as conn:
        with database.tenant_transaction(conn, tenancy.all_ids()):
            waiting = queries.tenants_with_work(conn)
        return sum(deliver(conn, tenancy.by_id(tenant_id)) for tenant_id in waiting)


def deliver(conn: psycopg.Connection, tenant: Tenant) -> int:
    """Send the notices of one tenant; nothing is sent inside a transaction, and nothing twice within a minute."""
    with database.tenant_transaction(conn, [tenant.id]):
        claimed = queries.claim(conn, tenant.id)
        channels = {channel.id: channel for channel in queries.channels(conn, tenant.id)}
    arrived = 0
    for row in claimed:
        channel = channels.get(row["channel_id"])
        error = _attempt(conn, tenant, channel, row["alarm_id"], row["event"]) if channel else "—"
        with database.tenant_transaction(conn, [tenant.id]):
            arrived += _settle(conn, tenant, row, error, known=channel is not None)
    return arrived


def _settle(conn: psycopg.Connection, tenant: Tenant, row: dict[str, int], error: str, *, known: bool) -> int:
    if not error:
        queries.settle(conn, tenant.id, row["id"], status="sent")
        if row["alarm_id"]:
            queries.add_entry(conn, tenant.id, row["alarm_id"], "notified", params={"channel": row["channel_id"]})
        return 1
    tried = row["attempts"]
    if known and tried <= len(BACK_OFF_SECONDS):
        queries.settle(conn, tenant.id, row["id"], status="waiting", error=error, wait_seconds=BACK_OFF_SECONDS[tried - 1])
    else:
        queries.settle(conn, tenant.id, row["id"], status="given_up", error=error)
        if row["alarm_id"]:
            queries.add_entry(conn, tenant.id, row["alarm_id"], "not_notified", params={"channel": row["channel_id"], "error": error})
    return 0


def _attempt(conn: psycopg.Connection, tenant: Tenant, channel: Channel, alarm_id: int | None, event: str) -> str:
    """Send one notice; gives what went wrong, or nothing."""
    try:
        if channel.kind is ChannelKind.EMAIL:
            _mail(conn, tenant, channel, alarm_id)
        else:
            _call(conn, tenant, channel, alarm_id, event)
    except httpx.HTTPStatusError as reason:
        return f"HTTP {reason.response.status_code}"
    except (httpx.HTTPError, OSError, AlertError) as reason:
        logger.info("notice to channel %s of tenant %s did not arrive: %s", channel.id, tenant.slug, reason)
        return reason.kept() if isinstance(reason, AlertError) else (str(reason) or type(reason).__name__)[:300]
    return ""


def _mail(conn: psycopg.Connection, tenant: Tenant, channel: Channel, alarm_id: int | None) -> None:
    if alarm_id is None:
        subject, text = f"[Ensaio] Malha — {tenant.name}", f"Este é um envio de ensaio. Se o lê, os alarmes chegam aqui.\n\n{link(tenant, None)}"
    else:
        with database.tenant_transaction(conn, [tenant.id]):
            alarm = service.get(conn, tenant.id, alarm_id)
        now = time.now()
        subject = notices.headline(alarm, tenant.zone, now)
        text = notices.body(alarm, tenant.zone, now, link=link(tenant, alarm_id), tenant_name=tenant.name)
    EmailMessage(subject.replace("\n", " "), text, settings.current().mail_from, [channel.target]).send()


def _call(conn: psycopg.Connection, tenant: Tenant, channel: Channel, alarm_id: int | None, event: str) -> None:
    moment = time.now()
    if alarm_id is None:
        payload: dict[str, object] = {
            "specversion": "1.0", "id": f"{tenant.slug}:test:{int(moment.timestamp())}", "source": f"/{tenant.slug}/agir/alarmes/",
            "type": "pt.malha.alarm.test", "time": time.format_instant(moment), "datacontenttype": "application/json", "data": {"link": link(tenant, None)},
        }  # fmt: skip
    else:
        with database.tenant_transaction(conn, [tenant.id]):
            alarm = service.get(conn, tenant.id, alarm_id)
        payload = notices.payload(alarm, event, link=link(tenant, alarm_id), tenant=tenant.slug)
    webhook.call(channel.target, channel.secret, payload, moment_seconds=int(moment.timestamp()))


def look_for_silence(clock: Callable[[Tenant], datetime] | None = None) -> list[int]:
    """Ring for what fell silent, in every tenant that has such a rule; gives the ids of alarms opened or ended."""
    found: list[int] = []
    with database.connect() as conn:
        with database.tenant_transaction(conn, tenancy.all_ids()):
            watching = queries.tenants_with_silence(conn)
        for tenant_id in watching:
            now = clock(tenancy.by_id(tenant_id)) if clock else time.now()
            with database.tenant_transaction(conn, [tenant_id]):
                found += service.tick(conn, tenant_id, now)
    return found
