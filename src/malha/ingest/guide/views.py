"""The guided load: a file, then one question a page, then twenty rows on the map and *Carregar*."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from collections.abc import Iterator
from itertools import islice
from math import isnan
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from django import forms
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from malha.foundation.access import service as access
from malha.foundation.access.contracts import Capability
from malha.foundation.access.views import requires
from malha.foundation.database import django as database
from malha.foundation.language import service as language
from malha.foundation.settings import service as settings
from malha.foundation.tenancy.contracts import Tenant
from malha.ingest.guide import examples, steps
from malha.ingest.guide.contracts import Step, Table
from malha.ingest.guide.forms import UploadForm
from malha.ingest.lineage import service as lineage
from malha.ingest.lineage.contracts import StoredFile
from malha.ingest.mapping import places as coordinate_systems
from malha.ingest.mapping import rules, suggest
from malha.ingest.mapping import service as mapping
from malha.ingest.mapping.contracts import Outside, PlaceKind
from malha.ingest.mapping.service import Draft
from malha.ingest.runs import jobs, previewing
from malha.ingest.runs import service as runs
from malha.kernel.errors import MalhaError
from malha.sources.base import http
from malha.vocabulary.models import service as models

PORTUGAL = (-9.6, 36.9, -6.1, 42.2)
EXAMPLE = "parques-infantis.csv"


def tenant_of(request: HttpRequest) -> Tenant:
    """The tenant of a page that `requires` has let through."""
    tenant = getattr(request, "tenant", None)
    if not isinstance(tenant, Tenant):
        raise Http404
    return tenant


def actor_of(request: HttpRequest) -> str:
    """Who acts, as the trail writes it."""
    return f"person:{access.principal(request).person_id}"


@requires(Capability.DATA_LOAD)
@require_http_methods(["GET", "HEAD", "POST"])
def upload(request: HttpRequest) -> HttpResponse:
    """Choose a file; what was left in the middle, and the last loads, stand below."""
    tenant = tenant_of(request)
    form = UploadForm(request.POST, request.FILES) if request.method == "POST" else UploadForm()
    if request.method == "POST" and form.is_valid():
        try:
            return redirect("guide:step", _received(request, tenant, form), steps.LAST if "quick" in request.POST else "inicio")
        except MalhaError as reason:
            form.add_error(None, language.explain(reason, get_language() or "pt-pt"))
    conn = database.current()
    context = {"form": form, "drafts": mapping.open_drafts(conn, tenant.id), "latest": runs.latest(conn, tenant.id, 5)}
    return render(request, "guide/upload.html", context, status=200 if not form.errors else 422)


def _received(request: HttpRequest, tenant: Tenant, form: UploadForm) -> UUID:
    """Keep the file that came and begin a guided load with it."""
    conn = database.current()
    given = form.cleaned_data["file"]
    if given is not None:
        kept = lineage.keep(conn, tenant.id, given.chunks(), given.name)
    else:
        url = form.cleaned_data["url"]
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "file"
            http.download(url, target)
            kept = lineage.keep(conn, tenant.id, lineage.pieces_of(target), url.rsplit("/", 1)[-1].split("?")[0] or "ficheiro.csv", url)
    name = given.name if given is not None else kept.name
    runs.look(tenant.id, kept, name)  # what cannot be read is said at once
    return mapping.new_draft(conn, tenant.id, kept.sha256, name, actor_of(request))


@requires(Capability.DATA_LOAD)
@require_POST
def example(request: HttpRequest) -> HttpResponse:
    """Begin with a small file that we made, around the middle of the municipality."""
    tenant = tenant_of(request)
    conn = database.current()
    kept = lineage.keep(conn, tenant.id, [example_file(tenant).encode("windows-1252")], EXAMPLE)
    return redirect("guide:step", mapping.new_draft(conn, tenant.id, kept.sha256, EXAMPLE, actor_of(request)), "inicio")


def example_file(tenant: Tenant) -> str:
    """A CSV as Excel in Portuguese writes it: fictitious playgrounds, one with a date that does not exist."""
    lon, lat = tenant.centre or (-8.65, 40.64)
    lines = ["Parques infantis (exemplo fictício);;;;;", ";;;;;", "Código;Nome;Latitude;Longitude;Última vistoria;Área (m2)"]
    for number in range(1, 25):
        day = "31/02/2026" if number == 7 else f"{1 + number % 27:02d}/0{1 + number % 9}/2026"
        east, north = lon + ((number * 37) % 20 - 10) / 1000, lat + ((number * 53) % 20 - 10) / 1000
        place = f"{north:.5f};{east:.5f}".replace(".", ",")
        lines.append(f"PI{number:03d};Parque fictício {number};{place};{day};{80 + number * 3},5")
    lines.append("Total;;;;;3840,0")
    return "\r\n".join(lines) + "\r\n"


def _draft(tenant: Tenant, draft_id: UUID) -> tuple[Draft, StoredFile]:
    conn = database.current()
    found = mapping.draft(conn, tenant.id, draft_id)
    if found is None:
        raise Http404
    return found, lineage.find(conn, tenant.id, found.sha256)


def table_of(tenant: Tenant, draft: Draft, kept: StoredFile) -> tuple[Table, bool]:
    """The file as understood so far, and whether its header was known from before."""
    conn = database.current()
    reading = draft.answers.reading if draft.answers else None
    shape, sample = runs.look(tenant.id, kept, draft.name, sheet=reading.sheet if reading else "", header_row=reading.header_row if reading else None)
    found = tuple(models.all_models(tenant.id))
    answers, known = draft.answers, bool(draft.facts.get("known"))
    if answers is None or answers.reading.columns != shape.reading.columns:
        answers, known = mapping.offer(conn, tenant.id, shape, sample, draft.name, runs.tenancy_of(tenant), tenant.crs, list(found))
        mapping.save_draft(conn, tenant.id, draft.id, answers, {**draft.facts, "known": known})
    return Table(tenant, shape, sample, answers, found, get_language() or "pt-pt"), known


@requires(Capability.DATA_LOAD)
@require_http_methods(["GET", "HEAD", "POST"])
def step(request: HttpRequest, draft_id: UUID, step: str) -> HttpResponseBase:
    """One question, or the last page."""
    tenant = tenant_of(request)
    draft, kept = _draft(tenant, draft_id)
    if draft.run_id is not None:
        return redirect("desk:run", draft.run_id)
    try:
        table, known = table_of(tenant, draft, kept)
    except MalhaError as reason:
        return render(request, "guide/unusable.html", {"reason": language.explain(reason, get_language() or "pt-pt"), "draft": draft}, status=422)
    asked = steps.asked(table)
    if known and not draft.facts.get("settled"):
        return redirect("guide:again", draft.id)
    if step == "inicio":
        return redirect("guide:step", draft.id, asked[0].key)
    if step == steps.LAST:
        return _confirm(request, tenant, draft, kept, table, known=known)
    one = next((one for one in steps.STEPS if one.key == step), None)
    if one is None:
        raise Http404
    return _question(request, draft, table, one, asked)


@requires(Capability.DATA_LOAD)
@require_http_methods(["GET", "HEAD", "POST"])
def again(request: HttpRequest, draft_id: UUID) -> HttpResponse:
    """A table with this header came before: use the answers of that time, or begin anew."""
    tenant = tenant_of(request)
    draft, kept = _draft(tenant, draft_id)
    conn = database.current()
    table, known = table_of(tenant, draft, kept)
    when = mapping.answered_at(conn, tenant.id, table.shape.reading)
    if draft.run_id is not None or not known or when is None:
        return redirect("guide:step", draft.id, "inicio")
    if request.method == "POST":
        use = request.POST.get("way") == "use"
        answers = table.answers
        if not use:
            answers = suggest.answers_for(table.shape, table.sample, draft.name, runs.tenancy_of(tenant), tenant.crs, list(table.models))
        mapping.save_draft(conn, tenant.id, draft.id, answers, {**draft.facts, "known": use, "settled": True})
        return redirect("guide:step", draft.id, steps.LAST if use else "inicio")
    return render(request, "guide/again.html", {"draft": draft, "when": when, "answers": table.answers})


def _question(request: HttpRequest, draft: Draft, table: Table, one: Step, asked: list[Step]) -> HttpResponse:
    form = one.form(table, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            answers = one.answer(table, form)
        except forms.ValidationError as reason:
            form.add_error(None, reason)
        else:
            mapping.save_draft(database.current(), table.tenant.id, draft.id, answers)
            keys = [other.key for other in asked]
            after = keys[keys.index(one.key) + 1 :] if one.key in keys else []
            again = one.key if "look" in request.POST else after[0] if after else steps.LAST
            return redirect("guide:step", draft.id, again)
    context = _context(draft, table, one.key, asked) | {"form": form, "title": one.title()}
    if one.key == "linha":
        context |= {"examples": examples.of(table), "look": _("Ver um exemplo do modelo")}
    if one.key == "lugar":
        context |= {"look": _("Ver no mapa"), "outside": _outside(table) if context["mapped"] else 0}
    return render(request, "guide/step.html", context, status=422 if form.errors else 200)


def _outside(table: Table) -> int:
    """How many of the first rows lie outside the municipality, where the answers so far put them."""
    plan = runs.plan_for(
        database.current(), table.tenant, dataclasses.replace(table.answers, place=dataclasses.replace(table.answers.place, outside=Outside.KEEP))
    )
    points = rules.apply(table.sample, plan).points
    if points is None or not table.tenant.extent:
        return 0
    return int((~coordinate_systems.within(*points, table.tenant.extent, 0.01) & ~np.isnan(points[0])).sum())


def _context(draft: Draft, table: Table, key: str, asked: list[Step]) -> dict[str, Any]:
    keys = [other.key for other in asked] + [steps.LAST]
    position = keys.index(key) if key in keys else 0
    trail = [
        {
            "title": other.title(),
            "href": reverse("guide:step", args=[draft.id, other.key]),
            "state": "done" if at < position else "current" if at == position else "todo",
        }
        for at, other in enumerate(asked)
    ]
    trail.append({"title": _("Carregar"), "href": reverse("guide:step", args=[draft.id, steps.LAST]), "state": "current" if key == steps.LAST else "todo"})
    return {
        "draft": draft, "table": table, "trail": trail, "key": key, "number": position + 1, "total": len(keys),
        "back": reverse("guide:step", args=[draft.id, keys[position - 1]]) if position else reverse("guide:upload"),
        "columns": [{"label": column.name} for column in table.shape.columns],
        "rows": [[cell if cell is not None else "" for cell in row] for row in table.shape.sample[:8]],
        "mapped": key in {"lugar", steps.LAST} and table.answers.place.kind not in {PlaceKind.NONE, PlaceKind.ADDRESS, PlaceKind.HAND},
    }  # fmt: skip


def _confirm(request: HttpRequest, tenant: Tenant, draft: Draft, kept: StoredFile, table: Table, *, known: bool) -> HttpResponse:
    """How many rows come in and how many wait; then the load begins and goes on without this page."""
    conn = database.current()
    error = ""
    if request.method == "POST":
        try:
            run_id = runs.create(conn, tenant.id, kept, draft.name, table.answers, table.shape.rows, actor_of(request))
        except MalhaError as reason:
            error = language.explain(reason, get_language() or "pt-pt")
        else:
            mapping.save_draft(conn, tenant.id, draft.id, table.answers, run_id=run_id)
            jobs.defer_load(tenant.id, run_id)
            return redirect("desk:run", run_id)
    try:
        mapping.check(table.answers)
        preview = previewing.preview(conn, tenant, kept, draft.name, table.answers, table.language)
    except MalhaError as reason:
        preview, error = None, language.explain(reason, get_language() or "pt-pt")
    context = _context(draft, table, steps.LAST, steps.asked(table)) | {"preview": preview, "known": known, "error": error, "title": _("Está tudo certo?")}
    return render(request, "guide/confirm.html", context, status=422 if error else 200)


@requires(Capability.DATA_LOAD)
@require_safe
def map_spec(request: HttpRequest, draft_id: UUID) -> JsonResponse:
    """What the map of a guided load draws; with `?some`, as many rows as the last page lists."""
    tenant = tenant_of(request)
    layer = {
        "id": "linhas", "label": _("Linhas do ficheiro"), "kind": "circle",
        "data": reverse("guide:places", args=[draft_id]) + ("?some" if "some" in request.GET else ""),
        "colour": {"property": "", "default": "--data-1"}, "legend": [{"label": _("Linhas do ficheiro"), "colour": "--data-1", "shape": "circle"}],
        "popup": [{"property": "nome", "label": _("Nome")}, {"property": "linha", "label": _("Linha")}],
    }  # fmt: skip
    answer: dict[str, Any] = {"extent": list(tenant.extent or PORTUGAL), "layers": [layer], "words": words()}
    if settings.current().basemap_url:
        answer["basemap"] = settings.current().basemap_url
    return JsonResponse(answer)


def words() -> dict[str, str]:
    """What the map says by itself, in the reader's language."""
    return {
        "map": _("Mapa"), "zoom_in": _("Aproximar"), "zoom_out": _("Afastar"), "close": _("Fechar"), "legend": _("Camadas e legenda"), "record": "",
        "name": _("Nome"), "attribution": "", "draw": "", "redraw": "", "finish": "", "undo": "", "clear": "", "how": "",
    }  # fmt: skip


@requires(Capability.DATA_LOAD)
@require_safe
def places(request: HttpRequest, draft_id: UUID) -> HttpResponse:
    """The first rows as points, where the answers so far put them; with `?some`, as many as the last page lists."""
    tenant = tenant_of(request)
    draft, kept = _draft(tenant, draft_id)
    table, _known = table_of(tenant, draft, kept)
    features = _features(table, runs.plan_for(database.current(), tenant, table.answers))
    if "some" in request.GET:
        features = islice(features, previewing.SHOWN_POINTS)
    return HttpResponse(json.dumps({"type": "FeatureCollection", "features": list(features)}), content_type="application/geo+json")


def _features(table: Table, plan: rules.Plan) -> Iterator[dict[str, Any]]:
    mapped = rules.apply(table.sample, plan)
    if mapped.points is None:
        return
    lon, lat = mapped.points
    names = next((column.values for column in mapped.table.columns if column.name in {"name", "nome", "title"}), mapped.table.uris)
    numbers = mapped.table.row_numbers or range(len(names))
    for x, y, name, number in zip(lon.tolist(), lat.tolist(), names, numbers, strict=True):
        if not (isnan(x) or isnan(y)):
            properties = {"nome": str(name or ""), "linha": number}
            yield {"type": "Feature", "id": str(number), "geometry": {"type": "Point", "coordinates": [x, y]}, "properties": properties}
