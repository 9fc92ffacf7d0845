"""The page where a tenant says how strictly its data is held to its models. The Django half of `policy`."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import get_language
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from malha.foundation.access import service as rights
from malha.foundation.access import views as access
from malha.foundation.access.contracts import Capability
from malha.foundation.database import service as database
from malha.foundation.tenancy.contracts import Tenant
from malha.kernel.text import sort_key
from malha.vocabulary.models import policy, service
from malha.vocabulary.models.policy import JSON_LD, Mode, Rule

MODES = [(Mode.OFF, _("Não validar")), (Mode.WARN, _("Avisar e guardar")), (Mode.ENFORCE, _("Recusar com as razões"))]
MEDIA = [(JSON_LD, _("JSON-LD (perfil nacional)")), ("application/json", _("JSON (ETSI GS CIM 009)"))]


class RuleForm(forms.Form):
    """One rule: a type, or all of them."""

    type = forms.ChoiceField(label=_("Tipo"), required=False, help_text=_("Só os tipos que têm um modelo se podem validar."))
    mode = forms.ChoiceField(label=_("O que fazer com o que não cumpre o modelo"), choices=MODES)
    complete_address = forms.BooleanField(
        label=_("Completar a morada a partir do lugar"), required=False,
        help_text=_("Município, distrito e região vêm do ponto em “location”, quando a morada não os traz."),
    )  # fmt: skip
    usual_media = forms.ChoiceField(label=_("Formato das respostas quando ninguém pede outro"), choices=MEDIA, required=False)

    def __init__(self, *args: Any, tenant_id: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        words = get_language() or "pt-pt"
        named = sorted(
            ((f"{model.label.in_language(words)} ({model.type})", model.type) for model in service.all_models(tenant_id)), key=lambda one: sort_key(one[0])
        )
        cast("forms.ChoiceField", self.fields["type"]).choices = [("", _("Todos os outros")), *((name, label) for label, name in named)]


@require_http_methods(["GET", "HEAD", "POST"])
@access.requires(Capability.MODELS_MANAGE)
def rules(request: HttpRequest) -> HttpResponse:
    """See, set and remove rules; what was let in with a warning, by property."""
    tenant = getattr(request, "tenant", None)
    if not isinstance(tenant, Tenant):
        raise Http404
    conn = database.current()
    form = RuleForm(request.POST or None, tenant_id=tenant.id, initial={"type": request.GET.get("tipo", ""), "mode": Mode.WARN})
    if request.method == "POST" and "remove" in request.POST:
        policy.remove_rule(conn, tenant.id, request.POST["remove"][:200])
        return redirect("models:rules")
    if request.method == "POST" and form.is_valid():
        said = form.cleaned_data
        by = rights.principal(request).name
        rule = Rule(Mode(said["mode"]), said["complete_address"])
        policy.set_rule(conn, tenant.id, said["type"], rule, usual_media=said["usual_media"] or JSON_LD, by=by)
        return redirect("models:rules")
    words = {mode.value: label for mode, label in MODES}
    known = policy.of_tenant(conn, tenant.id)
    shown = [{"type": name, "mode": words[rule.mode.value], "address": rule.complete_address} for name, rule in sorted(known.rules.items())]
    context = {"tenant": tenant, "form": form, "rules": shown, "warnings": policy.warnings(conn, tenant.id)}
    return render(request, "models/rules.html", context, status=422 if request.method == "POST" else 200)
