"""`./malha federate`: join with another installation by its invitation, see how each link fares, end one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import click

from malha.foundation.language import service as language
from malha.kernel.errors import MalhaError
from malha.kernel.text import msg
from malha.kernel.time import format_instant
from malha.project import supervisor
from malha.project.commands.options import JSON, tell

if TYPE_CHECKING:
    from malha.context.federation.partners.brokers import Broker
    from malha.context.federation.partners.links import Offer, Terms
    from malha.foundation.tenancy.contracts import Tenant


@click.command()
@click.argument("invitation", default="")
@click.option("--tenant", "slug", required=True, help=msg("O município ou a comunidade, pelo seu endereço."))
@click.option("--invite", "invited", default="", help=msg("Faz um convite para a instalação com este nome, com o que --give, --area e --licence dizem."))
@click.option("--broker", "address", default="", help=msg("Lê o broker NGSI-LD neste endereço, que não é uma instalação da Malha."))
@click.option("--name", default="", help=msg("Nome por que o broker fica conhecido aqui; por omissão, o do seu endereço."))
@click.option(
    "--token", default="", envvar="MALHA_BROKER_TOKEN", help=msg("Token com que o broker se lê; melhor na variável MALHA_BROKER_TOKEN do que na linha.")
)
@click.option("--broker-tenant", default="", help=msg("Inquilino do broker (NGSILD-Tenant)."))
@click.option("--context", default="", help=msg("Endereço do @context em que o broker escreve os nomes."))
@click.option("--area", default="", help=msg("Código DICO do concelho a que o convite se limita; por omissão, todo o território."))
@click.option("--give", "gives", multiple=True, help=msg("Tipo de dados que sai; repete-se. Por omissão, nenhum."))
@click.option("--take", "takes", multiple=True, help=msg("Tipo de dados que vem; repete-se. Por omissão, todos."))
@click.option("--licence", default="interno", help=msg("Licença com que os dados saem: CC-BY-4.0, CC0-1.0, ODbL-1.0 ou interno."))
@click.option("--yes", is_flag=True, help=msg("Juntar sem perguntar."))
@click.option("--end", "end_id", type=int, default=0, help=msg("Termina a ligação com este número."))
@JSON
def command(
    invitation: str, slug: str, invited: str, address: str, name: str, token: str, broker_tenant: str, context: str, area: str, gives: tuple[str, ...], takes: tuple[str, ...], licence: str, yes: bool, end_id: int, as_json: bool
) -> None:  # fmt: skip
    """Junta com outra instalação pelo CONVITE que ela deu, faz um, ou lê um broker; sem nada disso mostra como está cada ligação."""
    with supervisor.platform():
        from malha.context.federation.partners import joining, links
        from malha.foundation.database import django as database
        from malha.foundation.tenancy import service as tenancy

        tenant = tenancy.by_slug(slug)
        with database.scope(tenant.id):
            conn = database.current()
            if end_id:
                _ended(end_id, joining.end(conn, tenant, end_id, person_id=None, by="command"), as_json)
                return
            if address:
                if gives:
                    raise MalhaError(msg("Com --broker só se lê. Para dar dados ao broker, crie a chave na página Federação."))
                from malha.context.federation.partners.brokers import Broker, place_of

                _read_broker(conn, tenant, Broker(name or place_of(address), address, broker_tenant, context, token), takes, yes=yes, as_json=as_json)
                return
            if not invitation and not invited:
                _show(joining.health(conn, tenant), tenant.zone, as_json)
                return
            offer = links.offer(conn, tenant.id)
            given = _given(offer, gives, licence, links.LICENCES)
            if invited:
                place, place_name = joining.area_of(conn, tenant.id, area)
                made = joining.invite(conn, tenant, invited, replace(given, area=place, area_name=place_name), person_id=None, by="command")
                tell({"invitation": made}) if as_json else click.echo(made)
                return
            one = links.invitation(invitation)
            comes, facts = joining.look(tenant, one)
            if not _agreed(comes, offer, facts, gives, yes=yes, as_json=as_json):
                return
            number = joining.join(conn, tenant, one, given, takes or tuple(each.type for each in comes.types), person_id=None, by="command")
    if as_json:
        tell({"joined": True, "link": number})
        return
    click.echo(language.say(msg("As duas instalações estão juntas. Para terminar: ./malha federate --tenant {slug} --end {number}"), slug=slug, number=number))


def _read_broker(conn: Any, tenant: Tenant, broker: Broker, takes: tuple[str, ...], *, yes: bool, as_json: bool) -> None:
    """Say what would come from an NGSI-LD broker, ask, and read it from now on. To give it something, make it a key on the page."""
    from malha.context.federation.partners import joining
    from malha.context.federation.partners.links import Terms

    found = joining.look_at_broker(tenant, broker)
    if as_json and not yes:
        tell({"joined": False, "name": broker.name, "comes": _facts(found.offer), "past": found.past})
        return
    if not as_json:
        _tell(language.say(msg("Vem de {name}:"), name=broker.name), found.offer)
        if not yes and not click.confirm(language.say(msg("Juntar?"))):
            click.echo(language.say(msg("Nada mudou.")))
            return
    types = takes or tuple(each.type for each in found.offer.types)
    number, _machine, _secret = joining.join_broker(conn, tenant, broker, Terms(), types, None, "interno", person_id=None, by="command")
    told = language.say(msg("O broker lê-se daqui em diante. Para terminar: ./malha federate --tenant {slug} --end {number}"), slug=tenant.slug, number=number)
    tell({"joined": True, "link": number}) if as_json else click.echo(told)


def _agreed(comes: Offer, offer: Offer, facts: Mapping[str, Any], gives: tuple[str, ...], *, yes: bool, as_json: bool) -> bool:
    """Say what would come and go, and ask; a program is told, and joins with --yes."""
    if as_json:
        if not yes:
            tell({"joined": False, "name": facts["name"], "licence": facts["licence"], "comes": _facts(comes), "may_go": _facts(offer), "goes": list(gives)})
        return yes
    _tell(language.say(msg("Vem de {name}, com a licença {licence}:"), name=facts["name"], licence=facts["licence"]), comes)
    _tell(language.say(msg("Daqui pode sair:")), offer)
    going = language.say(msg("Sai: {types}."), types=", ".join(gives)) if gives else language.say(msg("Não sai nada: diga com --give o que quer dar."))
    click.echo(going)
    if yes or click.confirm(language.say(msg("Juntar?"))):
        return True
    click.echo(language.say(msg("Nada mudou.")))
    return False


def _ended(number: int, told: bool, as_json: bool) -> None:
    if as_json:
        tell({"ended": number, "other_side_told": told})
    else:
        click.echo(language.say(msg("Terminou.")) if told else language.say(msg("Terminou deste lado; a outra instalação não respondeu.")))


def _given(offer: Offer, gives: tuple[str, ...], licence: str, known: Collection[str]) -> Terms:
    """What leaves. Raises MalhaError for a type that may not, or a licence that is not known."""
    wrong = set(gives) - {each.type for each in offer.types}
    if wrong:
        raise MalhaError(msg("Não pode sair: {types}."), types=", ".join(sorted(wrong)))
    if licence not in known:
        raise MalhaError(msg("A licença é uma destas: {known}."), known=", ".join(known))
    return offer.terms(gives, licence)


def _tell(title: str, offer: Offer) -> None:
    click.echo(title)
    for each in offer.types:
        click.echo(f"  {each.type}: {'?' if each.count is None else each.count} ({', '.join(each.attributes)})")
    for what, reason, more in offer.refused:
        click.echo(f"  - {what}: {language.say(reason, **more)}")


def _facts(offer: Offer) -> dict[str, Any]:
    """What an offer holds, as programs read it."""
    return {
        "types": [{"type": each.type, "count": each.count, "attributes": list(each.attributes)} for each in offer.types],
        "refused": [{"what": what, "reason": language.say(reason, **more)} for what, reason, more in offer.refused],
    }


def _show(found: list[Any], zone: ZoneInfo, as_json: bool) -> None:
    if as_json:
        times = [(one, one.heard_at and format_instant(one.heard_at), one.answered_at and format_instant(one.answered_at)) for one in found]
        tell({"links": [{"id": one.link.id, "name": one.link.name, "heard_at": heard, "answered_at": answered} for one, heard, answered in times]})
        return

    def when(moment: datetime | None) -> str:
        return moment.astimezone(zone).strftime("%d/%m/%Y %H:%M") if moment else language.say(msg("ainda não"))

    for one in found:
        heard, answered = when(one.heard_at), when(one.answered_at)
        click.echo(
            language.say(
                msg("{id}. {name}: perguntaram-nos {heard}, responderam-nos {answered}"), id=one.link.id, name=one.link.name, heard=heard, answered=answered
            )
        )
    if not found:
        click.echo(language.say(msg("Ainda não há ligações a outras instalações.")))
