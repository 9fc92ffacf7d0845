"""*Ligações*: everything that speaks with the tenant, last heard, errors in words, and ending what should end."""

from __future__ import annotations

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST

from malha.context.federation import service as federation
from malha.foundation.access.contracts import Capability
from malha.foundation.access.views import requires
from malha.foundation.audit import service as audit
from malha.foundation.database import django as database
from malha.kernel.text import whole_number
from malha.share.connections import service
from malha.share.connections.contracts import Kind, Status
from malha.share.datahub import keys

LABELS = {
    Kind.PROGRAM: gettext_lazy("Programa"), Kind.KEY: gettext_lazy("Chave de ferramenta"), Kind.DOOR: gettext_lazy("Porta de sensores"),
    Kind.SUBSCRIPTION: gettext_lazy("Subscrição"), Kind.SOURCE: gettext_lazy("Fonte federada"),
}  # fmt: skip
_STATES = {
    Status.FAILING: (gettext_lazy("a falhar"), "danger"), Status.EXPIRED: (gettext_lazy("passou do prazo"), "warning"),
    Status.ACTIVE: (gettext_lazy("ativa"), "success"), Status.PAUSED: (gettext_lazy("em pausa"), "neutral"),
}  # fmt: skip
PAGE = 100


def _tenant_id(request: HttpRequest) -> int:
    tenant = getattr(request, "tenant", None)
    assert tenant is not None  # `requires` refuses the platform's own address
    return int(tenant.id)


@requires(Capability.CLIENTS_MANAGE)
def index(request: HttpRequest) -> HttpResponse:
    """Every connection, those in trouble first; by kind, by words, or only those in trouble."""
    kind, text, trouble = request.GET.get("tipo", ""), request.GET.get("procurar", "")[:200], request.GET.get("problemas") == "1"
    found = service.every(database.current(), _tenant_id(request), kind=kind, text=text, trouble=trouble)
    first = whole_number(request.GET.get("desde", ""), 0)
    rows = [{"one": one, "kind": LABELS[one.kind], "state": _STATES[one.status]} for one in found[first : first + PAGE]]
    asked = request.GET.copy()
    asked.pop("desde", None)
    context = {
        "rows": rows, "total": len(found), "failing": sum(one.status is Status.FAILING for one in found), "kinds": list(LABELS.items()), "kind": kind, "text": text,
        "trouble": trouble, "narrowed": bool(kind or text or trouble), "query": asked.urlencode(), "before": max(0, first - PAGE) if first else None,
        "after": first + PAGE if first + PAGE < len(found) else None,
    }  # fmt: skip
    return render(request, "connections/index.html", context)


@requires(Capability.CLIENTS_MANAGE)
@require_POST
def end_key(request: HttpRequest, key_id: int) -> HttpResponse:
    """End somebody's key of a tool."""
    tenant_id = _tenant_id(request)
    found = next((one for one in keys.of_tenant(database.current(), tenant_id) if one[0].id == key_id), None)
    if found is None or not keys.revoke(database.current(), tenant_id, found[2], key_id):
        raise Http404
    audit.record(tenant_id, f"person:{request.user.pk}", "hub.key.revoked", f"hub-key:{key_id}", {"tool": found[0].tool, "person": found[2]})
    messages.success(request, _("A chave de {person} deixou de servir.").format(person=found[1]))
    return HttpResponseRedirect(reverse("connections:index"))


@requires(Capability.CLIENTS_MANAGE)
@require_POST
def end_source(request: HttpRequest, source_id: int) -> HttpResponse:
    """End the registration of a source: nothing is asked of it any more."""
    conn, tenant_id = database.current(), _tenant_id(request)
    kept = next((one for one, _state in federation.every(conn, tenant_id) if one.id == source_id), None)
    if kept is None:
        raise Http404
    federation.delete(conn, tenant_id, kept.uri)
    audit.record(tenant_id, f"person:{request.user.pk}", "federation.end", kept.uri, {})
    messages.success(request, _("A fonte deixou de ser perguntada."))
    return HttpResponseRedirect(reverse("connections:index"))
