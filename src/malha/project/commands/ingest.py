"""`./malha ingest FILE`: a file into a tenant, with answers given or suggested; or a load undone."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from malha.foundation.language import service as language
from malha.kernel.text import msg
from malha.project import supervisor

#: how often one looks how far a load is
LOOK_SECONDS = 0.3


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
    """In a process of its own, which knows no pages: it holds less, and all of it is given back."""
    from malha.foundation.database import service as database
    from malha.ingest.bulk import reading
    from malha.ingest.quality import service as quality
    from malha.ingest.runs import service as runs
    from malha.ingest.runs.contracts import RunKind, RunResult, RunState

    reading.shape_of(reading.names_of(file))  # what is missing is said before a load is begun
    expected, begun = reading.expected_rows(file), time.monotonic()
    with database.connect(autocommit=True) as conn:
        with database.tenant_transaction(conn, [tenant_id]):
            run_id = resume or runs.start(conn, tenant_id, file.name, actor="command", kind=RunKind.HISTORY)
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        command = [sys.executable, "-m", "malha.ingest.bulk.loader", str(tenant_id), str(run_id), str(file.resolve())]
        with (
            Progress(*columns, console=Console(stderr=True), disable=as_json) as bar,
            subprocess.Popen(command, stdin=subprocess.PIPE) as child,  # noqa: S603 -- our own module
        ):
            task = bar.add_task(file.name, total=None)
            while child.poll() is None:
                time.sleep(LOOK_SECONDS)
                with database.tenant_transaction(conn, [tenant_id]):
                    read = runs.progress(conn, tenant_id, run_id).counts.read
                bar.update(task, completed=read, total=max(expected, read))
        with database.tenant_transaction(conn, [tenant_id]):
            run, groups = runs.progress(conn, tenant_id, run_id), tuple(quality.groups(conn, tenant_id, run_id))
    result = RunResult(run_id, run.state, run.counts, round(time.monotonic() - begun, 3), groups, run.error, run.notes)
    if as_json:
        click.echo(json.dumps(_worded(dataclasses.asdict(result)), default=str, ensure_ascii=False))
    else:
        _say(result)
    if child.returncode or run.state is not RunState.DONE:
        sys.exit(1)


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
