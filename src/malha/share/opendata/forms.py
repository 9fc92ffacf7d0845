"""The questions of publishing, three screens."""

from __future__ import annotations

from django import forms
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _

from malha.share.opendata.contracts import FREQUENCIES, HVD_CATEGORIES, LICENCES, THEMES, Choice
from malha.share.opendata.models import Dataset


def _options(entries: tuple[Choice, ...]) -> list[tuple[str, str]]:
    return [(entry.code, entry.word(get_language())) for entry in entries]


class ContentForm(forms.Form):
    """First screen: which rows and which columns leave."""

    title_pt = forms.CharField(label=_("Título"), max_length=200, min_length=3)
    description_pt = forms.CharField(
        label=_("Descrição"), widget=forms.Textarea(attrs={"rows": 4}), help_text=_("O que é, de onde vem e para que serve, em linguagem simples.")
    )
    title_en = forms.CharField(label=_("Título em inglês"), max_length=200, required=False)
    description_en = forms.CharField(label=_("Descrição em inglês"), widget=forms.Textarea(attrs={"rows": 3}), required=False)
    keywords = forms.CharField(label=_("Palavras-chave"), required=False, help_text=_("Separadas por vírgulas."))
    filter = forms.CharField(label=_("Filtro"), required=False, help_text=_('Vazio publica tudo. Por exemplo: status=="ok"'))
    columns = forms.MultipleChoiceField(label=_("Colunas que saem"), widget=forms.CheckboxSelectMultiple)

    def __init__(self, *args: object, columns: list[tuple[str, str]], **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # passed on as they came
        field = self.fields["columns"]
        assert isinstance(field, forms.MultipleChoiceField)
        field.choices = columns

    def save(self, row: Dataset) -> None:
        """Put the answers into the draft."""
        for name in ("title_pt", "title_en", "description_pt", "description_en", "filter", "columns"):
            setattr(row, name, self.cleaned_data[name])
        row.keywords = [word.strip()[:60] for word in self.cleaned_data["keywords"].split(",") if word.strip()]
        row.save()


class LicenceForm(forms.ModelForm):  # type: ignore[type-arg]  # generic for the checker only
    """Second screen: licence, theme, rhythm, and who answers."""

    class Meta:
        model = Dataset
        fields = ["licence", "theme", "frequency", "hvd_category", "contact_name", "contact_email"]
        labels = {
            "licence": _("Licença"),
            "theme": _("Tema"),
            "frequency": _("Com que frequência é atualizado"),
            "hvd_category": _("Dados de elevado valor"),
            "contact_name": _("Quem responde por estes dados"),
            "contact_email": _("Endereço de correio para perguntas"),
        }
        help_texts = {"hvd_category": _("Só se o Regulamento (UE) 2023/138 os incluir.")}

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # passed on as they came
        for name, entries in (("licence", LICENCES), ("theme", THEMES), ("frequency", FREQUENCIES)):
            self.fields[name] = forms.ChoiceField(label=self.fields[name].label, choices=_options(entries))
        self.fields["hvd_category"] = forms.ChoiceField(
            label=self.fields["hvd_category"].label,
            choices=[("", _("Não")), *_options(HVD_CATEGORIES)],
            required=False,
            help_text=self.fields["hvd_category"].help_text,
        )
        for name in ("contact_name", "contact_email"):
            self.fields[name].required = True


class WithdrawForm(forms.Form):
    """Why a dataset is taken back: its address says so."""

    reason = forms.CharField(label=_("Porque é retirado"), widget=forms.Textarea(attrs={"rows": 2}), min_length=5, max_length=500)


class ReportForm(forms.Form):
    """What a visitor found wrong. The field `website` is a trap for machines: people do not see it."""

    text = forms.CharField(label=_("O que está errado"), widget=forms.Textarea(attrs={"rows": 4}), min_length=5, max_length=2000)
    email = forms.EmailField(label=_("O seu endereço de correio, se quiser resposta"), required=False)
    website = forms.CharField(required=False, widget=forms.TextInput(attrs={"tabindex": "-1", "autocomplete": "off"}))
