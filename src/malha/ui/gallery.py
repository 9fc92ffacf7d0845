"""What the gallery shows: each component with plausible words, so that its look can be judged and tested."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.utils.translation import gettext as _

from malha.kernel.time import now

SEVERITIES = ("info", "attention", "warning", "critical", "nodata")


class ExampleForm(forms.Form):
    """One field of each kind."""

    name = forms.CharField(label="Nome do ponto", help_text="Como as pessoas lhe chamam.", max_length=80)
    limit = forms.DecimalField(label="Limite", required=False)
    kind = forms.ChoiceField(label="Tipo", choices=[("air", "Qualidade do ar"), ("noise", "Ruído"), ("waste", "Resíduos")])
    moment = forms.DateField(label="Desde", required=False, widget=forms.DateInput(attrs={"type": "date"}))
    days = forms.MultipleChoiceField(label="Dias", required=False, choices=[("1", "Dias úteis"), ("2", "Fim de semana")], widget=forms.CheckboxSelectMultiple)
    notes = forms.CharField(label="Notas", required=False, widget=forms.Textarea(attrs={"rows": 3}))
    agree = forms.BooleanField(label="Avisar por correio")


def context(theme: str) -> dict[str, Any]:
    """Everything that `ui/gallery.html` draws; `theme` is light, dark or nothing."""
    columns = [
        {"label": "Estação", "sort_url": "?ordem=estacao", "sorted": "ascending"},
        {"label": "Estado"},
        {"label": "PM10 (µg/m³)", "numeric": True, "sort_url": "?ordem=pm10"},
        {"label": "Última leitura"},
    ]
    rows = [
        [{"text": name, "href": "#tabela"}, {"severity": severity, "text": ""}, {"text": value, "numeric": True}, when]
        for name, severity, value, when in (
            ("Mercado", "info", "18,2", "há 2 minutos"),
            ("Ponte Velha", "critical", "61,0", "há 1 minuto"),
            ("Quinta do Rio", "nodata", "—", "há 3 horas"),
        )
    ]
    return {
        "theme": theme if theme in {"light", "dark"} else "",
        "severities": SEVERITIES,
        "form": ExampleForm({"limit": "x"}),
        "columns": columns,
        "rows": rows,
        "points": [12, 14, 13, 18, 22, None, 19, 17, 21, 24, 23, 18.2],
        "moment": now() - timedelta(minutes=7),
        "steps": [
            {"title": _("Nome e brasão"), "state": "done"},
            {"title": _("Um primeiro ficheiro"), "state": "current", "minutes": 5, "href": "#passos", "text": _("Pode experimentar com um exemplo.")},
            {"title": _("Um alarme"), "state": "todo", "minutes": 2},
        ],
        "tabs": [{"label": "Resumo", "href": "#a", "current": True}, {"label": "Cargas", "href": "#b", "count": 12}],
        "downloads": [{"label": "CSV", "href": "#csv", "hint": "Excel em português"}, {"label": "GeoJSON", "href": "#geojson", "hint": ""}],
    }
