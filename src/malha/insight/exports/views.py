"""The page of exports, direct downloads, and exports made in the background."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from malha.context.store import service as store
from malha.context.store.contracts import EntityQuery, UnusableQuery
from malha.foundation.access import service as access
from malha.foundation.access.contracts import Capability
from malha.foundation.access.views import requires
from malha.foundation.audit import service as audit
from malha.foundation.database import django as database
from malha.foundation.jobs import service as jobs
from malha.foundation.language import service as language
from malha.foundation.tenancy.contracts import Tenant
from malha.history.temporal.contracts import UnusablePeriod
from malha.insight.exports import background, charting, entities, resuming, series, service
from malha.insight.exports.contracts import MEDIA_TYPES, Export, ExportFormat, ExportGone
from malha.insight.exports.entities import EntityExport
from malha.insight.exports.models import ExportJob
from malha.insight.exports.series import SeriesExport
from malha.insight.metrics import service as metrics
from malha.kernel import text, time
from malha.kernel.text import msg, whole_number
from malha.ui import navigation
from malha.vocabulary.models import service as models

#: the longest period by `dias=`
MOST_DAYS = 3660


def _tenant(request: HttpRequest) -> Tenant:
    tenant = getattr(request, "tenant", None)
    if not isinstance(tenant, Tenant):
        raise Http404
    return tenant


def labels() -> list[dict[str, str]]:
    """The formats in words, most used first."""
    return [
        {"format": ExportFormat.XLSX, "label": _("Excel (XLSX)"), "hint": _("uma folha explica as colunas")},
        {"format": ExportFormat.CSV_EXCEL_PT, "label": _("CSV para Excel em português"), "hint": _("ponto e vírgula, vírgula decimal")},
        {"format": ExportFormat.CSV, "label": "CSV", "hint": _("para programas")},
        {"format": ExportFormat.JSON, "label": "JSON", "hint": ""},
        {"format": ExportFormat.GEOJSON, "label": "GeoJSON", "hint": _("para mapas")},
        {"format": ExportFormat.PARQUET, "label": "Parquet", "hint": _("para análise")},
        {"format": ExportFormat.GEOPACKAGE, "label": "GeoPackage", "hint": _("para QGIS e outros SIG")},
        {"format": ExportFormat.GEOPARQUET, "label": "GeoParquet", "hint": _("mapas em análise")},
        {"format": ExportFormat.PDF, "label": "PDF", "hint": _("até 2000 linhas, para imprimir")},
    ]


def wanted_by(request: HttpRequest, tenant: Tenant) -> EntityExport:
    """The export that the address describes: `type`, `q`, `columns` (repeated), `personal=1`, `run`."""
    entity_type = request.GET.get("type", "")
    if not entity_type:
        raise Http404(_("Falta dizer o que exportar."))
    _within_reach(request, entity_type)
    run = request.GET.get("run", "")
    return EntityExport(
        type=entity_type,
        query=EntityQuery(q=request.GET.get("q", ""), text=request.GET.get("text", ""), run_id=whole_number(run, 0) if run else None),
        columns=tuple(request.GET.getlist("columns")),
        title=request.GET.get("title", "")[:200] or label_of(entity_type, tenant),
        filter_text=" · ".join(part for part in (request.GET.get("q", ""), request.GET.get("text", "")) if part),
        source=tenant.name,
        with_personal=request.GET.get("personal") == "1" and access.principal(request).may(Capability.PERSONAL_READ),
        whole_url=request.build_absolute_uri(f"{reverse('exports:file', args=['csv'])}?{request.GET.urlencode()}"),
        language=get_language() or "pt-pt",
    )


def label_of(entity_type: str, tenant: Tenant) -> str:
    """What people call a type."""
    model = models.find(entity_type, tenant.id)
    return (model.label.in_language(get_language() or "pt-pt") if model else "") or entity_type


@require_safe
@requires(Capability.DATA_EXPORT, limited=True)
def index(request: HttpRequest) -> HttpResponse:
    """Choose what to take and how; the exports made in the background stand below."""
    return _page(request)


def _page(request: HttpRequest, error: str = "") -> HttpResponse:
    """The page, with what was asked for still in it when the filter cannot be used."""
    tenant, principal = _tenant(request), access.principal(request)
    types = [
        {"name": name, "label": label_of(name, tenant), "count": count}
        for name, count, _changed in store.types(database.current(), tenant.id)
        if principal.types is None or name in principal.types
    ]
    chosen = request.GET.get("type", "") or (types[0]["name"] if types else "")
    columns = entities.export(tenant, EntityExport(type=str(chosen), with_personal=True)).columns if chosen else ()
    own = ExportJob.objects.filter(tenant_id=tenant.id, person_id=principal.person_id).order_by("-created_at")[:20]
    found = list(own)
    ExportJob.objects.filter(pk__in=[job.pk for job in found if job.state in {"ready", "failed"}], seen_at=None).update(seen_at=time.now())
    context = {
        "types": types,
        "chosen": chosen,
        "columns": columns,
        "formats": labels(),
        "jobs": found,
        "working": any(job.state in {"waiting", "running"} for job in found),
        "may_personal": principal.may(Capability.PERSONAL_READ),
        "asked": {"q": request.GET.get("q", ""), "columns": request.GET.getlist("columns"), "personal": request.GET.get("personal") == "1"},
        "error": error,
    }
    return render(request, "exports/index.html", context, status=422 if error else 200)


def _check_filter(tenant: Tenant, wanted: EntityExport) -> None:
    """Raises UnusableQuery where the filter cannot be read, or names what these rows do not have for this reader."""
    if not wanted.query.q:
        return
    known = {column.name for column in entities.export(tenant, replace(wanted, columns=())).columns} | {"createdAt"}
    unknown = sorted(store.names_in_question(wanted.query.q) - known)
    if unknown:
        raise UnusableQuery(msg("Estes dados não têm “{name}”. Os nomes que se podem filtrar são: {known}."), name=unknown[0], known=", ".join(sorted(known)))


def notices(request: HttpRequest) -> list[navigation.Notice]:
    """The reader's exports that ended while they did something else: the bell tells of them until they are looked at."""
    principal = access.principal(request)
    if principal.tenant_id is None or principal.person_id is None or not principal.may(Capability.DATA_EXPORT):
        return []
    said = {"ready": _("Exportação pronta: %(title)s (%(format)s)"), "failed": _("Exportação que falhou: %(title)s (%(format)s)")}
    ended = background.unseen(principal.tenant_id, principal.person_id)
    return [navigation.Notice(said[job.state] % {"title": job.title, "format": job.format}, f"{reverse('exports:index')}#exportacao-{job.pk}") for job in ended]


@require_safe
@requires(Capability.DATA_EXPORT, limited=True)
def file(request: HttpRequest, ending: str) -> HttpResponseBase:
    """The export itself; when it would take more than ten seconds it becomes a job that can be left and found again."""
    tenant, chosen = _tenant(request), _format(ending)
    wanted = wanted_by(request, tenant)
    principal = access.principal(request)
    try:
        _check_filter(tenant, wanted)
        rows = entities.count(tenant.id, wanted)
    except UnusableQuery as error:
        return _page(request, language.explain(error, wanted.language))
    if wanted.with_personal:
        audit.record(tenant.id, f"person:{principal.person_id}", "personal.exported", wanted.type, {"format": chosen, "rows": rows}, personal=True)
    if rows > background.ROWS_AT_ONCE[chosen]:
        return _later(tenant, wanted, chosen, principal.person_id, rows)
    export = entities.export(tenant, wanted)
    if chosen is ExportFormat.PDF:
        export = charting.with_chart(export, tenant, wanted.type, wanted.language)
    return _sent(export, chosen, wanted.title)


@require_safe
@requires(Capability.DATA_EXPORT, limited=True)
def values(request: HttpRequest, ending: str) -> HttpResponseBase:
    """The values of one attribute over a period: `type`, `attribute`, `id` (none: all of the type), `dias`, or `de` and `ate`."""
    tenant, principal, chosen = _tenant(request), access.principal(request), _format(ending)
    wanted = _series_wanted(request, tenant)
    series.check(chosen)
    known = series.property_of(tenant, wanted)
    if known and known.personal:
        if not principal.may(Capability.PERSONAL_READ):
            raise Http404
        audit.record(
            tenant.id, f"person:{principal.person_id}", "personal.exported", wanted.type, {"format": chosen, "attribute": wanted.attribute}, personal=True
        )
    rows = series.count(tenant.id, wanted)
    if rows > background.ROWS_AT_ONCE[chosen]:
        return _later(tenant, wanted, chosen, principal.person_id, rows)
    export = series.export(tenant, wanted, chart=chosen is ExportFormat.PDF)
    return _sent(export, chosen, export.statement.title)


def _series_wanted(request: HttpRequest, tenant: Tenant) -> SeriesExport:
    given = {name: request.GET.get(name, "") for name in ("type", "attribute", "id", "de", "ate", "dias")}
    if not given["type"] or not given["attribute"]:
        raise Http404(_("Falta dizer o que exportar."))
    _within_reach(request, given["type"])
    days = asked if 0 < (asked := whole_number(given["dias"], 0)) <= MOST_DAYS else 7
    try:
        end = time.parse_instant(given["ate"], zone=tenant.zone) if given["ate"] else metrics.moment(tenant)
        start = time.parse_instant(given["de"], zone=tenant.zone) if given["de"] else end - timedelta(days=days)
    except ValueError as error:
        raise UnusablePeriod(msg("O período tem de ser dado como 2026-11-22 ou 2026-11-22T14:05.")) from error
    name = ""
    if given["id"]:
        entity = store.by_uris(database.current(), tenant.id, [given["id"]]).get(given["id"])
        if entity is None or given["type"] not in entity.types:
            raise Http404
        name = str(entity.value("name") or "") if isinstance(entity.value("name"), str) else ""
    whole = request.build_absolute_uri(f"{reverse('exports:series', args=['csv'])}?{request.GET.urlencode()}")
    return SeriesExport(given["type"], given["attribute"], start, end, uri=given["id"], name=name, whole_url=whole, language=get_language() or "pt-pt")


def _format(ending: str) -> ExportFormat:
    try:
        return ExportFormat(ending)
    except ValueError as error:
        raise Http404(_("Não há ficheiros neste formato.")) from error


def _within_reach(request: HttpRequest, entity_type: str) -> None:
    types = access.principal(request).types
    if types is not None and entity_type not in types:
        raise Http404


def _later(tenant: Tenant, wanted: EntityExport | SeriesExport, chosen: ExportFormat, person_id: int | None, rows: int) -> HttpResponse:
    """What takes more than ten seconds becomes a job that can be left and found again."""
    job = background.ask(tenant, wanted, chosen, person_id=person_id, rows=rows)
    jobs.defer("exports.make", tenant_id=tenant.id, job_id=job.pk)
    return redirect(f"{reverse('exports:index')}#exportacao-{job.pk}")


def _sent(export: Export, chosen: ExportFormat, title: str) -> HttpResponseBase:
    response = StreamingHttpResponse(service.stream(export, chosen), content_type=MEDIA_TYPES[chosen])
    response["Content-Disposition"] = f'attachment; filename="{text.slug(title)}.{chosen}"'
    return response


@require_safe
@requires(Capability.DATA_EXPORT, limited=True)
def fetch(request: HttpRequest, job_id: int) -> HttpResponseBase:
    """The file of an export made in the background: for whoever asked for it, until it expires (410)."""
    job = ExportJob.objects.filter(tenant_id=_tenant(request).id, pk=job_id, person_id=access.principal(request).person_id).first()
    if job is None:
        raise Http404
    try:
        place = background.path_of(job)
    except ExportGone as error:
        return render(request, "exports/gone.html", {"reason": language.explain(error, get_language() or "pt-pt")}, status=410)
    return resuming.respond(request, place, f"{text.slug(job.title)}.{job.format}", MEDIA_TYPES[ExportFormat(job.format)])
