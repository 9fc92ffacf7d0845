"""From a message to a reading, and from a reading to an entity. Pure."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from malha.context.store.contracts import EntityDocument
from malha.ingest.devices.contracts import DoorKind, Profile, Reading, UnusableMessage
from malha.kernel import geo
from malha.kernel.text import msg
from malha.kernel.time import format_instant, parse_instant

#: where plain JSON says when and who
TIMES = ("observedAt", "dateObserved", "timestamp", "time", "ts", "datetime", "date")
IDS = ("deviceId", "device_id", "devEui", "dev_eui", "device", "id", "serial", "sn", "mac")
BATTERIES = ("battery", "batteryLevel", "battery_level", "bat", "batteryPercent")
SIGNALS = ("rssi", "signal", "signalStrength")
#: a clock that is ahead of ours by more is wrong
AHEAD = timedelta(minutes=10)
OLDEST = datetime(2000, 1, 1, tzinfo=UTC)
#: bytes of a device's identifier
LONGEST_ID = 512
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
MARK = "positionQuality"


def read(kind: DoorKind, payload: Any, *, device: str = "") -> Reading:
    """What a message says. `device` is the id that the topic gives. Raises UnusableMessage."""
    if not isinstance(payload, dict):
        payload = {"value": payload}
    if kind is DoorKind.CHIRPSTACK:
        reading = _chirpstack(payload)
    elif kind is DoorKind.TTS:
        reading = _things_stack(payload)
    else:
        reading = _plain(payload, device)
    if len(reading.external_id.encode()) > LONGEST_ID or "\x00" in reading.external_id:
        raise UnusableMessage(msg("O identificador do dispositivo não serve: tem mais de {most} bytes, ou um carácter nulo."), most=LONGEST_ID)
    battery, signal = _between(reading.battery_percent, 0, 100), _between(reading.signal_dbm, -999, 100)
    return replace(reading, battery_percent=battery, signal_dbm=signal, name=reading.name[:120])


def _chirpstack(payload: dict[str, Any]) -> Reading:
    """An event of ChirpStack v4: `up` carries the decoded `object`, `status` the battery."""
    info = _table(payload, "deviceInfo")
    eui = str(info.get("devEui", "") or payload.get("devEui", ""))
    if not eui:
        raise UnusableMessage(msg("A mensagem não diz de que dispositivo é (deviceInfo.devEui)."))
    signal = _strongest(payload.get("rxInfo"))
    battery = _number(payload.get("batteryLevel"))
    told = payload.get("object")
    if told is None and (battery is not None or "margin" in payload or "fCnt" not in payload):
        return Reading(
            eui,
            {},
            _time(payload.get("time")),
            str(info.get("deviceName", "")),
            battery,
            signal,
            status_only=True,
            unique=str(payload.get("deduplicationId", "")),
        )
    if not isinstance(told, dict):
        raise UnusableMessage(msg("A mensagem vem por descodificar: falta o descodificador (codec) no perfil do dispositivo, no ChirpStack."))
    return Reading(
        eui, told, _time(payload.get("time")), str(info.get("deviceName", "")), battery if battery is not None else _known(told, BATTERIES), signal,
        unique=str(payload.get("deduplicationId", "")),
    )  # fmt: skip


def _things_stack(payload: dict[str, Any]) -> Reading:
    """An ApplicationUp of The Things Stack v3: `uplink_message.decoded_payload`."""
    ids = _table(payload, "end_device_ids")
    device = str(ids.get("device_id", "") or ids.get("dev_eui", ""))
    if not device:
        raise UnusableMessage(msg("A mensagem não diz de que dispositivo é (end_device_ids.device_id)."))
    up = _table(payload, "uplink_message")
    signal = _strongest(up.get("rx_metadata"))
    battery = _number(_table(up, "last_battery_percentage").get("value"))
    at = _time(up.get("received_at") or payload.get("received_at"))
    place = _table(_table(up, "locations"), "user")
    lon, lat = _number(place.get("longitude")), _number(place.get("latitude"))
    unique = f"{up.get('session_key_id', '')}:{up.get('f_cnt', '')}:{up.get('received_at', '')}" if up else ""
    if not up:
        return Reading(device, {}, at, status_only=True)
    told = up.get("decoded_payload")
    if not isinstance(told, dict):
        raise UnusableMessage(msg("A mensagem vem por descodificar: falta o formatador (payload formatter) da aplicação, em The Things Stack."))
    where = (lon, lat) if lon is not None and lat is not None else None
    return Reading(device, told, at, "", battery if battery is not None else _known(told, BATTERIES), signal, where, unique)


def _plain(payload: dict[str, Any], device: str) -> Reading:
    found = device or next((str(payload[name]) for name in IDS if isinstance(payload.get(name), str | int | float) and payload[name] != ""), "")
    if not found:
        raise UnusableMessage(msg("A mensagem não diz de que dispositivo é: junte “deviceId”, ou ponha o dispositivo no endereço ou no tópico."))
    when = next((payload[name] for name in TIMES if payload.get(name) is not None), None)
    return Reading(found, payload, _time(when), str(payload.get("name", ""))[:120], _known(payload, BATTERIES), _known(payload, SIGNALS))


def example(kind: DoorKind, at: datetime) -> dict[str, Any]:
    """A message as a sensor of that kind sends it, to try a door with."""
    moment, measured = format_instant(at), {"temperature": 21.5}
    if kind is DoorKind.CHIRPSTACK:
        return {"deviceInfo": {"devEui": "0000000000000001", "deviceName": "sensor-1"}, "time": moment, "fCnt": 1, "object": measured}
    if kind is DoorKind.TTS:
        return {"end_device_ids": {"device_id": "sensor-1"}, "uplink_message": {"f_cnt": 1, "received_at": moment, "decoded_payload": measured}}
    return {"deviceId": "sensor-1", **measured, "time": moment}


def kept(payload: Any) -> tuple[str, bool]:
    """A message as JSON text that can be stored, and whether it is as it came: the database has no null character, one is shown as `␀`."""
    text = msgspec.json.encode(payload).decode()
    stored, found = _NUL.subn(r"\1␀", text) if "\\u0000" in text else (text, 0)
    return stored, not found


def digest(reading: Reading | None, payload: Any, salt: str) -> bytes:
    """What tells a message from every other of its door: the network's own id, else device, instant and content.

    A message without an instant is told apart by `salt` too: the same value said twice is two observations.
    """
    content = msgspec.json.encode(payload, order="deterministic")
    if reading is not None and reading.unique:
        return hashlib.sha256(f"{reading.external_id}\n{reading.unique}".encode()).digest()
    moment = format_instant(reading.at) if reading is not None and reading.at else salt
    return hashlib.sha256(f"{reading.external_id if reading else ''}\n{moment}\n".encode() + content).digest()


def entity(
    reading: Reading, profile: Profile, uri: str, at: datetime, last: tuple[float, float, datetime] | None
) -> tuple[EntityDocument, tuple[float, float] | None]:
    """The entity that a reading makes, and its position. Raises UnusableMessage where the message holds nothing of the profile.

    `last` is the position before (longitude, latitude, instant), to tell a jump.
    """
    moment = format_instant(at)
    attributes: dict[str, object] = {}
    for one in profile.fields:
        value = value_at(reading.values, one.path)
        if value is None:
            continue
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = value if one.scale == 1.0 else round(value * one.scale, 10)
            if not math.isfinite(value):
                continue
        told = {"type": "Property", "value": value, "observedAt": moment}
        attributes[one.attribute] = told | ({"unitCode": one.unit} if one.unit else {})
    place = _place(reading, profile)
    if place is not None:
        attributes |= _position(place, profile, moment, at, last)
    if not attributes and _no_fix(_number(value_at(reading.values, profile.longitude)), _number(value_at(reading.values, profile.latitude))):
        raise UnusableMessage(msg("O recetor ainda não sabe onde está: a mensagem traz a posição 0, 0."))
    if not attributes:
        raise UnusableMessage(msg("A mensagem não tem nenhum dos campos do perfil “{profile}”."), profile=profile.name)
    if reading.name and "name" not in attributes:
        attributes["name"] = {"type": "Property", "value": reading.name}
    return EntityDocument(uri, (profile.entity_type,), attributes), place


def _place(reading: Reading, profile: Profile) -> tuple[float, float] | None:
    if not profile.longitude or not profile.latitude:
        return reading.place
    lon, lat = _number(value_at(reading.values, profile.longitude)), _number(value_at(reading.values, profile.latitude))
    if lon is None or lat is None or _no_fix(lon, lat):
        return None
    if not (-180 <= lon <= 180 and -90 <= lat <= 90):
        raise UnusableMessage(msg("A posição {lon}, {lat} não existe: a longitude vai de -180 a 180 e a latitude de -90 a 90."), lon=lon, lat=lat)
    return lon, lat


def _no_fix(lon: float | None, lat: float | None) -> bool:
    """Whether this is what a receiver says that hears no satellites."""
    return lon == 0 and lat == 0


def _position(place: tuple[float, float], profile: Profile, moment: str, at: datetime, last: tuple[float, float, datetime] | None) -> dict[str, object]:
    shown = geo.rounded(place, profile.round_m)
    out: dict[str, object] = {"location": {"type": "GeoProperty", "value": {"type": "Point", "coordinates": [*shown]}, "observedAt": moment}}
    if profile.fastest_km_h:
        speed = geo.speed_km_h(last, place, at)
        doubtful = speed is not None and speed > profile.fastest_km_h
        out[MARK] = {"type": "Property", "value": "implausible" if doubtful else "plausible", "observedAt": moment}
    return out


def when(reading: Reading, received_at: datetime) -> datetime:
    """The instant of a reading; when it arrived where it says none. Raises UnusableMessage for a clock that is wrong."""
    if reading.at is None:
        return received_at
    if reading.at > received_at + AHEAD or reading.at < OLDEST:
        raise UnusableMessage(msg("A mensagem diz ser de {at}: acerte o relógio do dispositivo."), at=format_instant(reading.at))
    return reading.at


def value_at(values: Mapping[str, Any], path: str) -> Any:
    """The value at a path such as `temperature.value`; None where there is none."""
    at: Any = values
    for name in path.split("."):
        if isinstance(at, list) and name.isdigit() and int(name) < len(at):
            at = at[int(name)]
        elif isinstance(at, Mapping):
            at = at.get(name)
        else:
            return None
    return at if isinstance(at, str | int | float | bool) else None


def paths(values: Mapping[str, Any], before: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Every path to a plain value, with the value; at most six deep."""
    for name, value in values.items():
        here = f"{before}.{name}" if before else str(name)
        if isinstance(value, Mapping) and depth < 6:
            yield from paths(value, here, depth + 1)
        elif isinstance(value, str | int | float | bool):
            yield here, value


def _time(value: Any) -> datetime | None:
    """An instant in ISO 8601, or seconds or milliseconds since 1970. Raises UnusableMessage for what is none."""
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        raise UnusableMessage(msg("O instante “{text}” não se percebe: use 2026-11-23T02:00:00Z, ou segundos desde 1970."), text=str(value))
    try:
        if isinstance(value, int | float) or (isinstance(value, str) and value.isdigit()):
            number = float(value)
            return datetime.fromtimestamp(number / 1000 if number > 1e11 else number, UTC)
        return parse_instant(str(value), zone=UTC)  # type: ignore[arg-type]  # UTC is a zone too
    except (ValueError, OverflowError, OSError) as reason:
        raise UnusableMessage(msg("O instante “{text}” não se percebe: use 2026-11-23T02:00:00Z, ou segundos desde 1970."), text=str(value)[:40]) from reason


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _known(values: Mapping[str, Any], names: tuple[str, ...]) -> float | None:
    return next((number for name in names if (number := _number(values.get(name))) is not None), None)


def _between(value: float | None, least: float, most: float) -> float | None:
    """The value, or None where it cannot be one."""
    return value if value is not None and least <= value <= most else None


def _strongest(heard: Any) -> float | None:
    """The best signal, in dBm, of the gateways that heard a message."""
    told = [one for one in heard if isinstance(one, dict)] if isinstance(heard, list) else []
    return max((_number(one.get("rssi")) or -999.0 for one in told), default=None)


def _table(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = values.get(name)
    return found if isinstance(found, dict) else {}
