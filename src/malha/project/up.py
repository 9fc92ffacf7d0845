"""`./malha up`: from nothing to a town on the screen."""

from __future__ import annotations

import os
import signal

from rich.console import Console

from malha.foundation.settings import service as settings
from malha.project import supervisor


def run(*, demo: bool) -> None:
    """Start database, one port and worker; print where to look; stop all on Ctrl-C or SIGTERM."""
    console = Console()
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    conf = settings.current()
    port = supervisor.free_port(conf.host, conf.port)
    if port != conf.port:
        console.print(f"A porta {conf.port} está ocupada; uso a {port}.")
        os.environ["MALHA_PORT"] = str(port)
        settings.current.cache_clear()
    url = conf.public_url or f"http://localhost:{port}"
    with supervisor.running_database():
        supervisor.migrate()
        processes = supervisor.Processes()
        try:
            processes.start(
                "web", "uvicorn", "malha.project.oneport:application", "--host", conf.host, "--port", str(port),
                "--timeout-graceful-shutdown", "5", "--log-level", "warning",
            )  # fmt: skip
            processes.start("worker", "malha.project.worker")
            supervisor.wait_until_ready(f"http://localhost:{port}", processes)
            console.print(f"Malha em [bold]{url}[/bold]  (Ctrl-C para parar)")
            processes.wait()
        except KeyboardInterrupt:
            console.print("A parar…")
        finally:
            processes.stop()
