"""What *Hoje* answers: is anything wrong, where, since when, who has it; and for a new tenant, the first five steps."""

from __future__ import annotations

from datetime import datetime

import psycopg

from malha.context.store import service as store
from malha.foundation.tenancy.contracts import Tenant
from malha.insight.today import queries
from malha.insight.today.contracts import Health, Latest
from malha.vocabulary.models import service as models

#: late is: longer ago than three times the usual wait, and never less than this
LEAST_WAIT_SECONDS = 900
#: what has no rhythm of its own is not called late
RHYTHM_SECONDS = 43200


def health(conn: psycopg.Connection, tenant: Tenant, now: datetime, language: str) -> list[Health]:
    """When each kind of thing last spoke; those that are late first."""
    usual = queries.usual_wait_seconds(conn, tenant.id)
    found = []
    for name, count, changed in store.types(conn, tenant.id):
        model = models.find(name, tenant.id)
        wait, last = usual.get(name, (0.0, changed))
        limit = max(LEAST_WAIT_SECONDS, 3 * wait)
        late = 0 < wait < RHYTHM_SECONDS and (now - max(last, changed)).total_seconds() > limit
        found.append(Health(name, model.label.in_language(language) if model else name, count, max(last, changed), late))
    return sorted(found, key=lambda one: (not one.late, one.label))


def latest(conn: psycopg.Connection, tenant: Tenant, language: str, limit: int = 8) -> list[Latest]:
    """The records that changed last."""
    found = []
    for uri, name, said, at in queries.latest(conn, tenant.id, limit):
        model = models.find(name, tenant.id)
        found.append(Latest(uri, name, said or uri.rsplit(":", 1)[-1], at, model.label.in_language(language) if model else name))
    return found
