"""The town goes on living: `python -m malha.packs.demo_town.simulator`, ended by SIGTERM.

Writes through the store as any source does, a few values every second. Each device speaks in turn, with the value
that the generator gives for that instant, so that the live values continue the year. Now and then the stream at
Ponte Velha rises for a quarter of an hour, so that there is an alarm to see.
"""

from __future__ import annotations

import argparse
import logging
import signal
import threading
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import psycopg

from malha.context.store import service as store
from malha.context.store.contracts import WriteOptions
from malha.foundation.database import service as database
from malha.packs.demo_town import devices, events, generator, signals
from malha.packs.demo_town.contracts import SEED, SLUG, Device, DeviceKind, EventKind, PlantedEvent

logger = logging.getLogger(__name__)
MOST_PER_SECOND = 50
#: every device is heard about once in two and a half minutes
PER_SECOND = 2
FLOOD_EVERY = timedelta(hours=6)
FLOOD_LASTS = timedelta(minutes=20)
FLOOD_STARTS_AFTER = timedelta(minutes=4)
PONTE_VELHA = 4


def floods(started: datetime, instant: datetime) -> list[PlantedEvent]:
    """The rises of the stream around `instant`: the first some minutes after the start, then every six hours."""
    since = instant - started - FLOOD_STARTS_AFTER
    if since < timedelta():
        return []
    begin = started + FLOOD_STARTS_AFTER + FLOOD_EVERY * (since // FLOOD_EVERY)
    uri = devices.of_kind(DeviceKind.RIVER)[PONTE_VELHA].uri
    return [
        PlantedEvent(
            "agora", "A ribeira sobe na Ponte Velha", EventKind.ABOVE, DeviceKind.RIVER.value, "currentLevel", (uri,), begin, begin + FLOOD_LASTS, 2.0, 2.31
        )
    ]


def speak(connection: psycopg.Connection, tenant_id: int, speakers: list[Device], instant: datetime, happened: list[PlantedEvent]) -> int:
    """Write what these devices say at `instant`, one batch a kind. Returns the observations made."""
    second = int(instant.timestamp())
    written = 0
    for kind in {device.kind: None for device in speakers}:
        spec = devices.spec_of(kind)
        moments = signals.Moments(SEED, np.array([second], dtype=np.int64))
        rows: list[generator.Row] = []
        for device in (one for one in speakers if one.kind is kind):
            values = [round(float(generator.values_of(device, what, moments, happened)[0][0]), what.decimals) for what in spec.measures]
            rows.append((device.uri, second, list(values)))
        with database.tenant_transaction(connection, [tenant_id]):
            written += store.upsert_table(connection, tenant_id, generator.table_of(spec, rows), WriteOptions(live=True)).observations
    return written


def turns(per_second: int) -> list[list[Device]]:
    """Who speaks in which second: every device once a round, kinds mixed; the one that fell silent stays so."""
    mute = {uri for event in events.planted(datetime.now(UTC)) if event.id == "sem-sinal-ruido" for uri in event.uris}
    order = sorted((device for device in devices.all_devices() if device.uri not in mute), key=lambda device: (device.index * 7919 + len(device.kind)) % 300)
    return [order[i : i + per_second] for i in range(0, len(order), per_second)]


def run(stop: threading.Event, per_second: int = PER_SECOND) -> None:
    """Write until told to stop; a database that does not answer is waited for."""
    started = datetime.now(UTC)
    tenant_id: int | None = None
    rounds = turns(min(per_second, MOST_PER_SECOND))
    turn = 0
    while not stop.is_set():
        try:
            with database.connect(autocommit=True) as connection:
                while not stop.wait(max(0.0, 1.0 - time.time() % 1.0)):
                    if turn % 60 == 0:
                        tenant_id = _tenant_id(connection)
                    if tenant_id is None:  # the town was taken away; it may come back
                        stop.wait(60)
                        tenant_id = _tenant_id(connection)
                        continue
                    instant = datetime.now(UTC)
                    speak(connection, tenant_id, rounds[turn % len(rounds)], instant, floods(started, instant))
                    turn += 1
        except psycopg.Error:
            logger.warning("the database does not take what the devices say; waiting", exc_info=True)
            stop.wait(5)


def _tenant_id(connection: psycopg.Connection) -> int | None:
    row = connection.execute("SELECT id FROM organisation WHERE slug = %s AND is_demo", [SLUG]).fetchone()
    return int(row[0]) if row else None


def main() -> None:
    """Run as a process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--per-second", type=int, default=PER_SECOND, help=f"devices heard each second, at most {MOST_PER_SECOND}")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    logging.basicConfig(level=logging.WARNING)
    run(stop, parser.parse_args().per_second)


if __name__ == "__main__":
    main()
