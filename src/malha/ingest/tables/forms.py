"""What is asked when a table comes."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _


class TableForm(forms.Form):
    """A table for the first time."""

    title = forms.CharField(label=_("Nome da tabela"), max_length=200)
    file = forms.FileField(label=_("Ficheiro"), help_text=_("CSV, XLSX, XLS, ODS ou Parquet."))
    keys = forms.CharField(
        label=_("Colunas que distinguem as linhas"), max_length=1000, required=False,
        help_text=_("Separadas por vírgulas, por exemplo: código, ano. Vazio: uma linha alterada conta como uma que saiu e outra que entrou."),
    )  # fmt: skip

    def clean_keys(self) -> list[str]:
        """The names, each once."""
        return list(dict.fromkeys(name.strip() for name in str(self.cleaned_data["keys"]).split(",") if name.strip()))


class VersionForm(forms.Form):
    """The table as it is now."""

    file = forms.FileField(label=_("Ficheiro com a tabela inteira, como está agora"))
