"""The pages of retention: all rules with what would go, and one rule."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from malha.context.store import service as store
from malha.foundation.access import service as access
from malha.foundation.access.contracts import Capability
from malha.foundation.access.views import requires
from malha.foundation.database import django as database
from malha.foundation.tenancy.contracts import Tenant
from malha.history.retention import service
from malha.history.retention.contracts import Going, Rule
from malha.history.retention.forms import RuleForm
from malha.kernel import formats
from malha.kernel.errors import MalhaError
from malha.kernel.time import now
from malha.vocabulary.models import service as models


def _tenant(request: HttpRequest) -> Tenant:
    tenant = request.tenant  # type: ignore[attr-defined]  # set by the tenancy middleware
    assert isinstance(tenant, Tenant)
    return tenant


def _rules(tenant: Tenant) -> list[Rule]:
    conn = database.current()
    return service.all_rules(conn, tenant.id, [name for name, _count, _changed in store.types(conn, tenant.id)])


@requires(Capability.TENANT_MANAGE)
@require_GET
def index(request: HttpRequest) -> HttpResponse:
    """Every type, how long it is kept, and what would go tonight."""
    tenant, language, moment = _tenant(request), get_language() or "pt-pt", now()
    rules = _rules(tenant)
    going = {one.type: one for one in service.going(tenant.id, rules, moment, tenant.zone)}
    columns = [{"label": _("Tipo")}, {"label": _("Cada valor guarda-se")}, {"label": _("Retenção legal")}, {"label": _("Sairia esta noite")}]
    rows = [
        [
            {"text": label(one.type, tenant, language), "href": reverse("retention:rule", args=[one.type])},
            {"text": period(one.keep) + ("" if one.own else f" ({_('modelo')})")},
            {"text": one.hold_reason or "—"},
            {"text": _would_go(going.get(one.type), tenant, language)},
        ]
        for one in rules
    ]
    gone = [
        [
            {"text": label(name, tenant, language)}, {"text": formats.instant(before, tenant.zone, language)},
            {"text": formats.number(count, 0, language), "numeric": True}, {"text": formats.instant(at, tenant.zone, language)},
        ]
        for name, before, count, at in service.history(database.current(), tenant.id)
    ]  # fmt: skip
    gone_columns = [{"label": _("Tipo")}, {"label": _("Valores anteriores a")}, {"label": _("Linhas"), "numeric": True}, {"label": _("Saíram em")}]
    return render(request, "retention/index.html", {"columns": columns, "rows": rows, "gone": gone, "gone_columns": gone_columns})


@requires(Capability.TENANT_MANAGE)
@require_http_methods(["GET", "HEAD", "POST"])
def rule(request: HttpRequest, entity_type: str) -> HttpResponse:
    """One type's rule; before it is kept, what would go by it is shown."""
    tenant, language, moment = _tenant(request), get_language() or "pt-pt", now()
    current = next((one for one in _rules(tenant) if one.type == entity_type), None)
    if current is None:
        raise Http404
    form = RuleForm(request.POST or None, initial=_initial(current))
    values: dict[str, object] = {"form": form, "rule": current, "label": label(entity_type, tenant, language), "declared": period(current.declared)}
    if request.method != "POST" or not form.is_valid():
        return render(request, "retention/rule.html", values, status=422 if request.method == "POST" else 200)
    own, reason = form.cleaned_data["how"] != "model", form.cleaned_data["hold_reason"].strip()
    keep = form.keep() if own else current.declared
    by = f"person:{access.principal(request).person_id}"
    wanted = replace(current, keep=keep, own=own, on_hold=bool(reason), hold_reason=reason, changed_by=by)
    try:
        going = service.going(tenant.id, [wanted], moment, tenant.zone)
        if going and "confirm" not in request.POST:
            return render(request, "retention/rule.html", values | {"going": _would_go(going[0], tenant, language), "asked": request.POST})
        service.save(database.current(), tenant.id, wanted, moment, tenant.zone)
    except MalhaError as error:
        form.add_error("count", _(error.message).format(**error.params))
        return render(request, "retention/rule.html", values, status=422)
    messages.success(request, _("Guardado. Aplica-se esta noite."))
    return redirect("retention:index")


def _initial(one: Rule) -> dict[str, object]:
    if not one.own:
        return {"how": "model", "hold_reason": one.hold_reason}
    if not one.keep:
        return {"how": "good", "hold_reason": one.hold_reason}
    return {"how": "period", "count": int(one.keep[1:-1]), "unit": one.keep[-1], "hold_reason": one.hold_reason}


def label(entity_type: str, tenant: Tenant, language: str) -> str:
    """What people call the type."""
    model = models.find(entity_type, tenant.id)
    return model.label.in_language(language) if model else entity_type


def period(keep: str) -> str:
    """A period in words."""
    if not keep:
        return _("para sempre")
    count = int(keep[1:-1])
    words = {
        "D": ngettext("{count} dia", "{count} dias", count),
        "M": ngettext("{count} mês", "{count} meses", count),
        "Y": ngettext("{count} ano", "{count} anos", count),
    }
    return words[keep[-1]].format(count=count)


def _would_go(one: Going | None, tenant: Tenant, language: str) -> str:
    if one is None:
        return "—"
    oldest: datetime | None = one.oldest
    text = _("{rows} valores anteriores a {before}, o mais antigo de {oldest}")
    return text.format(
        rows=formats.number(one.rows, 0, language),
        before=formats.instant(one.before, tenant.zone, language),
        oldest=formats.instant(oldest, tenant.zone, language),
    )
