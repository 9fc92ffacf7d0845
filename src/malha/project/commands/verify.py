"""`./malha verify`: the whole road, headless, on a throw-away platform."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click
from rich.console import Console

from malha.foundation.language.service import say
from malha.kernel.text import msg
from malha.project.verification import run
from malha.project.verification.contracts import Step


@click.command()
@click.option(
    "--inputs", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Pasta de modelos e ficheiros reais (por omissão, MALHA_SAMPLES)."
)
@click.option("--json", "as_json", is_flag=True, help="Resultado em JSON, para programas.")
def command(inputs: Path | None, *, as_json: bool) -> None:
    """Percorre o caminho inteiro, do ficheiro à decisão e ao dado aberto; código 0 só se todos os passos se confirmam."""
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    with console.status(say(msg("A verificar…"))):
        steps, origin = run.run(inputs, told=lambda step: _tell(console, step))
    report = run.as_json(steps, origin)
    if as_json:
        click.echo(json.dumps(report, ensure_ascii=False, default=str))
    else:
        verdict = say(msg("Tudo se confirma")) if report["holds"] else say(msg("Não se confirma"))
        console.print(
            f"{verdict}: " + say(msg("{count} passos em {seconds} s, com ficheiros de: {origin}"), count=len(steps), seconds=report["seconds"], origin=origin)
        )
    sys.exit(0 if report["holds"] else 1)


def _tell(console: Console, step: Step) -> None:
    mark = "[green]✓[/green]" if step.holds else "[red]✗[/red]"
    console.print(f"{mark} {step.title} ({step.seconds} s, {say(msg('{count} comparações'), count=len(step.comparisons))}) — {step.input}")
    for one in step.comparisons:
        if not one.holds:
            console.print(say(msg("    {what}: devia ser {expected!r}, é {found!r}"), what=one.what, expected=one.expected, found=one.found))
    if step.error:
        console.print(f"    {step.error}", markup=False)
