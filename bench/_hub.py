"""Pages, tiles and CSV of `bench/hub.py`, on a database of its own; prints one JSON object."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ENTITIES, PAGE, PAGES, TILES = 50_000, 1_000, 40, 30
HOT_DEGREES = 26.5


def p95(values: list[float]) -> float:
    """The value that 95 of 100 do not pass."""
    return statistics.quantiles(values, n=20)[-1]


def fill(tenant_id: int) -> float:
    """50,000 stations with eight attributes; returns the sum of PM10 worked out here."""
    from malha.context.store import service as store
    from malha.context.store.contracts import Column, EntityTable
    from malha.foundation.database import service as database

    total = 0.0
    with database.connect() as conn:
        for first in range(0, ENTITIES, 5_000):
            numbers = range(first, first + 5_000)
            total += sum(n % 913 / 7 for n in numbers)
            points = [{"type": "Point", "coordinates": [-9.2 + n % 250 / 1000, 38.6 + n // 250 / 1000]} for n in numbers]
            columns = [
                Column("location", points, "GeoProperty"),
                Column("name", [f"Estação {n % 500}" for n in numbers]),
                Column("pm10", [n % 913 / 7 for n in numbers], unit="GQ"),
            ]
            columns += [Column(name, [float(n % size) for n in numbers]) for name, size in (("pm25", 97), ("no2", 51), ("o3", 33), ("co", 11), ("so2", 7))]
            with database.tenant_transaction(conn, [tenant_id]):
                store.upsert_table(conn, tenant_id, EntityTable("AirQualityObserved", [f"urn:x:AirQualityObserved:{n:06}" for n in numbers], columns))
    return total


def fill_history(tenant_id: int, rows: int, folder: Path) -> float:
    """1,000 sensors with about so many values of a year, by the bulk road; returns the sum of those above 25 degrees."""
    import _history
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    from malha.context.store import service as store
    from malha.context.store.contracts import Column, EntityTable
    from malha.foundation.database import service as database
    from malha.ingest.bulk import service as bulk

    uris = [f"urn:ensaio:WeatherObserved:{n:04}" for n in range(_history.SENSORS)]
    with database.connect() as conn, database.tenant_transaction(conn, [tenant_id]):
        store.upsert_table(conn, tenant_id, EntityTable(_history.TYPE, uris, [Column("name", [uri[-4:] for uri in uris])]))
    given, ideal = _history.generate(folder, rows)
    bulk.load_history(tenant_id, given)
    values = pq.read_table(ideal, columns=["value"]).column("value")
    return float(pc.sum(values.filter(pc.greater(values, HOT_DEGREES))).as_py() or 0.0)


async def walked(client: Any, address: str, most: int, value: str) -> tuple[list[float], int, float]:
    """Milliseconds of each page, rows and the sum of a field over at most so many pages that follow one another."""
    pages: list[float] = []
    rows, total = 0, 0.0
    while address and len(pages) < most:
        begun = time.perf_counter()
        answer = await client.get(address)
        pages.append((time.perf_counter() - begun) * 1000)
        body = json.loads(answer.content)
        rows, total = rows + len(body["value"]), total + sum(row[value] or 0.0 for row in body["value"])
        address = body.get("@odata.nextLink", "")
    return pages, rows, total


def paged(pages: list[float], **more: Any) -> dict[str, Any]:
    """The figure of pages: the first, which opens what the others find open, stands beside them."""
    return {"value": round(p95(pages), 1), "unit": "ms", "rows": PAGE, "pages": len(pages), "median": round(statistics.median(pages), 1), "first_ms": round(pages[0], 1), **more}  # fmt: skip


async def ask(app: Any, slug: str, token: str, total: float, warm: float) -> tuple[dict[str, Any], bool]:
    """Pages one after the other until the end, and tiles that no cache holds."""
    import httpx
    import mapbox_vector_tile

    from malha.share.datahub.features import tiles

    headers = {"Authorization": f"Bearer {token}", "Prefer": f"odata.maxpagesize={PAGE}", "Accept-Encoding": "identity"}
    drawn = []
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost", headers=headers, timeout=120) as client:
        pages, rows, found = await walked(client, f"/{slug}/odata/AirQualityObserved", ENTITIES, "pm10")
        correct = rows == ENTITIES and abs(found - total) < 1e-6 * total
        filtered, rows, _ = await walked(client, f"/{slug}/odata/AirQualityObserved?$filter=pm10 gt 60", PAGES, "pm10")
        correct = correct and rows == sum(n % 913 / 7 > 60 for n in range(ENTITIES))
        past, _, _ = await walked(client, f"/{slug}/odata/WeatherObserved_series", PAGES, "value")
        above, _, sum_ = await walked(client, f"/{slug}/odata/WeatherObserved_series?$filter=value gt {HOT_DEGREES}", 10_000, "value")
        correct = correct and abs(sum_ - warm) < 1e-6 * warm
        square = f"/{slug}/ogc/collections/AirQualityObserved/tiles/WebMercatorQuad/5/12/15"
        begun = time.perf_counter()
        body_ = (await client.get(square)).content
        first = (time.perf_counter() - begun) * 1000
        correct = correct and len(mapbox_vector_tile.decode(body_)["entities"]["features"]) == ENTITIES
        for _ in range(TILES):
            tiles.forget()
            begun = time.perf_counter()
            await client.get(square)
            drawn.append((time.perf_counter() - begun) * 1000)
    return {
        "odata_page_p95_ms": paged(pages, goal="<= 60"), "odata_filtered_page_p95_ms": paged(filtered), "odata_history_page_p95_ms": paged(past), "odata_history_filtered_page_p95_ms": paged(above),
        "tile_p95_ms": {"value": round(p95(drawn), 1), "unit": "ms", "goal": "<= 80", "features": ENTITIES, "median": round(statistics.median(drawn), 1), "first_ms": round(first, 1), "bytes": len(body_)},
    }, correct  # fmt: skip


def csv_rate(rows: int, folder: Path) -> tuple[dict[str, Any], bool]:
    """`csv_rows_per_s`: a table of eight columns as Parquet, written as CSV; `limit` is DuckDB's own COPY of the same file."""
    import duckdb
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from malha.share.datahub import delimited

    numbers = np.arange(rows)
    start = np.datetime64(datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None), "us")
    table = pa.table(
        {
            "entity": pa.array([f"urn:x:Sensor:{n}" for n in range(1000)]).take(pa.array(numbers % 1000)), "attribute": pa.array(["pm10"] * rows), "instance": pa.array([""] * rows),
            "observedAt": pa.array(start + numbers * np.timedelta64(timedelta(minutes=1)), pa.timestamp("us", "UTC")), "value": numbers * 0.5, "text": pa.nulls(rows, pa.string()),
            "unit": pa.array(["GQ"] * rows), "row": numbers,
        }
    )  # fmt: skip
    path = folder / "table.parquet"
    pq.write_table(table, path, compression="zstd")
    begun, bytes_, lines, last = time.perf_counter(), 0, 0, b""
    for piece in delimited.lines([path]):
        bytes_, lines, last = bytes_ + len(piece), lines + piece.count(b"\n"), piece
    seconds = time.perf_counter() - begun
    correct = lines == rows + 1 and last.rstrip().endswith(f',"GQ",{rows - 1}'.encode())
    begun = time.perf_counter()
    with duckdb.connect(config={"threads": 1}) as limit:
        limit.execute(f"COPY (SELECT * FROM read_parquet('{path}')) TO '{folder / 'limit.csv'}' (HEADER)")
    most = rows / (time.perf_counter() - begun)
    rate = rows / seconds
    return {
        "csv_rows_per_s": {
            "value": round(rate, 1),
            "unit": "rows/s",
            "goal": ">= 1000000",
            "limit": round(most, 1),
            "ratio_to_limit": round(rate / most, 3),
            "rows": rows,
            "columns": 8,
        }
    }, correct


def main() -> None:
    """`python bench/_hub.py --rows 1000000`"""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="malha-bench-") as folder:
        Path(folder).chmod(0o755)
        os.environ["MALHA_DATA"] = folder
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "malha.project.settings")
        from malha.project import supervisor

        with supervisor.running_database():
            supervisor.migrate()
            figures, correct = csv_rate(given.rows, Path(folder))
            from malha.context.broker import pool
            from malha.foundation.access.contracts import Capability, Principal
            from malha.foundation.identity import service as people
            from malha.foundation.tenancy import service as tenancy
            from malha.foundation.tenancy.contracts import OrganisationKind
            from malha.project import plane

            tenant = tenancy.create_tenant(slug="ensaio", name="Ensaio", kind=OrganisationKind.MUNICIPALITY)
            total = fill(tenant.id)
            warm = fill_history(tenant.id, given.rows, Path(folder))
            token = people.issue_token(Principal(tenant.id, frozenset({Capability.DATA_READ}), client_id="bench"))
            asked, right = asyncio.run(ask(plane.application(), tenant.slug, token, total, warm))
            pool.close()
    sys.stdout.write(json.dumps({"figures": figures | asked, "correct": correct and right}) + "\n")


if __name__ == "__main__":
    main()
