"""Words of the outbox."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import psycopg

#: channel of the wake-up call; it carries nothing, the rows do
CHANNEL = "malha_outbox"

#: where one stands: the transaction and the number within it
type Position = tuple[int, int]
START: Position = (0, 0)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened and was committed. `xid` and `seq` order events as they became visible."""

    tenant_id: int
    xid: int
    seq: int
    name: str
    payload: dict[str, object]
    at: datetime

    @property
    def position(self) -> Position:
        """Where this event stands."""
        return (self.xid, self.seq)


#: works in a transaction of the event's tenant; called again when it failed or the process died, so it repeats safely
type Consumer = Callable[[psycopg.Connection, Event], None]
#: event name → who wants to hear of it
type Consumers = Mapping[str, Sequence[Consumer]]
