"""The door of the room: take messages in, and manage doors, devices and profiles. Django-free.

Every function runs inside a tenant's transaction. What `receive` returned is kept once that transaction is committed.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from malha.context.store import service as store
from malha.context.store.contracts import EntityDocument
from malha.foundation.access import acting
from malha.ingest.devices import queries, rules
from malha.ingest.devices.contracts import (
    Device,
    Door,
    DoorKind,
    Message,
    MessageState,
    Outcome,
    Profile,
    Reading,
    UnknownDevice,
    UnknownDoor,
    UnusableMessage,
    UnusableProfile,
)
from malha.ingest.quality import judging
from malha.kernel.errors import BadInput
from malha.kernel.text import msg, sentences
from malha.kernel.time import now
from malha.vocabulary.models import service as models

type Conn = psycopg.Connection[Any]
KEEP_DAYS = 30
#: raw messages of one device looked at in one go when a profile is chosen
CHUNK = 2_000
MOST_IN_BATCH = 1_000
_TOKEN = re.compile(r"[^A-Za-z0-9._~-]+")


def receive(conn: Conn, door: Door, sent: Sequence[Any], *, topics: Sequence[str] = (), devices: Sequence[str] = ()) -> Outcome:
    """Take messages in, in order. Each is kept as it came; one that was here before is counted as repeated and changes nothing.

    `topics` and `devices` (the id that a topic or address gives) are by position. Raises BadInput for more than a thousand.
    """
    if len(sent) > MOST_IN_BATCH:
        raise BadInput(msg("Um pedido leva no máximo {most} mensagens."), most=MOST_IN_BATCH)
    outcome, moment = Outcome(), now()
    read: dict[bytes, tuple[Reading | None, str, str, str]] = {}
    for n, payload in enumerate(sent):
        text, whole = rules.kept(payload)
        if whole:
            reading, reason = _read(door, payload, devices[n] if n < len(devices) else "")
        else:
            reading, reason = None, UnusableMessage(msg("A mensagem tem um carácter nulo (\\u0000), que não se pode guardar: retire-o no dispositivo.")).kept()
        digest = rules.digest(reading, payload, f"{moment.isoformat()}{n}")
        if digest in read:
            outcome.repeated += 1
            continue
        read[digest] = (reading, reason, text, topics[n] if n < len(topics) else "")
    kept = queries.keep(conn, door.tenant_id, door.id, [(d, topic, text) for d, (_, _, text, topic) in read.items()])
    outcome.repeated += len(read) - len(kept)
    fresh = [(kept[digest], moment, reading, reason) for digest, (reading, reason, _, _) in read.items() if digest in kept]
    if fresh:
        _settle(conn, door, fresh, outcome)
        queries.change_door(conn, door.tenant_id, door.id, last_heard_at=moment, last_error="")
    return outcome


def _read(door: Door, payload: Any, device: str) -> tuple[Reading | None, str]:
    try:
        return rules.read(door.kind, payload, device=device), ""
    except UnusableMessage as reason:
        return None, reason.kept()


def _settle(conn: Conn, door: Door, fresh: Sequence[tuple[int, datetime, Reading | None, str]], outcome: Outcome) -> None:
    """Decide about kept messages, write what they tell, and say what became of each."""
    ids = {reading.external_id for _, _, reading, _ in fresh if reading is not None}
    for external_id in sorted(ids - queries.known(conn, door.tenant_id, door.id, sorted(ids)).keys()):
        queries.add_device(conn, door.tenant_id, door.id, external_id)
    known = queries.known(conn, door.tenant_id, door.id, sorted(ids))
    profiles = {one.id: one for one in queries.profiles(conn, door.tenant_id)}
    documents: list[tuple[int, Device, EntityDocument]] = []
    settled: list[tuple[int, int | None, MessageState, str]] = []
    for seq, received_at, reading, reason in fresh:
        if reading is None:
            settled.append((seq, None, MessageState.REFUSED, reason))
            continue
        device, last = known[reading.external_id]
        profile = profiles.get(device.profile_id or door.profile_id or 0)
        state, why, place = MessageState.WAITING, "", None
        if reading.status_only:
            state = MessageState.STATUS
        elif profile is not None:
            device = _with_uri(conn, door.tenant_id, device, profile)
            state, why, place, document = _told(reading, profile, device, received_at, last)
            if document is not None:
                documents.append((seq, device, document))
        at = reading.at if reading.at and reading.at <= received_at else received_at
        moved = (*place, at) if place else None
        known[reading.external_id] = (device, moved or last)
        queries.heard(conn, door.tenant_id, device.id, received_at, reading, why, moved)
        settled.append((seq, device.id, state, why))
    settled = _write(conn, door, documents, settled)
    queries.settle(conn, door.tenant_id, settled)
    for _, _, state, why in settled:
        outcome.taken += state in {MessageState.TAKEN, MessageState.STATUS}
        outcome.waiting += state is MessageState.WAITING
        outcome.refused += state is MessageState.REFUSED
        if why and why not in outcome.reasons:
            outcome.reasons.append(why)


def _told(
    reading: Reading, profile: Profile, device: Device, received_at: datetime, last: tuple[float, float, datetime] | None
) -> tuple[MessageState, str, tuple[float, float] | None, EntityDocument | None]:  # fmt: skip
    try:
        document, place = rules.entity(reading, profile, device.entity_uri, rules.when(reading, received_at), last)
    except UnusableMessage as reason:
        return MessageState.REFUSED, reason.kept(), None, None
    return MessageState.TAKEN, "", place, document


def _write(
    conn: Conn, door: Door, documents: Sequence[tuple[int, Device, EntityDocument]], settled: list[tuple[int, int | None, MessageState, str]]
) -> list[tuple[int, int | None, MessageState, str]]:  # fmt: skip
    """Write what was told; a document that its model (where that is enforced) or the store refuses makes its messages refused, and the rest goes in."""
    if not documents:
        return settled
    judged = judging.documents(conn, door.tenant_id, [document for _, _, document in documents])
    with acting.by(door.name):
        refused = dict(store.upsert_documents(conn, door.tenant_id, judged.sound).refused)
    unfit = {id(document): sentences(*models.kept_words(faults[0])) for document, faults in judged.refused}
    said = [(seq, unfit.get(id(document)) or refused.get(document.uri)) for seq, _, document in documents]
    why = {seq: reason for seq, reason in said if reason}
    return [(seq, device, MessageState.REFUSED, why[seq]) if seq in why else (seq, device, state, reason) for seq, device, state, reason in settled]


def _with_uri(conn: Conn, tenant_id: int, device: Device, profile: Profile) -> Device:
    if device.entity_uri:
        return device
    uri = f"urn:malha:{profile.entity_type}:{_TOKEN.sub('-', device.external_id).strip('-') or device.id}"
    if store.exists(conn, tenant_id, uri):
        uri = f"{uri}-{device.id}"
    queries.change_device(conn, tenant_id, device.id, entity_uri=uri)
    return replace(device, entity_uri=uri)


def take_waiting(conn: Conn, door: Door, device: Device) -> Outcome:
    """Take in what waited for a profile, or was refused under another one, oldest first."""
    outcome, after = Outcome(), 0
    while rows := queries.waiting(conn, door.tenant_id, device.id, after, CHUNK):
        again = []
        for seq, received_at, _, payload in rows:
            reading, reason = _read(door, payload, device.external_id)
            again.append((seq, received_at, replace(reading, external_id=device.external_id) if reading else None, reason))
        _settle(conn, door, again, outcome)
        after = rows[-1][0]
    return outcome


def find_door(conn: Conn, tenant_id: int, door_id: int, key: str) -> Door:
    """The open door that `key` belongs to. Raises UnknownDoor, which tells nothing of what there is."""
    found = queries.door_of_key(conn, tenant_id, door_id, _hash(key)) if key else None
    if found is None:
        raise UnknownDoor(msg("A chave não serve para este endereço. Copie-a outra vez da página Sensores, ou renove-a."))
    return found


def open_door(conn: Conn, tenant_id: int, kind: DoorKind, name: str, settings: dict[str, Any] | None = None, sealed: bytes | None = None) -> tuple[Door, str]:
    """A new door and its key, told this once (MQTT doors have none)."""
    key = "" if kind is DoorKind.MQTT else secrets.token_urlsafe(24)
    door_id = queries.add_door(conn, tenant_id, kind, name.strip()[:120] or kind.value, _hash(key) if key else None, key[-4:], settings or {}, sealed)
    return get_door(conn, tenant_id, door_id), key


def get_door(conn: Conn, tenant_id: int, door_id: int) -> Door:
    """One door. Raises UnknownDevice."""
    found = queries.door(conn, tenant_id, door_id)
    if found is None:
        raise UnknownDevice(msg("Não há aqui nenhuma porta de sensores com esse número."))
    return found


def renew_key(conn: Conn, tenant_id: int, door_id: int) -> str:
    """Another key; the one before stops at once."""
    get_door(conn, tenant_id, door_id)
    key = secrets.token_urlsafe(24)
    queries.change_door(conn, tenant_id, door_id, key_hash=_hash(key), hint=key[-4:])
    return key


def set_active(conn: Conn, tenant_id: int, door_id: int, *, active: bool) -> None:
    """Pause a door, or open it again."""
    queries.change_door(conn, tenant_id, door_id, active=active)


def add_devices(conn: Conn, tenant_id: int, door_id: int, lines: Iterable[tuple[str, str]]) -> tuple[int, int]:
    """Announce devices before they speak: (own id, name). Returns how many are new and how many were known."""
    get_door(conn, tenant_id, door_id)
    made = [queries.add_device(conn, tenant_id, door_id, external_id.strip(), name.strip()[:120]) for external_id, name in lines if external_id.strip()]
    return sum(one is not None for one in made), sum(one is None for one in made)


def get_device(conn: Conn, tenant_id: int, device_id: int) -> Device:
    """One device. Raises UnknownDevice."""
    found = queries.device(conn, tenant_id, device_id)
    if found is None:
        raise UnknownDevice(msg("Esse sensor não existe aqui."))
    return found


def choose_profile(conn: Conn, tenant_id: int, device_id: int, profile_id: int) -> Outcome:
    """Let a device have a profile; what waited is taken in."""
    device = get_device(conn, tenant_id, device_id)
    if queries.profile(conn, tenant_id, profile_id) is None:
        raise UnusableProfile(msg("Esse perfil já não existe."))
    queries.change_device(conn, tenant_id, device_id, profile_id=profile_id)
    return take_waiting(conn, get_door(conn, tenant_id, device.door_id), get_device(conn, tenant_id, device_id))


def save_profile(conn: Conn, tenant_id: int, profile: Profile) -> Profile:
    """Keep a profile. Raises UnusableProfile where it makes nothing of a message, or names what its model has not."""
    if not profile.name.strip() or not profile.entity_type.strip():
        raise UnusableProfile(msg("Dê um nome ao perfil e escolha o modelo de dados."))
    if not profile.fields and not (profile.longitude and profile.latitude):
        raise UnusableProfile(msg("Escolha pelo menos um campo da mensagem."))
    if bool(profile.longitude) != bool(profile.latitude):
        raise UnusableProfile(msg("A posição pede os dois campos: longitude e latitude."))
    names = [one.attribute for one in profile.fields]
    if len(set(names)) != len(names):
        raise UnusableProfile(msg("Dois campos não podem ser a mesma propriedade."))
    model = models.find(profile.entity_type, tenant_id)
    fields = tuple(replace(one, unit=one.unit or (prop.unit if model and (prop := model.find(one.attribute)) else "")) for one in profile.fields)
    kept = replace(profile, name=profile.name.strip()[:120], fields=fields)
    return replace(kept, id=queries.save_profile(conn, tenant_id, kept))


def replace_device(conn: Conn, tenant_id: int, device_id: int, external_id: str) -> Device:
    """Put another device in the place of one that broke: the thing that it tells of, and its history, go on."""
    device, new_id = get_device(conn, tenant_id, device_id), external_id.strip()
    if not new_id or new_id == device.external_id:
        raise BadInput(msg("Escreva o identificador do sensor novo, diferente do antigo."))
    other = queries.known(conn, tenant_id, device.door_id, [new_id]).get(new_id)
    if other is not None:
        if other[0].entity_uri:
            raise BadInput(msg("O sensor “{id}” já fala de outra coisa. Escolha um que ainda não esteja em uso."), id=new_id)
        queries.change_device(conn, tenant_id, other[0].id, external_id=f"{new_id} ({uuid.uuid4().hex[:8]})")
    queries.execute(conn, "UPDATE device SET replaced = replaced || external_id WHERE tenant_id = %s AND id = %s", [tenant_id, device_id])
    queries.change_device(conn, tenant_id, device_id, external_id=new_id, battery_percent=None, signal_dbm=None, last_reason="")
    return get_device(conn, tenant_id, device_id)


#: how devices call the parts of a position
_PLACES = {"longitude": ("lon", "lng", "long", "longitude"), "latitude": ("lat", "latitude")}


def suggest(reading_values: dict[str, Any], entity_type: str, tenant_id: int) -> dict[str, str]:
    """For each path of a message the property of the model that it looks like, or nothing."""
    model = models.find(entity_type, tenant_id)
    names = {_plain(prop.name): prop.name for prop in model.properties if not prop.personal} if model else {}
    known = names | {one: name for name, these in _PLACES.items() for one in these}
    return {path: known.get(_plain(path.rpartition(".")[2]), "") for path, _ in rules.paths(reading_values)}


def sample(door: Door, messages: Sequence[Message], external_id: str) -> dict[str, Any]:
    """The values of the newest message that can be read: what a profile is made from."""
    for one in messages:
        reading, _ = _read(door, one.payload, external_id)
        if reading is not None and reading.values:
            return reading.values
    return {}


def forget_old(conn: Conn, tenant_ids: Sequence[int]) -> int:
    """Let raw messages of more than thirty days go."""
    return queries.forget(conn, tenant_ids, datetime.now(UTC) - timedelta(days=KEEP_DAYS))


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
