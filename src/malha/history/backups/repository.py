"""Where copies are kept: objects named by their content, and one manifest a copy, in a folder or an S3-compatible store.

repository.json            version, salt of the passphrase
objects/ab/abcd…           a packed file, once, however many copies hold it
wal/7412…/00000001000000…  a packed segment of the server's log
copies/2026-…Z.json        a manifest, written last: a copy that was cut off has none
checks/2026-…Z.json        a rehearsal
erasures.jsonl             whose data must not come back (no personal data)
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from uuid import uuid4

import msgspec
import obstore
from obstore.store import LocalStore, ObjectStore

from malha.history.backups.contracts import BackupBroken, Check, Manifest, NoBackup, Piece, WrongKey
from malha.history.backups.sealing import Seal
from malha.history.lake import files
from malha.kernel.text import msg

VERSION = 1
_PROOF = b"malha"


class Repository:
    """The copies of one installation. Opening an encrypted one without its passphrase raises WrongKey."""

    def __init__(self, address: str, passphrase: str = "", *, make: bool = False) -> None:
        self.address = address
        if not make and not address.startswith("s3://") and not Path(address, "repository.json").is_file():
            raise NoBackup(msg("Em {place} não há nenhuma cópia."), place=address)
        self.store: ObjectStore = files.open_store(address)
        head = self._head(passphrase, make=make)
        if head["encrypted"] and not passphrase:
            raise WrongKey(msg("As cópias em {place} estão cifradas: diga a palavra em MALHA_BACKUP_KEY."), place=address)
        self.encrypted = bool(head["encrypted"])
        self.seal = Seal(passphrase if self.encrypted else "", bytes.fromhex(head["salt"]))
        proof = b"".join(self.seal.open([bytes.fromhex(head["proof"])])) if head.get("proof") else _PROOF
        if proof != _PROOF:
            raise WrongKey(msg("As cópias em {place} estão cifradas com outra palavra."), place=address)

    def put(self, path: str, pieces: Iterable[bytes]) -> None:
        """Write an object whole, or not at all, and have it on disk."""
        writer = obstore.open_writer(self.store, path)
        for piece in self.seal.close(pieces):  # by hand: a stream of the same library cannot be read inside its own `put`
            writer.write(piece)
        writer.close()  # what is not closed is never there
        if isinstance(self.store, LocalStore):
            _write_through(Path(self.address) / path)

    def get(self, path: str) -> Iterator[bytes]:
        """An object as it was given. Raises NoBackup."""
        try:
            found = obstore.get(self.store, path)
        except FileNotFoundError as reason:
            raise NoBackup(msg("Falta na cópia {path}."), path=path) from reason
        return self.seal.open(bytes(piece) for piece in found.stream())

    def has(self, path: str) -> bool:
        """Whether there is such an object."""
        try:
            obstore.head(self.store, path)
        except FileNotFoundError:
            return False
        return True

    def names(self, folder: str) -> list[str]:
        """The names of the objects below a folder, in order."""
        return sorted(entry["path"] for page in obstore.list(self.store, prefix=folder) for entry in page)

    def keep(self, path: str, sha256: str, size: int, pieces: Iterable[bytes], modified: float = 0.0) -> tuple[Piece, int]:
        """Keep a file whose digest is known. Returns its piece and the bytes that were new."""
        stored = self.place_of(sha256)
        known = self.has(stored)
        if not known:
            self.put(stored, pieces)
        return Piece(path, sha256, size, stored, modified), 0 if known else size

    def keep_stream(self, path: str, pieces: Iterable[bytes]) -> tuple[Piece, int]:
        """Keep a stream whose digest is known only at its end."""
        digest, size = hashlib.sha256(), 0

        def counted() -> Iterator[bytes]:
            nonlocal size
            for piece in pieces:
                digest.update(piece)
                size += len(piece)
                yield piece

        stored = f"objects/streams/{uuid4().hex}"
        self.put(stored, counted())
        return Piece(path, digest.hexdigest(), size, stored), size

    def place_of(self, sha256: str) -> str:
        """Where an object with that digest lies."""
        name = self.seal.name(sha256)
        return f"objects/{name[:2]}/{name}"

    def read(self, piece: Piece) -> Iterator[bytes]:
        """The bytes of a piece, checked against its digest. Raises BackupBroken at the end where they are others."""
        digest = hashlib.sha256()
        for part in self.get(piece.stored):
            digest.update(part)
            yield part
        if digest.hexdigest() != piece.sha256:
            raise BackupBroken(msg("Na cópia, {path} não é o que devia ser."), path=piece.path)

    def manifests(self) -> list[Manifest]:
        """The copies that came to their end, oldest first."""
        return [self._read(name, Manifest) for name in self.names("copies")]

    def newest(self, before: datetime | None = None) -> Manifest:
        """The newest copy, or the newest made at or before an instant. Raises NoBackup."""
        found = [one for one in self.manifests() if before is None or one.made_at <= before]
        if not found:
            raise NoBackup(msg("Em {place} não há nenhuma cópia completa."), place=self.address)
        return found[-1]

    def manifest(self, id_: str) -> Manifest:
        """The copy of that name. Raises NoBackup."""
        return self._read(f"copies/{id_}.json", Manifest)

    def write_manifest(self, manifest: Manifest) -> None:
        """The copy is whole."""
        self.put(f"copies/{manifest.id}.json", [msgspec.json.encode(manifest)])

    def checks(self) -> list[Check]:
        """The rehearsals, oldest first."""
        return [self._read(name, Check) for name in self.names("checks")]

    def write_check(self, check: Check) -> None:
        """Remember a rehearsal."""
        self.put(f"checks/{check.checked_at:%Y-%m-%dT%H%M%SZ}.json", [msgspec.json.encode(check)])

    def _read[T](self, path: str, kind: type[T]) -> T:
        return msgspec.json.decode(b"".join(self.get(path)), type=kind)

    def remove(self, paths: Iterable[str]) -> None:
        """Take objects away."""
        if wanted := list(paths):
            obstore.delete(self.store, wanted)

    def _head(self, passphrase: str, *, make: bool) -> dict[str, str]:
        try:
            head: dict[str, str] = json.loads(bytes(obstore.get(self.store, "repository.json").bytes()))
        except FileNotFoundError as reason:
            if not make:
                raise NoBackup(msg("Em {place} não há nenhuma cópia."), place=self.address) from reason
            salt = os.urandom(16)
            proof = b"".join(Seal(passphrase, salt).close([_PROOF])).hex()
            head = {"version": str(VERSION), "encrypted": "yes" if passphrase else "", "salt": salt.hex(), "proof": proof}
            obstore.put(self.store, "repository.json", json.dumps(head).encode())
        return head


def _write_through(path: Path) -> None:
    for place in (path, path.parent):
        handle = os.open(place, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
