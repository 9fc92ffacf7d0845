"""Pages of loads: the list, one load with its progress, stopping, going on, undoing."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from malha.foundation.access.contracts import Capability
from malha.foundation.access.views import requires
from malha.foundation.database import django as database
from malha.foundation.language import service as language
from malha.ingest.guide.views import actor_of, tenant_of
from malha.ingest.quality import service as quality
from malha.ingest.runs import jobs
from malha.ingest.runs import service as runs
from malha.ingest.runs.contracts import Run, RunKind, RunState, UnknownRun
from malha.kernel.errors import MalhaError

PAGE = 50


def words_of(state: RunState) -> tuple[str, str]:
    """The state of a load in a word, and the kind of badge."""
    return {
        RunState.WAITING: (_("à espera de vez"), "neutral"),
        RunState.RUNNING: (_("a carregar"), "info"),
        RunState.STOPPED: (_("parada"), "warning"),
        RunState.DONE: (_("terminada"), "success"),
        RunState.FAILED: (_("falhou"), "danger"),
        RunState.UNDONE: (_("desfeita"), "neutral"),
    }[state]


def shown(run: Run) -> dict[str, Any]:
    """A load with its words."""
    word, kind = words_of(run.state)
    return {
        "run": run, "word": word, "badge": kind, "undoable": runs.can_be_undone(run), "percent": round((run.part or 0) * 100) if run.part is not None else None,
        "moving": run.state in {RunState.WAITING, RunState.RUNNING}, "resumable": run.state in {RunState.STOPPED, RunState.FAILED} and run.kind == "file",
    }  # fmt: skip


@requires(Capability.DATA_LOAD)
@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """Loads, newest first."""
    tenant = tenant_of(request)
    page = max(1, int(request.GET.get("page", "1") if request.GET.get("page", "1").isdigit() else "1"))
    found = runs.latest(database.current(), tenant.id, PAGE + 1, (page - 1) * PAGE)
    context = {
        "runs": [shown(run) for run in found[:PAGE]],
        "previous": f"?page={page - 1}" if page > 1 else "",
        "following": f"?page={page + 1}" if len(found) > PAGE else "",
    }
    return render(request, "guide/runs.html", context)


@requires(Capability.DATA_LOAD)
@require_safe
def page(request: HttpRequest, run_id: int) -> HttpResponse:
    """One load: its progress while it runs, then what it did, what waits, and how to undo it."""
    tenant = tenant_of(request)
    conn = database.current()
    run = runs.progress(conn, tenant.id, run_id)
    if run.kind is RunKind.HISTORY:
        return redirect("history_load:run", run_id)
    context = shown(run) | {"groups": quality.groups(conn, tenant.id, run_id)}
    return render(request, "guide/run.html", context)


@requires(Capability.DATA_LOAD)
@require_POST
def stop(request: HttpRequest, run_id: int) -> HttpResponse:
    """Stop after the batch in hand."""
    runs.stop(database.current(), tenant_of(request).id, run_id)
    messages.info(request, _("A carga para assim que acabar o lote em que está. Pode continuar depois."))
    return redirect("desk:run", run_id)


@requires(Capability.DATA_LOAD)
@require_POST
def go_on(request: HttpRequest, run_id: int) -> HttpResponse:
    """Go on with a load that stopped or failed."""
    tenant = tenant_of(request)
    jobs.defer_load(tenant.id, run_id)
    return redirect("desk:run", run_id)


@requires(Capability.DATA_LOAD)
@require_http_methods(["GET", "HEAD", "POST"])
def undo(request: HttpRequest, run_id: int) -> HttpResponseBase:
    """Say what goes with a load; then take it back."""
    tenant = tenant_of(request)
    conn = database.current()
    if request.method == "POST":
        try:
            runs.undo(conn, tenant.id, run_id, actor_of(request))
        except UnknownRun:
            raise
        except MalhaError as reason:
            messages.error(request, language.explain(reason, get_language() or "pt-pt"))
        else:
            messages.success(request, _("A carga foi desfeita."))
        return redirect("desk:run", run_id)
    return render(request, "guide/undo.html", shown(runs.progress(conn, tenant.id, run_id)) | {"waiting": quality.groups(conn, tenant.id, run_id)})
