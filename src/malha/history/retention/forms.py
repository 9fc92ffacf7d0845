"""What may be said of how long a type is kept."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

UNITS = [("D", _("dias")), ("M", _("meses")), ("Y", _("anos"))]
HOW = [("model", _("Como o modelo diz")), ("good", _("Para sempre")), ("period", _("Durante um período"))]


class RuleForm(forms.Form):
    """One type's rule."""

    how = forms.ChoiceField(label=_("Cada valor guarda-se"), choices=HOW)
    count = forms.IntegerField(label=_("Quanto"), min_value=1, max_value=9999, required=False)
    unit = forms.ChoiceField(label=_("Unidade"), choices=UNITS, required=False)
    hold_reason = forms.CharField(
        label=_("Retenção legal"), max_length=300, required=False,
        help_text=_("Enquanto aqui houver um motivo (processo, auditoria), nada deste tipo sai. Vazio: não há."),
    )  # fmt: skip

    def clean(self) -> dict[str, object]:
        """A period has a length."""
        given = super().clean() or {}
        if given.get("how") == "period" and not given.get("count"):
            self.add_error("count", _("Diga quanto tempo."))
        return given

    def keep(self) -> str:
        """The period as ISO 8601; empty for good."""
        return f"P{self.cleaned_data['count']}{self.cleaned_data['unit']}" if self.cleaned_data["how"] == "period" else ""
