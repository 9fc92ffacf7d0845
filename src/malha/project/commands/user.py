"""`./malha user`: people and their roles, from the machine itself."""

from __future__ import annotations

import json
import secrets

import click
from rich.console import Console
from rich.table import Table

from malha.foundation.access.contracts import RoleName
from malha.foundation.language import service as language
from malha.kernel.text import msg
from malha.project import supervisor
from malha.project.commands.options import JSON

ROLE = click.Choice([role.value for role in RoleName if role not in {RoleName.MACHINE, RoleName.CITIZEN}])


@click.group()
def command() -> None:
    """Pessoas: criar, listar, dar funções."""


@command.command()
@click.argument("email")
@click.option("--name", default="", help=msg("Nome da pessoa."))
@click.option("--tenant", default="", help=msg("Endereço do município em que fica com a função."))
@click.option("--role", type=ROLE, default=RoleName.TENANT_MANAGER.value, help=msg("Função nesse município."))
@click.option("--password", is_flag=True, help=msg("Gera e mostra uma senha; sem isto, a pessoa entra por código no correio ou por chave de acesso."))
@JSON
def create(email: str, name: str, tenant: str, role: str, password: bool, as_json: bool) -> None:
    """Cria uma pessoa, que entra com este endereço de correio."""
    secret = secrets.token_urlsafe(15) if password else None
    with supervisor.platform():
        from malha.foundation.identity import service as people

        known = people.by_email(email)
        if known is not None:
            raise click.ClickException(language.say(msg("{email} já existe. Para lhe dar uma função: ./malha user grant."), email=email))
        person = people.create_person(email, name=name, password=secret)
        if tenant or role == RoleName.PLATFORM_OPERATOR:
            _grant(person.id, tenant, role)
    facts = {"id": person.id, "email": person.email, "tenant": tenant, "role": role if tenant else ""} | ({"password": secret} if secret else {})
    click.echo(json.dumps(facts) if as_json else language.say(msg("{email} já pode entrar."), email=person.email))
    if secret and not as_json:
        click.echo(language.say(msg("Senha: {password}"), password=secret))


def _grant(person_id: int, tenant: str, role: str) -> None:
    from malha.foundation.access import service as access
    from malha.foundation.tenancy import service as tenancy

    if role == RoleName.PLATFORM_OPERATOR:
        access.make_operator(person_id, by="command")
        return
    if not tenant:
        raise click.BadParameter(language.say(msg("diga em que município, com --tenant.")))
    access.grant(person_id, tenancy.by_slug(tenant).id, RoleName(role), by="command")


@command.command()
@click.argument("email")
@click.option("--tenant", default="", help=msg("Endereço do município."))
@click.option("--role", type=ROLE, required=True, help=msg("Função; platform_operator não precisa de município."))
@JSON
def grant(email: str, tenant: str, role: str, as_json: bool) -> None:
    """Dá uma função a uma pessoa que já existe."""
    with supervisor.platform():
        from malha.foundation.identity import service as people

        person = people.by_email(email)
        if person is None:
            raise click.ClickException(language.say(msg("Não há ninguém com o endereço {email}."), email=email))
        _grant(person.id, tenant, role)
    click.echo(
        json.dumps({"email": email, "tenant": tenant, "role": role})
        if as_json
        else language.say(msg("{email} tem agora a função {role}."), email=email, role=role)
    )


@command.command()
@click.argument("email")
@click.option("--tenant", required=True, help=msg("Endereço do município."))
@click.option("--role", type=ROLE, default=RoleName.TENANT_MANAGER.value, help=msg("Função nesse município."))
@click.option("--name", default="", help=msg("Nome da pessoa."))
@JSON
def invite(email: str, tenant: str, role: str, name: str, as_json: bool) -> None:
    """Convida alguém: manda a ligação por correio e mostra-a aqui."""
    with supervisor.platform():
        from malha.foundation.identity import invitations
        from malha.foundation.tenancy import service as tenancy

        place = tenancy.by_slug(tenant)
        with tenancy.scope(place.id):
            card, link = invitations.invite(place, email=email, role=RoleName(role), name=name)
    facts = {"email": card.email, "tenant": tenant, "role": role, "link": link, "until": card.expires_at.isoformat()}
    click.echo(json.dumps(facts) if as_json else language.say(msg("Serve uma vez, até sete dias: {link}"), link=link))


@command.command()
def keys() -> None:
    """Cria já outra chave para assinar tokens; os que a anterior assinou duram os seus quinze minutos."""
    with supervisor.platform():
        from django.conf import settings as django_settings

        from malha.foundation.database import service as database
        from malha.foundation.tokens import service as tokens

        with database.connect(autocommit=True) as connection:
            kid = tokens.rotate(connection, django_settings.SECRET_KEY, at_once=True)
    click.echo(kid)


@command.command("list")
@click.option("--tenant", default="", help=msg("Só as pessoas deste município."))
@JSON
def list_(tenant: str, as_json: bool) -> None:
    """Lista as pessoas e as suas funções, município a município."""
    found: list[dict[str, object]] = []
    with supervisor.platform():
        from malha.foundation.access import service as access
        from malha.foundation.identity.forms import ROLE_WORDS
        from malha.foundation.tenancy import service as tenancy

        tenants = [tenancy.by_slug(tenant)] if tenant else [tenancy.by_id(card.id) for card in tenancy.organisations(tenants_only=True)]
        for one in tenants:
            with tenancy.scope(one.id):
                for member in access.members(one.id):
                    until = member.valid_until.isoformat() if member.valid_until else None
                    found.append({"email": str(member.person.email), "name": str(member.person), "tenant": one.slug, "role": member.role, "until": until})
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    table = Table(*(language.say(title) for title in (msg("Pessoa"), msg("Correio"), msg("Município"), msg("Função"))))
    for row in found:
        word = language.say(str(ROLE_WORDS[RoleName(str(row["role"]))][0]))
        table.add_row(str(row["name"]), str(row["email"]), str(row["tenant"]), f"{word} ({row['role']})")
    Console().print(table)
