"""The territory page: editions of boundaries on a map, streets, search, and the two imports."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from malha.foundation.access import service as access_service
from malha.foundation.access import views as access
from malha.foundation.access.contracts import Capability
from malha.foundation.audit import service as audit
from malha.foundation.database import service as database
from malha.foundation.language import service as language
from malha.foundation.tenancy import country
from malha.foundation.tenancy.contracts import Tenant
from malha.vocabulary.territory import service
from malha.vocabulary.territory.contracts import Boundary, ImportOutcome, Level, Quality, TerritoryError
from malha.vocabulary.territory.forms import BoundariesForm, StreetsForm

COLOURS = {Level.PARISH: "#1a65fa", Level.MUNICIPALITY: "#021c51", Level.ZONE: "#008558", Level.DISTRICT: "#64718b"}
PORTUGAL = (-31.3, 30.0, -6.2, 42.2)


def _tenant(request: HttpRequest) -> Tenant:
    tenant = getattr(request, "tenant", None)
    if not isinstance(tenant, Tenant):
        raise Http404
    return tenant


def level_words() -> dict[Level, str]:
    """What each level is called, in the reader's language."""
    return {Level.ZONE: _("Zonas"), Level.PARISH: _("Freguesias"), Level.MUNICIPALITY: _("Municípios"), Level.DISTRICT: _("Distritos")}


def quality_words() -> dict[Quality, str]:
    """How sure an address is, in the reader's language."""
    return {
        Quality.DOOR: _("na porta"),
        Quality.NEAR_DOOR: _("perto da porta"),
        Quality.STREET: _("na rua"),
        Quality.POSTAL_CODE: _("no código postal"),
        Quality.PARISH: _("na freguesia"),
    }


@require_safe
@access.requires(Capability.DATA_READ)
def index(request: HttpRequest) -> HttpResponse:
    """What boundaries and streets there are, and what a search finds."""
    return _page(request)


def _page(request: HttpRequest, boundaries: BoundariesForm | None = None, streets: StreetsForm | None = None, status: int = 200) -> HttpResponse:
    tenant, connection = _tenant(request), database.current()
    words, text = level_words(), request.GET.get("q", "").strip()[:200]
    editions = service.editions(connection, tenant.id)
    context: dict[str, Any] = {
        "tenant": tenant,
        "text": text,
        "editions": [{"edition": each, "level": words[each.level]} for each in editions],
        "streets": service.street_counts(connection, tenant.id),
        "has_map": bool(editions),
        "may_import": access_service.principal(request).may(Capability.TERRITORY_MANAGE),
        "boundaries_form": boundaries or BoundariesForm(),
        "streets_form": streets or StreetsForm(),
        "is_known": tenant.dico in country.municipalities(),
    }
    if text:
        context["found"] = _search(tenant, text)
    return render(request, "territory/index.html", context, status=status)


def _search(tenant: Tenant, text: str) -> dict[str, Any]:
    connection, words = database.current(), level_words()
    address = service.geocode(connection, tenant.id, text)
    return {
        "address": address,
        "quality": quality_words()[address.quality] if address else "",
        "places": [{"level": words[each.level], "boundary": each} for each in service.search_boundaries(connection, tenant.id, text)],
        "streets": service.search_streets(connection, tenant.id, text),
    }


def _extent(tenant: Tenant) -> tuple[float, float, float, float]:
    facts = country.municipalities().get(tenant.dico)
    return tenant.extent or (facts.extent if facts else PORTUGAL)


def _here(tenant: Tenant, level: Level) -> list[Boundary]:
    """The boundaries of a level that belong to the tenant, or all within its extent where it is no municipality."""
    found = service.boundaries_in(database.current(), tenant.id, _extent(tenant), levels=[level])
    if tenant.dico and level in {Level.PARISH, Level.MUNICIPALITY}:
        own = [each for each in found if each.dico == tenant.dico or not each.is_national]
        return own or found
    return found


@require_safe
@access.requires(Capability.DATA_READ)
def spec(request: HttpRequest) -> HttpResponse:
    """What the map of this page draws: a layer for each level that has boundaries here."""
    tenant, words = _tenant(request), level_words()
    levels = [level for level in (Level.MUNICIPALITY, Level.PARISH, Level.ZONE) if _here(tenant, level)]
    layers = [
        {
            "id": level.value,
            "label": words[level],
            "kind": "line" if level is Level.MUNICIPALITY else "fill",
            "data": reverse("territory:boundaries", args=[level.value]),
            "colour": {"property": "level", "default": COLOURS[level]},
            "legend": [{"label": words[level], "colour": COLOURS[level], "shape": "square"}],
            "popup": [{"property": "name", "label": _("Nome")}, {"property": "code", "label": _("Código")}],
        }
        for level in levels
    ]
    said = {"map": _("Mapa"), "zoom_in": _("Aproximar"), "zoom_out": _("Afastar"), "close": _("Fechar"), "legend": _("Camadas e legenda"), "name": _("Nome")}
    return JsonResponse({"extent": _extent(tenant), "layers": layers, "words": said})


@require_safe
@access.requires(Capability.DATA_READ)
def boundaries(request: HttpRequest, level: str) -> HttpResponse:
    """The boundaries of a level as GeoJSON, simplified for a screen; `?inteiro=1` gives them whole."""
    try:
        wanted = Level(level)
    except ValueError as reason:
        raise Http404 from reason
    found = _here(_tenant(request), wanted)
    tolerance = 0.0 if request.GET.get("inteiro") else 0.0002
    return JsonResponse(service.as_geojson(database.current(), found, tolerance=tolerance), content_type="application/geo+json")


@require_safe
@access.requires(Capability.DATA_READ)
def streets(request: HttpRequest) -> HttpResponse:
    """Streets to offer while somebody types (JSON)."""
    found = service.search_streets(database.current(), _tenant(request).id, request.GET.get("q", "")[:100])
    return JsonResponse(
        {"streets": [{"name": each.name, "locality": each.locality, "parish": each.parish, "point": [each.longitude, each.latitude]} for each in found]}
    )


@require_POST
@access.requires(Capability.TERRITORY_MANAGE)
def import_boundaries(request: HttpRequest) -> HttpResponse:
    """Take in a file of the tenant's own boundaries."""
    tenant, form = _tenant(request), BoundariesForm(request.POST, request.FILES)
    if not form.is_valid():
        return _page(request, boundaries=form, status=422)
    said = form.cleaned_data

    def take(path: Path) -> ImportOutcome:
        return service.import_boundaries(database.current(), tenant.id, path, edition=said["edition"], valid_from=said["valid_from"], crs=said["crs"])

    return _take_in(request, form, take, lambda: _page(request, boundaries=form, status=422))


@require_POST
@access.requires(Capability.TERRITORY_MANAGE)
def import_streets(request: HttpRequest) -> HttpResponse:
    """Take in a file of the tenant's streets and doors."""
    tenant, form = _tenant(request), StreetsForm(request.POST, request.FILES)
    if not form.is_valid():
        return _page(request, streets=form, status=422)

    def take(path: Path) -> ImportOutcome:
        return service.import_streets(database.current(), tenant.id, path, crs=tenant.crs, source=form.cleaned_data["source"])

    return _take_in(request, form, take, lambda: _page(request, streets=form, status=422))


def _take_in(
    request: HttpRequest, form: BoundariesForm | StreetsForm, take: Callable[[Path], ImportOutcome], again: Callable[[], HttpResponse]
) -> HttpResponse:
    tenant = _tenant(request)
    path = _on_disk(form.cleaned_data["file"])
    try:
        with database.current().transaction():
            outcome = take(path)
    except TerritoryError as reason:
        form.add_error("file", language.explain(reason, get_language() or "pt-pt"))
        return again()
    finally:
        with suppress(OSError):
            path.unlink()
    person = access_service.principal(request).person_id
    audit.record(tenant.id, f"person:{person}", "territory.import", form.cleaned_data["file"].name, {"taken": outcome.taken, "refused": len(outcome.refused)})
    messages.success(request, _("Entraram %(count)s elementos.") % {"count": outcome.total})
    for what, why in outcome.refused[:5]:
        tongue = get_language() or "pt-pt"
        messages.warning(request, f"{language.word(what, tongue)}: {language.word(why, tongue)}")
    return redirect("territory:index")


def _on_disk(file: UploadedFile[Any]) -> Path:
    """The upload as a file of ours, to be removed afterwards."""
    with tempfile.NamedTemporaryFile(delete=False, suffix=Path(file.name or "").suffix) as copy:
        for chunk in file.chunks():
            copy.write(chunk)
    return Path(copy.name)
