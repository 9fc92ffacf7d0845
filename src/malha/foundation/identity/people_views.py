"""*Pessoas*: who may enter the tenant, as what; invitations; letting in whoever lost the phone."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, time
from typing import Any

from allauth.mfa.models import Authenticator
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from malha.foundation.access import offers
from malha.foundation.access import service as access
from malha.foundation.access.contracts import Capability, RoleName
from malha.foundation.access.views import requires
from malha.foundation.identity import invitations, service
from malha.foundation.identity.contracts import AlreadyMember, InvitationSpent, PersonCard
from malha.foundation.identity.forms import ROLE_WORDS, InviteForm, LimitsForm
from malha.foundation.identity.models import Person
from malha.foundation.identity.rules import INVITABLE
from malha.foundation.identity.views import role_label
from malha.foundation.mail import service as mail
from malha.foundation.tenancy.contracts import Tenant
from malha.kernel.time import now


@dataclass(slots=True)
class Row:
    """One person of the tenant with every role they have in it."""

    person: Person
    tenant_id: int
    roles: list[str] = field(default_factory=list)
    until: datetime | None = None
    protected: bool = False
    scope: dict[str, Any] = field(default_factory=dict)

    def limits(self) -> str:
        """What the roles are limited to, in words; empty where nothing is."""
        themes = dict(offers.themes_of(self.tenant_id, get_language() or "pt-pt")) if self.scope.get("categories") else {}
        named = [themes.get(one, one) for one in self.scope.get("categories", ())]
        return ", ".join([*named, *self.scope.get("places", ()), *self.scope.get("datasets", ())])

    def labels(self) -> str:
        """The roles in words."""
        return ", ".join(role_label(role) for role in self.roles)


def _tenant(request: HttpRequest) -> Tenant:
    tenant = getattr(request, "tenant", None)
    assert isinstance(tenant, Tenant)  # `requires` refuses the platform's own address
    return tenant


def rows(tenant_id: int) -> list[Row]:
    """The people of the tenant, by name."""
    found: dict[int, Row] = {}
    for one in access.members(tenant_id):
        row = found.setdefault(one.person_id, Row(one.person, tenant_id))
        row.roles.append(one.role)
        row.until = one.valid_until or row.until
        row.scope = one.scope or row.scope
    protecting = [Authenticator.Type.WEBAUTHN, Authenticator.Type.TOTP]
    for person_id in Authenticator.objects.filter(user_id__in=found, type__in=protecting).values_list("user_id", flat=True):
        found[person_id].protected = True
    return list(found.values())


@requires(Capability.PEOPLE_MANAGE)
def people(request: HttpRequest) -> HttpResponse:
    """Everybody with a role here, and invitations that wait."""
    tenant = _tenant(request)
    known = rows(tenant.id)
    managers = sum(RoleName.TENANT_MANAGER in row.roles for row in known)
    moment = now()
    waiting = [{"card": one, "role": role_label(one.role), "expired": not one.is_open(moment)} for one in invitations.waiting(tenant.id)]
    return render(request, "identity/people.html", {"rows": known, "waiting": waiting, "lonely": managers < 2})


@requires(Capability.PEOPLE_MANAGE)
@require_http_methods(["GET", "POST"])
def invite(request: HttpRequest) -> HttpResponse:
    """Invite somebody."""
    tenant = _tenant(request)
    language, asked = get_language() or "pt-pt", request.GET.get("role", RoleName.ANALYST)
    form = InviteForm(request.POST or None, initial={"role": asked}, tenant_id=tenant.id, language=language)
    if request.method == "POST" and form.is_valid():
        said = form.cleaned_data
        try:
            until = datetime.combine(said["until"], time.max, tenant.zone) if said["until"] else None
            role, scope = RoleName(said["role"]), form.scope()
            card, _link = invitations.invite(tenant, email=said["email"], role=role, name=said["name"], until=until, scope=scope, by=_card(request))
        except AlreadyMember as refused:
            form.add_error("email", _(refused.message).format(**refused.params))
        else:
            messages.success(request, _("Convite enviado a {email}; serve uma vez, durante sete dias.").format(email=card.email))
            return HttpResponseRedirect(reverse("identity:people"))
    return render(request, "identity/invite.html", {"form": form})


def _card(request: HttpRequest) -> PersonCard:
    assert isinstance(request.user, Person)
    return service.card(request.user)


@requires(Capability.PEOPLE_MANAGE)
@require_POST
def change_invitation(request: HttpRequest, invitation_id: int) -> HttpResponse:
    """Send an invitation again, or withdraw it."""
    tenant = _tenant(request)
    if request.POST.get("action") == "revoke":
        invitations.revoke(tenant, invitation_id, by=_card(request))
        messages.success(request, _("Convite retirado."))
    else:
        try:
            card, _link = invitations.resend(tenant, invitation_id, by=_card(request))
            messages.success(request, _("Convite enviado outra vez a {email}; a ligação anterior deixou de servir.").format(email=card.email))
        except InvitationSpent as refused:
            messages.error(request, _(refused.message))
    return HttpResponseRedirect(reverse("identity:people"))


@never_cache
@requires(Capability.PEOPLE_MANAGE)
@require_http_methods(["GET", "POST"])
def person(request: HttpRequest, person_id: int) -> HttpResponse:
    """One person: roles, second step, way out."""
    tenant = _tenant(request)
    known = rows(tenant.id)
    row = next((one for one in known if one.person.pk == person_id), None)
    if row is None:
        raise Http404
    only_manager = RoleName.TENANT_MANAGER in row.roles and sum(RoleName.TENANT_MANAGER in one.roles for one in known) == 1
    if request.method == "POST":
        _change(request, tenant, row, only_manager=only_manager)
        return HttpResponseRedirect(request.path if request.POST.get("action") in {"roles", "limits"} else reverse("identity:people"))
    roles = [{"value": role.value, "label": ROLE_WORDS[role][0], "text": ROLE_WORDS[role][1], "held": role in row.roles} for role in INVITABLE]
    limits = LimitsForm(tenant_id=tenant.id, language=get_language() or "pt-pt", scope=row.scope)
    values = {"row": row, "roles": roles, "only_manager": only_manager, "limits": limits, "manages": RoleName.TENANT_MANAGER in row.roles}
    return render(request, "identity/person.html", values)


def _change(request: HttpRequest, tenant: Tenant, row: Row, *, only_manager: bool) -> None:
    action, by = request.POST.get("action"), f"person:{request.user.pk}"
    if action == "second_factor":
        service.reset_second_factor(row.person.pk, tenant_id=tenant.id, by=by)
        text = _(
            "Quem gere {tenant} repôs o segundo passo da sua conta, porque o pediu ou perdeu o aparelho. Entre com um código por correio e crie outra chave de acesso."
        )
        mail.send(row.person.email, _("O segundo passo da sua conta foi reposto"), text.format(tenant=tenant.name))
        messages.success(request, _("{person} já pode entrar com um código por correio.").format(person=row.person))
    elif action == "limits":
        _limit(request, tenant, row, by)
    elif action in {"roles", "remove"}:
        wanted = {role for role in INVITABLE if role in request.POST.getlist("roles")} if action == "roles" else set[RoleName]()
        if only_manager and RoleName.TENANT_MANAGER not in wanted:
            messages.error(request, _("É a única pessoa que gere este serviço. Nomeie primeiro outra."))
            return
        if action == "roles" and not wanted:
            messages.error(request, _("Escolha pelo menos uma função, ou retire a pessoa."))
            return
        _set_roles(tenant, row, wanted, by)
        messages.success(request, _("Funções guardadas.") if action == "roles" else _("{person} deixou de entrar aqui.").format(person=row.person))


def _limit(request: HttpRequest, tenant: Tenant, row: Row, by: str) -> None:
    """Let all roles of a person reach what was chosen, and nothing else."""
    form = LimitsForm(request.POST, tenant_id=tenant.id, language=get_language() or "pt-pt")
    if not form.is_valid():
        messages.error(request, _("Escolha de entre o que está na lista."))
        return
    scope = form.scope()
    if scope and RoleName.TENANT_MANAGER in row.roles:
        messages.error(request, _("Quem gere o serviço vê tudo: retire os limites, ou escolha outra função."))
        return
    for role in row.roles:
        access.grant(row.person.pk, tenant.id, RoleName(role), scope, until=row.until, by=by)
    service.revoke_tokens(row.person.pk)
    messages.success(request, _("Limites guardados.") if scope else _("Sem limites: vê tudo o que a função permite."))


def _set_roles(tenant: Tenant, row: Row, wanted: set[RoleName], by: str) -> None:
    held = {RoleName(role) for role in row.roles}
    for role in held - wanted:
        access.revoke(row.person.pk, tenant.id, role, by=by)
    for role in wanted - held:
        access.grant(row.person.pk, tenant.id, role, None if role is RoleName.TENANT_MANAGER else row.scope, until=row.until, by=by)
    service.revoke_tokens(row.person.pk)
