"""Forms of signing in, in our words; forms of people, invitations and machines."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar, cast

from allauth.account import forms as account
from allauth.mfa.base import forms as second_factor
from allauth.mfa.totp.forms import ActivateTOTPForm
from allauth.mfa.webauthn.forms import AddWebAuthnForm, EditWebAuthnForm
from django import forms
from django.conf import settings
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from malha.foundation.access import offers
from malha.foundation.access.contracts import Capability, RoleName
from malha.foundation.identity.rules import INVITABLE, MACHINE_CAPABILITIES
from malha.foundation.settings import service as malha_settings
from malha.kernel.time import now

#: a name of a type or an attribute (GS CIM 009 §4.6.2), or a whole IRI
_NAME = re.compile(r"[^\W\d_]\w*|[A-Za-z][\w.\-]*:[^\s<>\"{}|\\^`]+")
Words = dict[str, tuple[str | Promise, str | Promise]]
EMAIL: tuple[str | Promise, str | Promise] = (_("Endereço de correio eletrónico"), "")
PASSWORD_HELP = _("Pelo menos 12 caracteres; três ou quatro palavras soltas servem bem.")
CODE_HELP = _("Está na mensagem que lhe enviámos. Vale dez minutos.")
APP_CODE: tuple[str | Promise, str | Promise] = (_("Código"), _("Seis algarismos da aplicação de autenticação, ou um código de recuperação."))


class Worded:
    """Puts our label and help on the fields that allauth made, and takes its placeholders away."""

    words: ClassVar[Words] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, (label, help_text) in self.words.items():
            field = self.fields.get(name)  # type: ignore[attr-defined]  # the form that this is mixed into
            if field is not None:
                field.label, field.help_text = label, help_text
                field.widget.attrs.pop("placeholder", None)


class LoginForm(Worded, account.LoginForm):  # type: ignore[misc]  # allauth is untyped
    """E-mail address and password."""

    words = {"login": EMAIL, "password": (_("Palavra-passe"), "")}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "auto_id": "senha_%s"})  # another form on the page asks for an address too


class CodeRequestForm(Worded, account.RequestLoginCodeForm):  # type: ignore[misc]  # allauth is untyped
    """The address to which a code goes."""

    words = {"email": EMAIL}


class CodeForm(Worded, account.ConfirmLoginCodeForm):  # type: ignore[misc]  # allauth is untyped
    """The code that came by mail."""

    words = {"code": (_("Código"), CODE_HELP)}


class EmailCodeForm(Worded, account.ConfirmEmailVerificationCodeForm):  # type: ignore[misc]  # allauth is untyped
    """The code that confirms an address."""

    words = {"code": (_("Código"), CODE_HELP)}


class ResetCodeForm(Worded, account.ConfirmPasswordResetCodeForm):  # type: ignore[misc]  # allauth is untyped
    """The code that allows another password."""

    words = {"code": (_("Código"), CODE_HELP)}


class PasswordChangeForm(Worded, account.ChangePasswordForm):  # type: ignore[misc]  # allauth is untyped
    """Another password for who knows the old one."""

    words = {"oldpassword": (_("Palavra-passe atual"), ""), "password1": (_("Palavra-passe nova"), PASSWORD_HELP), "password2": (_("Repita a nova"), "")}


class PasswordSetForm(Worded, account.SetPasswordForm):  # type: ignore[misc]  # allauth is untyped
    """A first password."""

    words = {"password1": (_("Palavra-passe"), PASSWORD_HELP), "password2": (_("Repita-a"), "")}


class PasswordResetForm(Worded, account.ResetPasswordForm):  # type: ignore[misc]  # allauth is untyped
    """The address of who forgot the password."""

    words = {"email": EMAIL}


class PasswordResetKeyForm(Worded, account.ResetPasswordKeyForm):  # type: ignore[misc]  # allauth is untyped
    """Another password for who proved the address."""

    words = {"password1": (_("Palavra-passe nova"), PASSWORD_HELP), "password2": (_("Repita-a"), "")}


class AddressForm(Worded, account.AddEmailForm):  # type: ignore[misc]  # allauth is untyped
    """Another e-mail address."""

    words = {"email": (_("Endereço novo"), _("Enviamos-lhe um código para o confirmar; até lá vale o atual."))}


class ReauthenticateForm(Worded, account.ReauthenticateForm):  # type: ignore[misc]  # allauth is untyped
    """The password again, before something delicate."""

    words = {"password": (_("Palavra-passe"), "")}


class SecondStepForm(Worded, second_factor.AuthenticateForm):  # type: ignore[misc]  # allauth is untyped
    """Second step of signing in."""

    words = {"code": APP_CODE}


class SecondStepAgainForm(Worded, second_factor.ReauthenticateForm):  # type: ignore[misc]  # allauth is untyped
    """Second step again, before something delicate."""

    words = {"code": APP_CODE}


class AppForm(Worded, ActivateTOTPForm):  # type: ignore[misc]  # allauth is untyped
    """First code of an authenticator app."""

    words = {"code": (_("Código que a aplicação mostra"), "")}


class PasskeyForm(Worded, AddWebAuthnForm):  # type: ignore[misc]  # allauth is untyped
    """A passkey, always of the kind that signs in by itself."""

    words = {"name": (_("Nome desta chave"), _("Por exemplo “Portátil do serviço”: ajuda a saber qual retirar."))}
    passwordless = forms.BooleanField(required=False, initial=True, widget=forms.HiddenInput)


class PasskeyNameForm(Worded, EditWebAuthnForm):  # type: ignore[misc]  # allauth is untyped
    """Another name for a passkey."""

    words = {"name": (_("Nome desta chave"), "")}


class PersonForm(forms.Form):
    """What a person says about themselves."""

    name = forms.CharField(label=_("Nome"), max_length=150, required=False, widget=forms.TextInput(attrs={"autocomplete": "name"}))
    language = forms.ChoiceField(label=_("Língua"), choices=settings.LANGUAGES)


class AcceptForm(forms.Form):
    """Name of somebody who accepts an invitation."""

    name = forms.CharField(
        label=_("O seu nome"), max_length=150, help_text=_("Como os colegas o conhecem."), widget=forms.TextInput(attrs={"autocomplete": "name"})
    )


ROLE_WORDS: dict[RoleName, tuple[str | Promise, str | Promise]] = {
    RoleName.PLATFORM_OPERATOR: (_("Operador da plataforma"), _("Cria municípios; não vê os dados de nenhum.")),
    RoleName.TENANT_MANAGER: (_("Gestor do serviço"), _("Pessoas, fontes, pacotes, publicação: tudo menos colunas sobre pessoas.")),
    RoleName.ANALYST: (_("Analista"), _("Carrega dados, faz painéis, exporta e prepara dados abertos.")),
    RoleName.OPERATOR: (_("Operador"), _("Acompanha, atende alarmes e escreve regras.")),
    RoleName.FIELD_WORKER: (_("Trabalho no terreno"), _("Vê e atende o que lhe cabe.")),
    RoleName.PUBLISHER: (_("Publicação"), _("Aprova e publica dados abertos.")),
    RoleName.DATA_PROTECTION_OFFICER: (_("Encarregado de proteção de dados"), _("Vê colunas sobre pessoas, acordos e auditoria.")),
    RoleName.VIEWER: (_("Leitura"), _("Vê, sem mudar nada.")),
    RoleName.CITIZEN: (_("Cidadão"), ""),
    RoleName.MACHINE: (_("Máquina"), ""),
    RoleName.SUPPLIER: (_("Fornecedor"), _("Vê durante um período combinado.")),
}

CAPABILITY_WORDS: dict[Capability, str | Promise] = {
    Capability.DATA_READ: _("Ler dados"),
    Capability.DATA_WRITE: _("Escrever entidades e medições"),
    Capability.DATA_LOAD: _("Carregar ficheiros"),
    Capability.DATA_EXPORT: _("Exportar"),
    Capability.MODELS_MANAGE: _("Gerir modelos de dados"),
    Capability.ALERTS_HANDLE: _("Atender alarmes"),
    Capability.TENANT_CREATE: _("Criar municípios à primeira escrita"),
}


def _role_choices() -> list[tuple[str, str]]:
    return [(role.value, f"{ROLE_WORDS[role][0]}: {ROLE_WORDS[role][1]}") for role in INVITABLE]


LIMITS = ("categories", "places", "datasets")


class LimitsForm(forms.Form):
    """What part of the tenant somebody reaches: nothing chosen is all of it. A choice that the tenant has nothing of is not offered."""

    categories = forms.MultipleChoiceField(label=_("Só estes assuntos"), required=False, widget=forms.CheckboxSelectMultiple)
    places = forms.MultipleChoiceField(label=_("Só nestes lugares"), required=False, widget=forms.CheckboxSelectMultiple)
    datasets = forms.MultipleChoiceField(
        label=_("Só estes conjuntos de dados abertos"), required=False, widget=forms.CheckboxSelectMultiple,
        help_text=_("Os que pode preparar, publicar e retirar. Não muda o que vê."),
    )  # fmt: skip

    def __init__(self, *args: Any, tenant_id: int, language: str, scope: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.tenant_id = tenant_id
        offered = {"categories": offers.themes_of(tenant_id, language), "places": offers.places_of(tenant_id), "datasets": offers.datasets_of(tenant_id)}
        for name, choices in offered.items():
            field = self.fields[name]
            assert isinstance(field, forms.MultipleChoiceField)
            field.choices = choices
            held = list((scope or {}).get(name, ()))
            field.initial = [code for code, label in choices if code in held or label in held]  # places are kept by their names
            if not choices:
                del self.fields[name]

    def scope(self) -> dict[str, Any]:
        """What was chosen, as the scope of a role."""
        said = self.cleaned_data
        names = dict(offers.places_of(self.tenant_id))
        codes = said.get("places") or []
        chosen = {"categories": said.get("categories"), "datasets": said.get("datasets"), "places": [names[code] for code in codes]}
        return {name: value for name, value in {**chosen, "area": offers.area_of(self.tenant_id, codes)}.items() if value}


class InviteForm(LimitsForm):
    """Whom to invite and as what."""

    field_order = ("email", "name", "role", "until")

    email = forms.EmailField(label=_("Endereço de correio eletrónico"))
    name = forms.CharField(label=_("Nome"), max_length=150, required=False)
    role = forms.ChoiceField(label=_("Função"), choices=_role_choices, initial=RoleName.ANALYST, widget=forms.RadioSelect)
    until = forms.DateField(
        label=_("Até ao fim do dia"), required=False, widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
        help_text=_("Vazio: sem fim. Um fornecedor entra sempre por um período combinado."),
    )  # fmt: skip

    def clean(self) -> dict[str, Any]:
        """A supplier's role ends; no role ends before it begins."""
        said = super().clean() or {}
        if said.get("role") == RoleName.TENANT_MANAGER and any(said.get(name) for name in LIMITS):
            self.add_error("role", _("Quem gere o serviço vê tudo: retire os limites, ou escolha outra função."))
        until = said.get("until")
        if said.get("role") == RoleName.SUPPLIER and not until:
            self.add_error("until", _("Diga até quando o fornecedor entra."))
        if until and until < now().date():
            self.add_error("until", _("Esse dia já passou."))
        return said


class MachineForm(LimitsForm):
    """A program that enters with credentials of its own."""

    field_order = ("name", "capabilities", "types", "attributes")

    name = forms.CharField(label=_("Nome da ligação"), max_length=100, help_text=_("Quem ou o que se liga: “Sensores do rio”, “Sistema de frota”."))
    capabilities = forms.MultipleChoiceField(
        label=_("O que pode fazer"),
        choices=[(one.value, CAPABILITY_WORDS[one]) for one in MACHINE_CAPABILITIES],
        initial=[Capability.DATA_READ],
        widget=forms.CheckboxSelectMultiple,
    )
    types = forms.CharField(
        label=_("Só estes tipos de entidade"), required=False, help_text=_("Separados por vírgulas, por exemplo WeatherObserved, Device. Vazio: todos.")
    )

    attributes = forms.CharField(
        label=_("Só estes atributos"), required=False, help_text=_("Separados por vírgulas, por exemplo temperature, location. Vazio: todos.")
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields.pop("datasets", None)  # programs publish nothing
        if not malha_settings.current().tenants_by_write:
            may = cast("forms.MultipleChoiceField", self.fields["capabilities"])
            may.choices = [(one.value, CAPABILITY_WORDS[one]) for one in MACHINE_CAPABILITIES if one is not Capability.TENANT_CREATE]

    def scope(self) -> dict[str, Any]:
        """As of a role, with the attributes."""
        attributes = self.cleaned_data["attributes"]
        return super().scope() | ({"attributes": attributes} if attributes else {})

    def clean_attributes(self) -> list[str]:
        """Names of attributes; none for all."""
        return self._names("attributes")

    def clean_types(self) -> list[str] | None:
        """Names of types, or None for all."""
        return self._names("types") or None

    def _names(self, field: str) -> list[str]:
        """What is between the commas. A name that can be none is refused: with it the program would reach nothing, and nobody would see why."""
        names = [part.strip() for part in self.cleaned_data[field].split(",") if part.strip()]
        for name in names:
            if not _NAME.fullmatch(name):
                raise forms.ValidationError(_("“%(name)s” não é um nome: escreva-o como nos modelos de dados, sem espaços."), params={"name": name})
        return names
