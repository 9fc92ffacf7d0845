"""The worker: jobs, events and ticks. `python -m malha.project.worker`, ended by SIGTERM."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import threading
from typing import TYPE_CHECKING

from malha.project import lifeline
from malha.project.composition import Tick

if TYPE_CHECKING:
    import procrastinate

logger = logging.getLogger(__name__)

#: how long a job may go on after the end was asked for, before it is left to the next worker
GRACE_SECONDS = 7
#: after so long the process is gone whatever still runs: a job in a thread cannot be stopped, and whoever asked waits ten seconds before it kills
LEAVE_SECONDS = 9


def keep_ticking(tick: Tick, stop: threading.Event) -> None:
    """Run `tick` until told to stop; a failure is noted and it goes on."""
    from django.db import close_old_connections

    while not stop.wait(tick.every_seconds):
        try:
            tick.run()
        except Exception:
            logger.exception("tick %s failed", tick.name)
        finally:
            close_old_connections()


def run() -> None:
    """Work until SIGTERM or Ctrl-C: finish what is in hand, hand the rest back."""
    lifeline.hold()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "malha.project.settings")
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    import django

    django.setup()
    from procrastinate.contrib.django import app

    from malha.foundation.events.dispatcher import Dispatcher
    from malha.foundation.settings import service as settings
    from malha.project import composition, operating

    stop = threading.Event()
    if settings.current().worker_port:
        operating.serve_worker(settings.current().worker_port)
    threads = [threading.Thread(target=Dispatcher(composition.consumers()).run, args=[stop], name="dispatcher")]
    threads += [threading.Thread(target=work, args=[stop], name=work.__module__) for work in composition.services()]
    threads += [threading.Thread(target=keep_ticking, args=[tick, stop], name=tick.name, daemon=True) for tick in composition.ticks()]
    for thread in threads:
        thread.start()
    try:
        with app.replace_connector(app.connector.get_worker_connector()) as worker:  # type: ignore[attr-defined]  # the Django connector has it
            asyncio.run(_do_jobs(worker, stop))
    finally:
        stop.set()  # the threads that are no daemons are waited for by the interpreter


async def _do_jobs(app: procrastinate.App, stop: threading.Event) -> None:
    """Do what is in the queue until the end is asked for; set `stop` then, so that everything else ends meanwhile."""
    from malha.foundation.jobs.jobs import DEAD_SECONDS
    from malha.foundation.settings import service as settings

    async with app.open_async():
        working = asyncio.ensure_future(
            app.run_worker_async(
                concurrency=settings.current().worker_concurrency,
                fetch_job_polling_interval=5,
                shutdown_graceful_timeout=GRACE_SECONDS,
                stalled_worker_timeout=DEAD_SECONDS,
                delete_jobs="successful",
                install_signal_handlers=False,
                name=f"malha-{os.getpid()}",
            )
        )

        def leave() -> None:
            if not stop.is_set():  # a terminal and the supervisor may both ask
                stop.set()
                working.cancel()
                last = threading.Timer(LEAVE_SECONDS, os._exit, [0])
                last.daemon = True
                last.start()
                signal.alarm(LEAVE_SECONDS + 1)  # an interpreter that hangs while it ends runs no threads any more

        for asked in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(asked, leave)
        with contextlib.suppress(asyncio.CancelledError):
            await working


if __name__ == "__main__":
    run()
