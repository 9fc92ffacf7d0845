"""Rows of entities that were made or changed a moment ago: a sensor's is changed again and again, and need not be read each time.

What is remembered may be old, so it is good for one thing: to work out a change that the database makes only where the entity is still
the one that is remembered. For nothing else, not even for a refusal.
"""

from __future__ import annotations

from collections import OrderedDict

from malha.context.store.express import Row

#: how many rows, and how long a document may be: some megabytes together
MOST, LONGEST = 4_000, 4_000


class Rows:
    """Rows by tenant and URI, those used longest ago forgotten first. For one event loop."""

    def __init__(self) -> None:
        self.kept: OrderedDict[tuple[int, str], Row] = OrderedDict()

    def take(self, tenant_id: int, uri: str) -> Row | None:
        """The row, which is forgotten: whoever changes the entity brings the new one."""
        return self.kept.pop((tenant_id, uri), None)

    def keep(self, tenant_id: int, uri: str, row: Row) -> None:
        """Remember a row."""
        if len(row[4]) <= LONGEST:
            self.kept[tenant_id, uri] = row
            if len(self.kept) > MOST:
                self.kept.popitem(last=False)
