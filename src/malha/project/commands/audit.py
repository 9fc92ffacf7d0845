"""`./malha audit`: whether anybody changed the trail."""

from __future__ import annotations

import dataclasses
import json
import sys

import click
from rich.console import Console
from rich.table import Table

from malha.foundation.audit import service
from malha.foundation.audit.contracts import PLATFORM, Fault, Verdict
from malha.foundation.database import service as database
from malha.foundation.language import service as language
from malha.kernel.text import msg
from malha.project import supervisor

WORDS = {
    Fault.ALTERED: msg("a linha {entry} foi alterada (elo {seq})"),
    Fault.MISSING: msg("falta a linha {entry} (elo {seq})"),
    Fault.UNLINKED: msg("falta o elo {seq}"),
    Fault.REWRITTEN: msg("a cadeia foi reescrita até ao elo {seq} (linha {entry})"),
}


@click.group()
def command() -> None:
    """O registo de atos."""


@command.command()
@click.option("--tenant", default="", help=msg("Só o deste município."))
@click.option("--json", "as_json", is_flag=True, help=msg("Resultado em JSON, para programas."))
def verify(tenant: str, as_json: bool) -> None:
    """Percorre as cadeias do registo e diz qual a primeira linha alterada ou em falta. Sai com 1 se houver alguma."""
    with supervisor.platform():
        from malha.foundation.tenancy import service as tenancy

        cards = [tenancy.by_slug(tenant)] if tenant else [tenancy.by_id(card.id) for card in tenancy.organisations(tenants_only=True)]
        names = {card.id: card.slug for card in cards} | ({} if tenant else {PLATFORM: language.say(msg("(a plataforma)"))})
        with database.connect(autocommit=True) as connection, Console(stderr=True).status("") as shown:
            verdicts = []
            for tenant_id, name in names.items():
                shown.update(language.say(msg("A percorrer a cadeia de {name}…"), name=name))
                verdicts.append(service.verify(connection, tenant_id))
    if as_json:
        facts = [dataclasses.asdict(verdict) | {"tenant": names[verdict.tenant_id], "holds": verdict.holds} for verdict in verdicts]
        click.echo(json.dumps({"holds": all(verdict.holds for verdict in verdicts), "chains": facts}, ensure_ascii=False))
    else:
        _show(verdicts, names)
    if not all(verdict.holds for verdict in verdicts):
        sys.exit(1)


def _show(verdicts: list[Verdict], names: dict[int, str]) -> None:
    table = Table(*(language.say(title) for title in (msg("Município"), msg("Linhas encadeadas"), msg("Por encadear"), msg("Resultado"))))
    for verdict in verdicts:
        outcome = language.say(msg("intacto")) if verdict.fault is None else language.say(WORDS[verdict.fault], entry=verdict.entry_id, seq=verdict.seq)
        table.add_row(names[verdict.tenant_id], str(verdict.links), str(verdict.waiting), outcome, style=None if verdict.holds else "bold red")
    Console().print(table)
