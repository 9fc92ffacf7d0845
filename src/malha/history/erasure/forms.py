"""What is asked before a person's data go."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from malha.history.erasure import rules
from malha.kernel.errors import MalhaError

GROUNDS = [
    ("RGPD art. 17.º, n.º 1, al. a)", _("Já não são precisos para o que foram recolhidos")),
    ("RGPD art. 17.º, n.º 1, al. b)", _("A pessoa retirou o consentimento")),
    ("RGPD art. 17.º, n.º 1, al. c)", _("A pessoa opôs-se ao tratamento")),
    ("RGPD art. 17.º, n.º 1, al. d)", _("Foram tratados ilicitamente")),
    ("RGPD art. 17.º, n.º 1, al. e)", _("Uma lei manda apagá-los")),
]


class ErasureForm(forms.Form):
    """Who, and why."""

    identifiers = forms.CharField(
        label=_("Identificadores"), max_length=2000, widget=forms.Textarea(attrs={"rows": 4, "autocomplete": "off"}),
        help_text=_("Um por linha: nome completo, NIF, telefone, correio, identificador de entidade. Não ficam guardados."),
    )  # fmt: skip
    ground = forms.ChoiceField(label=_("Fundamento"), choices=GROUNDS)

    def clean_identifiers(self) -> list[str]:
        """Those that meet nobody else's data by accident."""
        try:
            return rules.usable(str(self.cleaned_data["identifiers"]).splitlines())
        except MalhaError as reason:
            raise forms.ValidationError(_(reason.message).format(**reason.params)) from reason
