"""When to compact: what the worker looks at every half minute, and what it tidies every night.

A tenant is due at 100,000 hot rows or when its oldest is an hour old (one lake commit a tenant and hour), or when
a load was undone. Hot partitions go 48 hours after their last row was moved. The first look after a start is at the
newest files of the lake (`integrity`): what is broken is compacted again from hot rows.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import psycopg

from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.history.lake import upkeep
from malha.history.lake.contracts import Watermark

DUE_ROWS = 100_000
DUE_AGE = timedelta(hours=1)
KEEP_HOT = timedelta(hours=48)
PARTITIONS_AHEAD_DAYS = 7
CHILD_SECONDS = 3600
#: hot partitions and the hour of tidying are looked at this often
LOOK_SECONDS = 600
#: the lake is tidied at this hour (UTC), or as soon as a start finds that no night has done it for longer than a day
NIGHT_HOUR = 3
DAY = timedelta(days=1)
WAITING = """SELECT coalesce(sum(rows), 0)::bigint, min(since) FROM (
    SELECT count(*) AS rows, min(received_at) AS since FROM (SELECT received_at FROM observation_hot
        WHERE tenant_id = %(tenant)s AND (xid, seq) > (%(xid)s::text::xid8, %(seq)s) ORDER BY xid, seq LIMIT %(limit)s) AS single
    UNION ALL SELECT sum(size), min(received_at) FROM (SELECT size, received_at FROM observation_packed
        WHERE tenant_id = %(tenant)s AND xid >= %(xid)s::text::xid8 AND (xid, seq + size - 1) > (%(xid)s::text::xid8, %(seq)s)
        ORDER BY xid LIMIT %(limit)s) AS packed) AS waiting"""


class Schedule:
    """Remembers the watermarks, so that looking costs one short query a tenant."""

    def __init__(self) -> None:
        self._watermarks: dict[int, Watermark] | None = None
        self._look_at = time.monotonic() + LOOK_SECONDS
        self._tidied: datetime | None = None

    def tick(self) -> None:
        """Do what is due now."""
        self.compact_due()
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + LOOK_SECONDS
            self.turn_partitions()
            self._tidied = self._tidied or upkeep.last_done()
            if self._night_is_due(datetime.now(UTC)):
                self.maintain()

    def _night_is_due(self, now: datetime) -> bool:
        """Whether the lake is to be tidied: at night, or late where the night found nobody awake; a clock set back changes nothing."""
        if self._tidied is None:
            return True
        return now - self._tidied > DAY or (now.hour == NIGHT_HOUR and now - self._tidied > DAY / 2)

    def compact_due(self) -> list[int]:
        """Compact every tenant that is due, in one child process. Returns their ids."""
        if self._watermarks is None:
            self._watermarks = _child("check")
        due = self.due()
        if due:
            self._watermarks = _child("compact", *map(str, due))
        return due

    def due(self, now: datetime | None = None) -> list[int]:
        """The tenants that are due."""
        moment = now or datetime.now(UTC)
        with database.connect(Role.COMPACTOR, autocommit=True) as hot:
            undone = {row[0] for row in hot.execute("SELECT DISTINCT tenant_id FROM undone_run").fetchall()}
            waiting = {tenant: self._waiting(hot, tenant) for tenant in _tenants()}
        return [tenant for tenant, (rows, oldest) in waiting.items() if tenant in undone or rows >= DUE_ROWS or (oldest and moment - oldest >= DUE_AGE)]

    def maintain(self) -> None:
        """Tidy the lake's files."""
        self._tidied = datetime.now(UTC)  # one that fails is tried again tomorrow, not every half minute
        self._watermarks = _child("maintain")

    def turn_partitions(self) -> None:
        """Make the hot partitions of the next days, drop those that were moved long ago."""
        with database.connect(Role.COMPACTOR, autocommit=True) as hot:
            hot.execute("SELECT observation_partitions_ahead(%s)", [PARTITIONS_AHEAD_DAYS])
            oldest = [oldest for tenant in _tenants() if (oldest := self._waiting(hot, tenant)[1])]
            hot.execute("SELECT observation_partitions_drop(%s)", [min([datetime.now(UTC) - KEEP_HOT, *oldest])])

    def _waiting(self, hot: psycopg.Connection, tenant: int) -> tuple[int, datetime | None]:
        after = (self._watermarks or {}).get(tenant, Watermark())
        row = hot.execute(WAITING, {"tenant": tenant, "xid": after.xid, "seq": after.seq, "limit": DUE_ROWS}).fetchone()
        return (row[0], row[1]) if row else (0, None)


def _tenants() -> list[int]:
    with database.connect(Role.APP, autocommit=True) as connection:
        return [row[0] for row in connection.execute("SELECT id FROM organisation WHERE is_tenant ORDER BY id").fetchall()]


def _child(*arguments: str) -> dict[int, Watermark]:
    done = subprocess.run(  # noqa: S603 -- our own module
        [sys.executable, "-m", "malha.history.lake.compactor", *arguments], check=True, stdout=subprocess.PIPE, timeout=CHILD_SECONDS
    )
    return {int(tenant): Watermark(*pair) for tenant, pair in json.loads(done.stdout).items()}
