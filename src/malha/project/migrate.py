"""`python -m malha.project.migrate`: roles, databases and tables of this version, for whoever runs the processes apart."""

from __future__ import annotations

from malha.project import supervisor


def run() -> None:
    """Prepare the server that `MALHA_DATABASE_URL` names, or the embedded one for a moment, and migrate."""
    with supervisor.running_database():
        supervisor.migrate()


if __name__ == "__main__":
    run()
