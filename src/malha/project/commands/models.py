"""`./malha models`: the data models of this installation, and folders of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.table import Table

from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.foundation.language import service as language
from malha.kernel.text import msg
from malha.project import supervisor
from malha.vocabulary.models import faults, importing, interchange, kept, service
from malha.vocabulary.models.contracts import Severity


@click.group()
def command() -> None:
    """Modelos de dados: os que existem, e pastas com mais."""


def _tenant_id(slug: str | None) -> int | None:
    """The tenant that the option names; Django is set up by then."""
    if slug is None:
        return None
    from malha.foundation.tenancy import service as tenancy

    return tenancy.by_slug(slug).id


def _read(folder: Path) -> importing.Report:
    with Progress(SpinnerColumn(), TextColumn("{task.description}"), transient=True, console=Console(stderr=True)) as progress:
        task = progress.add_task(language.say(msg("A ler a pasta…")))
        return importing.read_folder(folder, lambda name: progress.update(task, description=name))


@command.command("import")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--tenant", help=msg("Só para este município; sem isto, para todos."))
@click.option("--dry-run", is_flag=True, help=msg("Lê e experimenta, sem guardar."))
@click.option("--json", "as_json", is_flag=True, help=msg("Resultado em JSON, para programas."))
def import_(folder: Path, tenant: str | None, dry_run: bool, as_json: bool) -> None:
    """Lê uma pasta de esquemas (catálogo nacional ou Smart Data Models) e guarda os modelos."""
    report = _read(folder)
    if not dry_run:
        with supervisor.platform():
            _save(report, _tenant_id(tenant), origin=folder.name)
    if as_json:
        click.echo(json.dumps(_facts(report), ensure_ascii=False))
    else:
        _show(report)


def _save(report: importing.Report, tenant_id: int | None, origin: str) -> None:
    role, tenants = (Role.OWNER, []) if tenant_id is None else (Role.APP, [tenant_id])
    with database.connect(role) as connection, database.tenant_transaction(connection, tenants):
        importing.save(connection, tenant_id, report, origin=origin)
    kept.forget()


def _facts(report: importing.Report) -> dict[str, Any]:
    return {
        "schemas": len(report.schemas),
        "models": [model.type for model in report.models],
        "refused": [{"path": outcome.path, "reason": outcome.reason} for outcome in report.schemas if outcome.model is None],
        "examples": [
            {
                "path": outcome.path,
                "type": outcome.type,
                "accepted": outcome.is_accepted,
                "reason": outcome.reason,
                "findings": [
                    {"path": found.path, "code": found.code, "severity": found.severity.value, "message": found.message, "mend": found.mend}
                    for found in outcome.findings
                ],
            }
            for outcome in report.examples
        ],
    }


def _show(report: importing.Report) -> None:
    console, say = Console(), language.say
    refused = [outcome for outcome in report.schemas if outcome.model is None]
    console.print(say(msg("{count} esquemas lidos, {models} modelos de dados."), count=len(report.schemas), models=len(report.models)))
    if refused:
        table = Table(say(msg("Esquema")), say(msg("Porque não faz um modelo")))
        for outcome in refused:
            table.add_row(Path(outcome.path).name, outcome.reason)
        console.print(table)
    failed = [outcome for outcome in report.examples if not outcome.is_accepted]
    console.print(say(msg("{count} exemplos, {accepted} aceites."), count=len(report.examples), accepted=len(report.examples) - len(failed)))
    if failed:
        table = Table(say(msg("Exemplo")), say(msg("Tipo")), say(msg("Porquê")))
        for example in failed:
            reasons = [found.message for found in example.findings if found.severity is Severity.ERROR]
            table.add_row(Path(example.path).name, example.type, example.reason or "\n".join(reasons))
        console.print(table)


@command.command("list")
@click.option("--tenant", help=msg("Os que este município pode usar."))
@click.option("--json", "as_json", is_flag=True, help=msg("Resultado em JSON, para programas."))
def list_(tenant: str | None, as_json: bool) -> None:
    """Mostra os modelos de dados."""
    with supervisor.platform():
        models = service.all_models(_tenant_id(tenant))
    if as_json:
        click.echo(
            json.dumps([{"type": each.type, "version": each.version, "label": each.label.pt, "theme": each.theme} for each in models], ensure_ascii=False)
        )
        return
    table = Table(language.say(msg("Tipo")), language.say(msg("Nome")), language.say(msg("Versão")), language.say(msg("Propriedades")))
    for each in models:
        table.add_row(each.type, each.label.in_language(language.of_terminal()), each.version, str(len(each.properties)))
    Console().print(table)


@command.command("show")
@click.argument("entity_type")
@click.option("--tenant", help=msg("O modelo que este município usa."))
@click.option("--schema", "as_schema", is_flag=True, help=msg("Mostra o JSON Schema."))
@click.option("--context", "as_context", is_flag=True, help=msg("Mostra o @context JSON-LD."))
def show(entity_type: str, tenant: str | None, as_schema: bool, as_context: bool) -> None:
    """Mostra um modelo: propriedades, unidades, valores."""
    with supervisor.platform():
        model = service.get(entity_type, _tenant_id(tenant))
    if as_schema or as_context:
        click.echo(json.dumps(interchange.json_schema(model) if as_schema else interchange.context(model), ensure_ascii=False, indent=2))
        return
    tongue = language.of_terminal()
    Console().print(f"[bold]{model.type}[/bold] {model.version}: {model.label.in_language(tongue)}")
    table = Table(*(language.say(head) for head in (msg("Propriedade"), msg("O que é"), msg("Tipo"), msg("Unidade"), msg("Obrigatória"))))
    for prop in model.properties:
        table.add_row(prop.name, prop.label.in_language(tongue), prop.type, prop.unit, language.say(msg("sim")) if prop.required else "")
    Console().print(table)


@command.command("validate")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--type", "entity_type", help=msg("O modelo com que se valida; sem isto, o que a entidade diz."))
@click.option("--tenant", help=msg("Com os modelos deste município."))
@click.option("--json", "as_json", is_flag=True, help=msg("Resultado em JSON, para programas."))
def validate(file: Path, entity_type: str | None, tenant: str | None, as_json: bool) -> None:
    """Valida as entidades de um ficheiro JSON. Acaba com 1 se alguma for recusada."""
    loaded = json.loads(file.read_text(encoding="utf-8-sig"))
    entities = loaded if isinstance(loaded, list) else [loaded]
    with supervisor.platform():
        tenant_id = _tenant_id(tenant)
        outcomes = [
            (str(entity.get("id", "")), service.validate(entity, service.get(entity_type or str(entity.get("type", "")), tenant_id))) for entity in entities
        ]
    tongue = language.of_terminal()
    rows = [
        {
            "id": uri,
            "path": found.path,
            "code": found.code,
            "severity": found.severity.value,
            **dict(zip(("message", "mend"), service.in_language(found, tongue), strict=True)),
        }
        for uri, findings in outcomes
        for found in findings
    ]
    if as_json:
        click.echo(json.dumps(rows, ensure_ascii=False))
    else:
        for row in rows:
            click.secho(f"{row['id']}: {row['message']} {row['mend']}", fg="red" if row["severity"] == "error" else "yellow")
        click.echo(language.say(msg("{count} entidades, {refused} recusadas."), count=len(outcomes), refused=_refused(outcomes)))
    if _refused(outcomes):
        raise SystemExit(1)


def _refused(outcomes: list[tuple[str, list[Any]]]) -> int:
    return sum(any(found.severity is Severity.ERROR for found in findings) for _, findings in outcomes)


@command.command("faults")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help=msg("Ficheiro onde se escreve a tabela."))
def faults_(folder: Path, out: Path | None) -> None:
    """Escreve a tabela dos erros que há nos ficheiros de um catálogo."""
    text = faults.table(_read(folder))
    if out is None:
        click.echo(text, nl=False)
    else:
        out.write_text(text, encoding="utf-8")
