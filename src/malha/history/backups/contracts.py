"""Words of copies: what one holds, and why one may be refused."""

from __future__ import annotations

from datetime import datetime

import msgspec

from malha.kernel.errors import BadInput, Conflict, MalhaError, Misconfigured, NotFound


class Piece(msgspec.Struct, frozen=True):
    """One file of a copy: where it lay below the data folder, its SHA-256, bytes, and the object that holds it."""

    path: str
    sha256: str
    bytes: int
    stored: str
    modified: float = 0.0


class Manifest(msgspec.Struct, frozen=True):
    """One copy. `counts` are what it must answer when it is brought back; `base` is the copy whose base the log of
    the server `system` brings forward; `epoch` is that of its server's transactions (their numbers divided by 2³²).
    """

    id: str
    made_at: datetime
    seconds: float
    malha: str
    postgres: str
    pieces: list[Piece]
    counts: dict[str, int]
    new_bytes: int
    base: str = ""
    system: str = ""
    epoch: int = 0

    @property
    def bytes(self) -> int:
        """The size of what it holds, before packing."""
        return sum(piece.bytes for piece in self.pieces)


class Check(msgspec.Struct, frozen=True):
    """A rehearsal: the copy was brought back whole into a folder of its own and asked."""

    id: str
    checked_at: datetime
    seconds: float
    ok: bool
    reason: str = ""


class BackupError(MalhaError):
    """A copy cannot be made or brought back."""

    slug = "backup"


class NoBackup(BackupError, NotFound):
    """There is no such copy there."""

    slug = "no-backup"


class WrongKey(BackupError, Misconfigured):
    """The copies are encrypted, and not with this passphrase."""

    slug = "wrong-backup-key"


class BackupBroken(BackupError, BadInput):
    """What the copy holds is not what it should be."""

    slug = "backup-broken"


class PlaceTaken(BackupError, Conflict):
    """There is something where the copy should be brought back."""

    slug = "restore-place-taken"


class NotCopiedYet(BackupError, BadInput):
    """No copy reaches that instant."""

    slug = "instant-not-copied"


class AlreadyCopying(BackupError, Conflict):
    """Another copy is being made."""

    slug = "already-copying"
