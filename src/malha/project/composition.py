"""Who wants to hear of what: the only place where a room's events meet another room's consumers.

Add a line to `consumers()` or `ticks()`; a consumer is `(connection in a transaction of the event's tenant, event)`,
works in milliseconds (long work: defer a job), and repeats safely.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass

from malha.foundation.events.contracts import Consumer
from malha.insight.alerts import events as alerts


@dataclass(frozen=True, slots=True)
class Tick:
    """Something small that the worker does again and again, in a thread of its own."""

    name: str
    every_seconds: float
    run: Callable[[], object]


def consumers() -> dict[str, list[Consumer]]:
    """Event name → consumers, in no promised order."""
    return {"entities.changed": [alerts.consume]}


def ticks() -> list[Tick]:
    """What the worker does every few seconds."""
    from malha.history.backups import jobs as backup_jobs
    from malha.history.lake import jobs as lake_jobs
    from malha.ingest.devices import jobs as device_jobs
    from malha.insight.alerts import jobs as alert_jobs

    return [
        Tick("compactor", 30, lake_jobs.Schedule().tick),
        Tick("backups", 60, backup_jobs.Schedule().tick),
        Tick("alert-notices", 1, alert_jobs.send_due),
        Tick("alert-silence", 30, alert_jobs.look_for_silence),
        Tick("device-messages", 3600, device_jobs.forget_old),
    ]


def services() -> list[Callable[[threading.Event], object]]:
    """What runs in the worker for as long as it does, each in a thread of its own, until the event is set."""
    from malha.context.federation.passing_on import forwarding
    from malha.ingest.devices import mqtt
    from malha.insight.metrics import keeper

    return [notify, forwarding.run, mqtt.run, keeper.run]


def notify(stop: threading.Event) -> None:
    """Match changes and deliver notifications until the event is set."""
    from malha.context.federation.asking import wire
    from malha.context.federation.passing_on import polling
    from malha.context.federation.registrations import telling
    from malha.context.subscriptions import runner
    from malha.context.subscriptions.periodic import Clock

    runner.run(stop, Clock(telling.matching, polling.matching, wire.close))


def erasers() -> list[Callable[[int], object]]:
    """What a tenant leaves outside the database: each is called with its id when it is deleted."""
    from malha.history.lake import service as lake

    return [lake.drop_tenant, _remove_files]


def _remove_files(tenant_id: int) -> None:
    from malha.foundation.settings import service as settings

    shutil.rmtree(settings.current().data / "files" / str(tenant_id), ignore_errors=True)
