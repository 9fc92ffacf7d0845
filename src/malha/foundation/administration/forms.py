"""What the manager may fill in."""

from __future__ import annotations

import json
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.utils.translation import gettext_lazy as _

from malha.foundation.access.contracts import Grain
from malha.foundation.agreements.contracts import Terms
from malha.foundation.tenancy import rules
from malha.kernel.errors import MalhaError
from malha.kernel.time import now

LONGEST_DAYS = 5 * 366

GRAINS = [
    (Grain.RAW, _("Cada valor, e o estado atual")),
    (Grain.QUARTER, _("Médias de 15 minutos")),
    (Grain.HOUR, _("Médias por hora")),
    (Grain.DAY, _("Médias por dia")),
    (Grain.MONTH, _("Médias por mês")),
]


class IdentityForm(forms.Form):
    """The name and arms that stand in the top bar."""

    name = forms.CharField(label=_("Nome"), max_length=200, help_text=_("Como aparece no topo de todas as páginas."))
    accent = forms.CharField(
        label=_("Cor"), required=False, max_length=7, help_text=_("No formato #rrggbb, escura o bastante para letras brancas. Vazio: a cor da Malha.")
    )
    arms = forms.FileField(label=_("Brasão"), required=False, help_text=_("PNG, JPEG ou WebP, até 256 kB e 2048 × 2048 píxeis."))
    remove_arms = forms.BooleanField(label=_("Retirar o brasão atual"), required=False)

    def clean_name(self) -> str:
        """A name without spaces around it."""
        return " ".join(str(self.cleaned_data["name"]).split())

    def clean_accent(self) -> str:
        """A colour on which white letters can be read."""
        colour = str(self.cleaned_data["accent"]).strip().lower()
        if colour and not rules.is_colour(colour):
            raise forms.ValidationError(_("Escreva a cor como #rrggbb, por exemplo #034ad8."))
        if colour and not rules.is_dark_enough(colour):
            raise forms.ValidationError(_("Sobre esta cor não se leem letras brancas; escolha uma mais escura."))
        return colour

    def clean_arms(self) -> bytes:
        """The bytes of a usable image, or nothing."""
        upload = self.cleaned_data["arms"]
        if not upload:
            return b""
        data: bytes = upload.read(rules.ARMS_BYTES + 1)
        try:
            rules.image_type(data)
        except MalhaError as reason:
            raise forms.ValidationError(_(reason.message).format(**reason.params)) from reason
        return data


class AgreementForm(forms.Form):
    """Who may read what, why and until when."""

    grantee = forms.TypedChoiceField(label=_("Quem pode ler"), coerce=int)
    types = forms.MultipleChoiceField(label=_("Tipos de dados"), widget=forms.CheckboxSelectMultiple)
    attributes = forms.CharField(label=_("Só estas colunas"), required=False, help_text=_("Separadas por vírgulas. Vazio: todas as que não são sobre pessoas."))
    places = forms.MultipleChoiceField(
        label=_("Só nestes lugares"), required=False, widget=forms.CheckboxSelectMultiple, help_text=_("Nenhum, e sem área desenhada: em toda a parte.")
    )
    area = forms.CharField(widget=forms.HiddenInput(attrs={"id": "area-desenhada"}), required=False, max_length=200_000)
    grain = forms.ChoiceField(label=_("Com que pormenor"), choices=GRAINS, initial=Grain.DAY)
    purpose = forms.CharField(label=_("Para quê"), max_length=500, help_text=_("A finalidade, como estará no registo."))
    until = forms.DateField(
        label=_("Até que dia"),
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text=_("Inclui esse dia. Pode terminar o acordo antes, a qualquer momento."),
    )

    def __init__(
        self, *args: object, grantees: list[tuple[int, str]], types: list[tuple[str, str]], places: list[tuple[str, str]], zone: ZoneInfo, **kwargs: object
    ) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # handed on as they came
        self.zone, self.place_names = zone, dict(places)
        where = self.fields["places"]
        assert isinstance(where, forms.MultipleChoiceField)
        where.choices = places
        if not places:
            del self.fields["places"]
        offered = self.fields["types"]
        assert isinstance(offered, forms.MultipleChoiceField)
        offered.choices = types
        field = self.fields["grantee"]
        assert isinstance(field, forms.TypedChoiceField)
        field.choices = grantees

    def clean_attributes(self) -> tuple[str, ...]:
        """The names, once each."""
        return _names(self.cleaned_data["attributes"])

    def clean_area(self) -> dict[str, Any] | None:
        """What was drawn, as a polygon."""
        return drawn_area(str(self.cleaned_data["area"]))

    def clean(self) -> dict[str, Any]:
        """Places that were chosen, or an area that was drawn: one of them."""
        said = super().clean() or self.cleaned_data
        if said.get("places") and said.get("area"):
            raise forms.ValidationError(_("Escolha lugares da lista, ou desenhe uma área no mapa; não as duas coisas."))
        return said

    def clean_until(self) -> date:
        """A day to come, within five years."""
        day: date = self.cleaned_data["until"]
        today = now().astimezone(self.zone).date()
        if not today <= day <= today + timedelta(days=LONGEST_DAYS):
            raise forms.ValidationError(_("Escolha um dia a partir de hoje, até daqui a cinco anos."))
        return day

    def terms(self, area: dict[str, Any] | None = None) -> Terms:
        """What was filled in, as terms; the last day counts whole, in the tenant's zone. `area` is that of the chosen places."""
        until = datetime.combine(self.cleaned_data["until"], time(23, 59, 59), self.zone)
        return Terms(
            types=tuple(self.cleaned_data["types"]), attributes=self.cleaned_data["attributes"], grain=Grain(self.cleaned_data["grain"]),
            purpose=self.cleaned_data["purpose"], until=until, area=self.cleaned_data.get("area") or area, area_name=self._names_of_places(),
        )  # fmt: skip

    def _names_of_places(self) -> str:
        return ", ".join(self.place_names[code] for code in self.cleaned_data.get("places") or ())


class DelegationForm(forms.Form):
    """Whom to let run the service."""

    delegate = forms.TypedChoiceField(label=_("Quem passa a gerir"), coerce=int)
    until = forms.DateField(label=_("Até que dia"), required=False, widget=forms.DateInput(attrs={"type": "date"}), help_text=_("Vazio: até a retirar."))

    def __init__(self, *args: object, delegates: list[tuple[int, str]], zone: ZoneInfo, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # handed on as they came
        self.zone = zone
        field = self.fields["delegate"]
        assert isinstance(field, forms.TypedChoiceField)
        field.choices = delegates

    def clean_until(self) -> datetime | None:
        """The last second of a day to come."""
        day: date | None = self.cleaned_data["until"]
        if day is None:
            return None
        if day < now().astimezone(self.zone).date():
            raise forms.ValidationError(_("Escolha um dia a partir de hoje."))
        return datetime.combine(day, time(23, 59, 59), self.zone)


def drawn_area(text: str) -> dict[str, Any] | None:
    """A polygon as the map writes it (GeoJSON, EPSG:4326); None of nothing. Raises ValidationError."""
    if not text.strip():
        return None
    try:
        shape = json.loads(text)
        polygons = shape["coordinates"] if shape["type"] == "MultiPolygon" else [shape["coordinates"]] if shape["type"] == "Polygon" else []
        rings = [ring for polygon in polygons for ring in polygon]
        usable = bool(rings) and all(len(ring) >= 4 and all(-180 <= float(x) <= 180 and -90 <= float(y) <= 90 for x, y, *_ in ring) for ring in rings)
    except (ValueError, TypeError, KeyError):
        usable = False
    if not usable:
        raise forms.ValidationError(_("A área desenhada não se consegue ler; desenhe-a outra vez."))
    return {"type": shape["type"], "coordinates": shape["coordinates"]}


def _names(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
