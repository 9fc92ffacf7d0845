"""Put right what a copy that was brought back says of the place where it was made: `python -m malha.history.backups.settling DUMPS ERASURES`.

Runs with the new folder as its data folder, its server running. Prints one JSON object: `counts`, `lost`, `erased`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import msgspec

from malha.foundation.database import copies
from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.history.backups import taking
from malha.history.engines import storage
from malha.history.erasure import service as erasure
from malha.history.erasure.contracts import Proof
from malha.history.lake import catalogue, integrity


def settle(dumps: str, erasures: Path) -> dict[str, object]:
    """From dumps: read them. Always: the lake's place, its files, the erasures."""
    if dumps:
        copies.restore(Path(dumps))
    lost: list[str] = []
    if _move_lake():
        counts = taking.count()
        broken = integrity.look(integrity.BEGINNING)
        with catalogue.writing() as lake:
            integrity.set_aside(lake, broken)
        lost = [one.file.path for one in broken]
    else:
        counts = taking.count()
    listed = {(one.tenant_id, one.id): one for one in (*_read(erasures), *erasure.kept())}
    return {"counts": counts, "lost": lost, "erased": erasure.apply_again(list(listed.values()))}


def _read(place: Path) -> list[Proof]:
    return [msgspec.json.decode(line, type=Proof) for line in place.read_bytes().splitlines()]


def _move_lake() -> bool:
    """Tell the catalogue where its files lie now. False where there is no lake yet."""
    with database.connect(Role.LAKE_WRITER) as session:
        if session.execute("SELECT to_regclass('ducklake_metadata')").fetchone() == (None,):
            return False
        session.execute("UPDATE ducklake_metadata SET value = %s WHERE key = 'data_path'", [storage.address()])
    return True


if __name__ == "__main__":
    sys.stdout.write(json.dumps(settle(sys.argv[1], Path(sys.argv[2]))))
