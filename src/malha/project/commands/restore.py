"""`./malha restore`: a copy brought back beside what is there."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from malha.foundation.language.service import say
from malha.foundation.settings import service as settings
from malha.history.backups import service
from malha.kernel.text import msg
from malha.kernel.time import format_instant, now, parse_instant
from malha.project.commands.options import JSON, bytes_bar, tell


class Instant(click.ParamType[datetime]):
    """An instant as ISO 8601, in the zone of the terminal where none is said."""

    name = "instant"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Read it."""
        if isinstance(value, datetime):
            return value
        try:
            return parse_instant(str(value), zone=datetime.now().astimezone().tzinfo)  # type: ignore[arg-type]  # any zone serves
        except ValueError as reason:
            self.fail(str(reason), param, ctx)


@click.command()
@click.argument("place", required=False, default="", metavar="[DE]")
@click.option(
    "--into", type=click.Path(path_type=Path, file_okay=False), help="Pasta vazia onde repor (por omissão a de dados se não existir, senão uma ao lado)."
)
@click.option("--backup", "id_", default="", help="Qual cópia (por omissão a mais recente).")
@click.option("--at", type=Instant(), help="Repõe como estava nesse instante, por exemplo 2026-11-25T14:30 (só com o registo do servidor nas cópias).")
@JSON
def command(place: str, into: Path | None, id_: str, at: datetime | None, *, as_json: bool) -> None:
    """Repõe uma cópia ao lado do que existe, nunca por cima."""
    data = settings.current().data
    repository = service.open_repository(place)
    wanted = into or (data if not data.exists() or not any(data.iterdir()) else data.with_name(f"{data.name}-{now():%Y-%m-%dT%H%M%SZ}"))
    with bytes_bar() as told:
        done = service.restore(repository, wanted.resolve(), service.choose(repository, id_, at), at, told)
    if as_json:
        tell(
            {
                "id": done.id, "folder": str(done.folder), "in_use": done.folder == data, "seconds": round(done.seconds, 3), "at": format_instant(at) if at else None,
                "counts": done.counts, "erased": done.erased, "lost": list(done.lost),
            }
        )  # fmt: skip
        return
    text = msg("Reposta a cópia {id} em {folder}, em {seconds} s: {entities} entidades, {rows} linhas de histórico.")
    click.echo(
        say(text, id=done.id, folder=done.folder, seconds=round(done.seconds), entities=done.counts.get("entities", 0), rows=done.counts.get("lake_rows", 0))
    )
    if at:
        click.echo(say(msg("Como estava em {at}."), at=format_instant(at)))
    if done.erased:
        click.echo(say(msg("Apagamentos aplicados outra vez: {count}."), count=done.erased))
    for path in done.lost:
        click.secho(say(msg("Falta na cópia, e ficou de fora do histórico: {path}"), path=path), fg="yellow")
    if done.folder != data:
        click.echo(say(msg("Para a usar: ./malha up --data {folder}"), folder=done.folder))
