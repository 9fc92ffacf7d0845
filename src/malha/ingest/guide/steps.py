"""The questions of the guided load, one class each, in the order in which they are asked."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from django import forms
from django.utils.translation import gettext as _

from malha.ingest.guide.contracts import Step, Table
from malha.ingest.guide.forms import radios, select
from malha.ingest.mapping import names, suggest
from malha.ingest.mapping import places as coordinate_systems
from malha.ingest.mapping.contracts import Again, Answers, ColumnAnswer, Outside, PersonalKind, PlaceAnswer, PlaceKind, RowKind, TimeAnswer
from malha.ingest.runs import service as runs
from malha.sources.tabular.contracts import CellType, FileKind

PERSONAL: dict[PersonalKind, Callable[[], str]] = {
    PersonalKind.NIF: lambda: _("número de contribuinte"),
    PersonalKind.NISS: lambda: _("segurança social"),
    PersonalKind.IBAN: lambda: _("conta bancária"),
    PersonalKind.PHONE: lambda: _("telefone"),
    PersonalKind.EMAIL: lambda: _("correio eletrónico"),
    PersonalKind.PLATE: lambda: _("matrícula"),
    PersonalKind.NAME: lambda: _("nome de pessoa"),
    PersonalKind.OTHER: lambda: _("dado pessoal"),
}
TYPES: dict[CellType, Callable[[], str]] = {
    CellType.TEXT: lambda: _("texto"),
    CellType.NUMBER: lambda: _("número"),
    CellType.INTEGER: lambda: _("número inteiro"),
    CellType.BOOLEAN: lambda: _("sim ou não"),
    CellType.DATE: lambda: _("data"),
    CellType.INSTANT: lambda: _("data e hora"),
}


def _columns(table: Table, *, blank: str = "") -> list[tuple[str, str]]:
    """The columns with an example of each."""
    found = [(column.name, f"{column.name} ({column.examples[0][:40]}…)" if column.examples else column.name) for column in table.shape.columns]
    return [("", blank), *found] if blank else found


class Sheet:
    """Which sheet, and where the names of the columns are."""

    key = "folha"

    def title(self) -> str:
        return _("Onde está a tabela?")

    def needed(self, table: Table) -> bool:
        reading = table.shape.reading
        return len(table.shape.sheets) > 1 or (reading.header_row != 1 and reading.kind in {FileKind.DELIMITED, FileKind.WORKBOOK})

    def form(self, table: Table, data: Any = None) -> forms.Form:
        form = forms.Form(data)
        reading = table.shape.reading
        if len(table.shape.sheets) > 1:
            form.fields["sheet"] = radios(_("Folha"), [(name, name) for name in table.shape.sheets], reading.sheet)
        form.fields["header_row"] = forms.IntegerField(
            label=_("Linha com os nomes das colunas"), initial=reading.header_row, min_value=0, max_value=400, help_text=_("0 se a tabela não os tiver.")
        )
        return form

    def answer(self, table: Table, form: forms.Form) -> Answers:
        sheet, header = form.cleaned_data.get("sheet", table.shape.reading.sheet), form.cleaned_data["header_row"]
        return dataclasses.replace(table.answers, reading=dataclasses.replace(table.shape.reading, sheet=sheet, header_row=header))


class Row:
    """What a row is."""

    key = "linha"

    def title(self) -> str:
        return _("O que é cada linha?")

    def needed(self, table: Table) -> bool:
        del table
        return True

    def form(self, table: Table, data: Any = None) -> forms.Form:
        form = forms.Form(data)
        answers = table.answers
        choices = [
            (RowKind.TABLE.value, _("Só uma linha de uma tabela")),
            (RowKind.OWN.value, _("Uma coisa nossa, que ainda não tem modelo (faz-se um com estas colunas)")),
            (RowKind.MODEL.value, _("Uma coisa que o país já descreveu (modelo nacional)")),
        ]
        form.fields["kind"] = radios(_("Cada linha é…"), choices, answers.kind.value)
        form.fields["name"] = forms.CharField(
            label=_("Como lhe chama?"), initial=answers.type if answers.kind is not RowKind.MODEL else names.type_of(answers.name), max_length=80, required=False,
            help_text=_("Um nome curto, no singular ou o do ficheiro: Escola, Paragem, Obras2025."),
        )  # fmt: skip
        models = sorted((model.label.in_language(table.language), model.type) for model in table.models)
        form.fields["model"] = select(
            _("Modelo nacional"), [("", "—"), *((entity_type, f"{label} ({entity_type})") for label, entity_type in models)],
            answers.type if answers.kind is RowKind.MODEL else "", help_text=_("Só se escolheu a última resposta."),
        )  # fmt: skip
        return form

    def answer(self, table: Table, form: forms.Form) -> Answers:
        kind = RowKind(form.cleaned_data["kind"])
        if "look" in form.data and form.cleaned_data["model"]:  # a model is being looked at, whatever was chosen above
            kind = RowKind.MODEL
        answers = table.answers
        if kind is RowKind.MODEL:
            model = next((one for one in table.models if one.type == form.cleaned_data["model"]), None)
            if model is None:
                raise forms.ValidationError(_("Escolha o modelo nacional."))
            matched = tuple(_matched(column, suggest.match(column.column, model) or "") for column in answers.columns)
            return dataclasses.replace(answers, kind=kind, type=model.type, columns=matched if answers.type != model.type else answers.columns)
        entity_type = names.type_of(form.cleaned_data["name"] or answers.name)
        if any(model.type == entity_type and model.source not in {"own", "table"} for model in table.models):
            raise forms.ValidationError(_("Já há um modelo nacional com esse nome; escolha outro, ou escolha o modelo."))
        if answers.kind is RowKind.MODEL:
            fresh = names.once([names.attribute(column.column) for column in answers.columns])
            columns = tuple(dataclasses.replace(column, attribute=name) for column, name in zip(answers.columns, fresh, strict=True))
            answers = dataclasses.replace(answers, columns=columns)
        return dataclasses.replace(answers, kind=kind, type=entity_type)


def _matched(column: ColumnAnswer, attribute: str) -> ColumnAnswer:
    return dataclasses.replace(column, attribute=attribute)


class Columns:
    """Which columns come in, as what."""

    key = "colunas"

    def title(self) -> str:
        return _("O que diz cada coluna?")

    def needed(self, table: Table) -> bool:
        del table
        return True

    def form(self, table: Table, data: Any = None) -> forms.Form:
        form = forms.Form(data)
        model = _model(table)
        for position, column in enumerate(table.answers.columns):
            if not column.column:
                continue
            examples = (shape.examples if (shape := table.shape.column(column.column)) else ())[:3]
            helped = " · ".join(text[:30] for text in examples)
            if model is not None:
                choices = [
                    ("", _("fica de fora")),
                    *((prop.name, f"{prop.label.in_language(table.language) or prop.name} ({prop.name})") for prop in model.properties),
                ]
                form.fields[f"c{position}"] = select(column.column, choices, column.attribute, help_text=helped)
            else:
                choices = [("", _("fica de fora")), *((kind.value, words()) for kind, words in TYPES.items())]
                form.fields[f"c{position}"] = select(column.column, choices, column.type.value if column.attribute else "", help_text=helped)
        return form

    def answer(self, table: Table, form: forms.Form) -> Answers:
        model = _model(table)
        fresh = names.once([names.attribute(column.column) for column in table.answers.columns])
        changed = []
        for position, column in enumerate(table.answers.columns):
            said = form.cleaned_data.get(f"c{position}", "")
            if not column.column:
                changed.append(column)
            elif not said:
                changed.append(dataclasses.replace(column, attribute=""))
            elif model is not None:
                prop = model.find(said)
                kind = suggest.CELLS_OF.get(prop.type.value, CellType.TEXT) if prop else column.type
                changed.append(dataclasses.replace(column, attribute=said, type=kind, unit=prop.unit if prop else column.unit))
            else:
                changed.append(dataclasses.replace(column, attribute=column.attribute or fresh[position], type=CellType(said)))
        return dataclasses.replace(table.answers, columns=tuple(changed))


def _model(table: Table) -> Any:
    return next((model for model in table.models if model.type == table.answers.type), None) if table.answers.kind is RowKind.MODEL else None


class Name:
    """What names a row."""

    key = "nome"

    def title(self) -> str:
        return _("O que dá nome a cada linha?")

    def needed(self, table: Table) -> bool:
        del table
        return True

    def form(self, table: Table, data: Any = None) -> forms.Form:
        form = forms.Form(data)
        form.fields["key"] = forms.MultipleChoiceField(
            label=_("Colunas que, juntas, dizem que coisa é"), choices=_columns(table), initial=list(table.answers.key), required=False,
            widget=forms.CheckboxSelectMultiple,
            help_text=_("Um código que não muda e não se repete. Sem nenhuma, cada linha vale pelo seu lugar no ficheiro e a tabela volta sempre inteira."),
        )  # fmt: skip
        return form

    def answer(self, table: Table, form: forms.Form) -> Answers:
        key = tuple(form.cleaned_data["key"])
        return dataclasses.replace(table.answers, key=key, again=table.answers.again if key else Again.REPLACE)


class Where:
    """Where a row is."""

    key = "lugar"

    def title(self) -> str:
        return _("Onde está?")

    def needed(self, table: Table) -> bool:
        del table
        return True

    def form(self, table: Table, data: Any = None) -> forms.Form:
        form = forms.Form(data)
        place = table.answers.place
        kinds = [
            (PlaceKind.COORDINATES.value, _("Em colunas de coordenadas")),
            (PlaceKind.ADDRESS.value, _("Na morada")),
            (PlaceKind.HAND.value, _("À mão: aponta-se no mapa, linha a linha")),
            (PlaceKind.NONE.value, _("Não tem lugar")),
        ]
        if table.shape.reading.geometry:
            kinds.insert(0, (PlaceKind.GEOMETRY.value, _("Na geometria do ficheiro")))
        if place.kind is PlaceKind.WKT:
            kinds.insert(0, (PlaceKind.WKT.value, _("Numa coluna com WKT")))
        form.fields["kind"] = radios(_("O lugar está…"), kinds, place.kind.value)
        columns = _columns(table, blank="—")
        form.fields["x"] = select(_("Longitude, X ou M"), columns, place.x if place.x != table.shape.reading.geometry else "")
        form.fields["y"] = select(_("Latitude, Y ou P"), columns, place.y)
        form.fields["crs"] = select(_("Sistema de coordenadas"), [("", _("descobrir")), *coordinate_systems.SYSTEMS.items()], place.crs)
        form.fields["swapped"] = forms.BooleanField(label=_("As duas colunas vêm trocadas"), initial=place.swapped, required=False)
        form.fields["address"] = select(_("Morada"), columns, place.address[0] if place.address else "")
        choices = [(Outside.HOLD.value, _("Ficam em espera")), (Outside.KEEP.value, _("Entram também"))]
        form.fields["outside"] = radios(_("As que ficam fora do município…"), choices, place.outside.value)
        waits = [(Outside.KEEP.value, _("Entram sem lugar")), (Outside.HOLD.value, _("Ficam em espera, para as apontar no mapa"))]
        form.fields["unplaced"] = radios(_("As que não se souber onde ficam…"), waits, place.unplaced.value, required=False)
        return form

    def answer(self, table: Table, form: forms.Form) -> Answers:
        said = form.cleaned_data
        kind = PlaceKind(said["kind"])
        outside = Outside(said["outside"])
        if kind is PlaceKind.GEOMETRY:
            place = PlaceAnswer(kind, table.shape.reading.geometry, crs=said["crs"] or table.shape.reading.crs or table.tenant.crs, outside=outside)
        elif kind is PlaceKind.WKT:
            place = dataclasses.replace(table.answers.place, outside=outside)
        elif kind is PlaceKind.COORDINATES:
            place = self._coordinates(table, said, outside)
        elif kind is PlaceKind.ADDRESS:
            place = PlaceAnswer(kind, address=(said["address"],) if said["address"] else (), outside=outside)
        else:
            place = PlaceAnswer(kind)
        return dataclasses.replace(table.answers, place=dataclasses.replace(place, unplaced=Outside(said["unplaced"] or Outside.KEEP)))

    def _coordinates(self, table: Table, said: dict[str, Any], outside: Outside) -> PlaceAnswer:
        if not said["x"]:
            raise forms.ValidationError(_("Escolha a coluna das coordenadas."))
        if said["crs"]:
            return PlaceAnswer(PlaceKind.COORDINATES, said["x"], said["y"], said["crs"], swapped=said["swapped"], outside=outside)
        found = suggest.coordinates(table.shape, table.sample, said["x"], said["y"], runs.tenancy_of(table.tenant), table.tenant.crs)
        if found.kind is PlaceKind.NONE:
            raise forms.ValidationError(_("Estas colunas não dão coordenadas em Portugal em nenhum dos sistemas conhecidos."))
        return found


class When:
    """When a row was observed."""

    key = "tempo"

    def title(self) -> str:
        return _("Quando foi?")

    def needed(self, table: Table) -> bool:
        del table
        return True

    def form(self, table: Table, data: Any = None) -> forms.Form:
        form = forms.Form(data)
        time = table.answers.time
        form.fields["day"] = select(
            _("Data em que cada linha foi verdade"), _columns(table, blank=_("não tem: vale agora")), time.columns[0] if time.columns else "",
            help_text=_("Com data, cada coisa guarda a sua história e pode ver-se num gráfico."),
        )  # fmt: skip
        form.fields["hour"] = select(_("Hora, se estiver noutra coluna"), _columns(table, blank="—"), time.columns[1] if len(time.columns) > 1 else "")
        zones = [("Europe/Lisbon", _("Lisboa e Madeira")), ("Atlantic/Azores", _("Açores")), ("UTC", _("Hora universal (UTC)"))]
        form.fields["zone"] = radios(_("As horas são de…"), zones, time.zone if time.zone in dict(zones) else "Europe/Lisbon")
        return form

    def answer(self, table: Table, form: forms.Form) -> Answers:
        said = form.cleaned_data
        columns = tuple(name for name in (said["day"], said["hour"]) if name) if said["day"] else ()
        return dataclasses.replace(table.answers, time=TimeAnswer(columns, said["zone"], table.answers.time.day_first))


class People:
    """Which columns are about people."""

    key = "pessoas"

    def title(self) -> str:
        return _("Que colunas falam de pessoas?")

    def needed(self, table: Table) -> bool:
        del table
        return True

    def form(self, table: Table, data: Any = None) -> forms.Form:
        form = forms.Form(data)
        guessed = [column for column in table.answers.columns if column.personal]
        form.fields["about"] = forms.MultipleChoiceField(
            label=_("Estas ficam de fora"), choices=_columns(table), initial=[column.column for column in guessed], required=False, widget=forms.CheckboxSelectMultiple,
            help_text=_("Nomes, contactos, números de contribuinte, matrículas. Só entram com uma razão, que fica registada."),
        )  # fmt: skip
        for position, column in enumerate(table.answers.columns):
            if column.personal:
                form.fields[f"why{position}"] = forms.CharField(
                    label=_("Razão para guardar “{column}” ({kind})").format(column=column.column, kind=PERSONAL[column.personal]()),
                    initial=column.reason, required=False, max_length=300, help_text=_("Vazio: fica de fora."),
                )  # fmt: skip
        return form

    def answer(self, table: Table, form: forms.Form) -> Answers:
        about = set(form.cleaned_data["about"])
        changed = []
        for position, column in enumerate(table.answers.columns):
            personal = (column.personal or PersonalKind.OTHER) if column.column in about else None
            reason = form.cleaned_data.get(f"why{position}", "").strip()
            attribute = column.attribute or (names.attribute(column.column) if reason and table.answers.kind is not RowKind.MODEL else "")
            changed.append(dataclasses.replace(column, personal=personal, reason=reason, attribute=attribute))
        return dataclasses.replace(table.answers, columns=tuple(changed))


class Return:
    """What happens when the table comes again."""

    key = "volta"

    def title(self) -> str:
        return _("E quando a tabela voltar?")

    def needed(self, table: Table) -> bool:
        return bool(table.answers.key)

    def form(self, table: Table, data: Any = None) -> forms.Form:
        form = forms.Form(data)
        choices = [
            (Again.UPDATE.value, _("Atualizar: o que já existe fica com os valores novos, o que é novo entra")),
            (Again.ADD.value, _("Acrescentar: só entra o que é novo")),
            (Again.REPLACE.value, _("Substituir: o que não vier no ficheiro desaparece")),
        ]
        form.fields["again"] = radios(_("Um ficheiro novo com estas colunas vem…"), choices, table.answers.again.value)
        return form

    def answer(self, table: Table, form: forms.Form) -> Answers:
        return dataclasses.replace(table.answers, again=Again(form.cleaned_data["again"]))


STEPS: tuple[Step, ...] = (Sheet(), Row(), Columns(), Name(), Where(), When(), People(), Return())
LAST = "confirmar"


def asked(table: Table) -> list[Step]:
    """The questions that this table needs, in order."""
    return [step for step in STEPS if step.needed(table)]
