"""*Sensores*: ways in, devices (the silent ones first), their raw messages, what these become."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from django.conf import settings as django_settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from malha.foundation.access.contracts import Capability
from malha.foundation.access.views import requires
from malha.foundation.database import django as database
from malha.foundation.language import service as language
from malha.foundation.settings import service as settings
from malha.foundation.tenancy.contracts import Tenant
from malha.foundation.tokens import keys
from malha.ingest.devices import queries, rules, service
from malha.ingest.devices.contracts import Device, Door, DoorKind, FieldMap, MessageState, Outcome, Profile, UnknownDevice
from malha.ingest.devices.forms import KIND_WORDS, AddForm, DoorForm, ReplaceForm
from malha.kernel.errors import BadInput, MalhaError
from malha.kernel.text import msg, whole_number
from malha.kernel.time import now
from malha.vocabulary.models import service as models

PAGE = 100
#: a sensor that said nothing for so long is called silent
SILENT = timedelta(hours=24)
#: the largest speed (km/h) and rounding (m) that the form takes
MOST_OF_A_MEASURE = 100_000.0
_MQTT_SETTINGS = ("host", "port", "tls", "user", "topic", "share", "version")


def _tenant(request: HttpRequest) -> Tenant:
    tenant = getattr(request, "tenant", None)
    assert isinstance(tenant, Tenant)  # `requires` refuses the platform's own address
    return tenant


def _said(error: MalhaError) -> str:
    return language.explain(error, get_language() or "pt-pt")


@requires(Capability.DATA_WRITE)
def index(request: HttpRequest) -> HttpResponse:
    """Ways in, and sensors: those silent longest first."""
    tenant, conn = _tenant(request), database.current()
    text = request.GET.get("procurar", "").strip()
    page = max(1, whole_number(request.GET.get("pagina", ""), 1))
    found = queries.devices(conn, tenant.id, text=text, limit=PAGE + 1, offset=(page - 1) * PAGE)
    moment = now()
    rows = [{"device": one, "silent": one.last_heard_at is None or moment - one.last_heard_at > SILENT} for one in found[:PAGE]]
    doors = [{"door": one, "kind": KIND_WORDS[one.kind]} for one in queries.doors(conn, tenant.id)]
    context = {
        "tenant": tenant, "doors": doors, "rows": rows, "text": text, "page": page, "has_next": len(found) > PAGE,
        "nameless": [_message(one) for one in queries.nameless(conn, tenant.id)],
    }  # fmt: skip
    return render(request, "devices/index.html", context)


@never_cache
@requires(Capability.DATA_WRITE)
@require_http_methods(["GET", "POST"])
def open_door(request: HttpRequest) -> HttpResponse:
    """A new way in; its key is shown on the answer and never again."""
    tenant = _tenant(request)
    form = DoorForm(request.POST or None, initial={"kind": DoorKind.JSON.value})
    if request.method == "POST" and form.is_valid():
        said = form.cleaned_data
        kind = DoorKind(said["kind"])
        mqtt = {name: said[name] for name in _MQTT_SETTINGS if said.get(name)} if kind is DoorKind.MQTT else {}
        sealed = keys.seal(said["password"], django_settings.SECRET_KEY) if kind is DoorKind.MQTT and said["password"] else None
        door, key = service.open_door(database.current(), tenant.id, kind, said["name"], mqtt, sealed)
        if kind is DoorKind.MQTT:
            messages.success(request, _("A porta está criada. As mensagens aparecem aqui assim que o broker as mandar."))
            return HttpResponseRedirect(reverse("devices:door", args=[door.id]))
        return _show_key(request, tenant, door, key)
    return render(request, "devices/open_door.html", {"form": form})


def _show_key(request: HttpRequest, tenant: Tenant, door: Door, key: str) -> HttpResponse:
    address = _address(tenant, door)
    body = json.dumps(rules.example(door.kind, now().replace(microsecond=0)))
    example = f"curl -s -X POST {address} \\\n  -H 'Authorization: Bearer {key}' \\\n  -H 'Content-Type: application/json' \\\n  -d '{body}'"
    return render(request, "devices/key.html", {"tenant": tenant, "door": door, "key": key, "address": address, "example": example})


def _address(tenant: Tenant, door: Door) -> str:
    conf = settings.current()
    base = f"https://{tenant.hostname}" if tenant.hostname else f"{(conf.public_url or f'http://localhost:{conf.port}').rstrip('/')}/{tenant.slug}"
    return f"{base}/devices/v1/{door.id}"


@never_cache
@requires(Capability.DATA_WRITE)
@require_http_methods(["GET", "POST"])
def door(request: HttpRequest, door_id: int) -> HttpResponse:
    """One way in: its address, pause, a new key, a profile for all of its sensors."""
    tenant, conn = _tenant(request), database.current()
    found = _door(conn, tenant, door_id)
    if request.method == "POST":
        action = request.POST.get("action")
        if action == "renew" and found.kind is not DoorKind.MQTT:
            return _show_key(request, tenant, found, service.renew_key(conn, tenant.id, door_id))
        if action in {"pause", "resume"}:
            service.set_active(conn, tenant.id, door_id, active=action == "resume")
            messages.success(request, _("Em pausa: as mensagens são recusadas até a retomar.") if action == "pause" else _("Aberta outra vez."))
        return HttpResponseRedirect(reverse("devices:door", args=[door_id]))
    context = {"tenant": tenant, "door": found, "kind": KIND_WORDS[found.kind], "address": _address(tenant, found) if found.kind is not DoorKind.MQTT else ""}
    return render(request, "devices/door.html", context)


def _door(conn: Any, tenant: Tenant, door_id: int) -> Door:
    try:
        return service.get_door(conn, tenant.id, door_id)
    except UnknownDevice as reason:
        raise Http404 from reason


def _device(conn: Any, tenant: Tenant, device_id: int) -> Device:
    try:
        return service.get_device(conn, tenant.id, device_id)
    except UnknownDevice as reason:
        raise Http404 from reason


@requires(Capability.DATA_WRITE)
@require_http_methods(["GET", "POST"])
def add(request: HttpRequest, door_id: int) -> HttpResponse:
    """Announce one sensor or a list of them before they speak."""
    tenant, conn = _tenant(request), database.current()
    found = _door(conn, tenant, door_id)
    form = AddForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        new, known = service.add_devices(conn, tenant.id, door_id, form.cleaned_data["lines"])
        said = ngettext("{count} sensor novo.", "{count} sensores novos.", new).format(count=new)
        if known:
            said += " " + ngettext("{count} já cá estava.", "{count} já cá estavam.", known).format(count=known)
        messages.success(request, said)
        return HttpResponseRedirect(reverse("devices:index"))
    return render(request, "devices/form.html", {"form": form, "title": _("Juntar sensores"), "label": _("Juntar"), "door": found})


def _message(one: Any) -> dict[str, Any]:
    words = {
        MessageState.WAITING: (_("à espera de perfil"), "warning"), MessageState.TAKEN: (_("entrou"), "success"),
        MessageState.REFUSED: (_("recusada"), "danger"), MessageState.STATUS: (_("estado do sensor"), "neutral"),
    }  # fmt: skip
    text, kind = words[one.state]
    return {"message": one, "text": text, "kind": kind, "json": json.dumps(one.payload, ensure_ascii=False, indent=2)[:20_000]}


@requires(Capability.DATA_WRITE)
def device(request: HttpRequest, device_id: int) -> HttpResponse:
    """One sensor and its last raw messages, each with what became of it and why."""
    tenant, conn = _tenant(request), database.current()
    found = _device(conn, tenant, device_id)
    told = [_message(one) for one in queries.messages(conn, tenant.id, device_id)]
    entity_type = found.entity_uri and next((p.entity_type for p in queries.profiles(conn, tenant.id) if p.id == found.profile_id), "")
    context = {"tenant": tenant, "device": found, "messages_told": told, "entity_type": entity_type, "live": request.headers.get("HX-Request") == "true"}
    return render(request, "devices/messages.html" if context["live"] else "devices/device.html", context)


@never_cache
@requires(Capability.DATA_WRITE)
@require_http_methods(["GET", "POST"])
def profile(request: HttpRequest, device_id: int) -> HttpResponse:
    """What the sensor's messages become: the model, and which field is which property."""
    tenant, conn = _tenant(request), database.current()
    found = _device(conn, tenant, device_id)
    door = service.get_door(conn, tenant.id, found.door_id)
    values = service.sample(door, queries.messages(conn, tenant.id, device_id, 50), found.external_id)
    known = queries.profiles(conn, tenant.id)
    current = next((one for one in known if one.id == found.profile_id), None)
    chosen_type = request.POST.get("type") or request.GET.get("tipo") or (current.entity_type if current else "")
    error = ""
    if request.method == "POST":
        try:
            outcome = _choose(request, conn, tenant, found, current, values)
        except MalhaError as reason:
            error = _said(reason)
        else:
            _tell(request, outcome)
            return HttpResponseRedirect(reverse("devices:device", args=[device_id]))
    suggested = service.suggest(values, chosen_type, tenant.id) if chosen_type else {}
    if current and chosen_type == current.entity_type:
        suggested = {one.path: one.attribute for one in current.fields} | {current.longitude: "longitude", current.latitude: "latitude"}
    fields = [
        {"path": path, "value": value, "name": f"field:{path}", "chosen": request.POST.get(f"field:{path}", suggested.get(path, ""))}
        for path, value in _shown(values, current)
    ]
    said = {
        "name": request.POST.get("name", current.name if current else ""),
        "fastest": request.POST.get("fastest", _figure(current.fastest_km_h) if current else ""),
        "round": request.POST.get("round", _figure(current.round_m) if current else ""),
    }
    model = models.find(chosen_type, tenant.id) if chosen_type else None
    words = get_language() or "pt-pt"
    context = {
        "tenant": tenant, "device": found, "fields": fields, "error": error, "type": chosen_type, "known": known, "said": said,
        "types": sorted(((one.type, one.label.in_language(words)) for one in models.all_models(tenant.id)), key=lambda pair: pair[1]),
        "properties": [(prop.name, prop.label.in_language(words)) for prop in model.properties if not prop.personal] if model else [],
    }  # fmt: skip
    return render(request, "devices/profile.html", context)


def _shown(values: dict[str, Any], current: Profile | None) -> list[tuple[str, Any]]:
    """The fields of the last message, and those of the profile that it happens not to have."""
    shown = dict(list(rules.paths(values))[:200])
    kept = (*(one.path for one in current.fields), current.longitude, current.latitude) if current else ()
    return list((shown | {path: "—" for path in kept if path and path not in shown}).items())


def _figure(value: float) -> str:
    return f"{value:g}".replace(".", ",") if value else ""


def _measure(text: str, label: str) -> float:
    """A number of the form, 0 where it is empty. Raises BadInput: taken as none, a slip of the finger would show positions exactly."""
    plain = text.strip().replace(",", ".")
    try:
        value = float(plain) if plain else 0.0
    except ValueError:
        value = -1.0
    if not 0 <= value <= MOST_OF_A_MEASURE:
        raise BadInput(msg("“{field}” é um número, sem unidade, como 150: veio “{text}”."), field=label, text=text.strip()[:40])
    return value


def _choose(request: HttpRequest, conn: Any, tenant: Tenant, found: Device, current: Profile | None, values: dict[str, Any]) -> Outcome:
    """Keep the profile that the form says (or one that exists), and take in what waited."""
    if existing := request.POST.get("existing"):
        return service.choose_profile(conn, tenant.id, found.id, whole_number(existing, 0))
    fields, longitude, latitude = [], "", ""
    before = {(one.path, one.attribute): one for one in current.fields} if current else {}
    for path, _value in _shown(values, current):
        wanted = request.POST.get(f"field:{path}", "").strip()
        if wanted == "longitude":
            longitude = path
        elif wanted == "latitude":
            latitude = path
        elif wanted:
            fields.append(before.get((path, wanted), FieldMap(path, wanted)))
    fastest = _measure(request.POST.get("fastest", ""), _("Velocidade que nunca passa (km/h)"))
    rounded = _measure(request.POST.get("round", ""), _("Arredondar a posição (metros)"))
    made = Profile(
        current.id if current else 0, request.POST.get("name", ""), request.POST.get("type", ""), tuple(fields), longitude, latitude, fastest, rounded
    )
    return service.choose_profile(conn, tenant.id, found.id, service.save_profile(conn, tenant.id, made).id)


def _tell(request: HttpRequest, outcome: Outcome) -> None:
    said = ngettext("{count} mensagem que esperava entrou.", "{count} mensagens que esperavam entraram.", outcome.taken).format(count=outcome.taken)
    messages.success(request, said if outcome.taken else _("O perfil está guardado. As próximas mensagens entram por ele."))
    if outcome.refused:
        messages.warning(
            request,
            ngettext("{count} mensagem foi recusada: {why}", "{count} mensagens foram recusadas: {why}", outcome.refused).format(
                count=outcome.refused, why=language.word(outcome.reasons[0], get_language() or "pt-pt")
            ),
        )


@requires(Capability.DATA_WRITE)
@require_http_methods(["GET", "POST"])
def replace(request: HttpRequest, device_id: int) -> HttpResponse:
    """Put another sensor in the place of one that broke; its history goes on."""
    tenant, conn = _tenant(request), database.current()
    found = _device(conn, tenant, device_id)
    form = ReplaceForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            service.replace_device(conn, tenant.id, device_id, form.cleaned_data["external_id"])
        except MalhaError as reason:
            form.add_error("external_id", _said(reason))
        else:
            messages.success(request, _("Trocado. O que o sensor novo disser continua a mesma história."))
            return HttpResponseRedirect(reverse("devices:device", args=[device_id]))
    return render(request, "devices/form.html", {"form": form, "title": _("Trocar um sensor avariado"), "label": _("Trocar"), "device": found})
