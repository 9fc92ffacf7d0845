"""Files as they came, and where a value came from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from malha.kernel.errors import MalhaError, NotFound


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file of a tenant, kept as it came under its SHA-256. `origin` is the address it was fetched from, or ""."""

    sha256: str
    name: str
    bytes: int
    path: Path
    received_at: datetime
    origin: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where one value came from: the run, and for files the row as a spreadsheet counts."""

    attribute: str
    observed_at: datetime
    received_at: datetime
    run_id: int | None
    row_number: int | None


class LineageError(MalhaError):
    """Something about the way of a value does not hold."""

    slug = "lineage"


class UnknownFile(LineageError, NotFound):
    """No such file is kept for this tenant."""

    slug = "unknown-file"


class FullDisk(LineageError):
    """There is no room for the file; nothing was kept."""

    slug = "full-disk"
    status = 507
