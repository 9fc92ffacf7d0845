"""A load as a process that ends, and gives its memory back by that: `python -m malha.ingest.bulk.loader TENANT RUN [FILE]`.

Without a file it loads the one that is kept for the run. It ends when whoever started it does: its input closes then.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from pathlib import Path

from malha.ingest.bulk import service
from malha.ingest.runs.contracts import CannotResume, RunBusy
from malha.kernel.errors import MalhaError

#: the load was left as it is, to be gone on with
LEFT = 75


def main(arguments: list[str]) -> int:
    """Do the load; what is wrong with the file was noted in the run, and is no fault of this process."""
    logging.basicConfig(level=logging.WARNING)
    threading.Thread(target=_end_with_parent, daemon=True, name="parent").start()
    tenant_id, run_id = map(int, arguments[:2])
    file = arguments[2:]
    try:
        if file:
            service.load_history(tenant_id, Path(file[0]), run_id=run_id)
        else:
            service.load_kept(tenant_id, run_id)
    except MalhaError as reason:
        if not file and isinstance(reason, RunBusy):  # another process has it: that is what was wanted
            return 0
        if not file or isinstance(reason, (RunBusy, CannotResume)):  # anything else the run says itself
            logging.getLogger(__name__).warning("load %s: %s", run_id, reason)
        return 1 if file else 0
    return 0


def _end_with_parent() -> None:
    while os.read(0, 1):
        pass
    os._exit(LEFT)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
