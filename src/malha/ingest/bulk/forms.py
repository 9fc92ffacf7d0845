"""What the columns of a file mean, as a form."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from malha.ingest.bulk import recognising
from malha.ingest.bulk.contracts import Clock, Measure, Shape

ACCEPTED = ".csv,.tsv,.txt,.gz,.parquet,.arrow,.arrows,.feather,.ipc"
#: columns of values that can be chosen; a file with more is cut into several first
MOST_MEASURES = 60


class FileForm(forms.Form):
    """A file from the computer."""

    file = forms.FileField(
        label=_("Ficheiro"), widget=forms.ClearableFileInput(attrs={"accept": ACCEPTED}),
        error_messages={"empty": _("O ficheiro está vazio: não tem nenhum byte. Peça-o de novo a quem o enviou.")},
        help_text=_("CSV (também em .gz, ou como o Excel português o grava), Parquet ou Arrow. Não há limite de tamanho além do disco."),
    )  # fmt: skip


class ShapeForm(forms.Form):
    """Which column says what; values are in columns of their own, or one in each line beside the name of its attribute."""

    entity = forms.ChoiceField(label=_("Que coluna diz de quem é cada valor?"))
    before = forms.CharField(  # a form calls its own prefix `prefix`
        label=_("O que falta antes do identificador"), required=False, max_length=500, empty_value="", strip=True,
        help_text=_("Fica vazio quando a coluna traz o identificador inteiro, como urn:ngsi-ld:Estacao:12."),
    )  # fmt: skip
    instant = forms.ChoiceField(label=_("Que coluna diz quando?"))
    clock = forms.ChoiceField(
        label=_("Como estão escritas as datas e horas?"),
        choices=[
            (Clock.ZONED.value, _("com a sua zona: 2026-11-23T02:00:00Z")),
            (Clock.YEAR_FIRST.value, _("a começar pelo ano, na hora do município: 2026-11-23 02:00")),
            (Clock.DAY_FIRST.value, _("a começar pelo dia, na hora do município: 23/11/2026 02:00")),
        ],
    )
    way = forms.ChoiceField(
        label=_("Como vêm os valores?"), widget=forms.RadioSelect,
        choices=[("wide", _("Uma coluna para cada medida")), ("long", _("Uma linha para cada valor, com o nome da medida ao lado"))],
    )  # fmt: skip

    def __init__(self, found: recognising.Sample, shape: Shape, data: Any = None) -> None:
        super().__init__(data)
        self.found, self.shape = found, shape
        titles = [(name, name) for name in dict.fromkeys(found.names) if name]
        for name in ("entity", "instant"):
            self._choices(name, [("", "—"), *titles])
        initial: dict[str, Any] = {
            "entity": shape.entity,
            "instant": shape.instant,
            "before": shape.prefix,
            "clock": shape.clock.value,
            "way": "long" if shape.attribute else "wide",
        }
        for name, said in (
            ("attribute", _("Coluna com o nome da medida")),
            ("value", _("Coluna com o valor")),
            ("unit", _("Coluna com a unidade (UN/CEFACT)")),
            ("type", _("Coluna com o tipo da entidade")),
        ):
            self.fields[name] = forms.ChoiceField(label=said, required=False, choices=[("", "—"), *titles])
            initial[name] = getattr(shape, name)
        chosen = {one.column: one for one in shape.attributes}
        self.measures = list[tuple[str, str]]()  # (name of the field, title)
        for at, (title, _said) in enumerate(titles[:MOST_MEASURES]):
            one = chosen.get(title)
            guess = one or recognising.measure(title)
            self.fields[f"m{at}"] = forms.BooleanField(label=title, required=False)
            self.fields[f"a{at}"] = forms.RegexField(
                r"^[^\s<>\"'=;()]{1,200}$", label=_("Medida"), required=False,
                error_messages={"invalid": _("O nome de uma medida não tem espaços, aspas nem parênteses.")},
            )  # fmt: skip
            self.fields[f"u{at}"] = forms.RegexField(
                r"^[A-Z0-9]{1,3}$", label=_("Unidade"), required=False, error_messages={"invalid": _("Uma unidade é um código UN/CEFACT, como CEL.")}
            )
            initial |= {f"m{at}": one is not None, f"a{at}": guess.attribute, f"u{at}": guess.unit}
            self.measures.append((str(at), title))
        self.initial = initial

    def _choices(self, name: str, choices: list[tuple[str, Any]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = choices

    def rows(self) -> list[dict[str, Any]]:
        """The columns as lines of a table: title, what its cells are, examples, and the three fields."""
        seen = {column.name: column for column in self.found.columns}
        words = {"number": _("números"), "instant": _("datas"), "boolean": _("sim ou não"), "text": _("texto")}
        return [
            {"title": title, "kind": words[seen[title].kind], "examples": " · ".join(cell[:30] for cell in seen[title].examples), "use": self[f"m{at}"], "attribute": self[f"a{at}"], "unit": self[f"u{at}"]}
            for at, title in self.measures
        ]  # fmt: skip

    def top(self) -> list[Any]:
        """The questions before the table."""
        return [self[name] for name in ("entity", "before", "instant", "clock", "way")]

    def long(self) -> list[Any]:
        """The questions of a file with a line for each value."""
        return [self[name] for name in ("attribute", "value", "unit", "type")]

    def clean(self) -> dict[str, Any]:
        """Columns that agree with each other."""
        given = super().clean() or {}
        if given.get("way") == "long":
            for name in ("attribute", "value"):
                if not given.get(name):
                    self.add_error(name, _("Escolha a coluna."))
        elif given.get("way") == "wide":
            used = [given.get(f"a{at}") or title for at, title in self.measures if given.get(f"m{at}")]
            if not used:
                self.add_error(None, _("Escolha pelo menos uma coluna de valores."))
            if len(set(used)) < len(used):
                self.add_error(None, _("Duas colunas têm a mesma medida: dê um nome diferente a uma delas."))
        taken = (
            [given[name] for name in ("entity", "instant", "attribute", "value", "unit", "type") if given.get(name)]
            if given.get("way") == "long"
            else [given.get("entity"), given.get("instant")]
        )
        if len(set(taken)) < len(taken):
            self.add_error(None, _("Uma coluna só pode dizer uma coisa."))
        return given

    def answer(self) -> Shape:
        """What was said."""
        given = self.cleaned_data
        shape = Shape(given["entity"], given["instant"], prefix=given["before"], clock=Clock(given["clock"]), zone=self.shape.zone)
        if given["way"] == "long":
            return Shape(
                shape.entity,
                shape.instant,
                given["type"],
                given["attribute"],
                given["value"],
                given["unit"],
                prefix=shape.prefix,
                clock=shape.clock,
                zone=shape.zone,
            )
        chosen = tuple(Measure(title, given[f"a{at}"] or title, given[f"u{at}"]) for at, title in self.measures if given[f"m{at}"])
        return Shape(shape.entity, shape.instant, given["type"], attributes=chosen, prefix=shape.prefix, clock=shape.clock, zone=shape.zone)
