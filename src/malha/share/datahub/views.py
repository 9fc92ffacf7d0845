"""*Ligar as suas ferramentas*: a recipe for each tool, and the keys of whoever reads the page."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from malha.foundation.access import service as access
from malha.foundation.access.contracts import Capability
from malha.foundation.access.views import requires
from malha.foundation.audit import service as audit
from malha.foundation.database import django as database
from malha.foundation.tenancy.contracts import Tenant
from malha.kernel.time import now
from malha.share.datahub import keys, recipes, sqlrole, tables
from malha.share.datahub.contracts import Key, Reader, TableKind
from malha.share.datahub.recipes import Tool
from malha.share.questions.contracts import FieldType
from malha.vocabulary.models import service as models

#: what most towns have and everybody understands, for the examples of recipes
_USUAL = {"AirQualityObserved": "pm10", "WeatherObserved": "temperature"}
PLACE = ("longitude", "latitude")


@dataclass(frozen=True, slots=True)
class _Seen:
    """What a reader gets and does not get, before any key is made."""

    tables: list[dict[str, object]]
    people: list[str]
    limited: bool


def _tenant(request: HttpRequest) -> Tenant:
    tenant = getattr(request, "tenant", None)
    if not isinstance(tenant, Tenant):
        raise Http404
    return tenant


def _reader(request: HttpRequest, *, with_personal: bool = False) -> Reader:
    tenant = _tenant(request)
    return Reader(
        tenant.id, tenant.slug, tenant.name, tenant.zone.key, access.principal(request), with_personal, language=get_language() or "pt-pt"
    )  # fmt: skip


def _base(request: HttpRequest) -> str:
    return request.build_absolute_uri(reverse("home")).rstrip("/")


def _example(request: HttpRequest) -> tuple[str, str]:
    """A table that the reader has, and a number in it, for what is to be copied: of several, one that is measured."""
    now = [one for one in tables.known(database.current(), _reader(request)) if one.kind is TableKind.CURRENT]
    numbers = {
        one.name: next((field.name for field in one.fields if field.type is FieldType.NUMBER and field.unit and field.name not in PLACE), "") for one in now
    }
    measured = {name: measure for name, measure in numbers.items() if measure}
    for known, measure in _USUAL.items():
        if known in measured and any(field.name == measure for one in now if one.name == known for field in one.fields):
            return known, measure
    return next(iter(measured.items()), (now[0].name if now else "AirQualityObserved", "longitude" if now else "pm10"))


def _places(request: HttpRequest, key: str = "") -> dict[str, str]:
    base, (table, measure) = _base(request), _example(request)
    return {
        "table": table, "measure": measure,
        "odata": f"{base}/odata", "ogc": f"{base}/ogc", "tiles": f"{base}/ogc/collections/{table}/tiles/WebMercatorQuad/{{z}}/{{y}}/{{x}}", "hub": f"{base}/hub",
        "sharing": f"{base}/delta-sharing", "slug": _tenant(request).slug, "role": sqlrole.role_of(_tenant(request).slug), "key": key or "mlh_…",
    }  # fmt: skip


def _filled(text: str, places: dict[str, str]) -> str:
    for name, value in places.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def _steps(tool: Tool, places: dict[str, str]) -> list[dict[str, object]]:
    steps: list[dict[str, object]] = []
    for step in tool.steps:
        rows = [{"label": _(label), "value": _filled(value, places), "y": 52 + 26 * n, "text_y": 64 + 26 * n} for n, (label, value) in enumerate(step.rows)]
        steps.append(
            {
                "text": _(step.text), "window": _(_filled(step.window, places)) if step.window else "", "rows": rows, "button": _(step.button) if step.button else "", "height": 70 + 26 * len(rows) + (30 if step.button else 0),
                "button_y": 56 + 26 * len(rows), "button_text_y": 72 + 26 * len(rows), "code": _filled(step.code, places),
                "says": "; ".join(f"{row['label']}: {row['value']}" for row in rows), "copies": [row for row in rows if str(row["value"]).startswith("http")],
            }
        )  # fmt: skip
    return steps


def _seen(request: HttpRequest) -> _Seen:
    conn, reader = database.current(), _reader(request)
    rows: list[dict[str, object]] = []
    people: set[str] = set()
    for table in tables.known(conn, reader):
        if table.kind is TableKind.CURRENT:
            rows.append({"name": table.name, "label": table.label, "fields": len(table.fields)})
            model = models.find(table.entity_type, reader.tenant_id)
            people |= {p.label.in_language(reader.language) or p.name for p in model.properties if p.personal} if model else set()
    people |= {_("Corrigido por")} if rows else set()
    return _Seen(rows, sorted(people), reader.principal.types is not None or reader.principal.reach is not None)


def _tried(tool: Tool) -> str:
    if tool.tried == recipes.RUN:
        return _("Esta receita é corrida por um teste nosso{what}.").format(what=f" ({tool.tried_with})" if tool.tried_with else "")
    if tool.tried == recipes.REPLAYED:
        if tool.tried_with:
            return _("O programa em si não foi corrido por nós; um teste faz o mesmo caminho com {what}.").format(what=tool.tried_with)
        return _("O programa em si não foi corrido por nós: os pedidos que ele faz foram gravados por outros e são repetidos por um teste nosso.")
    return _("Escrita a partir da documentação do programa; ainda não foi corrida por nós.")


@require_safe
@requires(Capability.DATA_EXPORT)
def index(request: HttpRequest) -> HttpResponse:
    """The tools, one's keys, and what will be seen and what not."""
    tenant, person_id = _tenant(request), access.principal(request).person_id
    assert person_id is not None
    own = {key.tool: key for key in keys.of_person(database.current(), tenant.id, person_id)}
    cards = [{"tool": tool, "key": own.get(tool.code), "old": _is_old(own.get(tool.code))} for tool in recipes.TOOLS]
    return render(request, "datahub/index.html", {"cards": cards, "seen": _seen(request)})


def _is_old(key: Key | None) -> bool:
    return key is not None and key.expires_at <= now()


@never_cache
@requires(Capability.DATA_EXPORT)
@require_http_methods(["GET", "POST"])
def tool(request: HttpRequest, code: str) -> HttpResponse:
    """The recipe of one tool; POST makes or renews the key, which is shown on the answer and never again."""
    tenant, principal = _tenant(request), access.principal(request)
    found = recipes.find(code)
    if found is None or principal.person_id is None:
        raise Http404
    text, may_personal = "", principal.may(Capability.PERSONAL_READ)
    if request.method == "POST" and found.needs_key:
        with_personal = may_personal and request.POST.get("personal") == "1"
        made, text = keys.create(database.current(), tenant.id, principal.person_id, code, with_personal=with_personal)
        audit.record(tenant.id, f"person:{principal.person_id}", "hub.key.created", code, {"key": made.id, "personal": with_personal}, personal=with_personal)
        if request.POST.get("action") == "profile":
            return _profile(request, text, made)
    places = _places(request, text)
    own = next((key for key in keys.of_person(database.current(), tenant.id, principal.person_id) if key.tool == code), None)
    context = {
        "tool": found, "steps": _steps(found, places), "limits": [_(text) for text in found.limits], "tried": _tried(found), "secret": text, "key": own, "old": _is_old(own),
        "may_personal": may_personal, "seen": _seen(request), "address": _filled(found.address, places), "why_no_sql": sqlrole.why_not() if code == "sql" else "",
    }  # fmt: skip
    return render(request, "datahub/tool.html", context)


def _profile(request: HttpRequest, text: str, key: Key) -> HttpResponse:
    """The profile of Delta Sharing, with the key inside (its protocol, "Profile File Format")."""
    expires = key.expires_at.isoformat(timespec="seconds").replace("+00:00", "Z")
    body = {"shareCredentialsVersion": 1, "endpoint": f"{_base(request)}/delta-sharing", "bearerToken": text, "expirationTime": expires}
    response = HttpResponse(msgspec.json.encode(body), content_type="application/json")
    response["Content-Disposition"] = f'attachment; filename="{_tenant(request).slug}.share"'
    return response


@requires(Capability.DATA_EXPORT)
@require_POST
def revoke(request: HttpRequest, key_id: int) -> HttpResponse:
    """End one of one's own keys."""
    tenant, person_id = _tenant(request), access.principal(request).person_id
    assert person_id is not None
    if not keys.revoke(database.current(), tenant.id, person_id, key_id):
        raise Http404
    audit.record(tenant.id, f"person:{person_id}", "hub.key.revoked", str(key_id))
    messages.success(request, _("A chave deixou de servir."))
    return HttpResponseRedirect(reverse("datahub:index"))


@require_safe
@requires(Capability.DATA_EXPORT)
def power_bi(request: HttpRequest) -> HttpResponse:
    """The file that opens Power BI Desktop at our feed (PBIDS 0.1); it holds no key."""
    connection = {"details": {"protocol": "odata", "address": {"url": f"{_base(request)}/odata"}}, "options": {}, "mode": "Import"}
    response = HttpResponse(msgspec.json.encode({"version": "0.1", "connections": [connection]}), content_type="application/json")
    response["Content-Disposition"] = f'attachment; filename="{_tenant(request).slug}.pbids"'
    return response
