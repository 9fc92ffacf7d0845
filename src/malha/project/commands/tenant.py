"""`./malha tenant`: municipalities and communities of this installation."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

from malha.foundation.language import service as language
from malha.foundation.tenancy import country
from malha.foundation.tenancy.contracts import KIND_WORDS, OrganisationKind
from malha.kernel.text import msg, normalise
from malha.kernel.text import slug as make_slug
from malha.project import supervisor
from malha.project.commands.options import JSON

if TYPE_CHECKING:
    from malha.foundation.tenancy.contracts import Tenant


FACTS = {
    "id": msg("Número"), "slug": msg("Endereço"), "name": msg("Nome"), "kind": msg("Tipo"), "dico": msg("DICO"), "hostname": msg("Nome de anfitrião"),
    "time_zone": msg("Fuso"), "crs": msg("Sistema de coordenadas"), "centre": msg("Centro (longitude, latitude)"),
    "extent": msg("Extensão (oeste, sul, leste, norte)"), "demo": msg("Demonstração"), "people": msg("Pessoas"), "delegated_to": msg("Delegou em"),
}  # fmt: skip


@click.group()
def command() -> None:
    """Municípios e comunidades: criar, listar, mostrar, apagar."""


@command.command()
@click.argument("name")
@click.option("--slug", default="", help=msg("Endereço; por omissão, feito do nome."))
@click.option("--kind", type=click.Choice([kind.value for kind in OrganisationKind]), default=OrganisationKind.MUNICIPALITY.value, help=msg("O que é."))
@JSON
def create(name: str, slug: str, kind: str, as_json: bool) -> None:
    """Cria um serviço. NAME é um código DICO (0105), o nome de um município, uma comunidade (cim-douro) ou um nome novo."""
    with supervisor.platform():
        from malha.foundation.audit import service as audit
        from malha.foundation.tenancy import service as tenancy

        dico = _dico(name) if kind == OrganisationKind.MUNICIPALITY else ""
        if dico:
            tenant = tenancy.create_municipality(dico, slug=slug)
        elif name in country.entities():
            tenant = tenancy.create_entity(name)
        else:
            tenant = tenancy.create_tenant(slug=slug or make_slug(name), name=name, kind=OrganisationKind(kind))
        with tenancy.scope(tenant.id):
            audit.record(tenant.id, "command", "tenant.create", f"tenant:{tenant.id}")
        facts = _facts(tenant)
    click.echo(json.dumps(facts, ensure_ascii=False) if as_json else language.say(msg("{name} está em /{slug}/"), name=tenant.name, slug=tenant.slug))


def _dico(name: str) -> str:
    """The code of the municipality that `name` is or names; nothing for a new name. Names that two share need the code."""
    if name in country.municipalities():
        return name
    wanted = normalise(name)
    found = [town for town in country.municipalities().values() if normalise(town.name) == wanted or town.slug == name]
    if len(found) > 1:
        codes = ", ".join(f"{town.dico} ({town.district})" for town in found)
        raise click.BadParameter(language.say(msg("há mais do que um: {codes}. Use o código."), codes=codes))
    return found[0].dico if found else ""


def _facts(tenant: Tenant) -> dict[str, object]:
    return {
        "id": tenant.id, "slug": tenant.slug, "name": tenant.name, "kind": tenant.kind.value, "dico": tenant.dico, "hostname": tenant.hostname,
        "time_zone": str(tenant.zone), "crs": tenant.crs, "centre": tenant.centre, "extent": tenant.extent, "demo": tenant.is_demo,
    }  # fmt: skip


@command.command("list")
@JSON
def list_(as_json: bool) -> None:
    """Lista os serviços."""
    with supervisor.platform():
        from malha.foundation.tenancy import service as tenancy

        tenants = [tenancy.by_id(card.id) for card in tenancy.organisations(tenants_only=True)]
    if as_json:
        click.echo(json.dumps([_facts(tenant) for tenant in tenants], ensure_ascii=False))
        return
    if not tenants:
        click.echo(language.say(msg("Ainda não há nenhum. Crie o primeiro com `./malha tenant create`, seguido do nome do município.")))
        return
    table = Table(*(language.say(title) for title in (msg("Nome"), msg("Endereço"), msg("Tipo"), msg("DICO"), msg("Fuso"))))
    for tenant in tenants:
        table.add_row(tenant.name, tenant.hostname or f"/{tenant.slug}/", language.say(KIND_WORDS[tenant.kind]), tenant.dico, str(tenant.zone))
    Console().print(table)


@command.command()
@click.argument("slug")
@JSON
def show(slug: str, as_json: bool) -> None:
    """Mostra um serviço: o que é, quem o gere, a quem delegou."""
    with supervisor.platform():
        from malha.foundation.access import service as access
        from malha.foundation.tenancy import service as tenancy

        tenant = tenancy.by_slug(slug)
        with tenancy.scope(tenant.id):
            people = [{"email": str(one.person.email), "role": one.role} for one in access.members(tenant.id)]
            delegated = [one.delegate.name for one in tenancy.delegations(tenant.id) if one.in_force]
        facts = _facts(tenant) | {"people": people, "delegated_to": delegated}
    if as_json:
        click.echo(json.dumps(facts, ensure_ascii=False))
        return
    table = Table(show_header=False)
    shown = facts | {"kind": language.say(KIND_WORDS[tenant.kind]), "demo": language.say(msg("sim")) if tenant.is_demo else language.say(msg("não"))}
    shown["people"] = ", ".join(f"{one['email']} ({one['role']})" for one in people)
    shown |= {name: ", ".join(map(str, value)) for name, value in shown.items() if isinstance(value, list | tuple)}
    for name, value in shown.items():
        table.add_row(language.say(FACTS[name]), str(value or "-"))
    Console().print(table)


@command.command()
@click.argument("slug")
@click.argument("hostname", default="")
@JSON
def move(slug: str, hostname: str, as_json: bool) -> None:
    """Muda um serviço para um nome de anfitrião próprio (sem HOSTNAME, de volta ao caminho). Os endereços antigos levam ao novo."""
    with supervisor.platform():
        from malha.foundation.audit import service as audit
        from malha.foundation.tenancy import service as tenancy

        tenant = tenancy.move_to_hostname(tenancy.by_slug(slug).id, hostname)
        with tenancy.scope(tenant.id):
            audit.record(tenant.id, "command", "tenant.move", f"tenant:{tenant.id}", {"hostname": hostname})
        facts = _facts(tenant)
    if as_json:
        click.echo(json.dumps(facts, ensure_ascii=False))
        return
    click.echo(language.say(msg("{name} está em {address}"), name=tenant.name, address=tenant.hostname or f"/{tenant.slug}/"))
    if hostname:
        click.echo(language.say(msg("O nome tem de estar em MALHA_ALLOWED_HOSTS e apontar para este servidor.")))


@command.command()
@click.argument("slug")
@click.option("--yes", is_flag=True, help=msg("Não pergunta. Não há volta atrás."))
@JSON
def delete(slug: str, yes: bool, as_json: bool) -> None:
    """Apaga um serviço e tudo o que é dele: dados, história, ficheiros, papéis das pessoas. Não há volta atrás."""
    with supervisor.platform():
        from malha.foundation.audit import service as audit
        from malha.foundation.tenancy import erasure
        from malha.foundation.tenancy import service as tenancy
        from malha.project import composition

        tenant = tenancy.by_slug(slug)
        if not yes:
            said = click.prompt(
                language.say(msg("Vai apagar {name} e tudo o que é dele, sem volta atrás. Escreva {slug} para confirmar"), name=tenant.name, slug=slug),
                default="",
                show_default=False,
                err=True,
            )
            if said != slug:
                raise click.Abort
        for erase in composition.erasers():
            erase(tenant.id)
        counts = erasure.erase(tenant.id)
        with tenancy.scope():
            audit.record(None, "command", "tenant.delete", f"tenant:{tenant.id}", {"rows": sum(counts.values())})
    click.echo(
        json.dumps({"deleted": slug, "rows": counts})
        if as_json
        else language.say(msg("{name} foi apagado: {count} linhas."), name=tenant.name, count=sum(counts.values()))
    )
