"""*Federação*: invite another installation, join one that invited us, see since when each side was last heard, end it in one click."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect, QueryDict
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from malha.context.federation import service
from malha.context.federation.contracts import FederationError
from malha.context.federation.partners import joining, links, viewing
from malha.context.federation.partners.brokers import Broker, place_of
from malha.context.federation.partners.links import Invitation, Offer, Terms
from malha.context.federation.registrations import registry
from malha.context.subscriptions import failures
from malha.foundation.access.contracts import Capability
from malha.foundation.access.views import requires
from malha.foundation.agreements import service as agreements
from malha.foundation.audit import service as audit
from malha.foundation.database import django as database
from malha.foundation.language import service as language
from malha.foundation.tenancy import country
from malha.foundation.tenancy.contracts import Tenant
from malha.vocabulary.contexts import service as contexts
from malha.vocabulary.models import service as models

#: how a broker is described in the form that is carried from step to step
_FIELDS = ("nome", "endereco", "inquilino", "contexto", "token", "oauth_url", "oauth_id", "oauth_secret")


def _tenant(request: HttpRequest) -> Tenant:
    tenant = getattr(request, "tenant", None)
    if not isinstance(tenant, Tenant):
        raise Http404
    return tenant


def _actor(request: HttpRequest) -> tuple[int | None, str]:
    return request.user.pk, f"person:{request.user.pk}"


def _refusal(error: FederationError) -> str:
    return language.explain(error, get_language() or "pt-pt")


@requires(Capability.CLIENTS_MANAGE)
def index(request: HttpRequest) -> HttpResponse:
    """Every link, with how it fares, and the agreements that may be shown with our own data."""
    tenant, conn = _tenant(request), database.current()
    shown = {one.agreement_id: one.uri for one, _state in service.every(conn, tenant.id) if one.agreement_id is not None}
    rows = [{"agreement": one, "types": _labels(one.types, tenant.id), "uri": shown.get(one.id, "")} for one in agreements.granted(conn, tenant.id)]
    numbers = {place.source.registration.uri: place.id for place in viewing.places(conn, tenant.id)}
    health = [
        {
            "one": one, "gives": _labels(one.link.gives.types, tenant.id), "place": numbers.get(one.link.registration_uri), "amiss": failures.of_source(one.error).rstrip("."),
            "takes": [{"type": name, "label": _label(name, tenant.id)} for name in one.link.takes.types],
        }
        for one in sorted(joining.health(conn, tenant), key=lambda one: (one.silent_since is None, one.link.joined_at is not None))
    ]  # fmt: skip
    return render(request, "federation/index.html", {"health": health, "agreements": rows})


def _labels(names: Iterable[str], tenant_id: int) -> str:
    return ", ".join(_label(name, tenant_id) for name in names)


def _label(name: str, tenant_id: int) -> str:
    model = models.find(name, tenant_id)
    return model.label.in_language(get_language() or "pt-pt") if model else name


def _choices(offer: Offer, tenant_id: int, said: QueryDict | None = None) -> dict[str, Any]:
    """An offer as the pages show it: types with counts, attributes with the types that have them, refusals with reasons.

    Everything is ticked, or, where somebody chose and the form comes back, what they ticked.
    """
    types, attributes = (said.getlist("vai"), said.getlist("atributo")) if said else (None, None)
    tongue = get_language() or "pt-pt"
    return {
        "types": [
            {
                "name": one.type,
                "label": _label(one.type, tenant_id),
                "count": one.count,
                "attributes": len(one.attributes),
                "ticked": types is None or one.type in types,
            }
            for one in offer.types
        ],
        "attributes": [
            {"name": name, "types": ", ".join(_label(each, tenant_id) for each in of), "ticked": attributes is None or name in attributes}
            for name, of in offer.attributes().items()
        ],
        "refused": [{"what": what, "reason": language.translate(reason, tongue).format(**more)} for what, reason, more in offer.refused],
    }


def _chosen(request: HttpRequest, offer: Offer) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The types and attributes that were ticked among those that may leave."""
    types = tuple(one.type for one in offer.types if one.type in request.POST.getlist("vai"))
    attributes = tuple(name for name in offer.attributes() if name in request.POST.getlist("atributo"))
    return types, attributes


def _licence(request: HttpRequest) -> str:
    said = request.POST.get("licenca", "")
    return said if said in links.LICENCES else "interno"


@requires(Capability.CLIENTS_MANAGE)
def invite(request: HttpRequest) -> HttpResponse:
    """Invite another installation: what it may read, in which territory, under which licence."""
    tenant, conn = _tenant(request), database.current()
    offer = links.offer(conn, tenant.id)
    context = {
        "offer": _choices(offer, tenant.id, request.POST), "licences": links.LICENCES, "towns": country.listed(),
        "text": "", "error": "", "name": request.POST.get("nome", ""), "area": request.POST.get("concelho", ""),
    }  # fmt: skip
    if request.method == "POST":
        person, by = _actor(request)
        types, attributes = _chosen(request, offer)
        try:
            area, place = joining.area_of(conn, tenant.id, _town(request))
            name = request.POST.get("nome", "").strip() or place or _("outra instalação")
            gives = Terms(types, attributes, area, place, _licence(request))
            context["text"] = joining.invite(conn, tenant, name, gives, person_id=person, by=by)
        except FederationError as error:
            context["error"] = _refusal(error)
    return render(request, "federation/invite.html", context, status=422 if context["error"] else 200)


def _town(request: HttpRequest) -> str:
    dico = request.POST.get("concelho", "")
    return dico if dico in country.municipalities() else ""


@requires(Capability.CLIENTS_MANAGE)
def join(request: HttpRequest) -> HttpResponseBase:
    """Join: paste the invitation, choose what leaves and what comes, confirm."""
    tenant = _tenant(request)
    if request.method != "POST":
        return render(request, "federation/join.html", {"step": 1})
    try:
        one = links.invitation(request.POST.get("convite", ""))
        if request.POST.get("passo") == "juntar":
            return _join(request, tenant, one)
        return _choose(request, tenant, one)
    except FederationError as error:
        return render(request, "federation/join.html", {"step": 1, "error": _refusal(error), "invitation": request.POST.get("convite", "")}, status=422)


def _choose(request: HttpRequest, tenant: Tenant, one: Invitation) -> HttpResponse:
    comes, facts = joining.look(tenant, one)
    goes = links.offer(database.current(), tenant.id)
    licence = links.LICENCES.get(str(facts["licence"]), str(facts["licence"]))
    context = {
        "step": 2, "invitation": one.text(), "facts": facts, "comes": _choices(comes, tenant.id), "goes": _choices(goes, tenant.id), "licences": links.LICENCES,
        "licence": language.translate(licence, get_language() or "pt-pt"),
    }  # fmt: skip
    return render(request, "federation/join.html", context)


def _join(request: HttpRequest, tenant: Tenant, one: Invitation) -> HttpResponseBase:
    conn = database.current()
    person, by = _actor(request)
    types, attributes = _chosen(request, links.offer(conn, tenant.id))
    joining.join(conn, tenant, one, Terms(types, attributes, licence=_licence(request)), request.POST.getlist("vem"), person_id=person, by=by)
    messages.success(request, _("As duas instalações estão juntas: o que escolheu já se vê dos dois lados, em Registos."))
    return HttpResponseRedirect(reverse("federation:index"))


@requires(Capability.CLIENTS_MANAGE)
def broker(request: HttpRequest) -> HttpResponseBase:
    """Read an NGSI-LD broker of somebody else: where it is, what it has, what of it comes, and what leaves for it."""
    tenant = _tenant(request)
    if request.method != "POST":
        return render(request, "federation/broker.html", {"step": 1})
    one = _broker(request)
    try:
        if request.POST.get("passo") == "juntar":
            return _join_broker(request, tenant, one)
        found = joining.look_at_broker(tenant, one)
    except FederationError as error:
        return render(request, "federation/broker.html", {"step": 1, "error": _refusal(error), "broker": one}, status=422)
    goes = links.offer(database.current(), tenant.id)
    context = {
        "step": 2, "broker": one, "fields": {name: request.POST.get(name, "") for name in _FIELDS}, "comes": _choices(found.offer, tenant.id), "past": found.past, "goes": _choices(goes, tenant.id), "licences": links.LICENCES,
    }  # fmt: skip
    return render(request, "federation/broker.html", context)


def _broker(request: HttpRequest) -> Broker:
    said = {
        name: request.POST.get(name, "").strip() for name in ("nome", "endereco", "inquilino", "contexto", "token", "oauth_url", "oauth_id", "oauth_secret")
    }
    oauth = {"url": said["oauth_url"], "id": said["oauth_id"], "secret": said["oauth_secret"]} if said["oauth_url"] else {}
    name = said["nome"] or place_of(said["endereco"])
    return Broker(name[:100], said["endereco"], said["inquilino"], said["contexto"], said["token"], oauth)


def _join_broker(request: HttpRequest, tenant: Tenant, one: Broker) -> HttpResponseBase:
    conn = database.current()
    person, by = _actor(request)
    types, attributes = _chosen(request, links.offer(conn, tenant.id))
    said = request.POST.get("licenca_vem", "")
    _number, machine, secret = joining.join_broker(
        conn, tenant, one, Terms(types, attributes, licence=_licence(request)), request.POST.getlist("vem"), request.POST.getlist("vem_atributo"),
        said if said in links.LICENCES else "interno", person_id=person, by=by,
    )  # fmt: skip
    if machine is not None:
        root = f"{joining.public_url()}/{tenant.slug}"
        return render(request, "federation/key.html", {"broker": one, "machine": machine, "secret": secret, "root": root})
    messages.success(request, _("O que escolheu de {name} já se vê junto com os seus dados.").format(name=one.name))
    return HttpResponseRedirect(reverse("federation:index"))


@requires(Capability.CLIENTS_MANAGE)
@require_POST
def end(request: HttpRequest, link_id: int) -> HttpResponseBase:
    """End a link in one click."""
    person, by = _actor(request)
    try:
        told = joining.end(database.current(), _tenant(request), link_id, person_id=person, by=by)
    except FederationError as error:
        raise Http404(language.explain(error, get_language() or "pt-pt")) from error
    if told:
        messages.success(request, _("Terminou. Nada mais sai nem vem por esta ligação."))
    else:
        messages.warning(request, _("Terminou deste lado: nada mais sai nem vem. A outra instalação não foi avisada, e vai dar por isso quando perguntar."))
    return HttpResponseRedirect(reverse("federation:index"))


@requires(Capability.CLIENTS_MANAGE)
@require_POST
def show_agreement(request: HttpRequest, agreement_id: int) -> HttpResponseBase:
    """Show the data of an agreement together with our own, or no more."""
    tenant, conn = _tenant(request), database.current()
    found = next((one for one in agreements.granted(conn, tenant.id) if one.id == agreement_id), None)
    if found is None:
        raise Http404
    _person, by = _actor(request)
    kept = next((one.uri for one, _state in service.every(conn, tenant.id) if one.agreement_id == agreement_id), "")
    if kept:
        service.delete(conn, tenant.id, kept)
        audit.record_on(conn, tenant.id, by, "federation.end", kept, {})
    else:
        uri = service.create(conn, tenant.id, links.of_agreement(found), contexts.CORE, agreement_id=found.id, giver_id=found.tenant_id)
        audit.record_on(conn, tenant.id, by, "federation.register", uri, {"agreement": found.id})
    registry.forget()
    return HttpResponseRedirect(reverse("federation:index"))
