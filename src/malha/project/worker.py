"""The worker: jobs, events and ticks. `python -m malha.project.worker`, ended by SIGTERM."""

from __future__ import annotations

import logging
import os
import threading

from malha.project import lifeline
from malha.project.composition import Tick

logger = logging.getLogger(__name__)

#: how long a job may go on after the end was asked for, before it is left to the next worker
GRACE_SECONDS = 7


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
    waited_for = list(threads)
    threads += [threading.Thread(target=keep_ticking, args=[tick, stop], name=tick.name, daemon=True) for tick in composition.ticks()]
    for thread in threads:
        thread.start()
    try:
        with app.replace_connector(app.connector.get_worker_connector()) as worker:  # type: ignore[attr-defined]  # the Django connector has it
            worker.run_worker(
                concurrency=settings.current().worker_concurrency,
                fetch_job_polling_interval=5,
                shutdown_graceful_timeout=GRACE_SECONDS,
                delete_jobs="successful",
                name=f"malha-{os.getpid()}",
            )
    finally:
        stop.set()
        for thread in waited_for:
            thread.join(8)


if __name__ == "__main__":
    run()
