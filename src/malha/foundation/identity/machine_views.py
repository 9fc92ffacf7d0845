"""*Ligações*: programs that enter the tenant with credentials of their own."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from malha.foundation.access import service as access
from malha.foundation.access.contracts import Capability
from malha.foundation.access.views import requires
from malha.foundation.identity import invitations, service
from malha.foundation.identity.contracts import Machine, UnknownMachine
from malha.foundation.identity.forms import CAPABILITY_WORDS, MachineForm
from malha.foundation.tenancy.contracts import Tenant
from malha.kernel.time import now


def _tenant(request: HttpRequest) -> Tenant:
    tenant = getattr(request, "tenant", None)
    assert isinstance(tenant, Tenant)  # `requires` refuses the platform's own address
    return tenant


@requires(Capability.CLIENTS_MANAGE)
def machines(request: HttpRequest) -> HttpResponse:
    """Every connection, with when it was last used."""
    moment = now()
    rows = [
        {"machine": one, "may": ", ".join(str(CAPABILITY_WORDS[name]) for name in sorted(one.capabilities)), "expired": one.expires_at <= moment}
        for one in service.machines_of(_tenant(request).id)
    ]
    return render(request, "identity/machines.html", {"rows": rows})


@never_cache
@requires(Capability.CLIENTS_MANAGE)
@require_http_methods(["GET", "POST"])
def create(request: HttpRequest) -> HttpResponse:
    """A new connection; its secret is shown on the answer and never again."""
    tenant = _tenant(request)
    form = MachineForm(request.POST or None, tenant_id=tenant.id, language=get_language() or "pt-pt")
    if request.method == "POST" and form.is_valid():
        said = form.cleaned_data
        asked = [Capability(name) for name in said["capabilities"]]
        lacking = [name for name in asked if not access.principal(request).may(name)]
        if lacking:
            form.add_error("capabilities", _("Só pode dar o que também pode fazer."))
        else:
            machine, secret = service.create_machine(
                tenant.id, name=said["name"], capabilities=asked, types=said["types"], created_by=request.user.pk, scope=form.scope()
            )
            return _show_secret(request, tenant, machine, secret)
    return render(request, "identity/machine_create.html", {"form": form})


@never_cache
@requires(Capability.CLIENTS_MANAGE)
@require_POST
def change(request: HttpRequest, machine_id: int) -> HttpResponse:
    """Renew a connection's secret, let it serve for another year with the one it has, or end it."""
    tenant = _tenant(request)
    try:
        if request.POST.get("action") == "renew":
            return _show_secret(request, tenant, *service.renew_machine(tenant.id, machine_id, by=request.user.pk))
        if request.POST.get("action") == "prolong":
            machine = service.prolong_machine(tenant.id, machine_id, by=request.user.pk)
            messages.success(request, _("“{name}” serve por mais um ano, com o segredo que já tem.").format(name=machine.name))
            return HttpResponseRedirect(reverse("identity:machines"))
        machine = service.revoke_machine(tenant.id, machine_id, by=request.user.pk)
        messages.success(request, _("“{name}” deixou de entrar.").format(name=machine.name))
    except UnknownMachine as refused:
        messages.error(request, _(refused.message))
    return HttpResponseRedirect(reverse("identity:machines"))


def _show_secret(request: HttpRequest, tenant: Tenant, machine: Machine, secret: str) -> HttpResponse:
    token_url = invitations.address(tenant, "identity/o/api/token")
    kind = min(machine.types) if machine.types else "Device"
    ask = f"curl -s -X POST {token_url} \\\n  -d grant_type=client_credentials \\\n  -d client_id={machine.client_id} \\\n  -d client_secret={secret}"
    use = f'curl -s "{invitations.address(tenant, "ngsi-ld/v1/entities")}?type={kind}&limit=10" \\\n  -H "Authorization: Bearer $TOKEN"'
    context = {"machine": machine, "secret": secret, "ask": ask, "use": use, "token_url": token_url}
    return render(request, "identity/machine_secret.html", context)
