"""`./malha test`."""

from __future__ import annotations

import sys

import click

from malha.kernel.text import msg
from malha.project import checkout
from malha.project import testing as work


@click.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
@click.option("--samples", is_flag=True, help=msg("Falha se algum teste ficar de fora por falta da pasta de exemplos (MALHA_SAMPLES)."))
@click.option("--fast", is_flag=True, help=msg("Sem os testes de navegador nem os lentos."))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(samples: bool, fast: bool, arguments: tuple[str, ...]) -> None:
    """Corre todos os testes; o resto da linha vai para o pytest."""
    checkout.need()
    sys.exit(work.run(arguments, samples=samples, fast=fast))
