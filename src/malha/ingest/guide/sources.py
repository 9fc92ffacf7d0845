"""Pages of sources that speak by themselves: which there are, set one up, ask it now, silence it."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from malha.foundation.access.contracts import Capability
from malha.foundation.access.views import requires
from malha.foundation.database import django as database
from malha.foundation.jobs import service as jobs
from malha.ingest.guide.views import actor_of, tenant_of
from malha.ingest.runs import fetching
from malha.ingest.runs.contracts import Source
from malha.sources.base.contracts import Manifest, SettingField


def set_up_form(manifest: Manifest, source: Source | None, language: str, data: Any = None) -> forms.Form:
    """The settings that a connector declares, as a form."""
    form = forms.Form(data)
    held = dict(source.settings) if source else {}
    for field in manifest.settings:
        form.fields[field.name] = _field(field, held.get(field.name, field.default), language)
    every = (source.every_seconds if source else manifest.every_seconds) // 60
    form.fields["every_minutes"] = forms.IntegerField(label=_("De quantos em quantos minutos"), initial=every, min_value=5, max_value=1440)
    return form


def _field(field: SettingField, value: str, language: str) -> forms.Field:
    common: dict[str, Any] = {"label": field.label.in_language(language), "help_text": field.help.in_language(language), "required": field.required}
    if field.kind == "flag":
        return forms.BooleanField(**common, initial=value in {"1", "on", "true"})
    if field.kind == "choice":
        choices = [(key, label.in_language(language)) for key, label in field.choices]
        return forms.ChoiceField(**common, initial=value, choices=choices, widget=forms.RadioSelect)
    if field.kind == "url":
        return forms.URLField(**common, initial=value, assume_scheme="https")
    return forms.CharField(**common, initial=value)


def _known(name: str) -> Manifest:
    if name not in fetching.CONNECTORS:
        raise Http404
    return fetching.connector(name).manifest


def _source(tenant_id: int, name: str) -> Source | None:
    return next((source for source in fetching.sources(database.current(), tenant_id) if source.connector == name), None)


@requires(Capability.SOURCES_MANAGE)
@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """Every connector, those set up first, with when each spoke last."""
    tenant = tenant_of(request)
    conn = database.current()
    language = get_language() or "pt-pt"
    late = {source.connector for source in fetching.late(conn, tenant.id)}
    own = {source.connector: source for source in fetching.sources(conn, tenant.id)}
    found = []
    for name in sorted(fetching.CONNECTORS, key=lambda name: (name not in own, name)):
        manifest = fetching.connector(name).manifest
        found.append(
            {
                "name": name,
                "label": manifest.label.in_language(language),
                "text": manifest.description.in_language(language),
                "source": own.get(name),
                "late": name in late,
            }
        )
    return render(request, "guide/sources.html", {"sources": found})


@requires(Capability.SOURCES_MANAGE)
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest, name: str) -> HttpResponseBase:
    """Set one source up: what it brings, its licence, its settings, how it is."""
    tenant = tenant_of(request)
    manifest = _known(name)
    source = _source(tenant.id, name)
    language = get_language() or "pt-pt"
    form = set_up_form(manifest, source, language, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        said = form.cleaned_data
        chosen = {field.name: ("1" if said[field.name] else "0") if field.kind == "flag" else str(said[field.name]) for field in manifest.settings}
        made = fetching.set_up(database.current(), tenant.id, name, chosen, actor_of(request), said["every_minutes"] * 60)
        jobs.defer("ingest.fetch", tenant_id=tenant.id, once=f"ingest.fetch:{made.id}", source_id=made.id)
        messages.success(request, _("A fonte está ligada; os primeiros valores chegam daqui a pouco."))
        return redirect("desk:source", name)
    context = {
        "manifest": manifest,
        "label": manifest.label.in_language(language),
        "text": manifest.description.in_language(language),
        "source": source,
        "form": form,
        "name": name,
    }
    return render(request, "guide/source.html", context, status=422 if form.errors else 200)


@requires(Capability.SOURCES_MANAGE)
@require_POST
def now(request: HttpRequest, name: str) -> HttpResponse:
    """Ask the source now."""
    tenant = tenant_of(request)
    source = _source(tenant.id, name)
    if source is not None:
        jobs.defer("ingest.fetch", tenant_id=tenant.id, once=f"ingest.fetch:{source.id}", source_id=source.id)
        messages.info(request, _("Pedido feito; veja nas cargas o que chegou."))
    return redirect("desk:source", name)


@requires(Capability.SOURCES_MANAGE)
@require_POST
def switch(request: HttpRequest, name: str) -> HttpResponse:
    """Let the source speak, or silence it."""
    tenant = tenant_of(request)
    source = _source(tenant.id, name)
    if source is not None:
        fetching.switch(database.current(), tenant.id, source.id, enabled=not source.enabled, actor=actor_of(request))
    return redirect("desk:source", name)
