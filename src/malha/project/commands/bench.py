"""`./malha bench`."""

from __future__ import annotations

import sys

import click

from malha.kernel.text import msg
from malha.project import bench as work
from malha.project import checkout


@click.command()
@click.argument("name", required=False)
@click.option("--quick", is_flag=True, help=msg("Uma só volta, em menos de três minutos."))
def command(name: str | None, quick: bool) -> None:
    """Mede NAME (um ficheiro de bench/); a última linha é um objeto JSON. Sem NAME, lista-os."""
    checkout.need()
    sys.exit(work.run(name, quick=quick))
