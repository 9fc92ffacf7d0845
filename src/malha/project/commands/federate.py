"""`./malha federate`: join with another installation by its invitation, see how each link fares, end one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from malha.foundation.language import service as language
from malha.kernel.errors import MalhaError
from malha.kernel.text import msg
from malha.project import supervisor

if TYPE_CHECKING:
    from malha.context.federation.links import Offer


@click.command()
@click.argument("invitation", default="")
@click.option("--tenant", "slug", required=True, help=msg("O município ou a comunidade, pelo seu endereço."))
@click.option("--give", "gives", multiple=True, help=msg("Tipo de dados que sai; repete-se. Por omissão, nenhum."))
@click.option("--take", "takes", multiple=True, help=msg("Tipo de dados que vem; repete-se. Por omissão, todos."))
@click.option("--licence", default="interno", help=msg("Licença com que os dados saem: CC-BY-4.0, CC0-1.0, ODbL-1.0 ou interno."))
@click.option("--yes", is_flag=True, help=msg("Juntar sem perguntar."))
@click.option("--end", "end_id", type=int, default=0, help=msg("Termina a ligação com este número."))
def command(invitation: str, slug: str, gives: tuple[str, ...], takes: tuple[str, ...], licence: str, yes: bool, end_id: int) -> None:
    """Junta com outra instalação pelo CONVITE que ela deu; sem convite mostra como está cada ligação."""
    with supervisor.platform():
        from malha.context.federation import joining, links
        from malha.foundation.database import django as database
        from malha.foundation.tenancy import service as tenancy

        tenant = tenancy.by_slug(slug)
        with database.scope(tenant.id):
            conn = database.current()
            if end_id:
                told = joining.end(conn, tenant, end_id, person_id=None, by="command")
                click.echo(language.say(msg("Terminou.")) if told else language.say(msg("Terminou deste lado; a outra instalação não respondeu.")))
                return
            if not invitation:
                _show(joining.health(conn, tenant))
                return
            one = links.invitation(invitation)
            comes, facts = joining.look(tenant, one)
            offer = links.offer(conn, tenant.id)
            _tell(language.say(msg("Vem de {name}, com a licença {licence}:"), name=facts["name"], licence=facts["licence"]), comes)
            _tell(language.say(msg("Daqui pode sair:")), offer)
            wrong = set(gives) - {each.type for each in offer.types}
            if wrong:
                raise MalhaError(msg("Não pode sair: {types}."), types=", ".join(sorted(wrong)))
            if not yes and not click.confirm(language.say(msg("Juntar?"))):
                return
            attributes = tuple(name for name, of in offer.attributes().items() if set(of) & set(gives))
            given = links.Terms(gives, attributes, licence=licence if licence in links.LICENCES else "interno")
            number = joining.join(conn, tenant, one, given, takes or tuple(each.type for each in comes.types), person_id=None, by="command")
    click.echo(language.say(msg("As duas instalações estão juntas. Para terminar: ./malha federate --tenant {slug} --end {number}"), slug=slug, number=number))


def _tell(title: str, offer: Offer) -> None:
    click.echo(title)
    for each in offer.types:
        click.echo(f"  {each.type}: {each.count} ({', '.join(each.attributes)})")
    for what, reason, more in offer.refused:
        click.echo(f"  - {what}: {language.say(reason, **more)}")


def _show(found: list[Any]) -> None:
    for one in found:
        heard = one.heard_at.isoformat(timespec="minutes") if one.heard_at else language.say(msg("ainda não"))
        answered = one.answered_at.isoformat(timespec="minutes") if one.answered_at else language.say(msg("ainda não"))
        click.echo(
            language.say(
                msg("{id}. {name}: perguntaram-nos {heard}, responderam-nos {answered}"), id=one.link.id, name=one.link.name, heard=heard, answered=answered
            )
        )
    if not found:
        click.echo(language.say(msg("Ainda não há ligações a outras instalações.")))
