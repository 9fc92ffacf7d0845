"""Pages of quarantine: what waits by reason, mending a group, the rows as a workbook and back."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from django.contrib import messages
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from malha.foundation.access.contracts import Capability
from malha.foundation.access.views import requires
from malha.foundation.database import django as database
from malha.foundation.language import service as language
from malha.ingest.guide.forms import BackForm
from malha.ingest.guide.views import actor_of, tenant_of
from malha.ingest.quality import service as quality
from malha.ingest.quality.contracts import Group, HeldRow
from malha.ingest.runs import mending
from malha.ingest.runs import service as runs
from malha.ingest.runs.contracts import RunResult
from malha.ingest.runs.mending import Mending, Way
from malha.kernel.errors import MalhaError

#: rows listed for placing one by one
SHOWN_PLACES = 20


def words_of(way: Way) -> str:
    """A way of mending, as on its button."""
    return {
        Way.SET: _("Escrever este valor em todas"),
        Way.CLEAR: _("Deixar a célula vazia"),
        Way.ACCEPT: _("Aceitar como estão"),
        Way.NO_PLACE: _("Deixar sem lugar"),
        Way.OTHER_DATES: _("Ler o mês antes do dia"),
        Way.OTHER_DECIMAL: _("Trocar a vírgula e o ponto"),
        Way.DROP: _("Deixar de fora"),
    }[way]


def sentence_of(group: Group) -> str:
    """“188 linhas: a data não existe”."""
    return ngettext("{count} linha: {message}", "{count} linhas: {message}", group.count).format(
        count=group.count, message=language.word(group.message, get_language() or "pt-pt")
    )


@requires(Capability.DATA_LOAD)
@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """Loads with rows that wait."""
    tenant = tenant_of(request)
    conn = database.current()
    by_run: dict[int, list[str]] = {}
    for group in quality.groups(conn, tenant.id):
        by_run.setdefault(group.run_id, []).append(sentence_of(group))
    loads = [{"run": runs.progress(conn, tenant.id, run_id), "sentences": sentences} for run_id, sentences in by_run.items()]
    return render(request, "guide/quarantine.html", {"loads": loads})


@requires(Capability.DATA_LOAD)
@require_safe
def page(request: HttpRequest, run_id: int) -> HttpResponse:
    """What waits from one load, by reason."""
    tenant = tenant_of(request)
    conn = database.current()
    return render(request, "guide/waiting.html", _context(conn, tenant.id, run_id) | {"form": BackForm()})


def _context(conn: Any, tenant_id: int, run_id: int) -> dict[str, Any]:
    run = runs.progress(conn, tenant_id, run_id)
    reading: Any = (run.answers or {}).get("reading") or {}
    order, groups = reading.get("columns", ()), []
    for group in quality.groups(conn, tenant_id, run_id):
        told = group.examples[0] if group.examples else {}
        headers = [name for name in order if name in told][:8] or list(told)[:8]
        groups.append(
            {
                "group": group,
                "sentence": sentence_of(group),
                "ways": [(way.value, words_of(way)) for way in mending.ways_for(group.code)] if run.kind == "file" else [(Way.DROP.value, words_of(Way.DROP))],
                "places": _places(conn, tenant_id, group) if run.kind == "file" else [],
                "columns": [{"label": header} for header in headers],
                "rows": [[str(example.get(header) or "") for header in headers] for example in group.examples],
            }
        )
    return {"run": run, "groups": groups, "most": SHOWN_PLACES}


def _places(conn: Any, tenant_id: int, group: Group) -> list[tuple[HeldRow, str]]:
    """The first rows of a group that wait for their place, each with what it says first."""
    if group.code not in mending.PLACELESS:
        return []
    found = quality.rows(conn, tenant_id, group.run_id, group.code, group.path, SHOWN_PLACES)
    return [(row, " · ".join(str(value) for value in list(row.cells.values())[:2] if value)) for row in found]


@requires(Capability.DATA_LOAD)
@require_POST
def mend(request: HttpRequest, run_id: int) -> HttpResponse:
    """Settle a group at once."""
    tenant = tenant_of(request)
    way = request.POST.get("way", "")
    if way not in set(Way):
        return redirect("desk:waiting", run_id)
    said = Mending(Way(way), request.POST.get("value", "")[:1000])
    result = mending.mend_group(database.current(), tenant.id, run_id, request.POST.get("code", ""), request.POST.get("path", ""), said, actor_of(request))
    _tell(request, result)
    return redirect("desk:waiting", run_id)


def _tell(request: HttpRequest, result: RunResult | None) -> None:
    if result is None:
        messages.success(request, _("As linhas ficaram de fora."))
    elif result.counts.held:
        said = _("{entered} linhas entraram; {held} continuam à espera, e nada se perdeu.")
        messages.warning(request, said.format(entered=result.counts.entered, held=result.counts.held))
    else:
        messages.success(request, _("{entered} linhas entraram.").format(entered=result.counts.entered))


@requires(Capability.DATA_LOAD, Capability.DATA_EXPORT)
@require_safe
def workbook(request: HttpRequest, run_id: int) -> HttpResponseBase:
    """The rows that wait as XLSX, with a column “porquê”."""
    tenant = tenant_of(request)
    conn = database.current()
    run = runs.progress(conn, tenant.id, run_id)
    reading: Any = (run.answers or {}).get("reading") or {}
    out = tempfile.TemporaryFile(suffix=".xlsx")  # noqa: SIM115 -- the response closes it
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "espera.xlsx"
        quality.write_workbook(conn, tenant.id, run_id, target, reading.get("columns", []), get_language() or "pt-pt")
        out.write(target.read_bytes())
    out.seek(0)
    return FileResponse(out, as_attachment=True, filename=f"quarentena-{run_id}.xlsx")


@requires(Capability.DATA_LOAD)
@require_POST
def bring_back(request: HttpRequest, run_id: int) -> HttpResponse:
    """Take in the workbook after it was mended."""
    tenant = tenant_of(request)
    form = BackForm(request.POST, request.FILES)
    conn = database.current()
    if form.is_valid():
        given = form.cleaned_data["file"]
        try:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "corrigido.xlsx"
                with path.open("wb") as out:
                    for piece in given.chunks():
                        out.write(piece)
                _tell(request, mending.bring_back(conn, tenant.id, run_id, path, given.name, Path(folder) / "work", actor_of(request)))
            return redirect("desk:waiting", run_id)
        except MalhaError as reason:
            form.add_error("file", language.explain(reason, get_language() or "pt-pt"))
    return render(request, "guide/waiting.html", _context(conn, tenant.id, run_id) | {"form": form}, status=422)
