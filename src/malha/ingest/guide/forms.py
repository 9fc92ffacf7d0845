"""Small forms shared by the questions."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

SUFFIXES = ".csv,.tsv,.txt,.tab,.xlsx,.xlsm,.xlsb,.xls,.ods,.parquet,.geoparquet,.geojson,.json,.jsonl,.ndjson,.gpkg,.zip"


class UploadForm(forms.Form):
    """A file from the computer, or the address of one."""

    file = forms.FileField(
        label=_("Ficheiro"), required=False, widget=forms.ClearableFileInput(attrs={"accept": SUFFIXES}),
        error_messages={"empty": _("O ficheiro está vazio: não tem nenhum byte. Peça-o de novo a quem o enviou.")},
        help_text=_("CSV, Excel (XLSX, XLS), ODS, Parquet, JSON, GeoJSON, GeoPackage, ou shapefile em ZIP."),
    )  # fmt: skip
    url = forms.URLField(label=_("Ou um endereço na Internet"), required=False, help_text=_("Tem de acabar no próprio ficheiro."), assume_scheme="https")

    def clean(self) -> dict[str, Any]:
        """One of the two."""
        given = super().clean() or {}
        if not given.get("file") and not given.get("url") and not self.errors:
            raise forms.ValidationError(_("Escolha um ficheiro ou escreva um endereço."))
        return given


class BackForm(forms.Form):
    """The workbook of waiting rows, mended."""

    file = forms.FileField(label=_("Linhas corrigidas (XLSX)"), widget=forms.ClearableFileInput(attrs={"accept": ".xlsx"}))


class Degrees(forms.FloatField):
    """Degrees as people write them: 40,64 and 40.64."""

    widget = forms.TextInput

    def to_python(self, value: Any) -> float | None:  # type: ignore[override]  # the stubs give a FloatField the type of an IntegerField
        """The number, with either sign for decimals."""
        found: float | None = super().to_python(str(value).strip().replace(",", ".") if value else None)
        return found


class PlaceForm(forms.Form):
    """Where a row is: an address to look for, or degrees."""

    address = forms.CharField(label=_("Morada ou rua"), required=False, max_length=200)
    latitude = Degrees(label=_("Latitude"), required=False, min_value=30, max_value=43)
    longitude = Degrees(
        label=_("Longitude"), required=False, min_value=-32, max_value=-6,
        help_text=_("Graus, com vírgula ou ponto. Com o teclado: setas movem o mapa, Enter marca o centro."),
    )  # fmt: skip


def radios(label: Any, choices: list[tuple[str, Any]], initial: str, **more: Any) -> forms.ChoiceField:
    """One choice of a few."""
    return forms.ChoiceField(label=label, choices=choices, initial=initial, widget=forms.RadioSelect, **more)


def select(label: Any, choices: list[tuple[str, Any]], initial: str, *, required: bool = False, **more: Any) -> forms.ChoiceField:
    """One choice of many."""
    return forms.ChoiceField(label=label, choices=choices, initial=initial, required=required, **more)
