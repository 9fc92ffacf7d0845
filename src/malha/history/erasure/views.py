"""The page of erasing: who, what there is, and the proofs of what went."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from malha.foundation.access import service as access
from malha.foundation.access.contracts import Capability
from malha.foundation.access.views import requires
from malha.foundation.audit import service as audit
from malha.foundation.database import django as database
from malha.foundation.tenancy.contracts import Tenant
from malha.history.erasure import service, worker
from malha.history.erasure.contracts import Found, Proof
from malha.history.erasure.forms import ErasureForm
from malha.kernel import formats


@requires(Capability.PERSONAL_READ)
@require_http_methods(["GET", "HEAD", "POST"])
def index(request: HttpRequest) -> HttpResponse:
    """Look first, then erase; the proofs below."""
    tenant = request.tenant  # type: ignore[attr-defined]  # set by the tenancy middleware
    assert isinstance(tenant, Tenant)
    form = ErasureForm(request.POST or None)
    values: dict[str, object] = {"form": form, **_proofs(tenant)}
    if request.method != "POST" or not form.is_valid():
        return render(request, "erasure/index.html", values, status=422 if request.method == "POST" else 200)
    terms, by = form.cleaned_data["identifiers"], f"person:{access.principal(request).person_id}"
    if "erase" not in request.POST:
        audit.record(tenant.id, by, "erasure.look", f"tenant:{tenant.id}", personal=True)
        found = service.find(tenant.id, terms)
        return render(request, "erasure/index.html", values | {"found": found, "places": _places(found), "asked": request.POST})
    whole = [int(number) for number in request.POST.getlist("whole") if number.isdecimal()]
    worker.start(tenant.id, terms, ground=form.cleaned_data["ground"], by=by, whole=whole)
    messages.success(request, _("O apagamento começou. A prova aparece aqui quando acabar."))
    return redirect("erasure:index")


def _places(found: Found) -> list[tuple[str, str]]:
    """Where there is something of the person, in words, and how much."""
    language = get_language() or "pt-pt"
    said = {
        _("Estado atual"): ("entity",), _("Valores recentes"): ("observation_hot", "observation_packed"),
        _("Linhas em quarentena"): ("ingest_held",), _("Acontecimentos por entregar"): ("outbox", "outbox_failure", "entity_change"),
    }  # fmt: skip
    known = {table for tables in said.values() for table in tables}
    counts = {place: sum(found.rows.get(table, 0) for table in tables) for place, tables in said.items()}
    counts[_("Outros registos da plataforma")] = sum(count for table, count in found.rows.items() if table not in known)
    counts[_("Linhas do histórico")] = sum(found.lake.values())
    counts[_("Ficheiros carregados")] = len(found.files)
    return [(place, formats.number(count, 0, language)) for place, count in counts.items() if count]


def _proofs(tenant: Tenant) -> dict[str, object]:
    language = get_language() or "pt-pt"
    columns = [
        {"label": _("Pedido")},
        {"label": _("Fundamento")},
        {"label": _("Por quem")},
        {"label": _("O que saiu"), "numeric": True},
        {"label": _("Estado")},
    ]
    rows = [
        [
            {"text": formats.instant(one.asked_at, tenant.zone, language)}, {"text": one.ground}, {"text": one.asked_by},
            {"text": formats.number(sum(one.counts.values()), 0, language), "numeric": True}, _state(one),
        ]
        for one in service.proofs(database.current(), tenant.id)
    ]  # fmt: skip
    return {"columns": columns, "rows": rows}


def _state(one: Proof) -> dict[str, object]:
    if one.failure:
        return {"text": _("Não chegou ao fim: peça outra vez"), "severity": "danger"}
    if one.done_at is None:
        return {"text": _("A apagar…")}
    if one.remains:
        return {"text": _("Feito; fica em {places}").format(places=", ".join(sorted(one.remains))), "severity": "warning"}
    return {"text": _("Feito; nada ficou"), "severity": "success"}
