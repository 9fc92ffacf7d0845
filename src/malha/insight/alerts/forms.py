"""The page that makes a rule, in the words of whoever stands in front of the river."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _

from malha.insight.alerts.contracts import Channel, ChannelKind, Operator, Rule, RuleKind, Severity
from malha.kernel import formats
from malha.vocabulary.models.contracts import DataModel

SCOPES = (
    ("all", gettext_lazy("Todos deste tipo")),
    ("things", gettext_lazy("Só estes")),
    ("area", gettext_lazy("Os que estão dentro de uma área que desenho")),
)
KINDS = ((RuleKind.THRESHOLD.value, gettext_lazy("Um valor passa um limite")), (RuleKind.SILENCE.value, gettext_lazy("Deixa de se ouvir (silêncio)")))
OPERATORS = (
    (Operator.ABOVE.value, gettext_lazy("acima de")),
    (Operator.AT_LEAST.value, gettext_lazy("igual ou acima de")),
    (Operator.BELOW.value, gettext_lazy("abaixo de")),
    (Operator.AT_MOST.value, gettext_lazy("igual ou abaixo de")),
    (Operator.EQUALS.value, gettext_lazy("igual a")),
)
SEVERITIES = (
    (Severity.INFORMATION.value, gettext_lazy("Informação")),
    (Severity.ATTENTION.value, gettext_lazy("Atenção")),
    (Severity.WARNING.value, gettext_lazy("Aviso")),
    (Severity.CRITICAL.value, gettext_lazy("Crítico")),
    (Severity.NO_DATA.value, gettext_lazy("Sem dados")),
)


class RuleForm(forms.Form):
    """A rule about things of one type."""

    name = forms.CharField(
        label=gettext_lazy("Nome do alarme"), max_length=160, help_text=gettext_lazy("Curto: é o que se lê no aviso, por exemplo “Ribeira”.")
    )
    kind = forms.ChoiceField(label=gettext_lazy("O que o faz tocar"), choices=KINDS, widget=forms.RadioSelect, initial=RuleKind.THRESHOLD.value)
    attribute = forms.ChoiceField(label=gettext_lazy("Medida"))
    operator = forms.ChoiceField(label=gettext_lazy("Quando está"), choices=OPERATORS, initial=Operator.ABOVE.value)
    bound = forms.CharField(label=gettext_lazy("Limite"), max_length=200)
    for_minutes = forms.IntegerField(
        label=gettext_lazy("Durante (minutos)"), min_value=0, initial=0, required=False, help_text=gettext_lazy("0: toca logo ao primeiro valor.")
    )
    end_bound = forms.CharField(
        label=gettext_lazy("Termina quando volta a"), required=False, max_length=40,
        help_text=gettext_lazy("Um limite mais calmo evita que toque e pare sem cessar. Vazio: o mesmo limite."),
    )  # fmt: skip
    silence_minutes = forms.IntegerField(label=gettext_lazy("Silêncio de (minutos)"), min_value=1, initial=30)
    scope = forms.ChoiceField(label=gettext_lazy("Que coisas vigia"), choices=SCOPES, widget=forms.RadioSelect, initial="all")
    uris = forms.CharField(widget=forms.HiddenInput, required=False)
    area = forms.CharField(widget=forms.HiddenInput(attrs={"id": "area-desenhada"}), required=False)
    area_name = forms.CharField(label=gettext_lazy("Nome da área"), required=False, max_length=120)
    severity = forms.ChoiceField(label=gettext_lazy("Gravidade"), choices=SEVERITIES, initial=Severity.WARNING.value)
    what_to_do = forms.CharField(label=gettext_lazy("O que fazer"), widget=forms.Textarea(attrs={"rows": 3}), required=False, help_text=gettext_lazy("Aparece no alarme e no aviso, para quem o receber às três da manhã."))  # fmt: skip
    call_whom = forms.CharField(label=gettext_lazy("A quem ligar"), max_length=300, required=False)
    channels = forms.MultipleChoiceField(label=gettext_lazy("Avisar por"), widget=forms.CheckboxSelectMultiple, required=False)
    enabled = forms.BooleanField(label=gettext_lazy("Ligado"), required=False, initial=True)

    def __init__(self, *args: Any, entity_type: str, tenant_id: int, model: DataModel | None, attributes: list[str], channels: list[Channel], **kwargs: Any) -> None:  # fmt: skip
        super().__init__(*args, **kwargs)
        self.entity_type, self.tenant_id, self.model = entity_type, tenant_id, model
        self.fields["attribute"].choices = [("", "—"), *((name, self._label(name)) for name in attributes)]  # type: ignore[attr-defined]  # a choice field
        self.fields["channels"].choices = [(str(one.id), f"{one.name} ({one.target})" if one.kind is ChannelKind.EMAIL else one.name) for one in channels]  # type: ignore[attr-defined]
        if not channels:
            del self.fields["channels"]
        if not (self.initial.get("uris") or self.data.get("uris")):
            self.fields["scope"].choices = [choice for choice in SCOPES if choice[0] != "things"]  # type: ignore[attr-defined]
        unasked = ("attribute", "operator", "bound") if self.data.get("kind") == RuleKind.SILENCE.value else ("silence_minutes",) if self.data else ()
        for name in unasked:  # what the other kind needs
            self.fields[name].required = False

    def _label(self, name: str) -> str:
        found = self.model.find(name) if self.model else None
        if found is None:
            return name
        label, symbol = found.label.in_language(get_language() or "pt-pt"), formats.unit(found.unit)
        return f"{label} ({symbol})" if symbol else label

    def _number(self, name: str) -> float | None:
        text = str(self.cleaned_data.get(name) or "").strip().replace("\u00a0", "").replace(" ", "")
        if not text:
            return None
        try:
            return float(text.replace(",", "."))
        except ValueError:
            self.add_error(name, _("Escreva um número, por exemplo 2,30."))
            return None

    def clean(self) -> dict[str, Any]:
        """Numbers as people write them; the area as a polygon."""
        values = self.cleaned_data
        values["area_shape"] = None
        if values.get("scope") == "area":
            try:
                values["area_shape"] = json.loads(values.get("area") or "")
            except ValueError:
                self.add_error("scope", _("Desenhe a área no mapa: pelo menos três cantos."))
        if values.get("scope") == "things" and not (values.get("uris") or "").split():
            self.add_error("scope", _("Escolha primeiro a coisa, na lista de registos."))
        if values.get("kind") == RuleKind.THRESHOLD.value:
            equals = values.get("operator") == Operator.EQUALS.value
            values["bound_number"] = None if equals and not _is_number(str(values.get("bound"))) else self._number("bound")
            values["end_number"] = self._number("end_bound")
        return values

    def rule(self, before: Rule | None = None) -> Rule:
        """The rule that the page describes."""
        values = self.cleaned_data
        attribute = values.get("attribute") or ""
        found = self.model.find(attribute) if self.model else None
        threshold = values["kind"] == RuleKind.THRESHOLD.value
        bound = values.get("bound_number") if threshold else None
        text = str(values.get("bound") or "").strip() if threshold and bound is None else ""
        return Rule(
            id=before.id if before else 0, tenant_id=self.tenant_id, name=values["name"], kind=RuleKind(values["kind"]), type=self.entity_type, attribute=attribute,
            operator=Operator(values.get("operator") or ">"), bound=bound, bound_text=text, end_bound=values.get("end_number") if threshold else None,
            for_seconds=60 * (values.get("for_minutes") or 0), silence_seconds=0 if threshold else 60 * (values.get("silence_minutes") or 0),
            uris=tuple((values.get("uris") or "").split()) if values["scope"] == "things" else (), area=values["area_shape"],
            area_name=values.get("area_name") or "", severity=Severity(values["severity"]), unit=found.unit if found else "",
            decimals=before.decimals if before else 2, what_to_do=values.get("what_to_do") or "", call_whom=values.get("call_whom") or "",
            channels=tuple(int(one) for one in values.get("channels") or ()), enabled=bool(values.get("enabled")),
            end_for_seconds=before.end_for_seconds if before else 0, late_seconds=before.late_seconds if before else 7200,
            pack=before.pack if before else "", key=before.key if before else "",
        )  # fmt: skip


def _is_number(text: str) -> bool:
    try:
        float(text.strip().replace(",", "."))
    except ValueError:
        return False
    return True


def initial_of(rule: Rule) -> dict[str, Any]:
    """What the page shows of a rule that exists."""
    return {
        "name": rule.name, "kind": rule.kind.value, "attribute": rule.attribute, "operator": rule.operator.value,
        "bound": rule.bound_text if rule.bound is None else formats.number(rule.bound), "end_bound": "" if rule.end_bound is None else formats.number(rule.end_bound),
        "for_minutes": rule.for_seconds // 60, "silence_minutes": rule.silence_seconds // 60 or 30, "scope": "area" if rule.area else "things" if rule.uris else "all",
        "uris": "\n".join(rule.uris), "area": json.dumps(rule.area) if rule.area else "", "area_name": rule.area_name, "severity": rule.severity.value,
        "what_to_do": rule.what_to_do, "call_whom": rule.call_whom, "channels": [str(one) for one in rule.channels], "enabled": rule.enabled,
    }  # fmt: skip


class ChannelForm(forms.Form):
    """Where notices go."""

    kind = forms.ChoiceField(label=gettext_lazy("Como"), choices=((ChannelKind.EMAIL.value, gettext_lazy("Correio eletrónico")), (ChannelKind.WEBHOOK.value, gettext_lazy("Webhook assinado"))))  # fmt: skip
    name = forms.CharField(label=gettext_lazy("Nome"), max_length=120, help_text=gettext_lazy("Por exemplo “Piquete da Proteção Civil”."))
    target = forms.CharField(label=gettext_lazy("Endereço"), max_length=500, help_text=gettext_lazy("O endereço de correio, ou https://… que recebe o aviso."))
