"""`./malha database`: copies of the databases, made and put back."""

from __future__ import annotations

from pathlib import Path

import click

from malha.foundation.database import copies
from malha.foundation.language.service import say
from malha.foundation.settings import service as settings
from malha.kernel.text import msg
from malha.kernel.time import now
from malha.project import supervisor


@click.group()
def command() -> None:
    """Cópias da base de dados."""


@command.command("copy")
@click.option("--into", type=click.Path(path_type=Path, file_okay=False), help="Pasta das cópias (por omissão, na pasta de dados).")
def copy(into: Path | None) -> None:
    """Faz uma cópia agora, mesmo com a Malha a correr."""
    with supervisor.platform():
        place = copies.copy(into or settings.current().data / "copies", now())
    click.echo(str(place))


@command.command("restore")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
def restore(folder: Path) -> None:
    """Repõe a base de dados como estava na cópia (com a Malha parada). Guarda antes uma cópia do que lá está."""
    with supervisor.running_database():
        before = copies.copy(settings.current().data / "copies", now())
        copies.restore(folder)
    click.echo(say(msg("Reposto. O que lá estava ficou em {place}."), place=before))
