"""`./malha ingest FILE`: a file into a tenant, with answers given or suggested; or a load undone."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from malha.foundation.language import service as language
from malha.kernel.text import msg
from malha.project import supervisor


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False), required=False)
@click.option("--tenant", required=True, help="Endereço do município (por exemplo, “aveiro”).")
@click.option("--answers", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="Respostas em JSON; as que faltarem são sugeridas.")
@click.option("--show-answers", is_flag=True, help="Mostra as respostas sugeridas e não carrega nada.")
@click.option("--undo", type=int, help="Desfaz a carga com este número.")
@click.option("--history", is_flag=True, help="Anos de medidas (CSV, Parquet ou Arrow) diretos ao histórico, sem mexer no estado atual.")
@click.option("--resume", type=int, help="Com --history: continua a carga com este número.")
@click.option("--live", is_flag=True, help="Os valores são de agora: os alarmes podem tocar.")
@click.option("--json", "as_json", is_flag=True, help="Resultado em JSON.")
def command(file: Path | None, tenant: str, answers: Path | None, show_answers: bool, undo: int | None, history: bool, resume: int | None, live: bool, as_json: bool) -> None:  # fmt: skip
    """Carrega um ficheiro (CSV, XLSX, XLS, ODS, Parquet, GeoJSON, GeoPackage, shapefile em ZIP) para um município."""
    with supervisor.platform():
        from malha.foundation.tenancy import service as tenancy

        tenant_id = tenancy.by_slug(tenant).id
        if undo is not None:
            _undo(tenant_id, undo)
            return
        if file is None:
            raise click.UsageError(language.say(msg("Falta o ficheiro.")))
        if history:
            _load_history(tenant_id, file, resume, as_json=as_json)
            return
        given = json.loads(answers.read_text(encoding="utf-8")) if answers else None
        if show_answers:
            _show(tenant_id, file, given)
            return
        _load(tenant_id, file, given, live=live, as_json=as_json)


def _load_history(tenant_id: int, file: Path, resume: int | None, *, as_json: bool) -> None:
    from malha.ingest.bulk import service as bulk
    from malha.ingest.runs.contracts import Counts

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), disable=as_json) as bar:
        task = bar.add_task(file.name, total=None)

        def show(counts: Counts, expected: int) -> None:
            bar.update(task, completed=counts.read, total=max(expected, counts.read))

        result = bulk.load_history(tenant_id, file, run_id=resume, actor="command", on_progress=show)
    if as_json:
        click.echo(json.dumps(_worded(dataclasses.asdict(result)), default=str, ensure_ascii=False))
    else:
        _say(result)


def _load(tenant_id: int, file: Path, given: dict[str, Any] | None, *, live: bool, as_json: bool) -> None:
    from malha.ingest.runs import service as runs
    from malha.ingest.runs.contracts import Counts, RunState

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), disable=as_json) as bar:
        task = bar.add_task(file.name, total=None)

        def show(counts: Counts, expected: int) -> None:
            bar.update(task, completed=counts.read, total=max(expected, counts.read))

        result = runs.load_file(tenant_id, file, given, live=live or None, on_progress=show)
    if as_json:
        click.echo(json.dumps(_worded(dataclasses.asdict(result)), default=str, ensure_ascii=False))
    else:
        _say(result)
    if result.state is not RunState.DONE:
        sys.exit(1)


def _worded(value: Any) -> Any:
    """The same with every kept sentence as people read it."""
    if isinstance(value, dict):
        return {key: _worded(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_worded(one) for one in value]
    return language.word(value, language.of_terminal()) if isinstance(value, str) and "\x1e" in value else value


def _say(result: Any) -> None:
    counts = result.counts
    click.echo(language.say(msg("Carga {id}: {entered} linhas entraram, {held} ficam em espera, {changes} alterações, {seconds} s.")).format(
        id=result.run_id, entered=counts.entered, held=counts.held, changes=counts.changes, seconds=result.seconds
    ))  # fmt: skip
    for group in result.groups:
        click.echo(f"  {group.count} × {group.path}: {language.word(group.message, language.of_terminal())}")
    if counts.warned:
        click.echo(language.say(msg("  {warned} linhas não cumprem o modelo de dados e entraram com aviso.")).format(warned=counts.warned))
    for note in result.notes:
        click.echo(f"  {language.word(note, language.of_terminal())}")
    if result.error:
        click.secho(language.word(result.error, language.of_terminal()), fg="red", err=True)


def _show(tenant_id: int, file: Path, given: dict[str, Any] | None) -> None:
    from malha.foundation.database import service as database
    from malha.ingest.lineage import service as lineage
    from malha.ingest.mapping import service as mapping
    from malha.ingest.runs import service as runs

    with database.connect() as conn, database.tenant_transaction(conn, [tenant_id]):
        kept = lineage.keep(conn, tenant_id, lineage.pieces_of(file), file.name)
        _shape, answers = runs.prepare(conn, tenant_id, kept, file.name, given)
    click.echo(json.dumps(mapping.as_json(answers), indent=2, ensure_ascii=False))


def _undo(tenant_id: int, run_id: int) -> None:
    from malha.foundation.database import service as database
    from malha.ingest.runs import service as runs

    with database.connect() as conn, database.tenant_transaction(conn, [tenant_id]):
        run = runs.undo(conn, tenant_id, run_id, "command")
    click.echo(language.say(msg("A carga {id} ({title}) foi desfeita.")).format(id=run.id, title=language.word(run.title, language.of_terminal())))
