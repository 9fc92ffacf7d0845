"""Arrays between numpy and PostgreSQL as they lie in memory (array_send, array_recv): no text in between."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format
from psycopg.rows import tuple_row

type Ints = np.ndarray[Any, np.dtype[np.int64]]

#: the first day of 2000, from which PostgreSQL counts, in microseconds of Unix time
EPOCH = 946_684_800_000_000
_HEAD_BYTES = 20
_HEAD, _WIDTH, _NULL = struct.Struct(">iiIii"), struct.Struct(">i"), b"\xff\xff\xff\xff"
_UNIX = datetime(1970, 1, 1, tzinfo=UTC)


class FloatArray(bytes):
    """A float8[] in binary form."""


class InstantArray(bytes):
    """A timestamptz[] in binary form."""


class IntArray(bytes):
    """An int4[] in binary form."""


class LongArray(bytes):
    """An int8[] in binary form."""


class _Binary(Dumper):
    format = Format.BINARY

    def dump(self, obj: bytes) -> bytes:
        return bytes(obj)


class _FloatDumper(_Binary):
    oid = 1022


class _InstantDumper(_Binary):
    oid = 1185


class TextArray(bytes):
    """A text[] in binary form."""


class _IntDumper(_Binary):
    oid = 1007


class _LongDumper(_Binary):
    oid = 1016


class _TextDumper(_Binary):
    oid = 1009


_DUMPERS = ((FloatArray, _FloatDumper), (InstantArray, _InstantDumper), (IntArray, _IntDumper), (LongArray, _LongDumper), (TextArray, _TextDumper))


def cursor(conn: psycopg.Connection[Any]) -> psycopg.Cursor[Any]:
    """A plain cursor that takes these arrays, whatever cursor the connection makes itself."""
    made = psycopg.Cursor(conn, row_factory=tuple_row)
    for kind, dumper in _DUMPERS:
        made.adapters.register_dumper(kind, dumper)
    return made


def floats(values: np.ndarray[Any, Any]) -> FloatArray:
    """A float8[]."""
    return FloatArray(_array(values, 701, 8, ">f8"))


def instants(values: Ints) -> InstantArray:
    """A timestamptz[] from microseconds of Unix time."""
    return InstantArray(_array(values - EPOCH, 1184, 8, ">i8"))


def ints(values: Ints) -> IntArray:
    """An int4[]."""
    return IntArray(_array(values, 23, 4, ">i4"))


def longs(values: Ints) -> LongArray:
    """An int8[]."""
    return LongArray(_array(values, 20, 8, ">i8"))


def texts(values: Sequence[str | None]) -> TextArray:
    """A text[]: nothing in it is escaped, which a document is full of otherwise."""
    parts = [_HEAD.pack(1, 1, 25, len(values), 1)]
    for value in values:
        if value is None:
            parts.append(_NULL)
        else:
            data = value.encode()
            parts += (_WIDTH.pack(len(data)), data)
    return TextArray(b"".join(parts))


def moment(microseconds: int) -> datetime:
    """An instant from microseconds of Unix time."""
    return _UNIX + timedelta(microseconds=microseconds)


def microseconds(instant: datetime) -> int:
    """Microseconds of Unix time."""
    return (instant - _UNIX) // timedelta(microseconds=1)


def _array(values: np.ndarray[Any, Any], element: int, width: int, form: str) -> bytes:
    head = np.array([1, 0, element, len(values), 1], ">i4").tobytes()
    body = np.empty(len(values), [("width", ">i4"), ("value", form)])
    body["width"], body["value"] = width, values
    return head + body.tobytes()


def packs(found: psycopg.Cursor[Any]) -> Iterator[tuple[int, int, Ints, np.ndarray[Any, Any] | None, np.ndarray[Any, Any] | None]]:
    """Rows (int4, int8, timestamptz[], float8[], text[]) of a binary result: instants in microseconds, figures, texts."""
    result = found.pgresult
    assert result is not None
    for row in range(result.ntuples):
        n, seq, when, figures, texts = (result.get_value(row, column) for column in range(5))
        assert n is not None
        assert seq is not None
        assert when is not None
        yield (
            int.from_bytes(n, "big", signed=True), int.from_bytes(seq, "big", signed=True), _elements(when, ">i8") + EPOCH,
            _elements(figures, ">f8") if figures is not None else None, _texts(texts) if texts is not None else None,
        )  # fmt: skip


def arrays(found: psycopg.Cursor[Any], first: int) -> list[np.ndarray[Any, Any]]:
    """The arrays (int8[], or text[] without nulls) from column `first` on of a binary result of one row; empty ones for null."""
    result = found.pgresult
    assert result is not None
    made: list[np.ndarray[Any, Any]] = []
    for column in range(first, result.nfields):
        data, textual = result.get_value(0, column), result.ftype(column) == _TextDumper.oid
        if data is None:
            made.append(np.empty(0, object if textual else np.int64))
        else:
            made.append(_texts(data) if textual else _elements(data, ">i8"))
    return made


def _elements(data: bytes, form: str) -> np.ndarray[Any, Any]:
    """The elements of a one-dimensional array without nulls."""
    found = np.frombuffer(data, [("width", ">i4"), ("value", form)], offset=_HEAD_BYTES)["value"]
    return found.astype(found.dtype.newbyteorder("="))


def _texts(data: bytes) -> np.ndarray[Any, Any]:
    """The texts of a one-dimensional text[] without nulls."""
    count = int.from_bytes(data[12:16], "big")
    made = np.empty(count, object)
    at = _HEAD_BYTES
    for position in range(count):
        width = int.from_bytes(data[at : at + 4], "big")
        made[position] = data[at + 4 : at + 4 + width].decode()
        at += 4 + width
    return made
