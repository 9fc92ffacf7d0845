"""The catalogue of data models, the page of one, its files, and the bench where entities are tried."""

from __future__ import annotations

import json
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from malha.foundation.access import views as access
from malha.foundation.access.contracts import Capability
from malha.foundation.database import service as database
from malha.foundation.language import service as language
from malha.foundation.tenancy.contracts import Tenant
from malha.vocabulary.models import browsing, interchange, saving, service
from malha.vocabulary.models.contracts import DataModel, UnknownModel, UnusableModel


def _tenant(request: HttpRequest) -> Tenant:
    tenant = getattr(request, "tenant", None)
    if not isinstance(tenant, Tenant):
        raise Http404
    return tenant


def _language() -> str:
    return get_language() or "pt-pt"


def _model(request: HttpRequest, entity_type: str) -> DataModel:
    try:
        return service.get(entity_type, _tenant(request).id)
    except UnknownModel as reason:
        raise Http404(language.explain(reason, get_language() or "pt-pt")) from reason


@require_safe
@access.requires(Capability.DATA_READ)
def index(request: HttpRequest) -> HttpResponse:
    """The models that the tenant may use, found by words and theme."""
    tenant, tongue = _tenant(request), _language()
    models = service.all_models(tenant.id)
    text, theme = request.GET.get("q", "").strip()[:100], request.GET.get("tema", "")
    shown = [
        {
            "type": model.type,
            "label": model.label.in_language(tongue),
            "description": model.description.in_language(tongue),
            "theme": browsing.theme_label(model.theme, tongue),
            "count": len(model.properties),
            "source": _("do município") if model.tenant_id else model.source,
        }
        for model in browsing.found(models, text, theme)
    ]
    context = {"models": shown, "themes": browsing.themes(models, tongue), "text": text, "theme": theme, "total": len(models)}
    return render(request, "models/index.html", context)


@require_safe
@access.requires(Capability.DATA_READ)
def page(request: HttpRequest, entity_type: str) -> HttpResponse:
    """One model: its properties, an example, its files and its revisions."""
    tenant, tongue, model = _tenant(request), _language(), _model(request, entity_type)
    files = [
        {"label": _("JSON Schema"), "href": reverse("models:schema", args=[model.type])},
        {"label": _("@context JSON-LD"), "href": reverse("models:context", args=[model.type])},
        {"label": _("Exemplo"), "href": reverse("models:example", args=[model.type])},
    ]
    context: dict[str, Any] = {
        "model": model,
        "label": model.label.in_language(tongue),
        "description": model.description.in_language(tongue),
        "theme": browsing.theme_label(model.theme, tongue),
        "properties": browsing.lines(model.properties, tongue),
        "time": model.find(model.time_property),
        "files": files,
        "example": json.dumps(interchange.example(model, tenant.slug), ensure_ascii=False, indent=2),
        "revisions": saving.revisions(database.current(), tenant.id, model.type),
    }
    return render(request, "models/page.html", context)


def _download(content: dict[str, Any], name: str, media_type: str) -> HttpResponse:
    answer = JsonResponse(content, json_dumps_params={"ensure_ascii": False, "indent": 2}, content_type=f"{media_type}; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


@require_safe
@access.requires(Capability.DATA_READ)
def schema(request: HttpRequest, entity_type: str) -> HttpResponse:
    """The model as a JSON Schema of the key-values form."""
    model = _model(request, entity_type)
    return _download(interchange.json_schema(model, request.build_absolute_uri()), f"{model.type}.schema.json", "application/schema+json")


@require_safe
@access.requires(Capability.DATA_READ)
def context(request: HttpRequest, entity_type: str) -> HttpResponse:
    """The JSON-LD context of the model."""
    model = _model(request, entity_type)
    return _download(interchange.context(model), f"{model.type}.jsonld", "application/ld+json")


@require_safe
@access.requires(Capability.DATA_READ)
def example(request: HttpRequest, entity_type: str) -> HttpResponse:
    """One entity of the model."""
    model = _model(request, entity_type)
    return _download(interchange.example(model, _tenant(request).slug), f"{model.type}.exemplo.json", "application/json")


@require_http_methods(["GET", "HEAD", "POST"])
@access.requires(Capability.DATA_READ)
def validate(request: HttpRequest) -> HttpResponse:
    """Paste entities, see what is wrong with each and how to mend it; nothing is kept."""
    tenant, tongue = _tenant(request), _language()
    chosen = request.POST.get("type", request.GET.get("tipo", ""))
    text = request.POST.get("text", "")
    said: dict[str, Any] = {"text": text, "chosen": chosen, "types": [model.type for model in service.all_models(tenant.id)]}
    if request.method == "POST":
        try:
            trials = browsing.try_text(text, chosen, tenant.id, tongue)
            said |= {"trials": trials, "accepted": sum(trial.is_accepted for trial in trials)}
        except UnusableModel as reason:
            said["problem"] = language.explain(reason, tongue)
    return render(request, "models/validate.html", said, status=422 if "problem" in said else 200)
