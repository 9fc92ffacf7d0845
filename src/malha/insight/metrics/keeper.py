"""A thread of the worker that keeps the boards worked out that somebody looks at, so that nobody waits for history.

The processes that serve pages read what it worked out from the cache that all share, and are not slowed by it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time

import psycopg
from django.core.cache import cache
from django.db import close_old_connections

from malha.foundation.database import service as database
from malha.foundation.tenancy import service as tenancy
from malha.foundation.tenancy.contracts import Tenant, UnknownTenant
from malha.insight.metrics import cards, service
from malha.kernel.errors import MalhaError

logger = logging.getLogger(__name__)
EVERY_SECONDS = 5
#: while somebody looks, values are worked out again after this; else just before they would be too old to be shown
WATCHED_SECONDS, UNWATCHED_SECONDS = 15, 70
LOOKING_SECONDS = 600
NICENESS = 10
#: an installation of so few tenants keeps all their boards from its start
FEW_TENANTS = 5


def run(stop: threading.Event) -> None:
    """Keep boards until told to stop, behind whatever else wants the processor."""
    with contextlib.suppress(OSError, AttributeError):  # a thread has a priority of its own on Linux only
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
    _look_after_few()
    while not stop.wait(EVERY_SECONDS):
        try:
            for tenant_id, at in cards.followed().items():
                with contextlib.suppress(UnknownTenant):  # taken away since
                    keep(tenancy.by_id(tenant_id), WATCHED_SECONDS if time.time() - at < LOOKING_SECONDS else UNWATCHED_SECONDS)
        except Exception:  # a database that restarts must not end the thread
            logger.warning("boards could not be kept", exc_info=True)
        finally:
            close_old_connections()


def _look_after_few() -> None:
    try:
        known = tenancy.all_ids()
        for tenant_id in known if len(known) <= FEW_TENANTS else []:
            keep(tenancy.by_id(tenant_id), UNWATCHED_SECONDS)
            cards.saw(tenancy.by_id(tenant_id))
    except Exception:
        logger.warning("boards could not be prepared", exc_info=True)
    finally:
        close_old_connections()


def keep(tenant: Tenant, older_than: float) -> None:
    """Work out what is older than that on the board of one tenant, unless another process is at it."""
    if not cache.add(f"board-keeper:{tenant.id}", 1, EVERY_SECONDS - 1):
        return
    try:
        with database.connect() as conn, database.tenant_transaction(conn, [tenant.id]):
            found = service.all_metrics(conn, tenant.id, home_only=True)
            cards.values(conn, tenant, found, older_than=older_than)
            if found:
                cards.history(tenant, found[0], 7, older_than=older_than)
    except (MalhaError, psycopg.Error):
        logger.warning("the board of %s could not be worked out", tenant.slug, exc_info=True)
