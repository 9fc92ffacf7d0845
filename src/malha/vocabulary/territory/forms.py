"""Forms of the territory page: a file of boundaries, a file of streets."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.core.validators import FileExtensionValidator
from django.utils.translation import gettext_lazy as _

MOST_BYTES = 200 * 1024 * 1024


class BoundariesForm(forms.Form):
    """Boundaries of the tenant's own: parishes, zones, sectors."""

    file = forms.FileField(
        label=_("Ficheiro de limites"),
        help_text=_("GeoJSON ou GeoPackage, em qualquer sistema de coordenadas."),
        validators=[FileExtensionValidator(["geojson", "json", "gpkg"])],
    )
    edition = forms.CharField(label=_("Edição"), max_length=80, help_text=_("Por exemplo “CAOP 2025” ou “Setores de recolha 2026”."))
    valid_from = forms.DateField(label=_("Em vigor desde"), widget=forms.DateInput(attrs={"type": "date"}))
    crs = forms.CharField(label=_("Sistema de coordenadas"), max_length=20, required=False, help_text=_("Só se o ficheiro não o diz, por exemplo EPSG:3763."))

    def clean_file(self) -> UploadedFile[Any]:
        """Refuse what is too large for a page; the command has no such limit."""
        return _small_enough(self.cleaned_data["file"])


class StreetsForm(forms.Form):
    """Streets and doors of the tenant."""

    file = forms.FileField(
        label=_("Ficheiro de ruas e portas"),
        help_text=_("CSV com a rua, o número, o código postal e as coordenadas (rua, numero, codigo_postal, x, y)."),
        validators=[FileExtensionValidator(["csv", "tsv", "txt"])],
    )
    source = forms.CharField(label=_("Nome deste ficheiro"), max_length=80, help_text=_("Outro ficheiro com o mesmo nome substitui este."))

    def clean_file(self) -> UploadedFile[Any]:
        """As for boundaries."""
        return _small_enough(self.cleaned_data["file"])


def _small_enough(file: UploadedFile[Any]) -> UploadedFile[Any]:
    if (file.size or 0) > MOST_BYTES:
        raise forms.ValidationError(_("O ficheiro tem mais de 200 MB. Peça ao operador que o importe com ./malha territory import."))
    return file
