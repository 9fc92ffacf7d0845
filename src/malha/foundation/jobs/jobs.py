"""Jobs about jobs: those of a worker that died are done by another, and failed ones are forgotten in the end."""

from __future__ import annotations

import logging

from procrastinate import JobContext
from procrastinate.contrib.django import app
from procrastinate.exceptions import UniqueViolation
from procrastinate.jobs import Status

from malha.foundation.jobs.contracts import ATTEMPTS

logger = logging.getLogger(__name__)

#: a worker that was not heard of for so long is dead (it says that it lives every ten seconds)
DEAD_SECONDS = 60
#: what failed stays for so long, for whoever looks for the reason
KEPT_HOURS = 24 * 30


@app.periodic(cron="* * * * *", periodic_id="jobs.take_back")
@app.task(name="jobs.take_back", pass_context=True)
async def take_back(context: JobContext, timestamp: int) -> None:
    """Put the jobs of dead workers back into the queue; one that ended three workers is failed instead, since it may be what kills them."""
    del timestamp
    manager = app.job_manager
    for job in await manager.get_stalled_jobs(seconds_since_heartbeat=DEAD_SECONDS):
        if job.worker_id == context.job.worker_id:  # this one lives, whatever its last word: the machine may have slept
            continue
        if job.attempts + 1 >= ATTEMPTS:
            logger.error("job %s (%s) was in hand when its worker ended, %s times; it is not tried again", job.id, job.task_name, ATTEMPTS)
            await manager.finish_job(job, Status.FAILED, delete_job=False)
            continue
        try:
            await manager.retry_job(job)
        except UniqueViolation:  # another of its kind waits already (`once`): one is enough
            await manager.finish_job(job, Status.ABORTED, delete_job=True)
        else:
            logger.warning("job %s (%s) goes back into the queue: its worker ended", job.id, job.task_name)


@app.periodic(cron="11 3 * * *", periodic_id="jobs.forget")
@app.task(name="jobs.forget")
async def forget(timestamp: int) -> None:
    """Take away what failed or was stopped a month ago."""
    del timestamp
    await app.job_manager.delete_old_jobs(nb_hours=KEPT_HOURS, include_failed=True, include_cancelled=True, include_aborted=True)
