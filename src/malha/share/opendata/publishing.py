"""The pages by which a municipality publishes: what leaves, licence and contact, who approves."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from malha.context.store import service as store
from malha.context.store.contracts import UnusableQuery
from malha.foundation.access import service as access
from malha.foundation.access.contracts import Capability
from malha.foundation.access.views import requires
from malha.foundation.database import django as database
from malha.foundation.language import service as language
from malha.insight.exports.contracts import CellType
from malha.share.opendata import service
from malha.share.opendata.contracts import LICENCES, NotReadyToPublish, PublicationState, UnknownDataset, choice
from malha.share.opendata.forms import ContentForm, LicenceForm, WithdrawForm
from malha.share.opendata.models import Dataset
from malha.share.opendata.views import shown_as, tenant_of


def _found(request: HttpRequest, dataset_id: int) -> Dataset:
    try:
        row = service.find(tenant_of(request), dataset_id)
    except UnknownDataset as error:
        raise Http404(language.explain(error, get_language() or "pt-pt")) from error
    if not _theirs(request, row):
        raise PermissionDenied
    return row


def _theirs(request: HttpRequest, row: Dataset) -> bool:
    """Whether the person may publish this one: roles may be limited to some."""
    only = access.principal(request).datasets
    return only is None or row.slug in only


def _actor(request: HttpRequest) -> str:
    return f"person:{access.principal(request).person_id}"


def _steps(row: Dataset, current: int) -> list[dict[str, str]]:
    screens = [(_("O que sai"), "content"), (_("Licença e contacto"), "licence"), (_("Aprovação"), "approval")]
    return [
        {
            "title": title,
            "state": "current" if number == current else "done" if number < current else "todo",
            "href": reverse(f"opendata_publish:{name}", args=[row.pk]),
        }
        for number, (title, name) in enumerate(screens, 1)
    ]


@require_safe
@requires(Capability.DATASETS_PREPARE)
def index(request: HttpRequest) -> HttpResponse:
    """Every dataset that is, was or will be open, and the types that could be."""
    tenant = tenant_of(request)
    types = [{"name": name, "count": count} for name, count, _changed in store.types(database.current(), tenant.id)]
    drafts = [row for row in service.drafts(tenant) if _theirs(request, row)]
    return render(request, "opendata/publishing.html", {"drafts": drafts, "types": types if access.principal(request).datasets is None else []})


@require_POST
@requires(Capability.DATASETS_PREPARE)
def begin(request: HttpRequest) -> HttpResponse:
    """A new draft for one type."""
    entity_type = request.POST.get("type", "").strip()
    if not entity_type:
        raise Http404
    if access.principal(request).datasets is not None:
        raise PermissionDenied
    row = service.begin(tenant_of(request), entity_type, person_id=access.principal(request).person_id)
    return redirect("opendata_publish:content", row.pk)


@requires(Capability.DATASETS_PREPARE)
def content(request: HttpRequest, dataset_id: int) -> HttpResponse:
    """First screen: what leaves, seen as the visitor will see it."""
    tenant, row = tenant_of(request), _found(request, dataset_id)
    everything = service.export_of(tenant, row, columns=False)
    columns = [(column.name, f"{column.label} ({column.name})" if column.label != column.name else column.name) for column in everything.columns]
    initial = {name: getattr(row, name) for name in ("title_pt", "title_en", "description_pt", "description_en", "filter", "columns")}
    form = ContentForm(request.POST or None, columns=columns, initial=initial | {"keywords": ", ".join(row.keywords)})
    if request.method == "POST" and form.is_valid():
        try:
            service.check_filter(tenant, row, form.cleaned_data["filter"])
        except UnusableQuery as reason:
            form.add_error("filter", language.explain(reason, get_language() or "pt-pt"))
        else:
            form.save(row)
            if "preview" not in request.POST:
                return redirect("opendata_publish:licence", row.pk)
    leaving = service.leaving(tenant, row)
    shown = [index for index, column in enumerate(leaving.export.columns) if column.type is not CellType.GEOMETRY]
    context = {
        "dataset": row,
        "form": form,
        "steps": _steps(row, 1),
        "leaving": leaving,
        "columns": [{"label": leaving.export.columns[i].name} for i in shown],
        "rows": [[shown_as(line[i], tenant, get_language() or "pt-pt") for i in shown] for line in leaving.rows],
    }
    return render(request, "opendata/content.html", context, status=422 if form.errors else 200)


@requires(Capability.DATASETS_PREPARE)
def licence(request: HttpRequest, dataset_id: int) -> HttpResponse:
    """Second screen: licence, rhythm, and who answers."""
    row = _found(request, dataset_id)
    form = LicenceForm(request.POST or None, instance=row)
    if request.method == "POST" and form.is_valid():
        form.save()
        return redirect("opendata_publish:approval", row.pk)
    return render(request, "opendata/licence.html", {"dataset": row, "form": form, "steps": _steps(row, 2)})


@requires(Capability.DATASETS_PREPARE)
def approval(request: HttpRequest, dataset_id: int) -> HttpResponse:
    """Third screen: whoever may publish does; anybody else asks for it."""
    tenant, row = tenant_of(request), _found(request, dataset_id)
    principal = access.principal(request)
    may_publish = principal.may(Capability.DATASETS_PUBLISH)
    if request.method == "POST":
        try:
            if may_publish:
                service.publish(tenant, row, person_id=principal.person_id, actor=_actor(request))
                messages.success(request, _("Publicado. Já está no portal de dados abertos."))
                return redirect("opendata:dataset", row.slug)
            service.ask_for_approval(row)
            messages.success(request, _("Pedido enviado a quem pode publicar."))
            return redirect("opendata_publish:index")
        except NotReadyToPublish as error:
            messages.error(request, language.explain(error, get_language() or "pt-pt"))
    context = {"dataset": row, "steps": _steps(row, 3), "missing": service.missing(row), "may_publish": may_publish, "leaving": service.leaving(tenant, row)}
    return render(request, "opendata/approval.html", context | {"licence": choice(LICENCES, row.licence).word(get_language())})


@requires(Capability.DATASETS_PUBLISH)
def withdraw(request: HttpRequest, dataset_id: int) -> HttpResponse:
    """Take a dataset back; its address then says so."""
    tenant, row = tenant_of(request), _found(request, dataset_id)
    form = WithdrawForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        service.withdraw(tenant, row, actor=_actor(request), reason=form.cleaned_data["reason"])
        messages.success(request, _("Retirado. O endereço público diz agora a quem perguntar."))
        return redirect("opendata_publish:index")
    reports = service.reports(tenant, row)
    return render(request, "opendata/withdraw.html", {"dataset": row, "form": form, "reports": reports, "is_public": row.state == PublicationState.PUBLISHED})
