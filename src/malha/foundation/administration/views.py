"""Pages of those who answer for a tenant."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from malha.foundation.access import service as access
from malha.foundation.access.contracts import Capability
from malha.foundation.access.offers import area_of, places_of, types_of
from malha.foundation.access.views import requires
from malha.foundation.administration import words
from malha.foundation.administration.forms import GRAINS, AgreementForm, DelegationForm, IdentityForm
from malha.foundation.agreements import service as agreement_service
from malha.foundation.agreements.contracts import Agreement
from malha.foundation.audit import service as audit
from malha.foundation.audit.contracts import Entry
from malha.foundation.database import django as database
from malha.foundation.identity import service as people
from malha.foundation.tenancy import service as tenancy
from malha.foundation.tenancy.contracts import COMMUNITIES, Tenant
from malha.kernel.errors import MalhaError
from malha.kernel.time import now

PAGE = 50


def _tenant(request: HttpRequest) -> Tenant:
    tenant = getattr(request, "tenant", None)
    if not isinstance(tenant, Tenant):
        raise Http404
    return tenant


def _actor(request: HttpRequest) -> str:
    return f"person:{access.principal(request).person_id}"


@require_GET
def arms(request: HttpRequest, digest: str) -> HttpResponseBase:
    """The tenant's arms; the address changes with the image, so it may be kept for ever."""
    kept = tenancy.arms(_tenant(request).id)
    if kept is None or not kept[2].startswith(digest):
        raise Http404
    answer = HttpResponse(kept[1], content_type=kept[0])
    answer["Cache-Control"] = "public, max-age=31536000, immutable"
    answer["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return answer


@requires(Capability.TENANT_MANAGE)
@require_http_methods(["GET", "HEAD", "POST"])
def identity(request: HttpRequest) -> HttpResponseBase:
    """Name, colour and arms of the tenant."""
    tenant = _tenant(request)
    if request.method != "POST":
        form = IdentityForm(initial={"name": tenant.name, "accent": tenant.theme.get("accent", "")})
        return render(request, "administration/identity.html", {"form": form})
    form = IdentityForm(request.POST, request.FILES)
    if not form.is_valid():
        return render(request, "administration/identity.html", {"form": form}, status=422)
    tenancy.rename(tenant.id, name=form.cleaned_data["name"], accent=form.cleaned_data["accent"])
    if form.cleaned_data["arms"] or form.cleaned_data["remove_arms"]:
        tenancy.set_arms(tenant.id, form.cleaned_data["arms"])
    audit.record(tenant.id, _actor(request), "tenant.rename", f"tenant:{tenant.id}", {"name": form.cleaned_data["name"]})
    messages.success(request, _("Guardado. Já aparece no topo das páginas."))
    return redirect("administration:identity")


@requires(Capability.TENANT_MANAGE)
@require_http_methods(["GET", "HEAD", "POST"])
def delegation(request: HttpRequest) -> HttpResponseBase:
    """Who runs the service for this tenant; its community is offered first."""
    tenant = _tenant(request)
    offered = tenancy.offered_delegate(tenant.id)
    others = [one for one in tenancy.organisations(kinds=COMMUNITIES, tenants_only=True) if one.id != tenant.id and (offered is None or one.id != offered.id)]
    choices = [(one.id, one.name) for one in ([offered] if offered else []) + others]
    form = DelegationForm(request.POST or None, delegates=choices, zone=tenant.zone)
    if request.method == "POST" and form.is_valid():
        made = tenancy.delegate(tenant.id, form.cleaned_data["delegate"], until=form.cleaned_data["until"], by=_actor(request))
        audit.record(tenant.id, _actor(request), "tenant.delegate", f"tenant:{made.delegate.id}", {"until": made.valid_until and made.valid_until.isoformat()})
        messages.success(request, _("A partir de agora, {name} pode gerir o serviço.").format(name=made.delegate.name))
        return redirect("administration:delegation")
    given = tenancy.delegations(tenant.id)
    context = {
        "form": form, "choices": choices, "offered": offered, "members": tenancy.delegating_members(tenant.id),
        "current": [one for one in given if one.in_force], "past": [one for one in given if not one.in_force],
    }  # fmt: skip
    return render(request, "administration/delegation.html", context, status=422 if request.method == "POST" else 200)


@requires(Capability.TENANT_MANAGE)
@require_POST
def take_back(request: HttpRequest, delegate_id: int) -> HttpResponseBase:
    """End a delegation at once."""
    tenant = _tenant(request)
    if tenancy.end_delegation(tenant.id, delegate_id):
        audit.record(tenant.id, _actor(request), "tenant.take_back", f"tenant:{delegate_id}")
        with tenancy.scope(delegate_id):
            for person_id in {member.person_id for member in access.members(delegate_id)}:
                people.revoke_tokens(person_id)  # what their pages hold for the plane ends too
        messages.success(request, _("A delegação terminou agora."))
    return redirect("administration:delegation")


@requires(Capability.AGREEMENTS_MANAGE)
@require_GET
def agreements(request: HttpRequest) -> HttpResponseBase:
    """Who may see what, and who has read it; and what this tenant may read of others."""
    tenant, at = _tenant(request), now()
    given = agreement_service.given(database.current(), tenant.id)
    context = {
        "current": [one for one in given if one.in_force(at)],
        "past": [one for one in given if not one.in_force(at)],
        "received": agreement_service.granted(database.current(), tenant.id),
        "grains": dict(GRAINS),
    }
    return render(request, "administration/agreements.html", context)


@requires(Capability.AGREEMENTS_MANAGE)
@require_http_methods(["GET", "HEAD", "POST"])
def sign_agreement(request: HttpRequest) -> HttpResponseBase:
    """Let an organisation read some of this tenant's data."""
    tenant = _tenant(request)
    grantees = [(one.id, one.name) for one in tenancy.organisations(tenants_only=True) if one.id != tenant.id]
    types = types_of(tenant.id, get_language() or "pt-pt")
    form = AgreementForm(request.POST or None, grantees=grantees, types=types, places=places_of(tenant.id), zone=tenant.zone)
    if request.method == "POST" and form.is_valid():
        try:
            terms = form.terms(area_of(tenant.id, form.cleaned_data.get("places") or []))
            agreement_service.sign(database.current(), tenant.id, form.cleaned_data["grantee"], terms, by=_actor(request))
        except MalhaError as reason:
            form.add_error(None, _(reason.message).format(**reason.params))
        else:
            messages.success(request, _("O acordo está em vigor."))
            return redirect("administration:agreements")
    context = {"form": form, "nobody": not grantees}
    return render(request, "administration/agreement_sign.html", context, status=422 if request.method == "POST" else 200)


@requires(Capability.AGREEMENTS_MANAGE)
@require_GET
def agreement(request: HttpRequest, agreement_id: int) -> HttpResponseBase:
    """One agreement, with everybody who read under it."""
    tenant = _tenant(request)
    found = _agreement(tenant.id, agreement_id)
    rows = agreement_service.readings(database.current(), tenant.id, agreement_id)
    context = {
        "agreement": found, "area": agreement_service.describe_area(found.area), "in_force": found.in_force(now()), "grain": dict(GRAINS)[found.grain],
        "rows": [{"at": one.at, "who": words.actor(one.reader), "what": one.what} for one in rows],
    }  # fmt: skip
    return render(request, "administration/agreement.html", context)


@requires(Capability.AGREEMENTS_MANAGE)
@require_POST
def end_agreement(request: HttpRequest, agreement_id: int) -> HttpResponseBase:
    """End an agreement; the next reading is refused."""
    tenant = _tenant(request)
    if agreement_service.end(database.current(), tenant.id, agreement_id, by=_actor(request)):
        messages.success(request, _("O acordo terminou agora. A próxima leitura já é recusada."))
    return redirect("administration:agreements")


def _agreement(tenant_id: int, agreement_id: int) -> Agreement:
    for one in agreement_service.given(database.current(), tenant_id):
        if one.id == agreement_id:
            return one
    raise Http404


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the trail as the page shows it."""

    entry: Entry
    who: str
    action: str
    subject: str
    details: str


@requires(Capability.AUDIT_READ)
@require_GET
def trail(request: HttpRequest) -> HttpResponseBase:
    """Who did what, newest first."""
    tenant = _tenant(request)
    before = request.GET.get("antes", "")
    personal = request.GET.get("pessoais") == "1"
    action = request.GET.get("acao", "")[:80]
    found = audit.entries(database.current(), tenant.id, before=int(before) if before.isdecimal() else None, personal=personal, action=action, limit=PAGE + 1)
    names = {name: words.actor(name) for name in {one.actor for one in found[:PAGE]}}
    language = get_language() or "pt-pt"
    lines = [
        Line(one, names[one.actor], words.action(one.action), words.subject(one.subject), words.details(one.details, tenant, language)) for one in found[:PAGE]
    ]
    context = {
        "lines": lines,
        "personal": personal,
        "action": action,
        "areas": words.AREAS,
        "older": found[PAGE - 1].id if len(found) > PAGE else None,
        "first": not before,
    }
    return render(request, "administration/trail.html", context)
