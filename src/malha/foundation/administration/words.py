"""The trail in plain words: actions, subjects and who did them."""

from __future__ import annotations

from datetime import datetime

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from malha.foundation.access.contracts import RoleName
from malha.foundation.identity import service as people
from malha.foundation.identity.forms import ROLE_WORDS
from malha.foundation.tenancy.contracts import Tenant
from malha.kernel import formats
from malha.kernel.errors import NotFound

#: what was done, by action or by its beginning (ending in a dot); every action in the code has a word, by a test
ACTIONS: dict[str, str | Promise] = {
    "access.grant": gettext_lazy("Deu uma função"),
    "access.revoke": gettext_lazy("Retirou uma função"),
    "access.operator": gettext_lazy("Nomeou quem opera a plataforma"),
    "agreements.sign": gettext_lazy("Fez um acordo"),
    "agreements.end": gettext_lazy("Terminou um acordo"),
    "federation.register": gettext_lazy("Registou uma fonte de dados de outra instalação"),
    "federation.change": gettext_lazy("Mudou o registo de uma fonte"),
    "federation.end": gettext_lazy("Terminou o registo de uma fonte"),
    "federation.invite": gettext_lazy("Convidou outra instalação"),
    "federation.join": gettext_lazy("Ligou-se a outra instalação"),
    "federation.leave": gettext_lazy("Terminou a ligação a outra instalação"),
    "alarm.": gettext_lazy("Tratou um alarme"),
    "alert_channel.add": gettext_lazy("Juntou um destino de avisos"),
    "alert_channel.remove": gettext_lazy("Retirou um destino de avisos"),
    "alert_rule.save": gettext_lazy("Guardou uma regra de alarme"),
    "alert_rule.remove": gettext_lazy("Apagou uma regra de alarme"),
    "dataset.published": gettext_lazy("Publicou um conjunto de dados"),
    "dataset.withdrawn": gettext_lazy("Retirou um conjunto de dados"),
    "erasure.look": gettext_lazy("Procurou o que há de uma pessoa"),
    "erasure.done": gettext_lazy("Apagou os dados de uma pessoa"),
    "hub.key.created": gettext_lazy("Deu uma chave a uma ferramenta"),
    "hub.key.revoked": gettext_lazy("Retirou a chave de uma ferramenta"),
    "identity.invite": gettext_lazy("Convidou alguém"),
    "identity.invite_revoke": gettext_lazy("Retirou um convite"),
    "identity.machine_create": gettext_lazy("Ligou um programa"),
    "identity.machine_renew": gettext_lazy("Renovou o segredo de um programa"),
    "identity.machine_prolong": gettext_lazy("Prolongou a ligação de um programa"),
    "identity.machine_revoke": gettext_lazy("Desligou um programa"),
    "identity.second_factor_reset": gettext_lazy("Repôs o segundo passo de alguém"),
    "ingest.load": gettext_lazy("Carregou um ficheiro"),
    "ingest.load_history": gettext_lazy("Carregou história"),
    "ingest.resume": gettext_lazy("Continuou uma carga"),
    "ingest.undo": gettext_lazy("Desfez uma carga"),
    "ingest.mend": gettext_lazy("Corrigiu linhas em espera"),
    "ingest.bring_back": gettext_lazy("Trouxe de volta linhas corrigidas"),
    "ingest.place": gettext_lazy("Pôs uma linha no seu lugar"),
    "ingest.personal_columns": gettext_lazy("Carregou colunas sobre pessoas"),
    "ingest.set_up_source": gettext_lazy("Ligou uma fonte"),
    "ingest.switch_source": gettext_lazy("Ligou ou desligou uma fonte"),
    "pack.switch_on": gettext_lazy("Ligou um pacote"),
    "pack.switch_off": gettext_lazy("Desligou um pacote"),
    "personal.exported": gettext_lazy("Exportou dados sobre pessoas"),
    "record.read": gettext_lazy("Viu dados sobre pessoas num registo"),
    "retention.save": gettext_lazy("Mudou quanto tempo se guarda um tipo de dado"),
    "retention.let_go": gettext_lazy("Deixou sair valores cujo tempo acabou"),
    "tables.bring": gettext_lazy("Trouxe uma tabela"),
    "tables.export": gettext_lazy("Exportou uma tabela"),
    "tables.remove": gettext_lazy("Apagou uma tabela"),
    "territory.": gettext_lazy("Mudou o território"),
    "territory.import": gettext_lazy("Importou limites ou moradas"),
    "models.": gettext_lazy("Mudou modelos de dados"),
    "tenant.create": gettext_lazy("Criou o serviço"),
    "tenant.found": gettext_lazy("Criou o serviço à primeira escrita"),
    "tenant.delete": gettext_lazy("Apagou um serviço"),
    "tenant.delegate": gettext_lazy("Delegou a gestão"),
    "tenant.move": gettext_lazy("Mudou o endereço do serviço"),
    "tenant.rename": gettext_lazy("Mudou nome, cor ou brasão"),
    "tenant.take_back": gettext_lazy("Retirou uma delegação"),
}

#: what the list can be narrowed to: beginnings of actions, in the order in which people look for them
AREAS: tuple[tuple[str, str | Promise], ...] = (
    ("access.", gettext_lazy("Funções")),
    ("identity.", gettext_lazy("Entradas, convites e programas")),
    ("agreements.", gettext_lazy("Acordos")),
    ("federation.", gettext_lazy("Federação")),
    ("tenant.", gettext_lazy("O serviço")),
    ("ingest.", gettext_lazy("Cargas e fontes")),
    ("dataset.", gettext_lazy("Dados abertos")),
    ("alert_", gettext_lazy("Regras de alarme")),
    ("alarm.", gettext_lazy("Alarmes")),
    ("pack.", gettext_lazy("Pacotes")),
)

#: what it was done to, by the kind that stands before the colon
SUBJECTS: dict[str, str | Promise] = {
    "agreement": gettext_lazy("Acordo"),
    "alarm": gettext_lazy("Alarme"),
    "alert_channel": gettext_lazy("Destino de avisos"),
    "alert_rule": gettext_lazy("Regra de alarme"),
    "client": gettext_lazy("Programa"),
    "erasure": gettext_lazy("Apagamento"),
    "hub-key": gettext_lazy("Chave"),
    "invitation": gettext_lazy("Convite"),
    "run": gettext_lazy("Carga"),
    "table": gettext_lazy("Tabela"),
    "tenant": gettext_lazy("Serviço"),
}

#: what the details are called; what is not here keeps the name that the code gave it
DETAILS: dict[str, str | Promise] = {
    "agreement": gettext_lazy("acordo"),
    "area": gettext_lazy("área"),
    "attribute": gettext_lazy("propriedade"),
    "attributes": gettext_lazy("propriedades"),
    "before": gettext_lazy("anteriores a"),
    "capabilities": gettext_lazy("pode"),
    "code": gettext_lazy("motivo"),
    "columns": gettext_lazy("colunas"),
    "enabled": gettext_lazy("a funcionar"),
    "endpoint": gettext_lazy("endereço"),
    "file": gettext_lazy("ficheiro"),
    "filter": gettext_lazy("filtro"),
    "forgotten": gettext_lazy("meios retirados"),
    "format": gettext_lazy("formato"),
    "gives": gettext_lazy("dá"),
    "grain": gettext_lazy("detalhe"),
    "grantee": gettext_lazy("com"),
    "hold": gettext_lazy("suspenso por"),
    "home": gettext_lazy("em"),
    "hostname": gettext_lazy("endereço"),
    "keep": gettext_lazy("guarda"),
    "key": gettext_lazy("chave"),
    "kind": gettext_lazy("tipo"),
    "licence": gettext_lazy("licença"),
    "name": gettext_lazy("nome"),
    "person": gettext_lazy("pessoa"),
    "personal": gettext_lazy("com dados sobre pessoas"),
    "reason": gettext_lazy("motivo"),
    "refused": gettext_lazy("recusados"),
    "role": gettext_lazy("função"),
    "row": gettext_lazy("linha"),
    "rows": gettext_lazy("linhas"),
    "run": gettext_lazy("carga"),
    "scope": gettext_lazy("limites"),
    "taken": gettext_lazy("aceites"),
    "takes": gettext_lazy("recebe"),
    "tool": gettext_lazy("ferramenta"),
    "type": gettext_lazy("tipo"),
    "types": gettext_lazy("tipos"),
    "until": gettext_lazy("até"),
    "version": gettext_lazy("versão"),
    "way": gettext_lazy("modo"),
}


def action(name: str) -> str:
    """What was done, in words; the name itself where there is none."""
    if name in ACTIONS:
        return str(ACTIONS[name])
    beginning = name.partition(".")[0] + "."
    return str(ACTIONS.get(beginning, name))


def actor(name: str) -> str:
    """Who did it, in words."""
    kind, _colon, number = name.partition(":")
    if kind == "person" and number.isdecimal():
        try:
            card = people.by_id(int(number))
        except NotFound:
            return _("pessoa n.º {number} (apagada)").format(number=number)
        return card.name or card.email
    if kind == "client":
        return _("programa {name}").format(name=people.machine_name(number))
    if name == "command":
        return _("linha de comandos")
    return _("a própria plataforma") if name in {"", "system", "worker"} else name


def subject(name: str) -> str:
    """What it was done to: people by name, what has a number by its kind and number, the rest by its own name."""
    kind, _colon, rest = name.partition(":")
    if kind == "person":
        return actor(name)
    if kind in {"dataset", "pack", "source", "type"}:
        return rest
    return f"{SUBJECTS[kind]} {rest}" if kind in SUBJECTS else name


def details(values: dict[str, object], tenant: Tenant, language: str) -> str:
    """The details in one line: lists joined, instants in the tenant's zone, nothing empty."""
    said = {key: _value(key, value, tenant, language) for key, value in values.items() if value not in (None, "", [], {})}
    return "; ".join(f"{DETAILS.get(key, key)}: {value}" for key, value in said.items())


def _value(key: str, value: object, tenant: Tenant, language: str) -> str:
    if isinstance(value, bool):
        return _("sim") if value else _("não")
    if isinstance(value, list):
        return ", ".join(str(one) for one in value)
    if isinstance(value, dict):
        return ", ".join(f"{DETAILS.get(name, name)} {_value(name, inner, tenant, language)}" for name, inner in value.items())
    if key == "role" and isinstance(value, str) and value in set(RoleName):
        return str(ROLE_WORDS[RoleName(value)][0])
    if isinstance(value, str) and len(value) > 18 and value[4:5] == "-" and value[10:11] == "T":
        return formats.instant(datetime.fromisoformat(value), tenant.zone, language)
    return formats.number(value, language=language) if isinstance(value, int | float) else str(value)
