"""Rules and channels: the pages behind the alarms."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from malha.context.store import service as store
from malha.context.store.contracts import EntityQuery
from malha.foundation.access import service as access_service
from malha.foundation.access import views as access
from malha.foundation.access.contracts import Capability
from malha.foundation.database import django as database
from malha.foundation.language import service as words
from malha.foundation.tenancy.contracts import Tenant
from malha.insight.alerts import evaluation, queries, service
from malha.insight.alerts import rules as alert_rules
from malha.insight.alerts.contracts import AlertError, ChannelKind, Firing, Rule, RuleKind
from malha.insight.alerts.forms import ChannelForm, RuleForm, initial_of
from malha.insight.alerts.views import actor_of, tenant_of
from malha.kernel import formats, time
from malha.kernel.text import whole_number
from malha.vocabulary.models import service as models
from malha.vocabulary.models.contracts import DataModel, Role, ValueType

#: how far back a trial looks
TRIAL = timedelta(days=30)
PLAIN = frozenset({ValueType.NUMBER, ValueType.INTEGER, ValueType.TEXT, ValueType.BOOLEAN})


@access.requires(Capability.DATA_READ)
def rules(request: HttpRequest) -> HttpResponse:
    """What rings when: all rules."""
    conn, tenant = database.current(), tenant_of(request)
    rows = [{"rule": rule, "says": sentence(rule, tenant)} for rule in service.list_rules(conn, tenant.id)]
    values = {"tenant": tenant, "rows": rows, "may_manage": access_service.principal(request).may(Capability.ALERTS_MANAGE)}
    return render(request, "alerts/rules.html", values)


def sentence(rule: Rule, tenant: Tenant) -> str:
    """A rule in one sentence."""
    language = get_language() or "pt-pt"
    model = models.find(rule.type, tenant.id)
    if rule.kind is RuleKind.SILENCE:
        return _("nada se ouve durante %(span)s") % {"span": formats.duration(rule.silence_seconds, language)}
    found = model.find(rule.attribute) if model else None
    label = found.label.in_language(language) if found else rule.attribute
    bound = rule.bound_text or formats.quantity(rule.bound, rule.unit, rule.decimals, language)
    text = f"{label} {rule.operator} {bound}"
    if rule.for_seconds:
        text += _(" durante %(span)s") % {"span": formats.duration(rule.for_seconds, language)}
    if rule.end_bound is not None and rule.end_bound != rule.bound:
        text += _("; termina em %(bound)s") % {"bound": formats.quantity(rule.end_bound, rule.unit, rule.decimals, language)}
    return text


def _attributes(tenant: Tenant, entity_type: str, model: DataModel | None) -> list[str]:
    """What a rule can watch: measures and categories of the model, else what the records have."""
    if model:
        usable = [prop for prop in model.properties if prop.type in PLAIN and prop.role in {Role.MEASURE, Role.DIMENSION} and not prop.personal]
        return [prop.name for prop in sorted(usable, key=lambda prop: prop.role is not Role.MEASURE)]
    page = store.query(database.current(), [tenant.id], EntityQuery(types=(entity_type,), limit=20))
    return sorted({name for entity in page.entities for name in entity.attributes if isinstance(entity.value(name), (int, float, str))})


def _page(request: HttpRequest, form: RuleForm, rule: Rule | None, trial: list[dict[str, Any]] | None = None) -> HttpResponse:
    model = form.model
    values = {
        "tenant": tenant_of(request), "form": form, "rule": rule, "type": form.entity_type, "type_label": model.label.in_language(get_language() or "pt-pt") if model else form.entity_type,
        "trial": trial, "trial_days": TRIAL.days, "things": (form.initial.get("uris") or "").split(),
    }  # fmt: skip
    return render(request, "alerts/rule.html", values)


def _form(request: HttpRequest, entity_type: str, initial: dict[str, Any]) -> RuleForm:
    conn, tenant = database.current(), tenant_of(request)
    model = models.find(entity_type, tenant.id)
    data = request.POST if request.method == "POST" else None
    attributes = _attributes(tenant, entity_type, model)
    return RuleForm(data, initial=initial, entity_type=entity_type, tenant_id=tenant.id, model=model, attributes=attributes, channels=service.channels(conn, tenant.id))  # fmt: skip


@access.requires(Capability.ALERTS_MANAGE)
def new(request: HttpRequest) -> HttpResponse:
    """First which kind of thing; then the rule."""
    conn, tenant = database.current(), tenant_of(request)
    entity_type = request.GET.get("tipo", "")
    if not entity_type:
        language = get_language() or "pt-pt"
        found = [(name, models.find(name, tenant.id), count) for name, count, _changed in store.types(conn, tenant.id)]
        types = [{"type": name, "label": model.label.in_language(language) if model else name, "count": count} for name, model, count in found]
        return render(request, "alerts/rule_type.html", {"tenant": tenant, "types": types})
    uri = request.GET.get("id", "")
    initial = {"attribute": request.GET.get("medida", ""), "uris": uri, "scope": "things" if uri else "all", "enabled": True}
    return _save(request, _form(request, entity_type, initial), None)


@access.requires(Capability.ALERTS_MANAGE)
def edit(request: HttpRequest, rule_id: int) -> HttpResponse:
    """Change a rule."""
    rule = service.get_rule(database.current(), tenant_of(request).id, rule_id)
    return _save(request, _form(request, rule.type, initial_of(rule)), rule)


def _save(request: HttpRequest, form: RuleForm, before: Rule | None) -> HttpResponse:
    if request.method != "POST" or not form.is_valid():
        return _page(request, form, before)
    rule = form.rule(before)
    try:
        if request.POST.get("fazer") == "experimentar":
            alert_rules.check(rule)
            return _page(request, form, before, _trial(rule))
        service.save_rule(database.current(), rule, actor=actor_of(request))
    except AlertError as reason:
        form.add_error(None, words.explain(reason, get_language() or "pt-pt"))
        return _page(request, form, before)
    messages.success(request, _("Alarme guardado."))
    return HttpResponseRedirect(reverse("alerts:rules"))


def _trial(rule: Rule) -> list[dict[str, Any]]:
    """What the rule would have done with the last thirty days, newest first."""
    now = time.now()
    play = service.replay if rule.kind is RuleKind.THRESHOLD else service.replay_silence
    found: list[Firing] = play(rule, now - TRIAL, now)
    things = store.query(database.current(), [rule.tenant_id], EntityQuery(uris=tuple({one.uri for one in found}), limit=1000)).entities if found else []
    known = {thing.uri: thing for thing in things}
    inside = [one for one in found if one.uri in known and alert_rules.in_scope(rule, one.uri, known[one.uri].location)]
    language = get_language() or "pt-pt"
    return [
        {
            "thing": evaluation.name_of(one.uri, known[one.uri]), "since": one.since, "ended_at": one.ended_at,
            "peak": formats.quantity(one.peak, rule.unit, rule.decimals, language) if isinstance(one.peak, (int, float)) else str(one.peak),
        }
        for one in reversed(inside)
    ]  # fmt: skip


@require_POST
@access.requires(Capability.ALERTS_MANAGE)
def switch(request: HttpRequest, rule_id: int) -> HttpResponse:
    """Switch a rule on or off, or take it away."""
    conn, tenant, actor = database.current(), tenant_of(request), actor_of(request)
    verb = request.POST.get("fazer", "")
    if verb == "apagar":
        service.remove_rule(conn, tenant.id, rule_id, actor=actor)
        messages.success(request, _("Alarme apagado; o que já tocou fica registado."))
    else:
        service.switch_rule(conn, tenant.id, rule_id, enabled=verb == "ligar", actor=actor)
    return HttpResponseRedirect(reverse("alerts:rules"))


@access.requires(Capability.ALERTS_MANAGE)
def channels(request: HttpRequest) -> HttpResponse:
    """Where notices go, with *Enviar teste*, and what left lately."""
    conn, tenant = database.current(), tenant_of(request)
    form = ChannelForm(request.POST if request.POST.get("fazer") == "juntar" else None)
    number = whole_number(request.POST.get("canal", ""), 0)
    if request.method == "POST" and not (request.POST.get("fazer") == "juntar" and not form.is_valid()):
        try:
            _change_channel(request, form, number)
            return HttpResponseRedirect(reverse("alerts:channels"))
        except AlertError as reason:
            form.add_error("target", words.explain(reason, get_language() or "pt-pt"))
    values = {
        "tenant": tenant,
        "form": form,
        "channels": service.channels(conn, tenant.id),
        "deliveries": queries.deliveries(conn, tenant.id),
        "webhook": ChannelKind.WEBHOOK,
    }
    return render(request, "alerts/channels.html", values)


def _change_channel(request: HttpRequest, form: ChannelForm, number: int) -> None:
    conn, tenant, verb = database.current(), tenant_of(request), request.POST.get("fazer")
    if verb == "juntar":
        given = form.cleaned_data
        service.add_channel(conn, tenant.id, kind=ChannelKind(given["kind"]), name=given["name"], target=given["target"], actor=actor_of(request))
        messages.success(request, _("Canal juntado. Envie um teste para ter a certeza de que chega."))
    elif verb == "testar":
        service.send_test(conn, tenant.id, number)
        messages.success(request, _("Teste a caminho. O resultado aparece por baixo, em Últimos avisos."))
    elif verb == "tirar":
        service.remove_channel(conn, tenant.id, number, actor=actor_of(request))
