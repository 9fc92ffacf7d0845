"""How the answers of history grow with it: the same year of 1,000 sensors at more and more values, and the plot as SVG.

`python bench/_history_growth.py FOLDER` goes on where it was cut short: files made, parts loaded and sizes asked are not done again. The
folder holds an installation of its own, and stays; the last line printed is one JSON object.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import _growth
import _history
import django
from pyarrow import parquet

SIZES = (10_000_000, 30_000_000, 100_000_000)
RUNS = 3
PLOT = Path(__file__).resolve().parent.parent / "docs" / "history-growth.svg"
WORDS = {
    "sensor_year": "um sensor, um ano, por dia", "city_month": "cidade, um mês, por hora", "city_month_raw": "o mesmo, dos valores",
    "last_values": "último de cada sensor", "entity_10k": "10 000 valores de um", "top_10": "dez maiores de um mês",
}  # fmt: skip


def grow(folder: Path) -> dict[str, Any]:
    """Load and ask each size in turn; what was found of each lies in a file of the folder."""
    for size in SIZES:
        done = folder / f"found-{size}.json"
        if not done.exists():
            done.write_text(json.dumps(ask(folder, size)), encoding="utf-8")
    found = {size: json.loads((folder / f"found-{size}.json").read_text(encoding="utf-8")) for size in SIZES}
    ms = {name: [found[size]["figures"][f"{name}_ms"]["value"] for size in SIZES] for name in WORDS}
    PLOT.write_text(_growth.plot(SIZES, ms, WORDS, what="observações", title="Mediana do tempo de resposta com cada vez mais observações"), encoding="utf-8")
    return {"correct": all(one["correct"] for one in found.values()), "sizes": found}


def ask(folder: Path, size: int) -> dict[str, Any]:
    """The figures of one size."""
    tenant, ideal = load(folder, size)
    figures = _history.disk(tenant, ideal)
    asked, correct = _history.compare(tenant, ideal, RUNS)
    rows = parquet.read_metadata(ideal).num_rows
    said(f"{rows} asked")
    seconds = json.loads((folder / f"tenant-{size}.json").read_text(encoding="utf-8"))["seconds"]
    return {"rows": rows, "correct": correct, "figures": figures | asked, "loaded_per_s": round(rows / seconds)}


def load(folder: Path, size: int) -> tuple[int, Path]:
    """The tenant that holds so many values, and the sorted file."""
    from malha.foundation.database import service as database
    from malha.ingest.bulk import service as bulk
    from malha.ingest.runs import service as runs

    place = folder / str(size)
    given, ideal = place / "chegada.parquet", place / "ideal.parquet"
    if not (place / "made").exists():
        place.mkdir(exist_ok=True)
        _history.generate(place, size)
        (place / "made").touch()
        said(f"{size} made")
    note = folder / f"tenant-{size}.json"
    state: dict[str, Any] = json.loads(note.read_text(encoding="utf-8")) if note.exists() else {"tenant": _history.tenant(f"m{size}"), "seconds": 0.0}
    note.write_text(json.dumps(state), encoding="utf-8")
    if "loaded" not in state:
        with database.connect(autocommit=True) as conn, database.tenant_transaction(conn, [state["tenant"]]):
            begun = runs.latest(conn, state["tenant"])
        started = time.monotonic()

        def spent(*_: object) -> None:
            note.write_text(json.dumps(state | {"seconds": state["seconds"] + time.monotonic() - started}), encoding="utf-8")

        bulk.load_history(state["tenant"], given, run_id=begun[0].id if begun else None, on_progress=spent)
        state = {"tenant": state["tenant"], "seconds": state["seconds"] + time.monotonic() - started, "loaded": True}
        note.write_text(json.dumps(state), encoding="utf-8")
        said(f"{size} loaded")
    return state["tenant"], ideal


def said(what: str) -> None:
    """Tell how far it is."""
    sys.stderr.write(f"history growth: {what}, load {os.getloadavg()[0]:.1f}\n")


def main() -> None:
    """`python bench/_history_growth.py /var/tmp/growth`"""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    os.environ["MALHA_DATA"] = str(folder)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "malha.project.settings")
    from malha.project import supervisor

    with supervisor.running_database():
        supervisor.migrate()
        django.setup()
        found = grow(folder)
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
