"""The commands of `./malha`. Each imports what it needs when it runs, so that `--help` is instant."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from malha.kernel.errors import MalhaError


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cli() -> None:
    """Malha: a plataforma de dados urbanos."""


@cli.command()
@click.option("--data", type=click.Path(path_type=Path, file_okay=False), help="Pasta de dados.")
@click.option("--port", type=int, help="Porta (a seguinte, se estiver ocupada).")
@click.option("--host", help="Endereço em que escuta; por omissão só este computador.")
@click.option("--no-demo", is_flag=True, help="Sem a vila de demonstração.")
def up(data: Path | None, port: int | None, host: str | None, no_demo: bool) -> None:
    """Arranca tudo e fica a correr até Ctrl-C."""
    for name, value in {"MALHA_DATA": data, "MALHA_PORT": port, "MALHA_HOST": host}.items():
        if value is not None:
            os.environ[name] = str(value)
    from malha.project import up as command

    command.run(demo=not no_demo)


def main() -> None:
    """Run a command; a known error is one sentence and exit code 1, never a traceback."""
    try:
        cli(standalone_mode=True)
    except MalhaError as error:
        click.secho(str(error), fg="red", err=True)
        sys.exit(1)
