"""`./malha docs`."""

from __future__ import annotations

import click

from malha.kernel.text import msg
from malha.project import checkout
from malha.project import docs as work


@click.command()
@click.argument("page", required=False)
@click.option("--write", is_flag=True, help=msg("Escreve de novo as páginas que nascem do código (definições e comandos)."))
def command(page: str | None, write: bool) -> None:
    """Mostra a documentação: `docs settings`, `docs commands`, ou a lista das páginas."""
    if write:
        checkout.need()
        work.write()
        return
    click.echo(work.show(page))
