"""`./malha hub`: what the data hub needs from whoever runs the server."""

from __future__ import annotations

import json

import click

from malha.foundation.language import service as language
from malha.kernel.text import msg
from malha.project import supervisor


@click.group()
def command() -> None:
    """Dados para as ferramentas: dar e tirar o acesso por SQL de um município."""


@command.command()
@click.argument("slug")
@click.option("--end", is_flag=True, help=msg("Tira o acesso em vez de o dar."))
@click.option("--json", "as_json", is_flag=True, help=msg("Resultado em JSON, para programas."))
def sql(slug: str, end: bool, as_json: bool) -> None:
    """Dá a SLUG um utilizador de PostgreSQL só de leitura, ou outra palavra-passe; só em servidores com TLS. A palavra-passe é dita esta vez."""
    with supervisor.platform():
        from malha.foundation.audit import service as audit
        from malha.foundation.tenancy import service as tenancy
        from malha.share.datahub import sqlrole

        tenant = tenancy.by_slug(slug)
        role, password = (sqlrole.role_of(slug), "") if end else sqlrole.grant(tenant.id, slug)
        done = sqlrole.end(tenant.id, slug) if end else True
        with tenancy.scope(tenant.id):
            audit.record(tenant.id, "command", "hub.sql.end" if end else "hub.sql.grant", role)
    if as_json:
        click.echo(json.dumps({"role": role, "password": password, "done": done}))
    elif end:
        click.echo(language.say(msg("{role} já não entra.") if done else msg("{role} não tinha acesso."), role=role))
    else:
        click.echo(language.say(msg("Utilizador {role}, palavra-passe {password}. Guarde-a: não volta a ser dita."), role=role, password=password))
