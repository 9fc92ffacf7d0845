"""*Carregar história*: a file in pieces, what its columns mean, and the load, which goes on without the page."""

from __future__ import annotations

import csv
import time
from collections.abc import Iterator
from functools import partial
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from malha.foundation.access.contracts import Capability
from malha.foundation.access.views import requires
from malha.foundation.database import django as database
from malha.foundation.language import service as language
from malha.foundation.tenancy.contracts import Tenant
from malha.ingest.bulk import drafts, jobs, reading, recognising
from malha.ingest.bulk.contracts import PieceOutOfPlace, Shape, UnreadableHistory
from malha.ingest.bulk.drafts import Draft
from malha.ingest.bulk.forms import FileForm, ShapeForm
from malha.ingest.guide.runs import shown
from malha.ingest.guide.views import actor_of, tenant_of
from malha.ingest.lineage import service as lineage
from malha.ingest.quality import service as quality
from malha.ingest.runs import service as runs
from malha.ingest.runs.contracts import Run, RunKind, RunState, UnknownRun
from malha.kernel import formats
from malha.kernel.errors import MalhaError
from malha.kernel.text import msg
from malha.kernel.time import now

#: a load that was not heard of for so long may have lost its process
SILENT_SECONDS = jobs.SILENT_SECONDS
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_READ_BYTES = 1 << 18


def _said(reason: MalhaError) -> str:
    return language.explain(reason, get_language() or "pt-pt")


@requires(Capability.DATA_LOAD)
@require_http_methods(["GET", "HEAD", "POST"])
def index(request: HttpRequest) -> HttpResponse:
    """Choose a file; those on their way and the last loads stand below. A file that is posted whole is kept (browsers without script)."""
    tenant, conn = tenant_of(request), database.current()
    form = FileForm(request.POST, request.FILES) if request.method == "POST" else FileForm()
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data["file"]
        try:
            kept = lineage.keep(conn, tenant.id, given.chunks(), given.name)
            return redirect("history_load:draft", drafts.of_kept(conn, tenant.id, kept, given.name, actor_of(request)).id)
        except MalhaError as reason:
            form.add_error("file", _said(reason))
    context = {
        "form": form, "piece_bytes": drafts.PIECE_BYTES, "waiting": drafts.unfinished(conn, tenant.id),
        "loads": [shown(run) for run in runs.latest(conn, tenant.id, 10, kinds=[RunKind.HISTORY.value])],
    }  # fmt: skip
    return render(request, "bulk/index.html", context, status=422 if form.errors else 200)


@requires(Capability.DATA_LOAD)
@require_POST
def begin(request: HttpRequest) -> JsonResponse:
    """A place for the pieces of a file (name, bytes, mark); the one it had, where somebody goes on with it."""
    size = request.POST.get("bytes", "")
    try:
        if not size.isascii() or not size.isdigit() or len(size) > 15:
            raise UnreadableHistory(msg("Falta dizer quantos bytes tem o ficheiro."))
        name, mark = request.POST.get("name", "")[:255] or "ficheiro", request.POST.get("mark", "")[:100]
        made = drafts.begin(database.current(), tenant_of(request).id, name, int(size), mark, actor_of(request))
    except MalhaError as reason:
        return JsonResponse({"detail": _said(reason)}, status=reason.status)
    address = {step: reverse(f"history_load:{step}", args=[made.id]) for step in ("piece", "whole", "draft")}
    return JsonResponse({"offset": made.received, **address}, status=201)


@requires(Capability.DATA_LOAD)
@require_http_methods(["GET", "HEAD", "POST"])
def piece(request: HttpRequest, draft_id: UUID) -> JsonResponse:
    """How much of a file has come; or a piece of it (`Upload-Offset` says where it belongs)."""
    draft = _draft(request, draft_id)
    if request.method != "POST":
        return JsonResponse({"offset": draft.received})
    offset = request.headers.get("Upload-Offset", "")
    if draft.sha256 or not (offset.isascii() and offset.isdigit()) or len(offset) > 15:
        return JsonResponse({"detail": _("Falta dizer onde começa este pedaço."), "offset": draft.received}, status=400)
    try:
        return JsonResponse({"offset": drafts.add(draft, int(offset), iter(partial(request.read, _READ_BYTES), b""))})
    except PieceOutOfPlace as reason:
        return JsonResponse({"detail": _said(reason), "offset": reason.offset}, status=reason.status)
    except MalhaError as reason:
        return JsonResponse({"detail": _said(reason), "offset": draft.received}, status=reason.status)


@requires(Capability.DATA_LOAD)
@require_POST
def whole(request: HttpRequest, draft_id: UUID) -> JsonResponse:
    """All of a file has come: keep it."""
    try:
        drafts.finish(database.current(), _draft(request, draft_id))
    except PieceOutOfPlace as reason:
        return JsonResponse({"detail": _said(reason), "offset": reason.offset}, status=reason.status)
    return JsonResponse({"next": reverse("history_load:draft", args=[draft_id])})


@requires(Capability.DATA_LOAD)
@require_POST
def drop(request: HttpRequest, draft_id: UUID) -> HttpResponse:
    """Forget a file that was not loaded."""
    drafts.drop(database.current(), _draft(request, draft_id))
    messages.info(request, _("O ficheiro foi largado. Nada dele entrou."))
    return redirect("history_load:index")


def _draft(request: HttpRequest, draft_id: UUID) -> Draft:
    return drafts.find(database.current(), tenant_of(request).id, draft_id)


@requires(Capability.DATA_LOAD)
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest, draft_id: UUID) -> HttpResponseBase:
    """What was recognised, what would come of it, and what the columns mean; then the load begins."""
    tenant, conn, draft = tenant_of(request), database.current(), _draft(request, draft_id)
    if draft.run_id is not None:
        return redirect("history_load:run", draft.run_id)
    if not draft.sha256:
        return redirect("history_load:index")
    kept = lineage.find(conn, tenant.id, draft.sha256)
    try:
        found = recognising.sample(kept.path)
    except MalhaError as reason:
        return render(request, "bulk/unusable.html", {"draft": draft, "reason": _said(reason)}, status=422)
    shape = draft.shape or recognising.suggest(conn, tenant.id, found, str(tenant.zone))
    form = ShapeForm(found, shape, request.POST or None)
    if request.method == "POST" and form.is_valid():
        shape = form.answer()
        drafts.answer(conn, draft, shape)
        if "start" not in request.POST:
            return redirect("history_load:draft", draft.id)
        try:
            return redirect("history_load:run", _start(request, tenant, draft, shape))
        except MalhaError as reason:
            form.add_error(None, _said(reason))
    context = {
        "draft": draft, "form": form, "columns": [{"label": name} for name in found.names], "rows": found.rows[: recognising.SHOWN],
        **({} if form.errors else _tried(conn, tenant, kept.path, shape)),
    }  # fmt: skip
    return render(request, "bulk/draft.html", context, status=422 if form.errors else 200)


def _tried(conn: Any, tenant: Tenant, path: Any, shape: Shape) -> dict[str, Any]:
    if not shape.entity or not shape.instant or not (shape.attributes or shape.value):
        return {"asks": True}
    try:
        trial = recognising.attempt(conn, tenant.id, path, shape)
    except MalhaError as reason:
        return {"fault": _said(reason)}
    return {"trial": trial, "expected": trial.read if trial.whole else max(trial.read, reading.expected_rows(path))}


def _start(request: HttpRequest, tenant: Tenant, draft: Draft, shape: Shape) -> int:
    conn = database.current()
    kept = lineage.find(conn, tenant.id, draft.sha256)
    names = reading.names_of(kept.path)
    reading.see_once(names, shape)
    answers = {"shape": shape.as_json(), "reading": {"columns": names}}
    run_id = runs.create_history(conn, tenant.id, kept, draft.name, answers, reading.expected_rows(kept.path), actor_of(request))
    drafts.answer(conn, draft, shape, run_id)
    jobs.defer_load(tenant.id, run_id)
    return run_id


@requires(Capability.DATA_LOAD)
@require_safe
def run(request: HttpRequest, run_id: int) -> HttpResponse:
    """One load: how far it is and how fast, then what it did, what was refused, and how to undo it."""
    tenant, conn = tenant_of(request), database.current()
    found = _run(request, run_id)
    again = {"resumable": found.state in {RunState.STOPPED, RunState.FAILED} and bool(found.sha256)}
    took = duration((found.finished_at - found.started_at).total_seconds()) if found.finished_at and found.started_at else ""
    context = shown(found) | again | {"progress": _progress(found), "groups": quality.groups(conn, tenant.id, run_id), "took": took}
    return render(request, "bulk/run.html", context)


def _run(request: HttpRequest, run_id: int) -> Run:
    found = runs.progress(database.current(), tenant_of(request).id, run_id)
    if found.kind is not RunKind.HISTORY:
        raise UnknownRun(msg("Não há nenhuma carga com o número {id}."), id=run_id)
    return found


def _progress(found: Run) -> dict[str, Any]:
    """The step, the part of it that is done, rows a second, and about how long it will still take."""
    place = found.position
    done, of = place.get("done", 0), place.get("of", 0)
    seconds = max(1, int(time.time()) - place.get("since", int(time.time())))
    rate = (done - place.get("from", 0)) / seconds
    heard = found.heard_at or found.started_at
    return {
        "step": place.get("step", 0), "done": done, "of": of, "percent": min(100, done * 100 // of) if of else None, "rate": rate,
        "left": duration((of - done) / rate) if of > done and rate > 0 and seconds > 2 else "",
        "silent": found.state is RunState.RUNNING and heard is not None and (now() - heard).total_seconds() > SILENT_SECONDS,
    }  # fmt: skip


def duration(seconds: float) -> str:
    """About how long, in words: `2 min`."""
    if seconds < 60:
        return ngettext("{count} segundo", "{count} segundos", max(1, round(seconds))).format(count=max(1, round(seconds)))
    if seconds < 5400:
        return ngettext("{count} minuto", "{count} minutos", round(seconds / 60)).format(count=round(seconds / 60))
    return _("{count} horas").format(count=formats.number(seconds / 3600, 1, get_language() or "pt-pt"))


@requires(Capability.DATA_LOAD)
@require_POST
def stop(request: HttpRequest, run_id: int) -> HttpResponse:
    """Stop after the rows in hand."""
    runs.stop(database.current(), tenant_of(request).id, _run(request, run_id).id)
    messages.info(request, _("A carga para dentro de instantes. O que já foi lido fica guardado: pode continuar depois, ou desfazer."))
    return redirect("history_load:run", run_id)


@requires(Capability.DATA_LOAD)
@require_POST
def go_on(request: HttpRequest, run_id: int) -> HttpResponse:
    """Go on with a load that stopped or failed."""
    tenant, found = tenant_of(request), _run(request, run_id)
    if found.sha256 and runs.wait_again(database.current(), tenant.id, found.id, actor_of(request)):
        jobs.defer_load(tenant.id, run_id)
    return redirect("history_load:run", run_id)


@requires(Capability.DATA_LOAD, Capability.DATA_EXPORT)
@require_safe
def refused(request: HttpRequest, run_id: int) -> StreamingHttpResponse:
    """The rows that were refused, as a CSV that Excel opens: their number, their cells, the column and why."""
    tenant, found = tenant_of(request), _run(request, run_id)
    reading_: Any = (found.answers or {}).get("reading") or {}
    response = StreamingHttpResponse(
        _lines(tenant.id, run_id, reading_.get("columns") or [], get_language() or "pt-pt"), content_type="text/csv; charset=utf-8"
    )
    response["Content-Disposition"] = f'attachment; filename="recusadas-{run_id}.csv"'
    return response


class _Line:
    """What the writer of CSV writes into: the last line."""

    text = ""

    def write(self, text: str) -> None:
        self.text = text


def _lines(tenant_id: int, run_id: int, columns: list[str], tongue: str) -> Iterator[bytes]:
    """Lines of a CSV in UTF-8 with its mark, in a transaction of their own: the page's has ended by then. No cell is a formula."""
    out = _Line()
    writer = csv.writer(out, delimiter=";")
    with database.scope(tenant_id):
        head: list[str] | None = None
        for held in quality.rows(database.current(), tenant_id, run_id):
            if head is None:
                head = columns or list(held.cells)
                writer.writerow(
                    [
                        language.translate(msg("linha"), tongue),
                        *map(_safe, head),
                        language.translate(msg("coluna"), tongue),
                        language.translate(msg("porquê"), tongue),
                    ]
                )
                yield b"\xef\xbb\xbf" + out.text.encode()
            cells = [held.cells.get(name) for name in head]
            writer.writerow([held.row_number, *map(_safe, cells), _safe(held.path), language.word(held.message, tongue)])
            yield out.text.encode()


def _safe(cell: object) -> str:
    text = "" if cell is None else str(cell)
    return f"'{text}" if text.startswith(_FORMULA) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    return text.replace(",", ".", 1).lstrip("+-").replace(".", "", 1).isdigit()
