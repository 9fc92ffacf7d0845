"""The bytes of a text file as whole lines of UTF-8: unpacked, of any usual encoding, none of them longer than a bound."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from pathlib import Path
from typing import BinaryIO

from malha.ingest.bulk.contracts import UnreadableHistory
from malha.kernel.text import msg

#: a longer line is none of a table of measures: it is left out and said
MOST_LINE_BYTES = 1_000_000
#: stands for a line that was too long: it has one column, so that the reader gives it back as one that does not fit
TOO_LONG = "\x00"
#: so much larger than it lies does no file of measures get (those of a year of sensors: 30 times), once it is larger than the least
MOST_TIMES, LEAST_BYTES = 200, 256_000_000
_LOOKED_AT = 1_000_000
_GUESSED_FROM = 8_000_000
_GZIP = b"\x1f\x8b"


def is_packed(source: Path) -> bool:
    """Whether the file is one of gzip."""
    with source.open("rb") as file:
        return file.read(2) == _GZIP


def head(source: Path, size: int = _LOOKED_AT) -> bytes:
    """The first bytes of the file, unpacked. Raises OSError where it does not unpack."""
    with _opened(source) as file:
        return file.read(size)


def size_of_text(source: Path) -> int:
    """How many bytes of text there are: of a packed file a guess, by how its beginning is packed. Raises OSError where it does not unpack."""
    size = source.stat().st_size
    if not is_packed(source):
        return size
    with source.open("rb") as packed, gzip.GzipFile(fileobj=packed) as file:
        read = len(file.read(_GUESSED_FROM))
        return round(read * size / max(1, packed.tell()))


def encoding_of(begin: bytes) -> str:
    """How the text is written, by how it begins: what is not UTF-8 was written by an older Windows."""
    if begin.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(begin)  # not final: the last letter may be cut
    except UnicodeDecodeError:
        return "cp1252"
    return "utf-8-sig" if begin.startswith(codecs.BOM_UTF8) else "utf-8"


def _opened(source: Path) -> BinaryIO:
    return gzip.open(source) if is_packed(source) else source.open("rb")  # type: ignore[return-value]  # a GzipFile reads as one


class Lines(io.RawIOBase):
    """The lines of a text file, in blocks as large as whoever reads asks for.

    Raises UnreadableHistory where it grows out of all proportion when unpacked, or does not unpack.
    """

    def __init__(self, source: Path, encoding: str) -> None:
        self._size, self._file = source.stat().st_size, _opened(source)
        plain = encoding in {"utf-8", "utf-8-sig"}
        self._decoder = None if plain else codecs.getincrementaldecoder(encoding)("replace")
        if encoding == "utf-8-sig":
            self._file.read(len(codecs.BOM_UTF8))
        self._rest, self._long, self._unpacked = b"", False, 0

    def readable(self) -> bool:
        """Always."""
        return True

    def close(self) -> None:
        """Close the file too."""
        self._file.close()
        super().close()

    def read(self, size: int = -1, /) -> bytes:
        """Whole lines, about so many bytes; none at the end."""
        while True:
            more = self._more(size)
            if not more:
                rest, self._rest = (b"" if self._long else self._rest), b""
                return rest
            if whole := self._whole(more):
                return whole

    def _more(self, size: int) -> bytes:
        try:
            more = self._file.read(size)
        except (EOFError, zlib.error, gzip.BadGzipFile) as reason:
            raise UnreadableHistory(msg("O ficheiro não se descomprime: está incompleto ou estragado.")) from reason
        self._unpacked += len(more)
        if self._unpacked > max(LEAST_BYTES, MOST_TIMES * self._size):
            raise UnreadableHistory(msg("O ficheiro cresce mais de {times} vezes ao descomprimir: não é um ficheiro de medidas."), times=MOST_TIMES)
        if self._decoder is None:
            return more
        return self._decoder.decode(more, final=not more).encode() or (more and self._more(size))

    def _whole(self, more: bytes) -> bytes:
        """The whole lines of what was kept and of more; the last one, which may go on, is kept."""
        if self._long:  # the end of a line that was too long
            end = more.find(b"\n")
            if end < 0:
                return b""
            self._long, more = False, more[end + 1 :]
        given = self._rest + more if self._rest else more
        end = given.rfind(b"\n") + 1
        self._rest = given[end:]
        said = _bounded(given[:end])
        if len(self._rest) > MOST_LINE_BYTES:
            self._rest, self._long = b"", True
            said += TOO_LONG.encode() + b"\n"
        return said


def _bounded(lines: bytes) -> bytes:
    """The same, each line that is too long replaced by the mark of one. Looks for line ends a bound at a time, not at each."""
    at, kept, begin = 0, list[bytes](), 0
    while len(lines) - at > MOST_LINE_BYTES:
        end = lines.rfind(b"\n", at, at + MOST_LINE_BYTES)
        if end < 0:
            kept += [lines[begin:at], TOO_LONG.encode() + b"\n"]
            end = lines.index(b"\n", at)
            begin = end + 1
        at = end + 1
    return b"".join([*kept, lines[begin:]]) if kept else lines
