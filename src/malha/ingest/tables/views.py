"""The pages of tables: all of them, one with its versions, what differs between two, and a new version."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from malha.foundation.access import service as access
from malha.foundation.access.contracts import Capability, Principal
from malha.foundation.access.views import requires
from malha.foundation.administration import words
from malha.foundation.audit import service as audit
from malha.foundation.database import django as database
from malha.foundation.tenancy.contracts import Tenant
from malha.history.sets import service as sets
from malha.history.sets.contracts import Change, DataSet, Difference, Version
from malha.ingest.tables import service
from malha.ingest.tables.forms import TableForm, VersionForm
from malha.kernel import formats
from malha.kernel.errors import MalhaError
from malha.kernel.time import parse_instant

PAGE = 100
MOST_DIFFERENCES = 500


def _who(request: HttpRequest) -> tuple[Tenant, Principal, str]:
    """Tables have no type: whoever may reach only some types reaches none of them."""
    tenant = request.tenant  # type: ignore[attr-defined]  # set by the tenancy middleware
    assert isinstance(tenant, Tenant)
    principal = access.principal(request)
    if principal.types is not None:
        raise Http404
    return tenant, principal, get_language() or "pt-pt"


@requires(Capability.DATA_READ)
@require_http_methods(["GET", "HEAD", "POST"])
def index(request: HttpRequest) -> HttpResponse:
    """The tables, and a new one."""
    tenant, principal, language = _who(request)
    may_load = principal.may(Capability.DATA_LOAD)
    form = TableForm(request.POST or None, request.FILES or None) if may_load else None
    if request.method == "POST" and form is not None and form.is_valid():
        number = sets.create(tenant.id, form.cleaned_data["title"], form.cleaned_data["keys"])
        try:
            _bring(request, tenant, principal, number, form.cleaned_data["file"])
        except MalhaError as reason:
            sets.remove(tenant.id, number)
            form.add_error("file", _(reason.message).format(**reason.params))
        else:
            return redirect("tables:table", number)
    columns = [{"label": _("Tabela")}, {"label": _("Linhas"), "numeric": True}, {"label": _("Versão"), "numeric": True}, {"label": _("Distinguem-se por")}]
    rows = [
        [
            {"text": one.title, "href": reverse("tables:table", args=[one.id])}, {"text": formats.number(one.rows, 0, language), "numeric": True},
            {"text": one.version, "numeric": True}, {"text": ", ".join(one.keys) or "—"},
        ]
        for one in sets.all_sets(tenant.id)
    ]  # fmt: skip
    return render(request, "tables/index.html", {"columns": columns, "rows": rows, "form": form}, status=422 if request.method == "POST" else 200)


def _bring(request: HttpRequest, tenant: Tenant, principal: Principal, set_id: int, upload: object) -> Version | None:
    made = service.bring(database.current(), tenant.id, set_id, upload.chunks(), upload.name, f"person:{principal.person_id}")  # type: ignore[attr-defined]  # Django's own
    if made is None:
        messages.info(request, _("Nada mudou: a tabela é igual à última versão."))
    else:
        audit.record(tenant.id, f"person:{principal.person_id}", "tables.bring", f"table:{set_id}", {"version": made.version, "rows": made.rows})
        text = _("Versão {version} — linhas novas: {added}; alteradas: {changed}; retiradas: {removed}.")
        messages.success(request, text.format(version=made.version, added=made.added, changed=made.changed, removed=made.removed))
    return made


@requires(Capability.DATA_READ)
@require_GET
def table(request: HttpRequest, set_id: int) -> HttpResponse:
    """One table in one of its versions, and the list of them."""
    tenant, principal, language = _who(request)
    found = sets.get(tenant.id, set_id)
    known = sets.versions(tenant.id, found.id)
    version, then = _number(request, "versao", found.version), _instant(request, tenant)
    if then is not None:
        version = next((one.version for one in known if one.at <= then), 0)
    page = max(1, _number(request, "pagina", 1))
    rows = sets.read(tenant.id, set_id, version, limit=PAGE, offset=(page - 1) * PAGE) if version else None
    values = {
        "set": found, "version": version, "then": then, "tenant": tenant, "page": page, "pages": max(1, -(-rows.total // PAGE)) if rows else 1, "may_load": principal.may(Capability.DATA_LOAD),
        "columns": [{"label": name} for name in rows.columns] if rows else [], "rows": [[value or "—" for value in row] for row in rows.rows] if rows else [],
        "total": rows.total if rows else 0, "form": VersionForm(), "may_export": principal.may(Capability.DATA_EXPORT), **_versions(tenant, found, known, language),
    }  # fmt: skip
    return render(request, "tables/table.html", values)


def _instant(request: HttpRequest, tenant: Tenant) -> datetime | None:
    """The instant at which the table is wanted as it was; None for its newest version, also where it cannot be read."""
    text = request.GET.get("em", "").strip().replace(" ", "+")
    try:
        return parse_instant(text, zone=tenant.zone) if text else None
    except ValueError:
        messages.error(request, _("“{text}” não é um dia e uma hora.").format(text=text[:40]))
        return None


def _versions(tenant: Tenant, found: DataSet, known: Sequence[Version], language: str) -> dict[str, object]:
    columns = [
        {"label": _("Versão")},
        {"label": _("Quando")},
        {"label": _("Quem")},
        {"label": _("Ficheiro")},
        {"label": _("Linhas"), "numeric": True},
        {"label": _("Diferenças")},
    ]
    address, compare = reverse("tables:table", args=[found.id]), reverse("tables:differences", args=[found.id])
    rows = []
    for one in known:
        text = _("novas: {added}, alteradas: {changed}, retiradas: {removed}").format(added=one.added, changed=one.changed, removed=one.removed)
        rows.append(
            [
                {"text": str(one.version), "href": f"{address}?versao={one.version}"}, {"text": formats.instant(one.at, tenant.zone, language)},
                {"text": words.actor(one.actor)}, {"text": one.source}, {"text": formats.number(one.rows, 0, language), "numeric": True},
                {"text": text, "href": f"{compare}?de={one.version - 1}&para={one.version}"} if one.version > 1 else {"text": _("a primeira")},
            ]
        )  # fmt: skip
    return {"version_columns": columns, "version_rows": rows}


@requires(Capability.DATA_READ)
@require_GET
def differences(request: HttpRequest, set_id: int) -> HttpResponse:
    """The rows that differ between two versions."""
    tenant, _principal, _language = _who(request)
    found = sets.get(tenant.id, set_id)
    first, second = _number(request, "de", max(1, found.version - 1)), _number(request, "para", found.version)
    names, rows = sets.differences(tenant.id, set_id, first, second, MOST_DIFFERENCES + 1)
    said = {Change.ADDED: _("nova"), Change.CHANGED: _("alterada"), Change.REMOVED: _("retirada")}
    values = {
        "set": found, "first": first, "second": second, "numbers": range(1, found.version + 1), "more": len(rows) > MOST_DIFFERENCES, "most": MOST_DIFFERENCES,
        "columns": [{"label": _("Linha")}, *({"label": name} for name in names)], "rows": [[said[one.change], *_cells(one)] for one in rows[:MOST_DIFFERENCES]],
    }  # fmt: skip
    return render(request, "tables/differences.html", values)


def _cells(one: Difference) -> list[str]:
    if one.before is None or one.after is None:
        return [value or "—" for value in one.before or one.after or ()]
    return [(after or "—") if before == after else f"{before or '—'} → {after or '—'}" for before, after in zip(one.before, one.after, strict=True)]


@requires(Capability.DATA_EXPORT)
@require_GET
def export(request: HttpRequest, set_id: int) -> HttpResponseBase:
    """A version as a file."""
    tenant, principal, _language = _who(request)
    found = sets.get(tenant.id, set_id)
    version = _number(request, "versao", found.version)
    sets.read(tenant.id, set_id, version, limit=0)  # a version that there is not is said before anything is sent
    audit.record(tenant.id, f"person:{principal.person_id}", "tables.export", f"table:{set_id}", {"version": version})
    answer: HttpResponseBase
    if request.GET.get("formato") == "parquet":
        answer, suffix = HttpResponse(service.as_parquet(tenant.id, set_id, version), content_type="application/vnd.apache.parquet"), "parquet"
    else:
        answer, suffix = StreamingHttpResponse(service.as_csv(tenant.id, set_id, version), content_type="text/csv; charset=utf-8"), "csv"
    answer["Content-Disposition"] = f'attachment; filename="tabela-{set_id}-v{version}.{suffix}"'
    return answer


@requires(Capability.DATA_LOAD)
@require_POST
def bring(request: HttpRequest, set_id: int) -> HttpResponse:
    """The table as it is now."""
    tenant, principal, _language = _who(request)
    form = VersionForm(request.POST, request.FILES)
    if not form.is_valid():
        messages.error(request, _("Escolha um ficheiro."))
        return redirect("tables:table", set_id)
    try:
        _bring(request, tenant, principal, set_id, form.cleaned_data["file"])
    except MalhaError as reason:
        messages.error(request, _(reason.message).format(**reason.params))
    return redirect("tables:table", set_id)


@requires(Capability.DATA_LOAD)
@require_POST
def remove(request: HttpRequest, set_id: int) -> HttpResponse:
    """Forget a table with all its versions."""
    tenant, principal, _language = _who(request)
    found = sets.get(tenant.id, set_id)
    if request.POST.get("title", "").strip() != found.title:
        messages.error(request, _("Escreva o nome da tabela, tal como está, para a apagar."))
        return redirect("tables:table", set_id)
    sets.remove(tenant.id, set_id)
    audit.record(tenant.id, f"person:{principal.person_id}", "tables.remove", f"table:{set_id}")
    messages.success(request, _("Apagada, com todas as versões."))
    return redirect("tables:index")


def _number(request: HttpRequest, name: str, default: int) -> int:
    text = request.GET.get(name, "")
    return int(text) if text.isdecimal() and len(text) < 9 else default
