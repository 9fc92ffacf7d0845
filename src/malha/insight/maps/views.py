"""The page of the map and what it reads."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from django.core.cache import cache
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.urls import reverse
from django.utils.cache import patch_cache_control
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from malha.foundation.access import views as access
from malha.foundation.access.contracts import Capability
from malha.foundation.database import django as database
from malha.foundation.settings import service as settings
from malha.foundation.tenancy.contracts import OrganisationKind, Tenant
from malha.insight.maps import rules, service
from malha.insight.maps.contracts import Layer
from malha.insight.past import views as past
from malha.insight.past.views import Seen
from malha.vocabulary.models import service as models
from malha.vocabulary.territory import service as territory
from malha.vocabulary.territory.contracts import Boundary, Level

#: where the plane says what changes, below the tenant's own address
STREAM = "events/stream"
#: how long a boundary may be kept
BOUNDARY_SECONDS = 300
#: so many things come with a page; more are asked for while it is read
MOST_BROUGHT = 1500
#: where the plane draws tiles
TILES = "tiles/entities/{z}/{x}/{y}?type="


def tenant_of(request: HttpRequest) -> Tenant:
    """The tenant of a page that `requires` has let through."""
    tenant = request.tenant  # type: ignore[attr-defined]  # set by the tenancy middleware
    assert isinstance(tenant, Tenant)
    return tenant


def root(request: HttpRequest) -> str:
    """The address of the tenant, with a slash at its end."""
    return f"{request.META.get('SCRIPT_NAME', '')}/"


@access.requires(Capability.DATA_READ, limited=True)
def page(request: HttpRequest) -> HttpResponse:
    """The map with all that has a place."""
    conn = database.current()
    tenant = tenant_of(request)
    found = service.layers(conn, tenant.id)
    values = {"layers": found, "tenant": tenant, "stream": root(request) + STREAM, "past": past.seen(request, tenant), "undrawn": undrawn(found)}
    return render(request, "maps/page.html", values)


def undrawn(found: Sequence[tuple[Layer, int]]) -> str:
    """The layers with too many things to be drawn as they were, by name."""
    language = get_language() or "pt-pt"
    return ", ".join(layer.label.in_language(language) for layer, count in found if count > service.MOST_FEATURES)


def words() -> dict[str, str]:
    """What the map says by itself, in the reader's language."""
    return {
        "map": _("Mapa"), "zoom_in": _("Aproximar"), "zoom_out": _("Afastar"), "close": _("Fechar"), "legend": _("Camadas e legenda"), "record": _("Ver registo"),
        "name": _("Nome"), "attribution": "", "draw": _("Desenhar a área"), "redraw": _("Desenhar outra vez"), "finish": _("Terminar o desenho"),
        "undo": _("Tirar o último canto"), "clear": _("Apagar a área"),
        "how": _("Toque nos cantos da área. Com o teclado: as setas movem o mapa, Enter põe um canto na cruz, Escape termina."),
    }  # fmt: skip


@access.requires(Capability.DATA_READ, limited=True)
def spec(request: HttpRequest) -> JsonResponse:
    """What `<malha-map>` draws; `?camadas=a,b` only these layers, `?pacotes=1` only those of packs."""
    seen = past.seen(request, tenant_of(request))
    return JsonResponse(spec_of(request, _keys(request), declared_only="pacotes" in request.GET, seen=seen))


def _keys(request: HttpRequest) -> list[str]:
    return [key for key in request.GET.get("camadas", "").split(",") if key]


def spec_of(
    request: HttpRequest, wanted: Sequence[str] = (), *, declared_only: bool = False, with_things: bool = False, seen: Seen | None = None
) -> dict[str, Any]:
    """The specification of a map, for a page that brings it along; of the past where that is `seen`: it then hears of no change.

    `preload` is the address of what it asks for first; `with_things`, the page brings that too, as long as it is little.
    """
    conn, tenant = database.current(), tenant_of(request)
    language = get_language() or "pt-pt"
    found = [(layer, count) for layer, count in service.layers(conn, tenant.id, declared_only=declared_only) if (not wanted or layer.key in wanted) and count]
    layers = []
    for layer, count in found:
        model = models.find(layer.type, tenant.id)
        many, then = count > service.MOST_FEATURES, seen.suffix if seen else ""
        if many and then:
            continue
        tiles = root(request) + TILES + layer.type if many else ""
        data = reverse("maps:features", args=[layer.key]) + (f"?{then}" if then else "")
        layers.append(rules.to_spec(layer, model, language, data=data, tiles=tiles, visible=layer.pack != "" or len(found) < 8))
    extent = tenant.extent or service.extent(conn, tenant.id) or rules.COUNTRY
    answer: dict[str, Any] = {"extent": list(extent), "layers": layers, "words": words()}
    first: list[str] = []
    if seen is None or seen.moment is None:
        first = [layer["id"] for layer in layers if layer["visible"] and "data" in layer]
        answer |= {"live": root(request) + STREAM, "together": reverse("maps:together")}
        answer["preload"] = f"{answer['together']}?camadas={quote(','.join(first), safe=',')}" if first else ""
    if first and with_things and sum(count for layer, count in found if layer.key in first) <= MOST_BROUGHT:
        answer["first"] = _body(service.together(conn, tenant.id, first, record_url=_record_url()))
    if _has_boundary(tenant):
        answer["boundary"] = reverse("maps:boundary")
    if settings.current().basemap_url:
        answer["basemap"] = settings.current().basemap_url
    return answer


@access.requires(Capability.DATA_READ, limited=True)
def together(request: HttpRequest) -> HttpResponseBase:
    """The things of the layers `?camadas=a,b` in one answer; `?desde=` only what changed since then. 304 when nothing did."""
    conn, tenant = database.current(), tenant_of(request)
    since = service.parse_since(request.GET.get("desde", ""))
    known = request.headers.get("If-None-Match", "")
    found = service.together(conn, tenant.id, _keys(request), record_url=_record_url(), since=since, known=known)
    if found is None:
        return HttpResponse(status=304, headers={"ETag": known})
    response = HttpResponse(json.dumps(_body(found), ensure_ascii=False, separators=(",", ":")), content_type="application/json")
    if since is None:
        response["ETag"] = found.etag
    patch_cache_control(response, private=True, no_cache=True)
    return response


def _record_url() -> str:
    return reverse("records:record", args=["TYPE"]).replace("TYPE", "{type}") + "?id={uri}"


def _body(found: service.Together | None) -> dict[str, Any]:
    assert found is not None  # only who names an etag is told that nothing changed
    return {"at": found.at.isoformat(), "whole": found.whole, "layers": found.layers}


@access.requires(Capability.DATA_READ, limited=True)
def features(request: HttpRequest, key: str) -> HttpResponseBase:
    """The things of a layer; `?desde=` only what changed since then. 304 when nothing did."""
    conn, tenant = database.current(), tenant_of(request)
    layer = service.get(conn, tenant.id, key)
    record = reverse("records:record", args=[layer.type]) + "?id={uri}"
    seen = past.seen(request, tenant)
    if seen.moment is not None:
        things = service.as_it_was(conn, tenant, layer, seen.moment, record_url=f"{record}&{seen.suffix}")
        return JsonResponse({"type": "FeatureCollection", "features": things, "at": seen.moment.at.isoformat(), "whole": True})
    since = service.parse_since(request.GET.get("desde", ""))
    tag = service.etag(conn, tenant.id, layer)
    if since is None and request.headers.get("If-None-Match") == tag:
        return HttpResponse(status=304, headers={"ETag": tag})
    found = service.collection(conn, tenant.id, layer, record_url=record, since=since)
    body = {"type": "FeatureCollection", "features": found.features, "at": found.at.isoformat(), "whole": found.whole}
    response = HttpResponse(json.dumps(body, ensure_ascii=False, separators=(",", ":")), content_type="application/geo+json")
    if since is None:
        response["ETag"] = found.etag
    patch_cache_control(response, private=True, no_cache=True)
    return response


def _has_boundary(tenant: Tenant) -> bool:
    """Whether a boundary can be drawn; that it can is remembered for as long as browsers keep it."""
    key = f"map-boundary:{tenant.id}"
    if cache.get(key):
        return True
    found = bool(boundaries_of(tenant))
    if found:
        cache.set(key, 1, BOUNDARY_SECONDS)
    return found


def boundaries_of(tenant: Tenant) -> list[Boundary]:
    """The boundaries that were imported for this tenant: its own municipality with its parishes; of a community, the municipalities."""
    conn = database.current()
    box = tenant.extent or service.extent(conn, tenant.id)
    if box is None:
        return []
    levels = (Level.MUNICIPALITY, Level.PARISH) if tenant.dico or tenant.kind is OrganisationKind.MUNICIPALITY else (Level.MUNICIPALITY,)
    found = territory.boundaries_in(conn, tenant.id, box, levels=levels)
    mine = [one for one in found if one.dico == tenant.dico] if tenant.dico else [one for one in found if not one.is_national]
    return mine or ([] if tenant.dico else found)


@access.requires(Capability.DATA_READ, limited=True)
def boundary(request: HttpRequest) -> HttpResponse:
    """The boundary of the municipality."""
    found = territory.as_geojson(database.current(), boundaries_of(tenant_of(request)), tolerance=0.0001)
    response = HttpResponse(json.dumps(found), content_type="application/geo+json")
    patch_cache_control(response, private=True, max_age=BOUNDARY_SECONDS)
    return response
