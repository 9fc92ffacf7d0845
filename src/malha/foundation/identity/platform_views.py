"""The platform's own pages: who we are, which doors are open, and making a municipality."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_GET, require_http_methods

from malha.foundation.access import service as access
from malha.foundation.access.contracts import Capability, RoleName
from malha.foundation.access.views import requires
from malha.foundation.identity import invitations, service
from malha.foundation.identity.contracts import PersonCard
from malha.foundation.identity.models import Person
from malha.foundation.identity.views import door_url
from malha.foundation.tenancy import country
from malha.foundation.tenancy import service as tenancy
from malha.foundation.tenancy.contracts import TenancyError, Tenant, UnknownTenant
from malha.kernel.text import sort_key


@require_GET
def landing(request: HttpRequest) -> HttpResponse:
    """Who we are in one line, and the tenants that the reader may enter."""
    doors = []
    if isinstance(request.user, Person):
        doors = [{"name": one.name, "via": one.via, "url": door_url(one.slug, one.hostname, request)} for one in access.tenants_of(request.user.pk)]
    may = access.principal(request).capabilities
    demo = [] if request.user.is_authenticated else service.demo_people(None)
    # Somebody has to be the first: who holds the machine names the operator.
    is_empty = not request.user.is_authenticated and not Person.objects.exists()
    return render(request, "identity/landing.html", {"doors": doors, "operates": Capability.PLATFORM_OPERATE in may, "demo": demo, "is_empty": is_empty})


class TenantForm(forms.Form):
    """Which municipality, and who will manage it."""

    dico = forms.ChoiceField(label=gettext_lazy("Município"))
    email = forms.EmailField(
        label=gettext_lazy("Endereço de quem vai gerir o serviço"), help_text=gettext_lazy("Recebe um convite que serve uma vez, durante sete dias.")
    )
    name = forms.CharField(label=gettext_lazy("Nome dessa pessoa"), required=False, max_length=150)

    def __init__(self, *args: Any, community: str = "", **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["dico"].choices = [("", gettext_lazy("Escolha…")), *choices(community)]  # type: ignore[attr-defined]  # a ChoiceField


class ManagerForm(forms.Form):
    """Another manager for a tenant."""

    email = forms.EmailField(label=gettext_lazy("Endereço de quem vai gerir o serviço"))
    name = forms.CharField(label=gettext_lazy("Nome dessa pessoa"), required=False, max_length=150)


def choices(community: str = "") -> list[tuple[str, list[tuple[str, str]]]]:
    """The 308 municipalities, or the members of one community, by district or region."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for one in country.members(community) if community else country.municipalities().values():
        groups.setdefault(one.district, []).append((one.dico, one.name))
    return [(district, sorted(groups[district], key=lambda pair: sort_key(pair[1]))) for district in sorted(groups, key=sort_key)]


def _card(request: HttpRequest) -> PersonCard:
    assert isinstance(request.user, Person)
    return service.card(request.user)


@requires(Capability.PLATFORM_OPERATE)
def tenants(request: HttpRequest) -> HttpResponse:
    """Every tenant of this installation; their data stay theirs."""
    _only_platform(request)
    return render(request, "identity/tenants.html", {"tenants": [tenancy.by_id(one) for one in tenancy.all_ids()]})


def _only_platform(request: HttpRequest) -> None:
    if getattr(request, "tenant", None) is not None:
        raise Http404


@requires(Capability.TENANT_CREATE)
@require_http_methods(["GET", "POST"])
def create(request: HttpRequest) -> HttpResponse:
    """Make a municipality and invite its manager: the operator any of the 308, a community its members."""
    here = getattr(request, "tenant", None)
    if here is not None and here.slug not in country.entities():
        raise Http404
    form = TenantForm(request.POST or None, community=here.slug if here else "")
    if request.method == "POST" and form.is_valid():
        said = form.cleaned_data
        try:
            tenant = tenancy.create_municipality(said["dico"])
        except TenancyError as refused:
            form.add_error("dico", _(refused.message).format(**refused.params))
        else:
            _invite_manager(request, tenant, said["email"], said["name"])
            return HttpResponseRedirect(reverse("identity:create_member") if here else reverse("identity:tenants"))
    return render(request, "identity/tenant_create.html", {"form": form, "community": here})


@requires(Capability.PLATFORM_OPERATE)
@require_http_methods(["GET", "POST"])
def invite(request: HttpRequest, slug: str) -> HttpResponse:
    """Invite a manager for a tenant that exists."""
    _only_platform(request)
    try:
        tenant = tenancy.by_slug(slug)
    except UnknownTenant as missing:
        raise Http404 from missing
    form = ManagerForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        _invite_manager(request, tenant, form.cleaned_data["email"], form.cleaned_data["name"])
        return HttpResponseRedirect(reverse("identity:tenants"))
    return render(request, "identity/invite_manager.html", {"form": form, "place": tenant.name})


def _invite_manager(request: HttpRequest, tenant: Tenant, email: str, name: str) -> None:
    with tenancy.scope(tenant.id):
        invitations.invite(tenant, email=email, role=RoleName.TENANT_MANAGER, name=name, by=_card(request))
    messages.success(request, _("Convite enviado a {email} para gerir {tenant}.").format(email=email, tenant=tenant.name))
