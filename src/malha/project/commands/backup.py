"""`./malha backup`: a copy of everything, made, listed, rehearsed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from malha.foundation.language.service import say
from malha.history.backups import service
from malha.kernel import formats
from malha.kernel.errors import Unavailable
from malha.kernel.text import msg
from malha.kernel.time import format_instant, now
from malha.project import supervisor
from malha.project.commands.options import JSON, bytes_bar, tell

if TYPE_CHECKING:
    from malha.history.backups.contracts import Check, Manifest

PLACE = click.option("--to", "place", default="", help="Pasta ou s3://balde/prefixo (por omissão MALHA_BACKUP_TO, senão a pasta de dados).")


def size(count: int) -> str:
    """Bytes as people say them."""
    return formats.number(count / 1e6, 1) + " MB"


@click.group(invoke_without_command=True)
@PLACE
@JSON
@click.pass_context
def command(ctx: click.Context, place: str, *, as_json: bool) -> None:
    """Faz uma cópia de tudo: bases de dados, histórico, ficheiros e segredos; só escreve o que é novo."""
    if ctx.invoked_subcommand:
        return
    with supervisor.platform(), bytes_bar() as told:
        made = service.take(place, now(), told)
    repository = service.open_repository(place)
    inside = Path(repository.address).is_relative_to(_data())
    if as_json:
        tell(_facts(made) | {"place": repository.address, "encrypted": repository.encrypted, "inside_data": inside})
        return
    text = msg("Cópia {id} em {place}: {bytes}, dos quais {new} novos, em {seconds} s.")
    click.echo(say(text, id=made.id, place=repository.address, bytes=size(made.bytes), new=size(made.new_bytes), seconds=round(made.seconds)))
    if not repository.encrypted:
        click.echo(say(msg("Leva os segredos da instalação e não está cifrada: guarde-a onde guarda chaves, ou defina MALHA_BACKUP_KEY.")))
    if inside:
        click.secho(say(msg("Está na própria pasta de dados: se o disco se perder, perde-se com ele. Use --to.")), fg="yellow")


@command.command("list")
@PLACE
@JSON
def list_(place: str, *, as_json: bool) -> None:
    """Lista as cópias, da mais antiga à mais recente."""
    repository = service.open_repository(place)
    checks = {one.id: one for one in repository.checks()}
    if as_json:
        tell({"place": repository.address, "copies": [_facts(one, checks.get(one.id)) for one in repository.manifests()]})
        return
    for one in repository.manifests():
        seen = checks.get(one.id)
        how = say(msg("nunca ensaiada")) if seen is None else say(msg("regressa em {seconds} s"), seconds=round(seen.seconds)) if seen.ok else seen.reason
        click.echo(f"{one.id}  {size(one.bytes)}  {'PITR ' if one.base else ''}{how}")


@command.command("check")
@PLACE
@click.option("--backup", "id_", default="", help="Qual (por omissão a mais recente).")
@JSON
def check(place: str, id_: str, *, as_json: bool) -> None:
    """Ensaia o regresso de uma cópia: repõe-na inteira numa pasta à parte, pergunta-lhe o que tem, e mede quanto demora."""
    with supervisor.platform(), bytes_bar() as told:
        repository = service.open_repository(place)
        done = service.check(repository, service.choose(repository, id_), now(), told)
    if as_json:
        tell(_checked(done))
        if not done.ok:
            raise SystemExit(1)
        return
    if not done.ok:
        raise Unavailable(msg("A cópia {id} NÃO serve: {reason}"), id=done.id, reason=done.reason)
    click.echo(
        say(msg("A cópia {id} está boa: voltou inteira em {seconds} s ({at})."), id=done.id, seconds=round(done.seconds), at=format_instant(done.checked_at))
    )


@command.command("mend")
@PLACE
@click.option("--set-aside", is_flag=True, help="Põe de lado o que nenhuma cópia tem inteiro, para o resto do histórico se ler.")
@JSON
def mend(place: str, *, set_aside: bool, as_json: bool) -> None:
    """Vê cada byte do histórico, e traz das cópias os ficheiros estragados."""
    with supervisor.platform():
        from malha.history.lake import catalogue, files, integrity

        mended, lost = service.mend(service.open_repository(place), files.catalogued(integrity.BEGINNING))
        if lost and set_aside:
            with catalogue.writing() as lake:
                integrity.set_aside(lake, lost)
    if as_json:
        tell({"mended": mended, "lost": [{"path": one.file.path, "reason": one.reason} for one in lost], "set_aside": set_aside and bool(lost)})
    else:
        for path in mended:
            click.echo(say(msg("Voltou da cópia: {path}"), path=path))
        for one in lost:
            click.secho(say(msg("Estragado ({reason}), e nenhuma cópia o tem: {path}"), reason=one.reason, path=one.file.path), fg="red")
        if not mended and not lost:
            click.echo(say(msg("O histórico está inteiro.")))
    if lost and not set_aside:
        raise SystemExit(1)


def _facts(made: Manifest, seen: Check | None = None) -> dict[str, Any]:
    """A copy as programs read it; `check` is null where nobody rehearsed it."""
    return {
        "id": made.id, "made_at": format_instant(made.made_at), "seconds": round(made.seconds, 3), "bytes": made.bytes, "new_bytes": made.new_bytes,
        "files": len(made.pieces), "log": bool(made.base), "malha": made.malha, "counts": made.counts, "check": _checked(seen) if seen else None,
    }  # fmt: skip


def _checked(seen: Check) -> dict[str, Any]:
    return {"id": seen.id, "ok": seen.ok, "checked_at": format_instant(seen.checked_at), "seconds": round(seen.seconds, 3), "reason": seen.reason}


def _data() -> Path:
    from malha.foundation.settings import service as settings

    return settings.current().data
