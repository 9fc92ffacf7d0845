"""`./malha check`."""

from __future__ import annotations

import json
import sys

import click

from malha.kernel.text import msg
from malha.project import check as work
from malha.project import checkout


@click.command()
@click.option("--only", multiple=True, metavar="NOME", help=msg("Só esta verificação (pode repetir)."))
@click.option("--json", "as_json", is_flag=True, help=msg("Resultado em JSON, para programas."))
def command(only: tuple[str, ...], as_json: bool) -> None:
    """Verifica o código: forma, tipos, camadas, tradução, documentação, ligações."""
    checkout.need()
    outcomes = work.run(only, quiet=as_json)
    if as_json:
        click.echo(json.dumps([outcome.as_dict() for outcome in outcomes], ensure_ascii=False))
    sys.exit(0 if all(outcome.passed for outcome in outcomes) else 1)
