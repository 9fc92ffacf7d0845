"""`./malha demo`: the fictitious town."""

from __future__ import annotations

import json

import click
from rich.console import Console

from malha.foundation.language import service as language
from malha.foundation.settings import service as settings
from malha.kernel.text import msg
from malha.project import demonstration, supervisor
from malha.project.commands.options import JSON


@click.group()
def command() -> None:
    """A vila de demonstração: fazer, mostrar, tirar."""


@command.command()
@JSON
def create(as_json: bool) -> None:
    """Faz a vila fictícia com um ano de dados (o que havia dela sai primeiro)."""
    with supervisor.platform():
        console = Console(stderr=True)
        facts = demonstration.make(console)
        if samples := settings.current().samples:
            demonstration.make_recording(console, samples)
    click.echo(json.dumps(facts) if as_json else language.say(msg("A vila está pronta: {count} observações."), count=facts["observations"]))


@command.command()
@JSON
def remove(as_json: bool) -> None:
    """Tira a vila fictícia com tudo o que é dela, contas incluídas."""
    with supervisor.platform():
        from malha.packs.demo_town import service as town

        gone = town.remove()
    click.echo(json.dumps({"removed": gone}) if as_json else language.say(msg("A demonstração foi retirada.") if gone else msg("Não havia demonstração.")))


@command.command()
@JSON
def events(as_json: bool) -> None:
    """Mostra o que foi plantado no ano da vila, para os alarmes encontrarem."""
    with supervisor.platform():
        from malha.kernel.time import format_instant, now
        from malha.packs.demo_town import events as planted
        from malha.packs.demo_town import service as town

        found = planted.planted(town.made_at() or now())
    rows = [
        {"id": one.id, "title": one.title, "kind": one.kind.value, "type": one.type, "attribute": one.attribute, "uris": list(one.uris),
         "start": format_instant(one.start), "end": format_instant(one.end), "bound": one.bound}
        for one in found
    ]  # fmt: skip
    click.echo(json.dumps(rows, ensure_ascii=False) if as_json else "\n".join(f"{row['start']}  {row['title']}" for row in rows))
