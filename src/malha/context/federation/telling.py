"""Tell those who subscribed to registrations what came, changed and went (§5.11.7)."""

from __future__ import annotations

from typing import Any

import psycopg

from malha.context.federation.contracts import Registration


def changed(conn: psycopg.Connection[Any], tenant_id: int, before: Registration | None, after: Registration | None) -> None:
    """A registration as it was and as it is; None where there is none."""
