"""After a large load the planner hears at once what the tables hold."""

from __future__ import annotations

from malha.foundation.database import service
from malha.foundation.database.contracts import Role

LAST = "SELECT last_analyze FROM pg_stat_user_tables WHERE relname = 'entity'"


def test_statistics_are_made_anew():
    with service.connect(Role.OWNER, autocommit=True) as owner:
        before = owner.execute(LAST).fetchone()
        service.refresh_statistics()
        after = owner.execute(LAST).fetchone()
    assert after[0] is not None
    assert before[0] is None or after[0] > before[0]
