"""Merge the English catalogues of all rooms into one. Imports nothing of ours: the package build runs it too.

Each room keeps `locale/en.po` (the Portuguese sentence and its English); together they become
`malha/locale/en/LC_MESSAGES/django.mo`, which Django and the plane read.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from babel.messages.catalog import Catalog

PACKAGE = Path(__file__).resolve().parents[2]
TARGET = Path("locale") / "en" / "LC_MESSAGES" / "django.mo"


def sources(package: Path = PACKAGE) -> list[Path]:
    """The catalogue of each room that has one."""
    return sorted(package.rglob("locale/en.po"))


def read(path: Path) -> Catalog:
    """One room's catalogue. Raises ValueError naming the file and line where it is no catalogue."""
    from babel.messages.pofile import PoFileError, read_po  # noqa: PLC0415 -- commands start without it

    try:
        return read_po(io.BytesIO(path.read_bytes()), locale="en", abort_invalid=True)
    except PoFileError as reason:
        raise ValueError(f"{path}: {reason}") from reason


def merged(package: Path = PACKAGE) -> Catalog:
    """All rooms' translations in one; where two rooms say the same sentence, the first by path holds."""
    from babel.messages.catalog import Catalog  # noqa: PLC0415 -- as above

    whole = Catalog(locale="en", project="malha", charset="utf-8")
    for path in sources(package):
        for message in read(path):
            known = whole.get(message.id, message.context) if message.id else None
            if message.id and message.string and not message.fuzzy and known is None:
                whole.add(message.id, message.string, context=message.context)
    return whole


def compile_catalogue(package: Path = PACKAGE) -> Path:
    """Write the merged catalogue where Django looks for it, whole or not at all; returns its path."""
    from babel.messages.mofile import write_mo  # noqa: PLC0415 -- as above

    target = package / TARGET
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_suffix(f".{os.getpid()}.tmp")
    with fresh.open("wb") as handle:
        write_mo(handle, merged(package))
    fresh.replace(target)
    return target


def _stale(package: Path) -> Iterator[Path]:
    target = package / TARGET
    made = target.stat().st_mtime_ns if target.exists() else -1
    yield from (path for path in sources(package) if path.stat().st_mtime_ns > made)


def ensure_compiled(package: Path = PACKAGE) -> None:
    """Compile again when a room's catalogue is newer; an installation that cannot be written stays as built."""
    if next(_stale(package), None) is not None:
        try:
            compile_catalogue(package)
        except PermissionError:
            return
