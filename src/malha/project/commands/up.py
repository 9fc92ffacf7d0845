"""`./malha up`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from malha.project import up


@click.command()
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), help="Pasta de dados.")
@click.option("--port", type=int, help="Porta (a seguinte, se estiver ocupada).")
@click.option("--host", help="Endereço em que escuta; por omissão só este computador.")
@click.option("--no-demo", is_flag=True, help="Sem a vila de demonstração.")
def command(data: Path | None, port: int | None, host: str | None, *, no_demo: bool) -> None:
    """Arranca tudo e fica a correr até Ctrl-C."""
    for name, value in {"MALHA_DATA": data, "MALHA_PORT": port, "MALHA_HOST": host}.items():
        if value is not None:
            os.environ[name] = str(value)
    up.run(demo=not no_demo)
