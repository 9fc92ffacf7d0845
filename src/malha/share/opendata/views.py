"""The public pages of the open data portal: no sign-in, no script needed."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from functools import wraps

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from malha.foundation.language import service as words
from malha.foundation.tenancy.contracts import Tenant
from malha.insight.exports import service as exports
from malha.insight.exports.contracts import MEDIA_TYPES, CellType, ExportFormat
from malha.insight.exports.writers.cells import plain
from malha.insight.past import views as past
from malha.kernel import formats
from malha.share.opendata import dcat, service
from malha.share.opendata.contracts import FREQUENCIES, LICENCES, THEMES, PublicationState, UnknownDataset, choice
from malha.share.opendata.forms import ReportForm
from malha.share.opendata.models import Dataset

PAGE = 100
PREVIEW_ROWS = 20
API_ROWS = 1000

type View = Callable[..., HttpResponseBase]


def tenant_of(request: HttpRequest) -> Tenant:
    """The tenant whose address this is; the platform's own has no open data (404)."""
    tenant = getattr(request, "tenant", None)
    if not isinstance(tenant, Tenant):
        raise Http404
    return tenant


def published_only(view: View) -> View:
    """Give the view its published dataset; a withdrawn one answers 410 with whom to ask."""

    @wraps(view)
    def found(request: HttpRequest, slug: str, **rest: object) -> HttpResponseBase:
        tenant = tenant_of(request)
        try:
            row = service.by_slug(tenant, slug)
        except UnknownDataset as error:
            raise Http404(words.explain(error, get_language() or "pt-pt")) from error
        if row.state == PublicationState.WITHDRAWN:
            return render(request, "opendata/withdrawn.html", {"dataset": row}, status=410)
        return view(request, tenant, row, **rest)

    return found


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    """The published datasets, searched without accents."""
    tenant = tenant_of(request)
    search = request.GET.get("q", "")[:100]
    rows = Paginator(service.published(tenant, search=search), 20).get_page(request.GET.get("page"))
    english = (get_language() or "").startswith("en")
    cards = [
        {
            "title": (row.title_en if english else "") or row.title_pt,
            "text": (row.description_en if english else "") or row.description_pt,
            "href": reverse("opendata:dataset", args=[row.slug]),
            "theme": choice(THEMES, row.theme).word(get_language()),
        }
        for row in rows
    ]
    return _public(render(request, "opendata/index.html", {"rows": rows, "cards": cards, "search": search}), tenant)


@require_safe
@published_only
def dataset(request: HttpRequest, tenant: Tenant, row: Dataset) -> HttpResponse:
    """One dataset: what it is, preview, map, downloads, how programs read it, licence, last and next update."""
    seen = past.seen(request, tenant, entity_type=row.entity_type, first=row.published_at)
    export = service.export_of(tenant, row, past=seen.moment)
    more = f"?{seen.suffix}" if seen.suffix else ""
    preview = next(export.batches(), [])[:PREVIEW_ROWS]
    shown = [index for index, column in enumerate(export.columns) if column.type is not CellType.GEOMETRY]
    last = service.last_change(tenant, row)
    url = request.build_absolute_uri(reverse("opendata:dataset", args=[row.slug]))
    english = (get_language() or "").startswith("en")
    context = {
        "dataset": row,
        "tenant": tenant,
        "past": seen,
        "title": (row.title_en if english else "") or row.title_pt,
        "description": (row.description_en if english else "") or row.description_pt,
        "url": url,
        "features": f"{_home(request)}ogc/abertos",
        "columns": [{"label": export.columns[i].name, "numeric": export.columns[i].type in {CellType.NUMBER, CellType.INTEGER}} for i in shown],
        "rows": [
            [{"text": shown_as(line[i], tenant, get_language() or "pt-pt"), "numeric": isinstance(line[i], int | float)} for i in shown] for line in preview
        ],
        "dictionary": export.columns,
        "has_place": "location" in row.columns,
        "downloads": [
            {"label": en if english else pt, "href": f"{url}{end}{more}"}
            for end, file_type, _media, pt, en in dcat.DISTRIBUTIONS
            if file_type != "GEOJSON" or "location" in row.columns
        ],
        "licence": choice(LICENCES, row.licence).word(get_language()),
        "licence_url": choice(LICENCES, row.licence).uri,
        "theme": choice(THEMES, row.theme).word(get_language()),
        "frequency": choice(FREQUENCIES, row.frequency).word(get_language()),
        "last": last,
        "next": service.next_update(row, last),
        "structured": json.dumps(_schema_org(row, tenant, url), ensure_ascii=False).replace("<", "\\u003c"),
    }
    return _public(render(request, "opendata/dataset.html", context), tenant)


@require_safe
@published_only
def download(request: HttpRequest, tenant: Tenant, row: Dataset, *, ending: str) -> HttpResponseBase:
    """The whole dataset in one format, streamed."""
    try:
        wanted = ExportFormat(ending)
    except ValueError as error:
        raise Http404(_("Não há ficheiros neste formato.")) from error
    url = request.build_absolute_uri(reverse("opendata:dataset", args=[row.slug]))
    moment = past.seen(request, tenant, entity_type=row.entity_type, first=row.published_at).moment
    export = service.export_of(tenant, row, whole_url=f"{url}dados.csv", past=moment)
    response = StreamingHttpResponse([] if request.method == "HEAD" else exports.stream(export, wanted), content_type=MEDIA_TYPES[wanted])
    response["Content-Disposition"] = f'attachment; filename="{row.slug}.{wanted}"'
    response["Link"] = f'<{choice(LICENCES, row.licence).uri}>; rel="license", <{url}dcat.jsonld>; rel="describedby"'
    response["Access-Control-Allow-Origin"] = "*"
    return _public(response, tenant)


@require_safe
@published_only
def map_spec(request: HttpRequest, tenant: Tenant, row: Dataset) -> HttpResponse:
    """What the map of the page draws: the public rows, nothing else."""
    export, suffix = service.export_of(tenant, row), past.seen(request, tenant, entity_type=row.entity_type, first=row.published_at).suffix
    popup = [{"property": c.name, "label": c.label, "unit": c.unit} for c in export.columns if c.type is not CellType.GEOMETRY][:8]
    layer = {
        "id": "dados",
        "label": row.title_pt,
        "kind": "cluster",
        "data": reverse("opendata:download", args=[row.slug, "geojson"]) + (f"?{suffix}" if suffix else ""),
        "colour": {"property": "", "default": "--data-1"},
        "legend": [{"label": row.title_pt, "colour": "--data-1", "shape": "circle"}],
        "popup": popup,
        "visible": True,
    }
    words = {"map": _("Mapa"), "zoom_in": _("Aproximar"), "zoom_out": _("Afastar"), "close": _("Fechar"), "legend": _("Legenda"), "name": _("Nome")}
    return _public(JsonResponse({"extent": list(tenant.extent or service.PORTUGAL), "layers": [layer], "words": words}), tenant)


@require_safe
@published_only
def api(request: HttpRequest, tenant: Tenant, row: Dataset) -> HttpResponse:
    """The rows as JSON, paged: `limit` (≤ 1,000) and `offset`; `next` is the address of the following page."""
    try:
        limit = min(max(int(request.GET.get("limit", 100)), 1), API_ROWS)
        offset = max(int(request.GET.get("offset", 0)), 0)
    except ValueError:
        return JsonResponse({"title": _("limit e offset são números inteiros."), "status": 400}, status=400, content_type="application/problem+json")
    export = service.export_of(tenant, row)
    names = [column.name for column in export.columns]
    rows: list[dict[str, object]] = []
    seen, more = 0, False
    for batch in export.batches():
        begin = max(0, offset - seen)
        seen += len(batch)
        rows += [
            {name: plain(value) for name, value in zip(names, line, strict=True) if value is not None} for line in batch[begin : begin + limit + 1 - len(rows)]
        ]
        if len(rows) > limit:
            rows, more = rows[:limit], True
            break
    url = request.build_absolute_uri(reverse("opendata:api", args=[row.slug]))
    body = {"dataset": row.slug, "licence": choice(LICENCES, row.licence).uri, "rows": rows, "offset": offset, "limit": limit}
    if more:
        body["next"] = f"{url}?limit={limit}&offset={offset + limit}"
    response = JsonResponse(body, json_dumps_params={"ensure_ascii": False})
    response["Access-Control-Allow-Origin"] = "*"
    return _public(response, tenant)


@require_safe
@published_only
def openapi(request: HttpRequest, tenant: Tenant, row: Dataset) -> HttpResponse:
    """The interface of one dataset as OpenAPI 3.1."""
    export = service.export_of(tenant, row)
    kinds = {CellType.NUMBER: "number", CellType.INTEGER: "integer", CellType.BOOLEAN: "boolean", CellType.GEOMETRY: "object"}
    properties = {
        column.name: {"type": kinds.get(column.type, "string"), "title": column.label, **({"x-unit": column.unit} if column.unit else {})}
        for column in export.columns
    }
    integer = {"type": "integer", "minimum": 0}
    document = {
        "openapi": "3.1.0",
        "info": {"title": row.title_pt, "version": "1", "license": {"name": row.licence, "url": choice(LICENCES, row.licence).uri}},
        "servers": [{"url": request.build_absolute_uri(reverse("opendata:dataset", args=[row.slug])).rstrip("/")}],
        "paths": {
            "/api": {
                "get": {
                    "summary": row.title_pt,
                    "parameters": [
                        {"name": "limit", "in": "query", "schema": integer | {"maximum": API_ROWS, "default": 100}},
                        {"name": "offset", "in": "query", "schema": integer | {"default": 0}},
                    ],
                    "responses": {
                        "200": {
                            "description": row.title_pt,
                            "content": {
                                "application/json": {
                                    "schema": {
                                        "type": "object",
                                        "properties": {"rows": {"type": "array", "items": {"type": "object", "properties": properties}}},
                                    }
                                }
                            },
                        }
                    },
                }
            }
        },
    }
    return _public(JsonResponse(document, json_dumps_params={"ensure_ascii": False}), tenant)


@require_safe
@published_only
def record(request: HttpRequest, tenant: Tenant, row: Dataset) -> HttpResponse:
    """The DCAT-AP record of one dataset."""
    url = request.build_absolute_uri(reverse("opendata:dataset", args=[row.slug]))
    return _json_ld(dcat.dataset_record(service.describe(tenant, row, _home(request)), url), tenant)


@require_safe
def catalogue(request: HttpRequest) -> HttpResponse:
    """The tenant's catalogue for harvesters (DCAT-AP 3.0.1, hydra paging). A fictitious tenant has none."""
    tenant = tenant_of(request)
    if tenant.is_demo:
        raise Http404(_("Um município fictício não tem catálogo."))
    pages = Paginator(service.published(tenant), PAGE)
    page = pages.get_page(request.GET.get("page"))
    described = [(service.describe(tenant, row, _home(request)), request.build_absolute_uri(reverse("opendata:dataset", args=[row.slug]))) for row in page]
    node = dcat.catalogue_record(
        url=request.build_absolute_uri(reverse("catalogue")),
        name=tenant.name,
        publisher_url=_home(request),
        bbox=tenant.extent or service.PORTUGAL,
        datasets=described,
        page=page.number,
        pages=pages.num_pages,
    )
    return _json_ld(node, tenant)


@require_http_methods(["GET", "POST"])
@published_only
def report(request: HttpRequest, tenant: Tenant, row: Dataset) -> HttpResponse:
    """*Reportar um erro*: a form that needs no account."""
    form = ReportForm(request.POST or None)
    sent = False
    if request.method == "POST" and form.is_valid():
        if not form.cleaned_data["website"]:
            service.report_error(tenant, row, words=form.cleaned_data["text"], email=form.cleaned_data["email"])
        sent = True
    return _public(render(request, "opendata/report.html", {"dataset": row, "form": form, "sent": sent}), tenant)


@require_safe
def accessibility(request: HttpRequest) -> HttpResponse:
    """The accessibility statement (Decreto-Lei 83/2018)."""
    return render(request, "opendata/accessibility.html")


@require_safe
def privacy(request: HttpRequest) -> HttpResponse:
    """What personal data these pages keep, why and for how long."""
    return render(request, "opendata/privacy.html")


def _home(request: HttpRequest) -> str:
    return request.build_absolute_uri(reverse("opendata:index")).removesuffix("dados-abertos/")


def shown_as(value: object, tenant: Tenant, language: str) -> str:
    """A cell as people read it: numbers with the comma and to six decimals, instants in the tenant's zone."""
    if isinstance(value, datetime):
        return formats.instant(value, tenant.zone, language)
    if isinstance(value, int | float) and not isinstance(value, bool):
        decimals = min(6, -int(exponent)) if isinstance(exponent := Decimal(str(value)).normalize().as_tuple().exponent, int) and exponent < 0 else 0
        return formats.number(value, decimals, language)
    written = plain(value)
    if written is None:
        return ""
    return written if isinstance(written, str) else json.dumps(written, ensure_ascii=False)[:120]


def _schema_org(row: Dataset, tenant: Tenant, url: str) -> dict[str, object]:
    return {
        "@context": "https://schema.org/",
        "@type": "Dataset",
        "name": row.title_pt,
        "description": row.description_pt,
        "url": url,
        "license": choice(LICENCES, row.licence).uri,
        "creator": {"@type": "Organization", "name": tenant.name},
        "distribution": [{"@type": "DataDownload", "encodingFormat": "text/csv", "contentUrl": f"{url}dados.csv"}],
    }


def _json_ld(node: dict[str, object], tenant: Tenant) -> HttpResponse:
    # the charset is said: a harvester that guesses it spoils every accent
    response = HttpResponse(json.dumps(node, ensure_ascii=False, indent=1), content_type="application/ld+json; charset=utf-8")
    response["Access-Control-Allow-Origin"] = "*"
    return _public(response, tenant)


def _public[R: HttpResponseBase](response: R, tenant: Tenant) -> R:
    if tenant.is_demo:
        response["X-Robots-Tag"] = "noindex"
    return response
