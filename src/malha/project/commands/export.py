"""`./malha export`: entities of one type into a file, from the terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from malha.context.store.contracts import EntityQuery
from malha.foundation.language.service import of_terminal, say
from malha.insight.exports.contracts import ExportFormat, Row
from malha.kernel.text import msg
from malha.project import supervisor

#: the longest ends of file names first: "casas.excel.csv" is no plain CSV
FORMATS = tuple(sorted((one.value for one in ExportFormat), key=len, reverse=True))


@click.command()
@click.argument("entity_type", metavar="TIPO")
@click.option("--tenant", required=True, help="Município ou comunidade (o que vem no endereço).")
@click.option("--format", "wanted", type=click.Choice(FORMATS), help="Formato; por omissão, o do nome do ficheiro.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Ficheiro a escrever; sem ele, a saída do comando.")
@click.option("--q", "question", default="", help='Filtro, por exemplo: temperature>25;status=="ok"')
@click.option("--column", "columns", multiple=True, help="Só estas colunas (pode repetir).")
@click.option("--json", "as_json", is_flag=True, help="Com --out: o que ficou escrito, em JSON, para programas.")
def command(entity_type: str, tenant: str, wanted: str | None, out: Path | None, question: str, columns: tuple[str, ...], *, as_json: bool) -> None:
    """Escreve as entidades de um TIPO num ficheiro. Colunas sobre pessoas ficam de fora."""
    if as_json and out is None:
        raise click.UsageError(say(msg("Com --json diga --out: a saída do comando não pode ser as duas coisas.")))
    chosen = wanted or next((name for name in FORMATS if out and out.name.endswith(f".{name}")), "csv")
    with supervisor.platform():
        from malha.foundation.tenancy import service as tenancy
        from malha.insight.exports import entities, service

        owner = tenancy.by_slug(tenant)
        asked = entities.EntityExport(type=entity_type, query=EntityQuery(q=question), columns=columns, language=of_terminal())
        export, total = entities.export(owner, asked), entities.count(owner.id, asked)
        shown = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=Console(stderr=True), transient=True
        )
        with shown as progress:
            task = progress.add_task(say(msg("A escrever")), total=total)
            counted = replace(export, batches=lambda: _counted(export.batches(), progress, task))
            if out is None:
                service.write(counted, ExportFormat(chosen), sys.stdout.buffer)
            else:
                with out.open("wb") as file:
                    service.write(counted, ExportFormat(chosen), file)
    if as_json:
        click.echo(json.dumps({"file": str(out), "format": chosen, "rows": total}, ensure_ascii=False))
        return
    click.echo(say(msg("{count} linhas"), count=total), err=True)


def _counted(batches: Iterator[list[Row]], progress: Progress, task: TaskID) -> Iterator[list[Row]]:
    for batch in batches:
        yield batch
        progress.advance(task, len(batch))
