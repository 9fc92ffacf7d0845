"""What leaves: an OData page, a workbook and a CSV of a million rows, a tile of 50,000 features.

Pages and tiles are asked of the plane in process, over its ASGI door, by one reader; each answer is compared with rows
that this file worked out by itself. `limit` is what the same machine does without us in the same run.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROWS, QUICK_ROWS = 1_000_000, 300_000


def _rows(count: int) -> Any:
    """Batches of a wide export: ten typed columns, made as they are read."""
    from datetime import UTC, datetime, timedelta

    start = datetime(2026, 1, 1, tzinfo=UTC)
    for first in range(0, count, 5_000):
        yield [
            (f"urn:x:Sensor:{n % 1000}", n * 0.5, n % 97 / 7, float(n % 1013), n, n % 3 == 0, start + timedelta(minutes=n), f"Rua {n % 500}", None if n % 5 else "nota", n % 11)
            for n in range(first, min(count, first + 5_000))
        ]  # fmt: skip


def _export(count: int) -> Any:
    from datetime import UTC, datetime
    from zoneinfo import ZoneInfo

    from malha.insight.exports.contracts import CellType, Export, ExportColumn, Statement

    kinds = [
        CellType.TEXT,
        CellType.NUMBER,
        CellType.NUMBER,
        CellType.NUMBER,
        CellType.INTEGER,
        CellType.BOOLEAN,
        CellType.INSTANT,
        CellType.TEXT,
        CellType.TEXT,
        CellType.INTEGER,
    ]
    columns = tuple(ExportColumn(f"c{n}", f"Coluna {n}", kind) for n, kind in enumerate(kinds))
    return Export(columns, Statement("Medida", "Malha", "", datetime.now(UTC), ZoneInfo("Europe/Lisbon")), lambda: _rows(count))


def workbook(count: int) -> None:
    """In a process of its own: processor seconds and peak memory of a workbook, and of walking its rows alone."""
    from malha.insight.exports import service
    from malha.insight.exports.contracts import ExportFormat

    begun = time.process_time()
    for _ in _rows(count):
        pass
    walking = time.process_time() - begun
    with tempfile.TemporaryFile() as out:
        begun = time.process_time()
        service.write(_export(count), ExportFormat.XLSX, out)
        seconds = time.process_time() - begun
        out.seek(0)
        correct = _workbook_is_right(out, count)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds - walking, "walking": walking, "peak_mb": peak, "correct": correct}))


def _workbook_is_right(out: Any, count: int) -> bool:
    """The sheet's rows counted and its sum worked out from the XML itself, a piece at a time."""
    import re
    import zipfile

    rows, last = 0, b""
    with zipfile.ZipFile(out) as book, book.open("xl/worksheets/sheet2.xml") as sheet:
        carried = b""
        while piece := sheet.read(1 << 20):
            text = carried + piece
            end = text.rfind(b"</row>") + 6
            rows += text.count(b"</row>", 0, max(end, 0))
            if end > 6:
                last = text[max(0, text.rfind(b"<row>", 0, end)) : end]
            carried = text[end:] if end > 5 else text
    found = re.findall(rb"<v>([^<]+)</v>", last)
    return rows == count + 1 and float(found[0]) == (count - 1) * 0.5


def measured_workbook(count: int) -> tuple[dict[str, Any], bool]:
    """`xlsx_1m_cpu_s` (scaled to a million rows in a quick run) and `xlsx_peak_mb`."""
    done = subprocess.run([sys.executable, __file__, "--workbook", str(count)], stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    scale = ROWS / count
    return {
        "xlsx_1m_cpu_s": {"value": round(found["seconds"] * scale, 2), "unit": "s", "goal": "<= 40", "rows": count, "columns": 10},
        "xlsx_peak_mb": {"value": round(found["peak_mb"], 1), "unit": "MB", "goal": "<= 200", "rows": count},
    }, bool(found["correct"])


def main(quick: bool) -> dict[str, Any]:
    """Every figure; `correct` only when every answer was compared and right."""
    figures, correct = measured_workbook(QUICK_ROWS if quick else ROWS)
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("_hub.py")), "--rows", str(QUICK_ROWS if quick else ROWS)], stdout=subprocess.PIPE, text=True, check=True
    )
    found = json.loads(done.stdout.splitlines()[-1])
    return {"figures": figures | found["figures"], "correct": correct and found["correct"], "left_out": ["300,000 rows, not a million"] if quick else []}


if __name__ == "__main__":
    if "--workbook" in sys.argv:
        workbook(int(sys.argv[2]))
    else:
        sys.stdout.write(json.dumps(main("--quick" in sys.argv)) + "\n")
