"""Bytes that come in pieces, read like a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


class Pieces:
    """A stream of pieces as a file that can only be read on: no seeking, no more than one piece in memory beyond what is asked."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces: Iterator[bytes] = iter(pieces)
        self._held = bytearray()
        self.closed = False

    def read(self, size: int = -1) -> bytes:
        """The next `size` bytes, fewer only at the end."""
        while size < 0 or len(self._held) < size:
            piece = next(self._pieces, None)
            if piece is None:
                break
            self._held += piece
        taken = bytes(self._held if size < 0 else self._held[:size])
        del self._held[: len(taken)]
        return taken

    def close(self) -> None:
        """Nothing more is asked; whoever makes the pieces is left alone."""
        self.closed = True
