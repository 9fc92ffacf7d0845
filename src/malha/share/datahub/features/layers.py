"""All points of a collection as arrays, from which a tile is cut; after a change only what changed is read again.

Each point's bytes are made before any tile asks for them: its number, its values as positions in the layer's table of
values. A tile picks and places them.
"""

from __future__ import annotations

import struct
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg
import shapely

from malha.context.live import tiles as drawing
from malha.share.datahub import current
from malha.share.datahub.contracts import Reader, Table
from malha.share.questions.contracts import Field

#: above this many features a tile carries no identifiers, only what a layer is coloured by
MANY = 10_000
_KEPT = 8
#: values that no point has any more stay in the table until it is that many times as long as it was
_GROWN, _SPARE = 2, 10_000
_PLACES = frozenset({"longitude", "latitude", "location", "createdAt", "modifiedAt"})
type Bytes = npt.NDArray[np.uint8]
type Ints = npt.NDArray[np.int64]
type Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Layer:
    """All points of a collection: where (0 to 1 over the web map), the bytes of each before its geometry, how many of them count."""

    x: Floats
    y: Floats
    prefix: Bytes
    lengths: Ints
    tail: bytes  # keys and values of the layer, and its extent


@dataclass(slots=True)
class _Values:
    """The layer's table of values: the number of each, and their bytes one after the other."""

    numbers: dict[tuple[type, object], int] = field(default_factory=dict)
    encoded: bytearray = field(default_factory=bytearray)
    told: int = 0  # how many are encoded
    at_first: int = 0

    def of(self, value: object) -> int:
        """The number of a value, given when it is first seen; -1 for what a tile does not carry."""
        kind = type(value)
        if kind is float or kind is int or kind is bool or (kind is str and len(value) <= drawing.TEXT_LENGTH):  # type: ignore[arg-type]  # a text, by `kind`
            return self.numbers.setdefault((kind, value), len(self.numbers))
        return -1

    def bytes(self) -> bytes:
        """All values as a tile has them."""
        for _, value in islice(self.numbers, self.told, None):
            self.encoded += b"\x22" + sized(_value(value))
        self.told = len(self.numbers)
        return bytes(self.encoded)

    @property
    def is_worn(self) -> bool:
        """Whether so many values came after the first ones that it is better to begin anew."""
        return len(self.numbers) > _GROWN * self.at_first + _SPARE


@dataclass(frozen=True, slots=True)
class _Points:
    """What a layer is made of: of each point its number, when it was last changed, where it lies, and its bytes with how many of them count."""

    ids: Ints
    changed: Ints
    x: Floats
    y: Floats
    prefix: Bytes
    lengths: Ints

    def those(self, at: Ints) -> _Points:
        """The points at these positions."""
        return _Points(self.ids[at], self.changed[at], self.x[at], self.y[at], self.prefix[at], self.lengths[at])

    def and_(self, other: _Points) -> _Points:
        """Both, in order of number."""
        columns = (np.concatenate([getattr(self, name), getattr(other, name)]) for name in self.__slots__)
        both = _Points(*columns)
        return both.those(np.argsort(both.ids))


@dataclass(slots=True)
class _Shelf:
    """A layer with the state of its table that it is of; None where things that are no points are among it."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    state: str | None = None
    layer: Layer | None = None
    points: _Points | None = None
    values: _Values = field(default_factory=_Values)
    fields: tuple[Field, ...] = ()
    shown: tuple[int, ...] = ()  # those of the fields that anything has a value of


_shelves: OrderedDict[tuple[object, ...], _Shelf] = OrderedDict()
_lock = threading.Lock()


def forget() -> None:
    """Read every layer again: for tests and measurements."""
    with _lock:
        _shelves.clear()


def of(conn: psycopg.Connection[Any], reader: Reader, table: Table, state: str) -> Layer | None:
    """The layer of a table in a state (`current.fingerprint`); None where something else than points is among it.

    One who asks while it is read waits for it.
    """
    key = (conn.info.dbname, reader.tenant_id, table.entity_type, table.hidden, table.within, table.fields)
    with _lock:
        shelf = _shelves.setdefault(key, _Shelf())
        _shelves.move_to_end(key)
        while len(_shelves) > _KEPT:
            _shelves.popitem(last=False)
    with shelf.lock:
        if shelf.state != state:
            _refresh(conn, reader, table, shelf)
            shelf.state = state
        return shelf.layer


def _refresh(conn: psycopg.Connection[Any], reader: Reader, table: Table, shelf: _Shelf) -> None:
    """Read what was changed since, or everything where nothing was read yet."""
    ids, changed, only_points = current.changes(conn, reader.tenant_id, table)
    if not only_points or not ids.size:
        shelf.points = shelf.layer = None
        return
    fields = tuple(one for one in table.fields if one.name not in _PLACES and (one.name != "id" or ids.size <= MANY))
    points = _patched(conn, reader, table, shelf, ids, changed) if fields == shelf.fields and not shelf.values.is_worn else None
    if points is None:
        shelf.values, shelf.fields = _Values(), fields
        read = _read(conn, reader, table, shelf, ids, changed, None)
        shelf.shown = tuple(column for column in range(len(fields)) if bool((read.codes[:, column] >= 0).any()))
        shelf.values.at_first, points = len(shelf.values.numbers), _packed(read, shelf.shown)
    keys = b"".join(b"\x1a" + sized(fields[column].name.encode()) for column in shelf.shown)
    tail = keys + shelf.values.bytes() + b"\x28" + _varint(drawing.EXTENT) + b"\x78\x02"
    shelf.points, shelf.layer = points, Layer(points.x, points.y, points.prefix, points.lengths, tail)


def _patched(conn: psycopg.Connection[Any], reader: Reader, table: Table, shelf: _Shelf, ids: Ints, changed: Ints) -> _Points | None:
    """The points of a shelf with what was changed read again; None where all has to be read."""
    before = shelf.points
    if before is None or not before.ids.size:
        return None
    at = np.minimum(np.searchsorted(before.ids, ids), before.ids.size - 1)
    same = (before.ids[at] == ids) & (before.changed[at] == changed)
    stay = before.those(at[same])
    if bool(same.all()):
        return stay
    read = _read(conn, reader, table, shelf, ids[~same], changed[~same], ids[~same].tolist())
    if bool(np.delete(read.codes >= 0, shelf.shown, axis=1).any()):  # a field that nothing had a value of
        return None
    return stay.and_(_packed(read, shelf.shown))


@dataclass(frozen=True, slots=True)
class _Read:
    """Points with the number of each of their values: a row a point, a column a field."""

    ids: Ints
    changed: Ints
    x: Floats
    y: Floats
    codes: Ints


def _read(
    conn: psycopg.Connection[Any], reader: Reader, table: Table, shelf: _Shelf, ids: Ints, changed: Ints, among: Sequence[int] | None
) -> _Read:  # fmt: skip
    """The points with these numbers. One that came after the numbers were asked for counts as changed at no instant, so that it is read again."""
    numbers: list[int] = []
    rows: list[list[object]] = []
    found: list[npt.NDArray[np.object_]] = []
    for these, some, places in current.walk(conn, reader.tenant_id, table, shelf.fields, among=among):
        there = shapely.get_type_id(places) == 0
        found.append(places[there])
        numbers += np.array(these, np.int64)[there].tolist()
        rows += some if bool(there.all()) else [row for row, is_there in zip(some, there, strict=True) if is_there]
    points = shapely.get_coordinates(np.concatenate(found) if found else np.empty(0, object))
    lat = np.radians(np.clip(points[:, 1], -85.06, 85.06))
    own = np.array(numbers, np.int64)
    at = np.minimum(np.searchsorted(ids, own), ids.size - 1)
    number, codes = shelf.values.of, np.full((own.size, len(shelf.fields)), -1, np.int64)
    for column, cells in enumerate(zip(*rows, strict=True)):
        codes[:, column] = np.fromiter(map(number, cells), np.int64, own.size)
    return _Read(own, np.where(ids[at] == own, changed[at], 0), (points[:, 0] + 180.0) / 360.0, (1.0 - np.arcsinh(np.tan(lat)) / np.pi) / 2.0, codes)


def _packed(read: _Read, shown: Sequence[int]) -> _Points:
    """Feature number, tags and type of each point as bytes. Numbers take three bytes always."""
    codes, count = read.codes[:, list(shown)], read.ids.size
    there = codes >= 0
    tags = np.zeros((count, len(shown), 4), np.uint8)
    tags[:, :, 0] = np.arange(len(shown))
    tags[:, :, 1:] = three(np.maximum(codes, 0).ravel()).reshape(count, len(shown), 3)
    kept, flat = np.repeat(there, 4, axis=1), tags.reshape(count, len(shown) * 4)
    packed = flat if bool(there.all()) else np.take_along_axis(flat, np.argsort(~kept, axis=1, kind="stable"), axis=1)
    lengths = kept.sum(axis=1).astype(np.int64)
    head = np.zeros((count, 6), np.uint8)  # 18 01: a point; 12 len: packed tags
    head[:, 0], head[:, 1], head[:, 2] = 0x18, 0x01, 0x12
    head[:, 3:6] = three(lengths)
    return _Points(read.ids, read.changed, read.x, read.y, np.hstack([head, packed]), lengths + 6)


def three(numbers: Ints) -> Bytes:
    """Each number (below 2²¹) as a varint of three bytes, which readers take as they take shorter ones."""
    return np.column_stack((numbers & 0x7F | 0x80, numbers >> 7 & 0x7F | 0x80, numbers >> 14 & 0x7F)).astype(np.uint8)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def sized(data: bytes) -> bytes:
    """Bytes with how many they are before them."""
    return _varint(len(data)) + data


def _value(value: object) -> bytes:
    if isinstance(value, bool):
        return b"\x38" + (b"\x01" if value else b"\x00")
    if isinstance(value, int) and value >= 0:
        return b"\x28" + _varint(value)
    if isinstance(value, int | float):
        return b"\x19" + struct.pack("<d", float(value))
    return b"\x0a" + sized(str(value).encode())


def cut(layer: Layer, z: int, x: int, y: int) -> bytes:
    """The tile of a layer: its points within the square and its margin, each at a whole unit of the tile."""
    size = 2.0**z
    margin = drawing.BUFFER
    across, down = layer.x * size - x, layer.y * size - y
    chosen = np.flatnonzero((across >= -margin) & (across <= 1 + margin) & (down >= -margin) & (down <= 1 + margin))
    if not chosen.size:
        return b""
    column = np.rint(across[chosen] * drawing.EXTENT).astype(np.int64)
    line = np.rint(down[chosen] * drawing.EXTENT).astype(np.int64)
    prefix, lengths = layer.prefix[chosen], layer.lengths[chosen]
    width = prefix.shape[1]
    whole = np.zeros((chosen.size, 4 + width + 9), np.uint8)
    whole[:, 0] = 0x12
    whole[:, 1:4] = three(lengths + 9)
    whole[:, 4 : 4 + width] = prefix
    whole[:, 4 + width : 7 + width] = (0x22, 0x07, 0x09)  # a packed geometry of seven bytes: one MoveTo
    whole[:, 7 + width : 10 + width] = three(column << 1 ^ column >> 63)
    whole[:, 10 + width : 13 + width] = three(line << 1 ^ line >> 63)
    if bool(np.all(lengths == width)):
        features = whole.tobytes()
    else:
        places = np.arange(width)
        keep = np.ones(whole.shape, bool)
        keep[:, 4 : 4 + width] = places < lengths[:, None]
        features = whole[keep].tobytes()
    body = b"\x0a" + sized(b"entities") + features + layer.tail
    return b"\x1a" + sized(body)
