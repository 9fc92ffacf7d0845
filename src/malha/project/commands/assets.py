"""`./malha assets`."""

from __future__ import annotations

import click

from malha.foundation.language.service import say
from malha.kernel.text import msg
from malha.project import checkout
from malha.project import docs as work


@click.command()
@click.option("--force", is_flag=True, help=msg("Mesmo que nada tenha mudado."))
def command(force: bool) -> None:
    """Constrói os guiões e estilos das páginas (web/) e o catálogo inglês."""
    checkout.need()
    built = work.build_pages(force=force)
    click.echo(say(msg("Páginas construídas.")) if built else say(msg("Já estava tudo construído.")))
