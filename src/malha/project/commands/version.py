"""`./malha version`."""

from __future__ import annotations

import json

import click

from malha.kernel.text import msg
from malha.project import docs as work


@click.command()
@click.option("--json", "as_json", is_flag=True, help=msg("Resultado em JSON, para programas."))
def command(as_json: bool) -> None:
    """Mostra a versão da Malha e daquilo em que assenta."""
    facts = work.versions()
    click.echo(json.dumps(facts) if as_json else "\n".join(f"{name:<12} {value}" for name, value in facts.items()))
