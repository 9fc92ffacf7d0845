"""Pack and encrypt streams: zstd, then AES-256-GCM in frames of one megabyte, in constant memory."""

from __future__ import annotations

import hashlib
import hmac
import os
import struct
from collections.abc import Iterable, Iterator

import pyarrow as pa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from malha.history.backups.contracts import BackupBroken, WrongKey
from malha.kernel.pieces import Pieces
from malha.kernel.text import msg

FRAME_BYTES = 1 << 20
NONCE_BYTES = 12
#: cost of guessing a passphrase: 64 MB and about a fifth of a second a guess
SCRYPT = {"length": 32, "n": 2**16, "r": 8, "p": 1}
_LAST, _MORE = b"\x01", b"\x00"


class Seal:
    """How the objects of a repository are written: `key` is None where they are not encrypted."""

    def __init__(self, passphrase: str = "", salt: bytes = b"") -> None:
        self.key = Scrypt(salt=salt, **SCRYPT).derive(passphrase.encode()) if passphrase else None

    def name(self, sha256: str) -> str:
        """The name of an object; from an encrypted repository nobody learns which files it holds."""
        return hmac.new(self.key, sha256.encode(), hashlib.sha256).hexdigest() if self.key else sha256

    def close(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """What is written of `pieces`."""
        packed = _packed(pieces)
        return _encrypted(AESGCM(self.key), packed) if self.key else packed

    def open(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """What `close` was given. Raises WrongKey or BackupBroken."""
        return _unpacked(_decrypted(AESGCM(self.key), pieces) if self.key else pieces)


class _Sink:
    """A file that hands on what pyarrow writes into it."""

    def __init__(self) -> None:
        self.held, self.closed = bytearray(), False

    def write(self, data: bytes) -> int:
        self.held += memoryview(data)
        return len(data)

    def flush(self) -> None:
        """Everything is handed on by `take`."""

    def close(self) -> None:
        self.closed = True

    def take(self) -> bytes:
        taken = bytes(self.held)
        self.held.clear()
        return taken


def _packed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    sink = _Sink()
    with pa.CompressedOutputStream(pa.PythonFile(sink, mode="w"), "zstd") as packer:
        for piece in pieces:
            packer.write(piece)
            if len(sink.held) >= FRAME_BYTES:
                yield sink.take()
    yield sink.take()


def _frames(pieces: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Frames of one megabyte, and whether each is the last."""
    held = bytearray()
    for piece in pieces:
        held += piece
        while len(held) > FRAME_BYTES:
            yield bytes(held[:FRAME_BYTES]), False
            del held[:FRAME_BYTES]
    yield bytes(held), True


def _encrypted(cipher: AESGCM, pieces: Iterable[bytes]) -> Iterator[bytes]:
    for number, (frame, last) in enumerate(_frames(pieces)):
        nonce = os.urandom(NONCE_BYTES)
        body = cipher.encrypt(nonce, frame, struct.pack(">Q", number) + (_LAST if last else _MORE))
        yield struct.pack(">I", len(body)) + (_LAST if last else _MORE) + nonce + body


def _decrypted(cipher: AESGCM, pieces: Iterable[bytes]) -> Iterator[bytes]:
    held, number, last = bytearray(), 0, _MORE
    head = 5 + NONCE_BYTES
    for piece in pieces:
        held += piece
        while len(held) >= head and len(held) >= head + (size := struct.unpack(">I", held[:4])[0]):
            last, nonce, body = bytes(held[4:5]), bytes(held[5:head]), bytes(held[head : head + size])
            del held[: head + size]
            try:
                yield cipher.decrypt(nonce, body, struct.pack(">Q", number) + last)
            except InvalidTag as reason:
                raise WrongKey(msg("As cópias estão cifradas com outra palavra, ou foram mudadas. Veja MALHA_BACKUP_KEY.")) from reason
            number += 1
    if held or last != _LAST:
        raise BackupBroken(msg("A cópia está cortada: falta-lhe o fim."))


def _unpacked(pieces: Iterable[bytes]) -> Iterator[bytes]:
    try:
        with pa.CompressedInputStream(pa.PythonFile(Pieces(pieces), mode="r"), "zstd") as source:
            while piece := source.read(FRAME_BYTES):
                yield piece
    except OSError as reason:
        raise BackupBroken(msg("A cópia está estragada: {reason}"), reason=str(reason)[:200]) from reason
