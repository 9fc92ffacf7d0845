"""Copies by themselves, where a place for them is set: the server's log every minute, a copy every night, a rehearsal every week."""

from __future__ import annotations

import logging
import subprocess
import sys
from datetime import UTC, datetime, timedelta

from malha.foundation.settings import service as settings
from malha.history.backups import record, service, taking

logger = logging.getLogger(__name__)

NIGHT_HOUR = 1
DAY = timedelta(days=1)
CHECK_EVERY = timedelta(days=7)


class Schedule:
    """Remembers when the last copy was made, so that looking costs nothing."""

    def __init__(self) -> None:
        self._last: datetime | None = None
        self._checked: datetime | None = None

    def tick(self) -> None:
        """Do what is due now."""
        if not settings.current().backup_to:
            return
        now = datetime.now(UTC)
        repository = service.open_repository(make=True)
        if taking.ship_log(repository):
            record.reached(now)
        taking.ship_erasures(repository)
        if self._last is None:
            made, checks = repository.manifests(), repository.checks()
            self._last = made[-1].made_at if made else datetime.min.replace(tzinfo=UTC)
            self._checked = checks[-1].checked_at if checks else self._last
        if now - self._last > DAY or (now.hour == NIGHT_HOUR and now - self._last > DAY / 2):
            self._last = now  # one that fails is tried again tomorrow, and its page says so
            if _child("take") and self._checked is not None and now - self._checked > CHECK_EVERY:
                self._checked = now
                _child("check")


def _child(verb: str) -> bool:
    """A copy reads everything there is: in a process of its own, that ends."""
    done = subprocess.run([sys.executable, "-m", "malha.history.backups.jobs", verb], stderr=subprocess.PIPE, text=True, check=False)  # noqa: S603 -- our own module
    if done.returncode != 0:
        record.failed(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"{verb}: {done.returncode}")
    return done.returncode == 0


def main(verb: str) -> None:
    """Make a copy, or rehearse the newest."""
    now = datetime.now(UTC)
    if verb == "take":
        service.take("", now)
    else:
        repository = service.open_repository()
        service.check(repository, repository.newest(), now)


if __name__ == "__main__":
    main(sys.argv[1])
