"""Bytes in pieces."""

from __future__ import annotations

import io
import tarfile

from malha.kernel.pieces import Pieces


def test_reads_across_pieces_and_fewer_only_at_the_end() -> None:
    pieces = Pieces([b"ab", b"", b"cde", b"f"])
    assert [pieces.read(3), pieces.read(2), pieces.read(9), pieces.read(1)] == [b"abc", b"de", b"f", b""]
    assert Pieces([b"ab", b"c"]).read() == b"abc"


def test_an_archive_is_read_as_it_comes() -> None:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        entry = tarfile.TarInfo("one")
        entry.size = 3
        archive.addfile(entry, io.BytesIO(b"abc"))
    stream = Pieces(whole.getvalue()[at : at + 7] for at in range(0, len(whole.getvalue()), 7))
    with tarfile.open(fileobj=stream, mode="r|") as archive:  # type: ignore[call-overload]  # asks for no more than `read`
        read = [(member.name, archive.extractfile(member).read()) for member in archive]
    assert read == [("one", b"abc")]
