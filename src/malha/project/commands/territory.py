"""`./malha territory`: boundaries by edition, streets and doors."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import click
import psycopg
from rich.console import Console
from rich.table import Table

from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.foundation.language import service as language
from malha.foundation.tenancy.contracts import Tenant
from malha.kernel.text import msg
from malha.project import supervisor
from malha.vocabulary.territory import service
from malha.vocabulary.territory.contracts import ImportOutcome, Level

LEVELS = {Level.ZONE: msg("zonas"), Level.PARISH: msg("freguesias"), Level.MUNICIPALITY: msg("municípios"), Level.DISTRICT: msg("distritos")}
OTHERS = {"street": msg("ruas"), "door": msg("portas")}


@click.group()
def command() -> None:
    """Território: limites por edição, ruas e portas."""


def _tenant(slug: str | None) -> Tenant | None:
    """The tenant that the option names; Django is set up by then."""
    if slug is None:
        return None
    from malha.foundation.tenancy import service as tenancy

    return tenancy.by_slug(slug)


def _connect(tenant: Tenant | None, *, write: bool = False) -> psycopg.Connection:
    return database.connect(Role.OWNER if tenant is None and write else Role.APP)


@command.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--tenant", help=msg("Só para este município; sem isto, para todos."))
@click.option("--edition", help=msg("Nome da edição, por exemplo “CAOP 2025”; sem isto, o nome do ficheiro."))
@click.option("--valid-from", type=click.DateTime(["%Y-%m-%d"]), help=msg("Dia em que estes limites entram em vigor (hoje, se não disser)."))
@click.option("--layer", default="", help=msg("Camada do GeoPackage; sem isto, todas."))
@click.option("--crs", default="", help=msg("Sistema de coordenadas, se o ficheiro não o diz (EPSG:3763)."))
@click.option("--json", "as_json", is_flag=True, help=msg("Resultado em JSON, para programas."))
def import_(file: Path, tenant: str | None, edition: str | None, valid_from: datetime | None, layer: str, crs: str, as_json: bool) -> None:
    """Lê limites (GeoJSON, GeoPackage) ou ruas e portas (CSV, com --tenant)."""
    with supervisor.platform(), Console(stderr=True).status(language.say(msg("A ler {name}…"), name=file.name)):
        owner = _tenant(tenant)
        with _connect(owner, write=True) as connection, database.tenant_transaction(connection, [owner.id] if owner else []):
            if file.suffix.lower() in {".csv", ".tsv", ".txt"}:
                if owner is None:
                    raise click.UsageError(language.say(msg("As ruas são de um município: indique-o com --tenant.")))
                outcome = service.import_streets(connection, owner.id, file, crs=crs or owner.crs)
            else:
                outcome = service.import_boundaries(
                    connection, owner.id if owner else None, file, edition=edition or file.stem, valid_from=(valid_from or datetime.now(UTC)).date(), layer=layer, crs=crs,
                )  # fmt: skip
    _say(outcome, as_json=as_json)


def _say(outcome: ImportOutcome, *, as_json: bool) -> None:
    refused = [tuple(language.word(text, language.of_terminal()) for text in one) for one in outcome.refused]
    if as_json:
        click.echo(json.dumps({"taken": outcome.taken, "refused": refused}, ensure_ascii=False))
        return
    words = {level.value: word for level, word in LEVELS.items()} | OTHERS
    click.echo(", ".join(f"{count} {language.say(words[kind])}" for kind, count in outcome.taken.items()) or language.say(msg("Nada entrou.")))
    for what, why in refused[:20]:
        click.secho(f"{what}: {why}", fg="yellow")


@command.command("list")
@click.option("--tenant", help=msg("Também as que este município importou."))
@click.option("--json", "as_json", is_flag=True, help=msg("Resultado em JSON, para programas."))
def list_(tenant: str | None, as_json: bool) -> None:
    """Mostra as edições de limites, e as ruas de um município."""
    with supervisor.platform():
        owner = _tenant(tenant)
        with _connect(owner) as connection, database.tenant_transaction(connection, [owner.id] if owner else []):
            editions = service.editions(connection, owner.id if owner else None)
            streets = service.street_counts(connection, owner.id) if owner else []
    if as_json:
        facts = [
            {"level": each.level, "edition": each.edition, "valid_from": str(each.valid_from), "count": each.count, "national": each.is_national}
            for each in editions
        ]
        click.echo(json.dumps({"editions": facts, "streets": streets}, ensure_ascii=False))
        return
    say = language.say
    table = Table(*(say(head) for head in (msg("Limites"), msg("Edição"), msg("Desde"), msg("Até"), msg("Quantos"), msg("De quem"))))
    for each in editions:
        whose = say(msg("nacionais")) if each.is_national else say(msg("do município"))
        table.add_row(say(LEVELS[each.level]), each.edition, str(each.valid_from), str(each.valid_to or ""), str(each.count), whose)
    if editions:
        Console().print(table)
    else:
        click.echo(say(msg("Ainda não há limites: importe-os com ./malha territory import FICHEIRO --edition NOME.")))
    for source, count, doors in streets:
        click.echo(f"{source}: {count} {say(OTHERS['street'])}, {doors} {say(OTHERS['door'])}")


@command.command("search")
@click.argument("text")
@click.option("--tenant", help=msg("Procura também nas ruas deste município."))
@click.option("--json", "as_json", is_flag=True, help=msg("Resultado em JSON, para programas."))
def search(text: str, tenant: str | None, as_json: bool) -> None:
    """Procura um lugar ou uma morada, sem acentos."""
    with supervisor.platform():
        owner = _tenant(tenant)
        with _connect(owner) as connection, database.tenant_transaction(connection, [owner.id] if owner else []):
            places = service.search_boundaries(connection, owner.id if owner else None, text)
            address = service.geocode(connection, owner.id, text) if owner else None
            imported = bool(places or service.editions(connection, owner.id if owner else None))
    if as_json:
        found = [{"level": each.level, "code": each.code, "name": each.name, "municipality": each.municipality} for each in places]
        point = {"longitude": address.longitude, "latitude": address.latitude, "quality": address.quality, "label": address.label} if address else None
        click.echo(json.dumps({"places": found, "address": point}, ensure_ascii=False))
        return
    if address is not None:
        click.echo(f"{address.label}: {address.latitude:.5f}, {address.longitude:.5f} ({address.quality})")
    for each in places:
        click.echo(f"{each.code:<8} {each.name} ({each.municipality or each.district})")
    if address is None and not places:
        click.echo(
            language.say(
                msg("Nada com esse nome.") if imported else msg("Ainda não há limites: importe-os com ./malha territory import FICHEIRO --edition NOME.")
            )
        )
        raise SystemExit(1)
