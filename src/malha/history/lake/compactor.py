"""The compactor as a process that ends: `python -m malha.history.lake.compactor compact 3 7`.

DuckDB gives its memory back only by ending, so the worker starts one of these when something is due.
Prints one JSON object: the watermark of every tenant, [xid, seq] by id.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime

from malha.history.lake import catalogue, integrity, service, upkeep

#: nobody waits for the look at the newest files
CHECK_NICENESS = 10


def main(arguments: list[str]) -> None:
    """Do one verb: `check` (before anything else is compacted), `compact ID…`, or `maintain`."""
    logging.basicConfig(level=logging.WARNING)
    verb, *rest = arguments
    if verb == "compact":
        service.compact_many([int(tenant_id) for tenant_id in rest])
    if verb == "check":
        os.nice(CHECK_NICENESS)
        integrity.start_check(datetime.now(UTC))
    with catalogue.writing() as lake:
        if verb == "maintain":
            upkeep.tidy(lake, datetime.now(UTC))
        rows = lake.execute("SELECT tenant_id, xid, seq FROM lake.main.watermark").fetchall()
    sys.stdout.write(json.dumps({str(row[0]): [row[1], row[2]] for row in rows}))


if __name__ == "__main__":
    main(sys.argv[1:])
