"""Forms of *Sensores*."""

from __future__ import annotations

import re
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from malha.ingest.devices.contracts import DoorKind
from malha.ingest.devices.rules import LONGEST_ID

#: sensors that one list announces
MOST_AT_ONCE = 10_000
KIND_WORDS = {
    DoorKind.JSON: _("Endereço HTTP (JSON), para sensores e programas seus"),
    DoorKind.CHIRPSTACK: _("LoRaWAN por ChirpStack v4 (integração HTTP)"),
    DoorKind.TTS: _("LoRaWAN por The Things Stack v3 (webhook)"),
    DoorKind.MQTT: _("MQTT: um broker que já tem"),
}
_TOPIC = re.compile(r"[^#+$\x00][^#+\x00]*")


class DoorForm(forms.Form):
    """A new way in."""

    name = forms.CharField(label=_("Nome"), max_length=120, help_text=_("Por exemplo “Sensores de ruído” ou o nome do fornecedor."))
    kind = forms.ChoiceField(label=_("Como falam"), choices=[(kind.value, words) for kind, words in KIND_WORDS.items()], widget=forms.RadioSelect)
    host = forms.CharField(label=_("Computador"), max_length=253, help_text=_("Por exemplo mqtt.exemplo.pt."))
    port = forms.IntegerField(label=_("Porto"), required=False, min_value=1, max_value=65535, help_text=_("Vazio: 8883 com TLS, 1883 sem ele."))
    tls = forms.BooleanField(label=_("Ligação cifrada (TLS)"), required=False, initial=True)
    user = forms.CharField(label=_("Utilizador"), required=False, max_length=200)
    password = forms.CharField(label=_("Palavra-passe"), required=False, max_length=500, widget=forms.PasswordInput(attrs={"autocomplete": "off"}))
    topic = forms.CharField(label=_("Tópico"), max_length=500, help_text=_("Ponha {device} no lugar do identificador do sensor: sensores/{device}/dados."))
    share = forms.SlugField(
        label=_("Subscrição partilhada"),
        required=False,
        max_length=60,
        help_text=_("Vazio na maior parte dos casos; um nome reparte as mensagens por vários processos."),
    )
    version = forms.ChoiceField(label=_("Versão"), choices=[("5", "MQTT 5"), ("3.1.1", "MQTT 3.1.1")], initial="5", required=False)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.is_bound and self.data.get("kind") != DoorKind.MQTT.value:
            for name in ("host", "topic"):
                self.fields[name].required = False

    def everywhere(self) -> list[forms.BoundField]:
        """What is asked of every kind of door."""
        return [self["name"], self["kind"]]

    def of_mqtt(self) -> list[forms.BoundField]:
        """What is asked only when a broker of their own is to be listened to."""
        return [field for field in self if field.name not in {"name", "kind"}]

    def clean_topic(self) -> str:
        topic = str(self.cleaned_data["topic"] or "")
        if topic and not _TOPIC.fullmatch(topic):
            raise forms.ValidationError(_("Escreva o tópico sem # nem +; {device} fica no lugar do identificador."))
        return topic


class AddForm(forms.Form):
    """One sensor or a list of them."""

    lines = forms.CharField(
        label=_("Sensores"), widget=forms.Textarea(attrs={"rows": 8, "spellcheck": "false"}), max_length=200_000,
        help_text=_("Um por linha: o identificador e, se quiser, o nome depois de ponto e vírgula. Pode colar de uma folha de cálculo."),
    )  # fmt: skip

    def clean_lines(self) -> list[tuple[str, str]]:
        found = []
        for number, line in enumerate(self.cleaned_data["lines"].splitlines(), start=1):
            external_id, _sep, name = (part.strip() for part in line.replace("\t", ";").partition(";"))
            if name and not external_id:
                raise forms.ValidationError(_("Linha %(number)s: falta o identificador, antes do ponto e vírgula."), params={"number": number})
            if len(external_id.encode()) > LONGEST_ID:
                raise forms.ValidationError(_("Linha %(number)s: o identificador tem mais de %(most)s bytes."), params={"number": number, "most": LONGEST_ID})
            if external_id:
                found.append((external_id, name))
        if not found:
            raise forms.ValidationError(_("Escreva pelo menos um identificador."))
        if len(found) > MOST_AT_ONCE:
            raise forms.ValidationError(_("Junte até %(most)s de cada vez; vieram %(count)s."), params={"most": MOST_AT_ONCE, "count": len(found)})
        return found


class ReplaceForm(forms.Form):
    """The sensor that comes in the place of a broken one."""

    external_id = forms.CharField(label=_("Identificador do sensor novo"), max_length=500)
