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
from malha.project.commands.options import JSON, bytes_bar, tell


@click.group()
def command() -> None:
    """Cópias da base de dados."""


@command.command("copy")
@click.option("--into", type=click.Path(path_type=Path, file_okay=False), help="Pasta das cópias (por omissão, na pasta de dados).")
@JSON
def copy(into: Path | None, *, as_json: bool) -> None:
    """Faz uma cópia agora, mesmo com a Malha a correr."""
    begun = now()
    with supervisor.platform(), bytes_bar() as told:
        place = copies.copy(into or settings.current().data / "copies", begun, told)
    if as_json:
        tell({"folder": str(place), "bytes": sum(one.stat().st_size for one in place.iterdir()), "seconds": round((now() - begun).total_seconds(), 3)})
    else:
        click.echo(str(place))


@command.command("restore")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@JSON
def restore(folder: Path, *, as_json: bool) -> None:
    """Repõe a base de dados como estava na cópia (com a Malha parada). Guarda antes uma cópia do que lá está."""
    begun = now()
    with supervisor.running_database(), bytes_bar() as told:
        before = copies.copy(settings.current().data / "copies", begun, told)
        copies.restore(folder, told)
    if as_json:
        tell({"restored": str(folder), "before": str(before), "seconds": round((now() - begun).total_seconds(), 3)})
        return
    click.echo(say(msg("Reposto. O que lá estava ficou em {place}."), place=before))
