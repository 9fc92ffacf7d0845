"""The SQL of doors, devices, profiles and messages. Inside a tenant's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import tuple_row
from psycopg.types.json import Jsonb

from malha.ingest.devices.contracts import Device, Door, DoorKind, FieldMap, Message, MessageState, Profile, Reading

type Conn = psycopg.Connection[Any]
_DOOR = "d.id, d.tenant_id, d.kind, d.name, d.hint, d.settings, d.active, d.created_at, d.last_heard_at, d.last_error, d.profile_id"
_DEVICE = """v.id, v.door_id, v.external_id, v.name, v.entity_uri, v.profile_id, v.battery_percent, v.signal_dbm, v.last_heard_at, v.last_reason,
    (SELECT count(*) FROM device_message m WHERE m.tenant_id = v.tenant_id AND m.device_id = v.id AND m.state = 0), d.name, coalesce(p.name, '')"""
_DEVICES = f"""SELECT {_DEVICE} FROM device v JOIN device_door d ON d.tenant_id = v.tenant_id AND d.id = v.door_id
    LEFT JOIN device_profile p ON p.tenant_id = v.tenant_id AND p.id = coalesce(v.profile_id, d.profile_id) WHERE v.tenant_id = %s"""


def execute(conn: Conn, statement: str, params: Any = None) -> psycopg.Cursor[tuple[Any, ...]]:
    """Run one statement with a plain cursor, whatever cursor the connection makes itself."""
    return psycopg.Cursor(conn, row_factory=tuple_row).execute(statement.encode(), params)


def doors(conn: Conn, tenant_id: int) -> list[Door]:
    """Every door, by name."""
    return [_door(row) for row in execute(conn, f"SELECT {_DOOR} FROM device_door d WHERE d.tenant_id = %s ORDER BY d.name, d.id", [tenant_id])]


def door(conn: Conn, tenant_id: int, door_id: int) -> Door | None:
    """One door."""
    row = execute(conn, f"SELECT {_DOOR} FROM device_door d WHERE d.tenant_id = %s AND d.id = %s", [tenant_id, door_id]).fetchone()
    return _door(row) if row else None


def door_of_key(conn: Conn, tenant_id: int, door_id: int, key_hash: bytes) -> Door | None:
    """The door with that id, if it is open and that is the hash of its key."""
    statement = f"SELECT {_DOOR} FROM device_door d WHERE d.tenant_id = %s AND d.id = %s AND d.active AND d.key_hash = %s"
    row = execute(conn, statement, [tenant_id, door_id, key_hash]).fetchone()
    return _door(row) if row else None


def sealed(conn: Conn, tenant_id: int, door_id: int) -> bytes | None:
    """The sealed password of an MQTT door."""
    row = execute(conn, "SELECT sealed FROM device_door WHERE tenant_id = %s AND id = %s", [tenant_id, door_id]).fetchone()
    return bytes(row[0]) if row and row[0] is not None else None


def add_door(conn: Conn, tenant_id: int, kind: DoorKind, name: str, key_hash: bytes | None, hint: str, settings: dict[str, Any], secret: bytes | None) -> int:
    """A new door. Returns its id."""
    statement = "INSERT INTO device_door (tenant_id, kind, name, key_hash, hint, settings, sealed) VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING id"
    row = execute(conn, statement, [tenant_id, kind.value, name, key_hash, hint, Jsonb(settings), secret]).fetchone()
    assert row is not None
    return int(row[0])


def change_door(conn: Conn, tenant_id: int, door_id: int, **values: Any) -> None:
    """Change columns of a door; the names are ours."""
    sets = ", ".join(f"{name} = %s" for name in values)
    execute(conn, f"UPDATE device_door SET {sets} WHERE tenant_id = %s AND id = %s", [*values.values(), tenant_id, door_id])


def devices(conn: Conn, tenant_id: int, *, text: str = "", limit: int = 200, offset: int = 0) -> list[Device]:
    """Devices, the ones that have been silent longest first."""
    words = f"%{text.replace('%', '').lower()}%"
    statement = f"{_DEVICES} AND (%s = '' OR lower(v.name || ' ' || v.external_id || ' ' || v.entity_uri) LIKE %s) ORDER BY v.last_heard_at NULLS FIRST, v.id LIMIT %s OFFSET %s"
    return [Device(*row) for row in execute(conn, statement, [tenant_id, text, words, limit, offset])]


def device(conn: Conn, tenant_id: int, device_id: int) -> Device | None:
    """One device."""
    row = execute(conn, f"{_DEVICES} AND v.id = %s", [tenant_id, device_id]).fetchone()
    return Device(*row) if row else None


def known(conn: Conn, tenant_id: int, door_id: int, external_ids: Sequence[str]) -> dict[str, tuple[Device, tuple[float, float, datetime] | None]]:
    """Devices of a door by their own id, locked, each with its last position."""
    statement = (
        f"SELECT {_DEVICE}, v.longitude, v.latitude, v.placed_at"
        + _DEVICES.removeprefix(f"SELECT {_DEVICE}")
        + " AND v.door_id = %s AND v.external_id = ANY (%s) FOR UPDATE OF v"
    )
    found = {}
    for *row, lon, lat, at in execute(conn, statement, [tenant_id, door_id, list(external_ids)]):
        found[row[2]] = (Device(*row), (lon, lat, at) if lon is not None and at is not None else None)
    return found


def add_device(conn: Conn, tenant_id: int, door_id: int, external_id: str, name: str = "", entity_uri: str = "") -> int | None:
    """A device; None where the door knows it already."""
    statement = "INSERT INTO device (tenant_id, door_id, external_id, name, entity_uri) VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING RETURNING id"
    row = execute(conn, statement, [tenant_id, door_id, external_id, name, entity_uri]).fetchone()
    return int(row[0]) if row else None


def heard(conn: Conn, tenant_id: int, device_id: int, at: datetime, reading: Reading | None, reason: str, place: tuple[float, float, datetime] | None) -> None:
    """Note what a device was last heard to say about itself."""
    execute(
        conn,
        """UPDATE device SET last_heard_at = greatest(last_heard_at, %(at)s), last_reason = %(reason)s, battery_percent = coalesce(%(battery)s, battery_percent),
            signal_dbm = coalesce(%(signal)s, signal_dbm), name = CASE WHEN name = '' THEN %(name)s ELSE name END,
            longitude = CASE WHEN %(placed)s::timestamptz > coalesce(placed_at, '-infinity') THEN %(lon)s ELSE longitude END,
            latitude = CASE WHEN %(placed)s::timestamptz > coalesce(placed_at, '-infinity') THEN %(lat)s ELSE latitude END,
            placed_at = greatest(placed_at, %(placed)s) WHERE tenant_id = %(tenant)s AND id = %(id)s""",
        {
            "at": at, "reason": reason, "battery": reading.battery_percent if reading else None, "signal": reading.signal_dbm if reading else None,
            "name": reading.name if reading else "", "lon": place[0] if place else None, "lat": place[1] if place else None, "placed": place[2] if place else None,
            "tenant": tenant_id, "id": device_id,
        },
    )  # fmt: skip


def change_device(conn: Conn, tenant_id: int, device_id: int, **values: Any) -> None:
    """Change columns of a device; the names are ours."""
    sets = ", ".join(f"{name} = %s" for name in values)
    execute(conn, f"UPDATE device SET {sets} WHERE tenant_id = %s AND id = %s", [*values.values(), tenant_id, device_id])


def keep(conn: Conn, tenant_id: int, door_id: int, rows: Sequence[tuple[bytes, str, Any]]) -> dict[bytes, int]:
    """Keep messages (digest, topic, payload) as they came. Returns by digest the number of each that is new."""
    statement = """INSERT INTO device_message (tenant_id, door_id, digest, topic, payload)
        SELECT %s, %s, n.digest, n.topic, n.payload::jsonb FROM unnest(%s::bytea[], %s::text[], %s::text[]) AS n (digest, topic, payload)
        ON CONFLICT DO NOTHING RETURNING digest, seq"""
    digests, topics, payloads = [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows]
    return {bytes(row[0]): row[1] for row in execute(conn, statement, [tenant_id, door_id, digests, topics, payloads])}


def settle(conn: Conn, tenant_id: int, rows: Sequence[tuple[int, int | None, MessageState, str]]) -> None:
    """Say what became of messages: (number, device, state, reason)."""
    statement = """UPDATE device_message m SET device_id = n.device, state = n.state, reason = n.reason
        FROM unnest(%s::bigint[], %s::bigint[], %s::smallint[], %s::text[]) AS n (seq, device, state, reason) WHERE m.tenant_id = %s AND m.seq = n.seq"""
    execute(conn, statement, [[r[0] for r in rows], [r[1] for r in rows], [int(r[2]) for r in rows], [r[3] for r in rows], tenant_id])


def messages(conn: Conn, tenant_id: int, device_id: int, limit: int = 20) -> list[Message]:
    """The last raw messages of a device, newest first."""
    statement = (
        "SELECT seq, device_id, received_at, payload, state, reason FROM device_message WHERE tenant_id = %s AND device_id = %s ORDER BY seq DESC LIMIT %s"
    )
    return [_message(row) for row in execute(conn, statement, [tenant_id, device_id, limit])]


def nameless(conn: Conn, tenant_id: int, limit: int = 10) -> list[Message]:
    """The last messages of which nobody knows the device."""
    statement = (
        "SELECT seq, device_id, received_at, payload, state, reason FROM device_message WHERE tenant_id = %s AND device_id IS NULL ORDER BY seq DESC LIMIT %s"
    )
    return [_message(row) for row in execute(conn, statement, [tenant_id, limit])]


def waiting(conn: Conn, tenant_id: int, device_id: int, after: int, limit: int) -> list[tuple[int, datetime, str, Any]]:
    """Messages of a device that no profile has taken yet, in the order in which they came: (number, received, topic, payload)."""
    statement = """SELECT seq, received_at, topic, payload FROM device_message
        WHERE tenant_id = %s AND device_id = %s AND state IN (0, 2) AND seq > %s ORDER BY seq LIMIT %s"""
    return [(row[0], row[1], row[2], row[3]) for row in execute(conn, statement, [tenant_id, device_id, after, limit])]


def forget(conn: Conn, tenant_ids: Sequence[int], before: datetime) -> int:
    """Let raw messages go that were received before an instant, waiting ones too. Returns how many."""
    return execute(conn, "DELETE FROM device_message WHERE tenant_id = ANY (%s) AND received_at < %s", [list(tenant_ids), before]).rowcount


def profiles(conn: Conn, tenant_id: int) -> list[Profile]:
    """Every profile, by name."""
    return [
        _profile(row) for row in execute(conn, "SELECT id, name, entity_type, rules FROM device_profile WHERE tenant_id = %s ORDER BY name, id", [tenant_id])
    ]


def profile(conn: Conn, tenant_id: int, profile_id: int) -> Profile | None:
    """One profile."""
    row = execute(conn, "SELECT id, name, entity_type, rules FROM device_profile WHERE tenant_id = %s AND id = %s", [tenant_id, profile_id]).fetchone()
    return _profile(row) if row else None


def save_profile(conn: Conn, tenant_id: int, profile: Profile) -> int:
    """Add a profile (id 0), or change one. Returns its id."""
    rules = {
        "fields": [{"path": f.path, "attribute": f.attribute, "unit": f.unit, "scale": f.scale} for f in profile.fields],
        "longitude": profile.longitude, "latitude": profile.latitude, "fastest_km_h": profile.fastest_km_h, "round_m": profile.round_m,
    }  # fmt: skip
    if profile.id:
        execute(
            conn, "UPDATE device_profile SET name = %s, entity_type = %s, rules = %s WHERE tenant_id = %s AND id = %s",
            [profile.name, profile.entity_type, Jsonb(rules), tenant_id, profile.id],
        )  # fmt: skip
        return profile.id
    statement = "INSERT INTO device_profile (tenant_id, name, entity_type, rules) VALUES (%s, %s, %s, %s) RETURNING id"
    row = execute(conn, statement, [tenant_id, profile.name, profile.entity_type, Jsonb(rules)]).fetchone()
    assert row is not None
    return int(row[0])


def _message(row: tuple[Any, ...]) -> Message:
    return Message(row[0], row[1], row[2], row[3], MessageState(row[4]), row[5])


def _door(row: tuple[Any, ...]) -> Door:
    return Door(row[0], row[1], DoorKind(row[2]), *row[3:])


def _profile(row: tuple[Any, ...]) -> Profile:
    rules = dict(row[3])
    fields = tuple(FieldMap(**one) for one in rules.pop("fields", []))
    return Profile(row[0], row[1], row[2], fields, **rules)
