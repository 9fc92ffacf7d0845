"""Erase a person from the files that came in, and from the logs: lines out of texts, whole files where a line cannot be taken."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from malha.foundation.settings import service as settings
from malha.history.erasure.rules import recovered

PIECE_BYTES = 1 << 20
_ENCODINGS = ("utf-8", "latin-1", "utf-16-le")


def needles(terms: Sequence[str]) -> re.Pattern[bytes]:
    """What is searched in bytes: each identifier in the encodings that files come in, in any case where it is ASCII."""
    forms = {form for term in terms for encoding in _ENCODINGS for form in _encoded(term, encoding)}
    return re.compile(b"|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True)), re.IGNORECASE)


def _encoded(term: str, encoding: str) -> Iterator[bytes]:
    for form in (term, term.lower(), term.upper()):
        try:
            yield form.encode(encoding)
        except UnicodeEncodeError:
            continue


def found(tenant_id: int, terms: Sequence[str]) -> list[Path]:
    """The tenant's files that speak of the person; inside archives and workbooks too."""
    wanted = needles(terms)
    return [path for path in _files(tenant_id) if _holds(path, wanted)]


def erase(tenant_id: int, terms: Sequence[str]) -> dict[str, str]:
    """Take the lines out, or the file away. Returns old digest → new digest, empty where the file went; other files by their name."""
    wanted, changed = needles(terms), {}
    for path in found(tenant_id, terms):
        new = "" if path.parent != folder(tenant_id) else _without_lines(path, wanted)
        changed[path.name] = new
        path.unlink(missing_ok=True)
        shutil.rmtree(folder(tenant_id) / ".work" / path.name, ignore_errors=True)
    return changed


def folder(tenant_id: int) -> Path:
    """Where the tenant's files lie."""
    return settings.current().data / "files" / str(tenant_id)


def recover(tenant_id: int, key: bytes, digests: Sequence[str]) -> set[str]:
    """The identifiers behind keyed digests, where files of the tenant hold them as text."""
    found: set[str] = set()
    for path in _files(tenant_id):
        found |= recovered(key, digests, (line.decode("utf-8", "replace") for line in _lines(path)))
    return found


def _lines(path: Path) -> Iterator[bytes]:
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                yield from archive.open(name) if not name.endswith("/") else ()
        return
    with path.open("rb") as source:
        yield from source


def redact_logs(terms: Sequence[str]) -> int:
    """Cross the identifiers out in the logs of our own processes, in place and at the same length. Returns in how many files."""
    wanted, count = needles(terms), 0
    data = settings.current().data
    for path in [*(data / "log").glob("*.log"), *(data / "postgres" / "log").glob("*.log"), data / "postgres" / "start.log"]:
        if path.is_file() and (text := path.read_bytes()) and wanted.search(text):
            with path.open("r+b") as log:
                log.write(wanted.sub(lambda met: b"x" * len(met[0]), text))
            count += 1
    return count


def _files(tenant_id: int) -> list[Path]:
    return sorted(path for path in folder(tenant_id).rglob("*") if path.is_file()) if folder(tenant_id).is_dir() else []


def _holds(path: Path, wanted: re.Pattern[bytes]) -> bool:
    if _search(path.open("rb"), wanted):
        return True
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(_search(archive.open(name), wanted) for name in archive.namelist() if not name.endswith("/"))


def _search(source: object, wanted: re.Pattern[bytes]) -> bool:
    tail = b""
    with source as stream:  # type: ignore[attr-defined]  # any binary stream
        while piece := stream.read(PIECE_BYTES):
            if wanted.search(tail + piece):
                return True
            tail = piece[-512:]
    return False


def _without_lines(path: Path, wanted: re.Pattern[bytes]) -> str:
    """Write the file again without the lines; returns its new digest, empty where that would break it (not a text, or a quoted field over several lines)."""
    text = path.read_bytes()
    if b"\0" in text or zipfile.is_zipfile(path):
        return ""
    lines = text.splitlines(keepends=True)
    kept = [line for line in lines if not wanted.search(line)]
    if any(line.count(b'"') % 2 for line in lines if wanted.search(line)) or wanted.search(b"".join(kept)) or text.lstrip()[:1] in (b"{", b"["):
        return ""
    digest = hashlib.sha256(whole := b"".join(kept)).hexdigest()
    half = path.with_name(f".part-{digest}")
    half.write_bytes(whole)
    with half.open("rb") as written:
        os.fsync(written.fileno())
    half.replace(path.with_name(digest))
    return digest
