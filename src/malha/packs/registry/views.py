"""The packs of a tenant: on with one click, off with another."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from malha.context.store import service as store
from malha.foundation.access import service as access_service
from malha.foundation.access import views as access
from malha.foundation.access.contracts import Capability
from malha.foundation.database import django as database
from malha.foundation.tenancy.contracts import Tenant
from malha.packs.registry import service
from malha.vocabulary.models import service as models


@access.requires(Capability.PACKS_MANAGE)
def listing(request: HttpRequest) -> HttpResponse:
    """What packs there are, what each needs and brings, which are on."""
    conn, tenant, language = database.current(), request.tenant, get_language() or "pt-pt"  # type: ignore[attr-defined]  # set by the tenancy middleware
    assert isinstance(tenant, Tenant)
    on, counts = service.active(conn, tenant.id), {name: count for name, count, _changed in store.types(conn, tenant.id)}
    rows = [
        {
            "name": pack.name, "label": pack.label.in_language(language), "description": pack.description.in_language(language), "needs": pack.needs.in_language(language),
            "active": on.get(pack.name), "metrics": [one.label.in_language(language) for one in pack.metrics], "layers": [one.label.in_language(language) for one in pack.layers],
            "rules": [one.name for one in pack.rules], "types": [(_label(name, tenant, language), counts.get(name, 0)) for name in pack.types],
        }
        for pack in service.all_packs()
    ]  # fmt: skip
    return render(request, "registry/list.html", {"tenant": tenant, "packs": rows})


def _label(entity_type: str, tenant: Tenant, language: str) -> str:
    model = models.find(entity_type, tenant.id)
    return model.label.in_language(language) if model else entity_type


@require_POST
@access.requires(Capability.PACKS_MANAGE)
def switch(request: HttpRequest, name: str) -> HttpResponse:
    """Switch a pack on or off; the message offers the way back."""
    conn, tenant = database.current(), request.tenant  # type: ignore[attr-defined]  # set by the tenancy middleware
    assert isinstance(tenant, Tenant)
    actor = f"person:{access_service.principal(request).person_id}"
    if request.POST.get("fazer") == "ligar":
        service.switch_on(conn, tenant.id, name, actor=actor)
        messages.success(request, _("Pacote ligado: os indicadores estão em Hoje, as camadas no mapa, os alarmes em Agir."))
    else:
        service.switch_off(conn, tenant.id, name, actor=actor)
        messages.success(request, _("Pacote desligado. Os dados ficam; pode voltar a ligá-lo quando quiser."))
    return HttpResponseRedirect(reverse("packs:list"))
