"""Doors, devices, profiles and messages.

DevicesError
├── UnknownDoor 401       no such address, or the key is not its own
├── UnknownDevice 404     no such device in this tenant
├── UnusableMessage 422   a message that cannot be understood; it is kept with the reason
└── UnusableProfile 400   a profile that cannot hold
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any

from malha.kernel.errors import BadInput, MalhaError, NotFound


class DoorKind(StrEnum):
    """How devices come in."""

    JSON = "json"
    CHIRPSTACK = "chirpstack"
    TTS = "tts"
    MQTT = "mqtt"


class MessageState(IntEnum):
    """What became of a message."""

    WAITING = 0  # no profile yet
    TAKEN = 1
    REFUSED = 2
    STATUS = 3  # tells of the device itself (battery, signal), not of what it measures


@dataclass(frozen=True, slots=True)
class Door:
    """One way in. `settings` of an MQTT door: host, port, tls, user, topic, share, version; its password is sealed beside them."""

    id: int
    tenant_id: int
    kind: DoorKind
    name: str
    hint: str
    settings: dict[str, Any]
    active: bool
    created_at: datetime
    last_heard_at: datetime | None = None
    last_error: str = ""
    profile_id: int | None = None


@dataclass(frozen=True, slots=True)
class FieldMap:
    """`path` (dots between names) of a message's value becomes `attribute`; the value is multiplied by `scale`, in `unit` (UN/CEFACT)."""

    path: str
    attribute: str
    unit: str = ""
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Profile:
    """What messages of a kind of device become.

    `longitude` and `latitude` are paths to a position in degrees (EPSG:4326). `fastest_km_h` (0: no matter) marks positions
    that nothing real reaches; `round_m` (0: exact) lowers their precision to a grid of so many metres.
    """

    id: int
    name: str
    entity_type: str
    fields: tuple[FieldMap, ...] = ()
    longitude: str = ""
    latitude: str = ""
    fastest_km_h: float = 0.0
    round_m: float = 0.0


@dataclass(frozen=True, slots=True)
class Device:
    """One device of a door. `entity_uri` is the thing that it tells of; it stays when the device is replaced."""

    id: int
    door_id: int
    external_id: str
    name: str
    entity_uri: str
    profile_id: int | None
    battery_percent: float | None
    signal_dbm: float | None
    last_heard_at: datetime | None
    last_reason: str
    waiting: int = 0
    door_name: str = ""
    profile_name: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a message says, before a profile makes anything of it. `values` is the device's own part; no `at`: when it arrived."""

    external_id: str
    values: dict[str, Any]
    at: datetime | None = None
    name: str = ""
    battery_percent: float | None = None
    signal_dbm: float | None = None
    place: tuple[float, float] | None = None  # longitude, latitude
    unique: str = ""  # the network's own id of the message
    status_only: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """A raw message as it is kept."""

    seq: int
    device_id: int | None
    received_at: datetime
    payload: Any
    state: MessageState
    reason: str


@dataclass(slots=True)
class Outcome:
    """What became of a batch."""

    taken: int = 0
    waiting: int = 0
    refused: int = 0
    repeated: int = 0
    reasons: list[str] = field(default_factory=list)


class DevicesError(MalhaError):
    """A device is refused."""

    slug = "devices"


class UnknownDoor(DevicesError):
    """No such address, or the key is not its own."""

    slug = "unknown-door"
    status = 401


class UnknownDevice(DevicesError, NotFound):
    """No such device in this tenant."""

    slug = "unknown-device"


class UnusableMessage(DevicesError):
    """The message cannot be understood; it is kept with the reason."""

    slug = "unusable-message"
    status = 422


class UnusableProfile(DevicesError, BadInput):
    """The profile cannot hold."""

    slug = "unusable-profile"
