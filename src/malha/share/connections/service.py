"""The connections of a tenant, put together from the rooms that own them; those in trouble first."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import psycopg
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from malha.context.federation import service as federation
from malha.context.federation.partners import links
from malha.context.subscriptions import failures
from malha.context.subscriptions import service as subscriptions
from malha.foundation.identity import service as identity
from malha.foundation.language import service as language
from malha.ingest.devices import queries as devices
from malha.ingest.devices.contracts import DoorKind
from malha.kernel.text import normalise
from malha.kernel.time import now
from malha.share.connections.contracts import Action, Connection, Kind, Status
from malha.share.datahub import keys

_ORDER = list(Status)
_DOORS = {DoorKind.JSON: "HTTP (JSON)", DoorKind.CHIRPSTACK: "ChirpStack", DoorKind.TTS: "The Things Stack", DoorKind.MQTT: "MQTT"}


def every(conn: psycopg.Connection[Any], tenant_id: int, *, kind: str = "", text: str = "", trouble: bool = False) -> list[Connection]:
    """All of them, or those of a kind, whose words hold `text`, or that are in trouble. In the tenant's scope."""
    makers = {Kind.PROGRAM: _programs, Kind.KEY: _keys, Kind.DOOR: _doors, Kind.SUBSCRIPTION: _subscriptions, Kind.SOURCE: _sources}
    found = [one for of, make in makers.items() if not kind or of == kind for one in make(conn, tenant_id)]
    if text.strip():
        found = [one for one in found if normalise(text) in normalise(f"{one.name} {one.what} {one.error}")]
    if trouble:
        found = [one for one in found if one.status in {Status.FAILING, Status.EXPIRED}]
    heard = {one: one.heard_at.timestamp() if one.heard_at else 0.0 for one in found}
    return sorted(found, key=lambda one: (_ORDER.index(one.status), -heard[one], one.name))


def _ended(until: datetime | None) -> bool:
    return until is not None and until <= now()


def _programs(conn: psycopg.Connection[Any], tenant_id: int) -> Iterator[Connection]:
    joined = {one.machine_id: one.id for one in links.every(conn, tenant_id) if one.ended_at is None and one.kind is not links.Kind.BROKER}
    for one in identity.machines_of(tenant_id):
        if one.revoked_at is not None:
            continue
        at = reverse("identity:change_machine", args=[one.id])
        actions = (Action(at, "renew", _("Renovar segredo")), Action(at, "revoke", _("Revogar"), final=True))
        if one.id in joined:  # another installation holds the secret, and nobody could tell it a new one
            end = Action(reverse("federation:end", args=[joined[one.id]]), "end", _("Terminar"), final=True)
            actions = (Action(at, "prolong", _("Prolongar um ano")), end)
        what = ", ".join(sorted(one.types)) if one.types is not None else _("todos os tipos")
        status = Status.EXPIRED if _ended(one.expires_at) else Status.ACTIVE
        yield Connection(Kind.PROGRAM, one.name, what, status, one.last_used_at, one.expires_at, reverse("identity:machines"), "", actions)


def _keys(conn: psycopg.Connection[Any], tenant_id: int) -> Iterator[Connection]:
    for one, person, _id in keys.of_tenant(conn, tenant_id):
        actions = (Action(reverse("connections:end_key", args=[one.id]), "revoke", _("Revogar"), final=True),)
        status = Status.EXPIRED if _ended(one.expires_at) else Status.ACTIVE
        what = _("chave de {person}, termina em …{hint}").format(person=person, hint=one.hint)
        yield Connection(Kind.KEY, one.tool, what, status, one.last_used_at, one.expires_at, "", "", actions)


def _doors(conn: psycopg.Connection[Any], tenant_id: int) -> Iterator[Connection]:
    for one in devices.doors(conn, tenant_id):
        at = reverse("devices:door", args=[one.id])
        turn = Action(at, "pause", _("Pôr em pausa")) if one.active else Action(at, "resume", _("Retomar"))
        renew = (Action(at, "renew", _("Renovar chave")),) if one.kind is not DoorKind.MQTT else ()
        status = Status.PAUSED if not one.active else Status.FAILING if one.last_error else Status.ACTIVE
        yield Connection(
            Kind.DOOR, one.name, _DOORS[one.kind], status, one.last_heard_at, None, at, language.word(one.last_error, get_language() or "pt-pt"), (turn, *renew)
        )


def _subscriptions(conn: psycopg.Connection[Any], tenant_id: int) -> Iterator[Connection]:
    for kept, state in subscriptions.page(conn, tenant_id):
        at, said = reverse("subscriptions:change", args=[kept.id]), kept.document
        known = subscriptions.status(kept)
        status = {"paused": Status.PAUSED, "expired": Status.EXPIRED}.get(known, Status.FAILING if state.failing_since else Status.ACTIVE)
        turn = (Action(at, "resume", _("Retomar")),) if known == "paused" else (Action(at, "pause", _("Pôr em pausa")),) if known == "active" else ()
        actions = (*turn, Action(at, "renew", _("Renovar por um ano")), Action(at, "end", _("Terminar"), final=True))
        name = str(said.get("subscriptionName") or said.get("description") or kept.uri)
        where = _bare(str(said["notification"]["endpoint"]["uri"]))
        one = reverse("subscriptions:one", args=[kept.id])
        yield Connection(Kind.SUBSCRIPTION, name, where, status, state.last_success, kept.expires_at, one, failures.words(state.error), actions)


def _sources(conn: psycopg.Connection[Any], tenant_id: int) -> Iterator[Connection]:
    for kept, state in federation.every(conn, tenant_id):
        said = kept.document
        status = Status.EXPIRED if _ended(kept.expires_at) else Status.FAILING if state.failing_since else Status.ACTIVE
        name = str(said.get("contextSourceName") or said.get("registrationName") or said.get("description") or kept.uri)
        actions = (Action(reverse("connections:end_source", args=[kept.id]), "end", _("Terminar"), final=True),)
        yield Connection(
            Kind.SOURCE, name, _bare(str(said.get("endpoint", ""))), status, state.last_success, kept.expires_at, "", failures.of_source(state.error), actions
        )


def _bare(address: str) -> str:
    """An address without a password."""
    return re.sub(r"//[^/@]*@", "//", address)
