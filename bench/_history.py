"""The measuring part of `bench/history.py`, on a platform of its own; prints one JSON object.

1,000 sensors over one year: a signal of the day and of the season with noise, to two decimals; times jittered by seconds, 1 %
missing, 2 % late (the file is in order of arrival). Loads run on one core; questions have two threads on either side.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import _compaction
import _peers
import django
import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import parquet

from malha.history.engines import answering

SENSORS = 1000
START = datetime(2025, 1, 1, tzinfo=UTC)
END = START + timedelta(days=365)
MONTH = (datetime(2025, 6, 1, tzinfo=UTC), datetime(2025, 7, 1, tzinfo=UTC))
#: the same month as Lisbon has it, for sums by its days
LOCAL_MONTH = (datetime(2025, 5, 31, 23, tzinfo=UTC), datetime(2025, 6, 30, 23, tzinfo=UTC))
TYPE, ATTRIBUTE = "WeatherObserved", "temperature"
#: rows of the CSV and of the Arrow table
SLICE = 3_000_000
INSTANT = pa.timestamp("us", "UTC")
type Figures = dict[str, dict[str, Any]]


def generate(folder: Path, rows: int) -> tuple[Path, Path]:
    """The file to load, in order of arrival, and the same sorted as the limit reads it."""
    given, ideal = folder / "chegada.parquet", folder / "ideal.parquet"
    step = 365 * 86_400_000_000 * SENSORS // rows
    names = pa.array([f"urn:ensaio:WeatherObserved:{n:04}" for n in range(SENSORS)])
    kinds = {"attribute": pa.array([ATTRIBUTE]), "unit": pa.array(["CEL"])}
    schema = pa.schema([("entity", pa.dictionary(pa.int16(), pa.string())), *((name, pa.dictionary(pa.int8(), pa.string())) for name in kinds), ("observedAt", INSTANT), ("value", pa.float64())])  # fmt: skip
    with parquet.ParquetWriter(given, schema, compression="zstd") as file:
        for sensors, instants, values in _arrivals(rows, step):
            zeros = pa.array(np.zeros(len(sensors), np.int8))
            columns = [pa.DictionaryArray.from_arrays(pa.array(sensors), names), *(pa.DictionaryArray.from_arrays(zeros, kind) for kind in kinds.values())]
            file.write_table(pa.table([*columns, pa.array(instants).cast(INSTANT), pa.array(values)], schema=schema), row_group_size=200_000)
    with duckdb.connect() as maker:
        maker.execute("SET TimeZone = 'UTC'; SET memory_limit = '3GB'")
        number = "right(entity, 4)::SMALLINT AS entity_no"
        maker.execute(
            f"COPY (SELECT {number}, \"observedAt\" AS moment, value FROM '{given}' ORDER BY 1, 2) TO '{ideal}' (COMPRESSION zstd, PARQUET_VERSION v2)"
        )
    return given, ideal


def _arrivals(rows: int, step: int) -> Iterator[tuple[npt.NDArray[Any], ...]]:
    """(sensor, instant, value) in order of arrival, about a million at a time: late rows wait for their turn."""
    chance, each, start = np.random.default_rng(42), rows // SENSORS, int(START.timestamp() * 1e6)
    sensor = np.arange(SENSORS, dtype=np.int16)
    waiting = tuple(np.zeros(0, kind) for kind in (np.int64, np.int16, np.int64, np.float64))
    for first in range(0, each, 1000):
        turns = np.arange(first, min(each, first + 1000))[:, None]
        size = (len(turns), SENSORS)
        at = turns * step + chance.integers(0, 20, size) * 1_000_000
        day, year = np.sin(6.2832 * (turns * step / 86400e6) + sensor), np.cos(6.2832 * turns * step / 31536e9)
        value = np.round(15 + 6 * day - 7 * year + chance.integers(0, 1000, size) / 250 - 2, 2)
        luck = chance.integers(0, 10_000, size)
        kept = luck >= 100
        arrival = at + np.where(luck < 300, 6 * 3_600_000_000, 0)
        fresh = (arrival[kept], np.broadcast_to(sensor, size)[kept], at[kept] + start, value[kept])
        every = tuple(np.concatenate(pair) for pair in zip(waiting, fresh, strict=True))
        now = every[0] < (first + 1000) * step if first + 1000 < each else np.ones(len(every[0]), bool)
        order = np.argsort(every[0][now], kind="stable")
        yield tuple(part[now][order] for part in every[1:])
        waiting = tuple(part[~now] for part in every)


def tenant(name: str) -> int:
    """A municipality with the sensors."""
    from malha.context.store import service as store
    from malha.context.store.contracts import Column, EntityTable
    from malha.foundation.database import service as database
    from malha.foundation.tenancy import service as tenancy
    from malha.foundation.tenancy.contracts import OrganisationKind

    made = tenancy.create_tenant(slug=f"ensaio-{name}", name="Ensaio", kind=OrganisationKind.MUNICIPALITY).id
    uris = [f"urn:ensaio:WeatherObserved:{n:04}" for n in range(SENSORS)]
    with database.connect() as conn, database.tenant_transaction(conn, [made]):
        store.upsert_table(conn, made, EntityTable(TYPE, uris, [Column("name", [uri[-4:] for uri in uris])]))
    return int(made)


def timed[T](work: Callable[[], T]) -> tuple[float, T]:
    """Seconds and what came."""
    begun = time.perf_counter()
    found = work()
    return time.perf_counter() - begun, found


def loads(folder: Path, given: Path) -> tuple[Figures, int]:
    """The bulk road from Parquet (all of it), from CSV and from Arrow, on one core, beside bare Arrow into the lake."""
    from malha.ingest.bulk import service as bulk

    os.sched_setaffinity(0, {0})
    main = tenant("main")
    seconds, result = timed(lambda: bulk.load_history(main, given))
    rates = {"parquet": result.counts.observations / seconds}
    csv = folder / "chegada.csv"
    with duckdb.connect() as maker:
        maker.execute(
            f"SET TimeZone = 'UTC'; COPY (SELECT entity, attribute, strftime(\"observedAt\"::TIMESTAMP, '%Y-%m-%dT%H:%M:%SZ') AS \"observedAt\", value, unit FROM '{given}' LIMIT {SLICE}) TO '{csv}'"
        )
    seconds, result = timed(lambda: bulk.load_history(tenant("csv"), csv))
    rates["csv"] = result.counts.observations / seconds
    with duckdb.connect() as maker:
        maker.execute("SET TimeZone = 'UTC'")
        table = maker.execute(
            f"SELECT entity AS uri, '{TYPE}' AS type, attribute, \"observedAt\" AS observed_at, value AS num, unit FROM '{given}' LIMIT {SLICE}"
        ).to_arrow_table()
    arrow, bare, laid_out = _arrow(table)
    os.sched_setaffinity(0, set(range(os.cpu_count() or 1)))
    return {
        "bulk_validated_per_s": {
            "value": min(rates.values()), "limit": bare, "ratio_to_limit": round(min(rates.values()) / bare, 3), **{f"from_{name}": round(rate) for name, rate in rates.items()},
        },
        "bulk_arrow_per_s": {
            "value": arrow, "limit": bare, "ratio_to_limit": round(arrow / bare, 3), "limit_laid_out": round(laid_out), "ratio_to_limit_laid_out": round(arrow / laid_out, 3),
        },
    }, main  # fmt: skip


def _arrow(table: pa.Table) -> tuple[float, float, float]:
    """Rows a second of Arrow on our road (entities, order, sums and all), of a bare insert of its columns as they come, and of one into the lake's own layout.

    Tables are there before the clock starts, in all three; opening the lake counts in ours alone.
    """
    from malha.history.lake import catalogue
    from malha.history.lake import service as lake

    place = tenant("arrow")
    with catalogue.writing() as writer:
        catalogue.ensure_tenant(writer, place)
    seconds, count = timed(lambda: lake.bulk_load(place, table, 1))
    ours = count / seconds
    with catalogue.writing() as writer:
        writer.register("given", table)
        writer.execute("CREATE TABLE lake.main.bare AS SELECT * FROM given LIMIT 0")
        plain, _ = timed(lambda: writer.execute("INSERT INTO lake.main.bare SELECT * FROM given"))
        number = catalogue.ensure_tenant(writer, tenant("laid-out"))
        shown = {"type": "type", "attribute": "attribute", "observed_at": "observed_at", "num": "num", "unit": "unit"}
        shown |= {
            "entity_id": "right(uri, 4)::BIGINT",
            "tenant_id": "1",
            "dataset_id": "0",
            "kind": "1",
            "op": "0",
            "received_at": "now()",
            "run_id": "1",
            "seq": "1",
        }
        month = "year(observed_at) * 100 + month(observed_at)"
        columns, values = ", ".join([*shown, "month"]), ", ".join([*shown.values(), month])
        same = (
            f"INSERT INTO lake.{number}.observation ({columns}) SELECT {values} FROM given ORDER BY {month}, type, attribute, {shown['entity_id']}, observed_at"
        )
        laid_out, _ = timed(lambda: writer.execute(same))
        writer.execute("DROP TABLE lake.main.bare")
    return ours, table.num_rows / plain, table.num_rows / laid_out


def questions(main: int) -> dict[str, tuple[Callable[[], Any], str]]:
    """Each question as Malha is asked it, and as raw DuckDB over the sorted file."""
    from malha.history.engines.specification import Comparison as Is
    from malha.history.engines.specification import Filter, Function, Measure, Question, Table, Width
    from malha.history.temporal import service as temporal
    from malha.history.temporal.contracts import Grain, SeriesQuery
    from malha.vocabulary.models.contracts import Aggregation

    engine, uri = answering.Duck(), "urn:ensaio:WeatherObserved:0500"
    of = (Filter("type", Is.EQUAL, (TYPE,)), Filter("attribute", Is.EQUAL, (ATTRIBUTE,)))
    stats = tuple(Measure(each, "num", each.value) for each in (Function.AVERAGE, Function.MINIMUM, Function.MAXIMUM, Function.COUNT))
    ids = {value.uri: value for value in temporal.last_values(main, TYPE, ATTRIBUTE, at=END)}
    one = entity_number(main, uri)
    until = points_end(main)
    hours = "epoch_us(moment) // 3600000000"
    month = f"moment >= '{MONTH[0].isoformat()}' AND moment < '{MONTH[1].isoformat()}'"
    week = (END - timedelta(days=7), END)

    def series(**more: Any) -> list[tuple[Any, ...]]:
        found = temporal.series(main, SeriesQuery(TYPE, ATTRIBUTE, **more))
        return [(point[1],) for each in found for point in each.points]

    def asked(question: Question) -> list[tuple[Any, ...]]:
        return [tuple(row.values()) for row in engine.answer(main, question).to_pylist()]

    assert len(ids) == SENSORS
    return {
        "sensor_year": (
            lambda: series(start=START, end=END, uris=(uri,), grain=Grain.DAY),
            "SELECT avg(value) FROM ideal WHERE entity_no = 500 GROUP BY moment::DATE_OF_LISBON ORDER BY min(moment)",
        ),
        "city_month": (
            lambda: series(start=MONTH[0], end=MONTH[1], grain=Grain.HOUR, aggregation=Aggregation.AVERAGE),
            f"SELECT avg(value) FROM ideal WHERE {month} GROUP BY {hours} ORDER BY {hours}",
        ),
        "city_month_raw": (
            lambda: asked(Question(Table.OBSERVATION, measures=(Measure(Function.AVERAGE, "num"),), bucket=Width.HOUR, start=MONTH[0], end=MONTH[1], filters=of)),
            f"SELECT {hours} AS h, avg(value) FROM ideal WHERE {month} GROUP BY 1 ORDER BY 1",
        ),
        "last_values": (
            lambda: [(value.value,) for value in temporal.last_values(main, TYPE, ATTRIBUTE, at=END)],
            f"SELECT arg_max(value, moment) FROM ideal WHERE moment >= '{(END - timedelta(days=30)).isoformat()}' GROUP BY entity_no ORDER BY entity_no",
        ),
        "entity_10k": (
            lambda: asked(Question(Table.OBSERVATION, measures=stats, start=START, end=until, filters=of, entities=(one,))),
            f"SELECT avg(value), min(value), max(value), count(value) FROM ideal WHERE entity_no = 500 AND moment < '{until.isoformat()}'",
        ),
        "top_10": (
            lambda: asked(Question(Table.DAY, by=("entity_id",), measures=(Measure(Function.MAXIMUM, "maximum", "top"),), start=LOCAL_MONTH[0], end=LOCAL_MONTH[1], filters=of, order=("top", "entity_id"), descending=True, limit=10)),
            f"SELECT entity_no, max(value) AS top FROM ideal WHERE moment >= '{LOCAL_MONTH[0].isoformat()}' AND moment < '{LOCAL_MONTH[1].isoformat()}' GROUP BY 1 ORDER BY top DESC, 1 DESC LIMIT 10",
        ),
        "iot_stationary": (
            lambda: asked(Question(Table.OBSERVATION, by=("entity_id",), measures=(Measure(Function.DEVIATION, "num"),), start=week[0], end=week[1], filters=of)),
            f"SELECT entity_no, stddev_samp(value) FROM ideal WHERE moment >= '{week[0].isoformat()}' GROUP BY 1 ORDER BY 1",
        ),
        "iot_daily_activity": (
            lambda: asked(Question(Table.DAY, by=("entity_id",), measures=(Measure(Function.SUM, "count", "n"),), start=START - timedelta(days=1), end=END, filters=of)),
            "SELECT entity_no, count(*) FROM ideal GROUP BY 1 ORDER BY 1",
        ),
        "iot_high_load": (
            lambda: asked(Question(Table.OBSERVATION, by=("entity_id",), measures=(Measure(Function.COUNT),), start=MONTH[0], end=MONTH[1], filters=(*of, Filter("num", Is.MORE, (25.0,))))),
            f"SELECT entity_no, count(*) FROM ideal WHERE {month} AND value > 25 GROUP BY 1 ORDER BY 1",
        ),
        "quantile_month": (
            lambda: asked(Question(Table.OBSERVATION, measures=(Measure(Function.QUANTILE, "num", quantile=0.95),), start=MONTH[0], end=MONTH[1], filters=of)),
            f"SELECT quantile_cont(value, 0.95) FROM ideal WHERE {month}",
        ),
    }  # fmt: skip


def points_end(main: int) -> datetime:
    """Until when one sensor has said ten thousand values."""
    one = entity_number(main, "urn:ensaio:WeatherObserved:0500")
    return START + (END - START) * min(1.0, 10_000 / max(1, count_of(answering.Duck(), main, one)))


def entity_number(main: int, uri: str) -> int:
    """The number of an entity."""
    from malha.foundation.database import service as database

    with database.connect() as conn, database.tenant_transaction(conn, [main]):
        row = conn.execute("SELECT id FROM entities WHERE tenant_id = %s AND uri = %s", [main, uri]).fetchone()
    assert row
    return int(row[0])


def count_of(engine: Any, main: int, entity: int) -> int:
    """How many values one entity has."""
    from malha.history.engines.specification import Function, Measure, Question, Table

    return int(engine.answer(main, Question(Table.OBSERVATION, measures=(Measure(Function.COUNT, "num", "n"),), entities=(entity,))).to_pylist()[0]["n"])


def compare(main: int, ideal: Path, runs: int) -> tuple[Figures, bool]:
    """The questions on both sides, in turns, and whether the answers are the same."""
    from malha.foundation.settings import service as settings

    raw = duckdb.connect(config={"threads": settings.current().duckdb_threads, "memory_limit": "1GB"})
    raw.execute("SET TimeZone = 'UTC'")
    raw.execute(f"CREATE VIEW ideal AS SELECT * FROM read_parquet('{ideal}')")
    figures: Figures = {}
    correct, worst, worst_name = True, 0.0, ""
    for name, (ask, statement) in questions(main).items():
        text = statement.replace("moment::DATE_OF_LISBON", "(moment AT TIME ZONE 'Europe/Lisbon')::DATE")
        ours, theirs = [], []
        ask()
        for _ in range(runs):
            seconds, found = timed(ask)
            ours.append(seconds)
            seconds, expected = timed(lambda sql=text: raw.execute(sql).fetchall())
            theirs.append(seconds)
        right = same(found, expected)
        correct = correct and right
        value, limit = statistics.median(ours) * 1000, statistics.median(theirs) * 1000
        if value / limit > worst:
            worst, worst_name = value / limit, name
        spread = [round(seconds * 1000, 1) for seconds in sorted(ours)]
        figures[f"{name}_ms"] = {
            "value": round(value, 1),
            "limit": round(limit, 1),
            "ratio_to_limit": round(value / limit, 2),
            "spread": spread,
            "correct": right,
        }
    figures["worst_ratio_to_duckdb"] = {"value": round(worst, 2), "question": worst_name}
    return figures, correct


def same(found: list[tuple[Any, ...]], expected: list[tuple[Any, ...]]) -> bool:
    """Numbers alike in the columns that both have, from the right (names of groups differ)."""
    if len(found) != len(expected):
        return False
    width = min(len(found[0]), len(expected[0])) if found else 0
    width = width - 1 if width == 2 else width  # the first is the number of an entity or an hour, said differently
    return all(abs(float(a) - float(b)) <= 1e-6 * max(1.0, abs(float(b))) for one, other in zip(found, expected, strict=True) for a, b in zip(one[-width:], other[-width:], strict=True))  # fmt: skip


def disk(main: int, ideal: Path) -> Figures:
    """Bytes of the observations and of their sums, beside the one sorted file."""
    from malha.history.engines import service as engines
    from malha.history.lake import catalogue

    schema, rows = engines.tenant_schema(main), parquet.read_metadata(ideal).num_rows
    with catalogue.writing() as lake:
        sizes = {
            name: lake.execute(f"SELECT coalesce(sum(data_file_size_bytes), 0) FROM ducklake_list_files('lake', '{name}', schema => '{schema}')").fetchone()[0]
            for name in ("observation", "rollup_quarter", "rollup_hour", "rollup_day", "rollup_month")
        }
    sums = sum(size for name, size in sizes.items() if name != "observation")
    return {
        "bytes_per_observation": {
            "value": round(sizes["observation"] / rows, 2), "limit": round(ideal.stat().st_size / rows, 2), "sums_beside": round(sums / rows, 2),
        },
    }  # fmt: skip


def measure(rows: int, runs: int, hot_rows: int, tenants: int) -> dict[str, Any]:
    """Everything, in the order in which a platform lives."""
    folder, begun = Path(os.environ["MALHA_DATA"]), time.monotonic()

    def said(what: str) -> None:
        sys.stderr.write(f"history: {what} after {time.monotonic() - begun:.0f} s, load {os.getloadavg()[0]:.1f}\n")

    given, ideal = generate(folder, rows)
    said("made")
    figures, main = loads(folder, given)
    said("loaded")
    figures |= disk(main, ideal)
    asked, correct = compare(main, ideal, runs)
    figures |= asked
    said("asked")
    end = points_end(main)
    peers, missing, right = _peers.measure(ideal, MONTH, end)
    for name, times in peers.items():
        for question, value in times.items():
            figures[question].setdefault("peers", {})[name] = value
    said("peers asked")
    figures |= _compaction.measure(hot_rows, tenants)
    said("compacted")
    for figure in figures.values():
        figure["value"] = round(figure["value"], 2)
    found = parquet.read_metadata(ideal).num_rows
    return {"rows": found, "correct": correct and right, "figures": figures, "left_out": missing, "load_average": round(os.getloadavg()[1], 1)}


def main() -> None:
    """`python bench/_history.py --rows 10000000 --runs 3`"""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--hot-rows", type=int, default=2_000_000)
    parser.add_argument("--tenants", type=int, default=308)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="malha-bench-") as folder:
        Path(folder).chmod(0o755)
        os.environ["MALHA_DATA"] = folder
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "malha.project.settings")
        from malha.project import supervisor

        with supervisor.running_database():
            supervisor.migrate()
            django.setup()
            if os.environ.get("BENCH_PARTS") == "compaction":
                figures = _compaction.measure(asked.hot_rows, asked.tenants)
                result = {
                    "rows": 0,
                    "correct": all(figure.pop("moved") for figure in figures.values() if "moved" in figure),
                    "figures": figures,
                    "left_out": ["all but compaction"],
                    "load_average": round(os.getloadavg()[1], 1),
                }
            else:
                result = measure(asked.rows, asked.runs, asked.hot_rows, asked.tenants)
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
