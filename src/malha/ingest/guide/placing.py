"""Place rows that wait by hand: point at the map, look for an address, or type degrees."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from malha.foundation.access.contracts import Capability
from malha.foundation.access.views import requires
from malha.foundation.database import django as database
from malha.foundation.language import service as language
from malha.foundation.settings import service as settings
from malha.foundation.tenancy.contracts import Tenant
from malha.ingest.guide.forms import PlaceForm
from malha.ingest.guide.views import PORTUGAL, actor_of, tenant_of, words
from malha.ingest.quality import service as quality
from malha.ingest.runs import mending
from malha.ingest.runs import service as runs
from malha.vocabulary.territory import service as territory


@requires(Capability.DATA_LOAD)
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest, run_id: int, row_id: int) -> HttpResponse:
    """One row that waits for a place."""
    tenant = tenant_of(request)
    conn = database.current()
    row = quality.row(conn, tenant.id, run_id, row_id)
    if row is None:
        return redirect("desk:waiting", run_id)
    form = PlaceForm(request.POST) if request.method == "POST" else PlaceForm()
    if request.method == "POST" and form.is_valid():
        if "search" in request.POST:
            form = _found(request, tenant, form)
        elif form.cleaned_data["latitude"] is None or form.cleaned_data["longitude"] is None:
            form.add_error(None, _("Toque no mapa onde fica, ou escreva a morada ou as coordenadas."))
        else:
            return _placed(request, tenant, run_id, row_id, form)
    context = {"run": runs.progress(conn, tenant.id, run_id), "row": row, "cells": list(row.cells.items()), "form": form}
    return render(request, "guide/place.html", context, status=422 if form.errors else 200)


def _found(request: HttpRequest, tenant: Tenant, form: PlaceForm) -> PlaceForm:
    """The form with the place of the address in it, or with what was not found."""
    text = form.cleaned_data["address"].strip()
    found = territory.geocode(database.current(), tenant.id, text) if text else None
    if found is None:
        form.add_error("address", _("Não se encontrou “{text}” nas ruas nem nas freguesias do município.").format(text=text))
        return form
    messages.info(request, _("Encontrou-se: {label}. Veja no mapa e escolha “Colocar aqui”.").format(label=found.label))
    return PlaceForm(initial={"address": text, "latitude": round(found.latitude, 6), "longitude": round(found.longitude, 6)})


def _placed(request: HttpRequest, tenant: Tenant, run_id: int, row_id: int, form: PlaceForm) -> HttpResponse:
    conn = database.current()
    said = form.cleaned_data
    result = mending.place(conn, tenant.id, run_id, row_id, said["longitude"], said["latitude"], actor_of(request))
    still = quality.row(conn, tenant.id, run_id, row_id)
    if still is None and result is not None:
        messages.success(request, _("A linha entrou, com lugar."))
    elif still is not None:
        messages.warning(request, _("A linha continua à espera: {reason}.").format(reason=language.word(still.message, get_language() or "pt-pt")))
    after = next((row.id for code in mending.PLACELESS for row in quality.rows_for(conn, tenant.id, run_id, code, 1)), None) if still is None else None
    return redirect("desk:place", run_id, after) if after else redirect("desk:waiting", run_id)


@requires(Capability.DATA_LOAD)
@require_safe
def map_spec(request: HttpRequest, run_id: int) -> JsonResponse:
    """The map to point at: the municipality, and nothing on it."""
    del run_id
    tenant = tenant_of(request)
    answer: dict[str, Any] = {"extent": list(tenant.extent or PORTUGAL), "layers": [], "words": words() | {"picked": _("Lugar marcado")}}
    if settings.current().basemap_url:
        answer["basemap"] = settings.current().basemap_url
    return JsonResponse(answer)
