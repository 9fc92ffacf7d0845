"""`python -m malha.project.migrate`: roles, databases and tables of this version, for whoever runs the processes apart."""

from __future__ import annotations

import sys

from malha.foundation.language.service import explain, of_terminal
from malha.kernel.errors import MalhaError
from malha.project import supervisor, up


def run() -> None:
    """Prepare the server that `MALHA_DATABASE_URL` names, or the embedded one for a moment, and migrate.

    Refuses settings with which no process should serve, as `./malha up` does: pages start only after this.
    """
    try:
        with supervisor.running_database():
            supervisor.migrate()
            up.check_settings()
    except MalhaError as reason:
        sys.exit(explain(reason, of_terminal()))


if __name__ == "__main__":
    run()
