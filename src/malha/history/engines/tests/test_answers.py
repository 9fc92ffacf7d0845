"""One golden suite for every engine: the same questions, the same answers, equal to what plain Python works out.

Sail runs where its wheel is installed (extra `spark`), Apache Spark where `SPARK_HOME` names one and Java is there: a
standalone master with two worker processes, and a Spark Connect server on it.
"""

from __future__ import annotations

import math
import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from malha.foundation.database import service as database
from malha.foundation.database.contracts import Role
from malha.history.engines import answering
from malha.history.engines import service as engines
from malha.history.engines.contracts import TooSlow
from malha.history.engines.specification import (
    Comparison,
    Filter,
    Function,
    Measure,
    NotImplementedThere,
    Pivot,
    Question,
    Table,
    UnusableQuestion,
    Width,
)
from malha.history.lake import service as lake
from malha.history.temporal import questions

ZONE = "Atlantic/Azores"
FIRST = datetime(2026, 10, 24, tzinfo=UTC)  # the 25th has 25 hours and two midnights
LAST = FIRST + timedelta(days=4)
ODD = 'O\'Brien \\ "ação"'
type Row = dict[str, Any]


def rows() -> list[Row]:
    chance = random.Random(5)
    found = [
        {
            "entity_id": entity,
            "attribute": "nivel",
            "observed_at": FIRST + timedelta(minutes=minute, seconds=entity),
            "num": round(chance.gauss(20, 5), 2),
            "txt": None,
        }
        for entity in (1, 2, 3)
        for minute in chance.sample(range(4 * 1440), 300)
    ]
    return found + [
        {"entity_id": 1, "attribute": "estado", "observed_at": FIRST + timedelta(hours=hour), "num": None, "txt": ODD if hour % 3 else "ligado"}
        for hour in range(40)
    ]


ROWS = rows()


def write(tenant: int, some: list[Row]) -> None:
    with database.connect(Role.APP, autocommit=True) as connection, database.tenant_transaction(connection, [tenant]):
        connection.execute("INSERT INTO entity_type (name, iri) VALUES ('Ensaio', 'https://exemplo.pt/Ensaio') ON CONFLICT DO NOTHING")
        for name in ("nivel", "estado"):
            connection.execute("INSERT INTO attribute (name, iri) VALUES (%s, %s) ON CONFLICT DO NOTHING", [name, f"https://exemplo.pt/{name}"])
        with connection.cursor() as cursor:
            cursor.executemany(
                """INSERT INTO observation_hot (tenant_id, entity_id, observed_at, num, txt, type_id, attr_id, kind)
                SELECT %s, %s, %s, %s, %s, t.id, a.id, %s FROM entity_type t, attribute a WHERE t.name = 'Ensaio' AND a.name = %s""",
                [(tenant, r["entity_id"], r["observed_at"], r["num"], r["txt"], 0 if r["txt"] is None else 2, r["attribute"]) for r in some],
            )


class Asked:
    """An engine and the tenant whose rows lie where it reads."""

    def __init__(self, name: str, tenant: int, ask: Callable[[int, Question], Any]) -> None:
        self.name, self.tenant, self._ask = name, tenant, ask

    def __call__(self, question: Question) -> list[dict[str, Any]]:
        return list(self._ask(self.tenant, question).to_pylist())


@pytest.fixture(scope="module")
def tenants() -> dict[str, int]:
    from uuid import uuid4

    from malha.foundation.tenancy import service as tenancy
    from malha.foundation.tenancy.contracts import OrganisationKind

    made = {}
    for name in ("hot", "lake", "both"):
        made[name] = tenancy.create_tenant(slug=f"ensaio-{uuid4().hex[:10]}", name="Ensaio", kind=OrganisationKind.MUNICIPALITY, time_zone=ZONE).id
    write(made["hot"], ROWS)
    write(made["lake"], [r | {"num": r["num"] and r["num"] + 9} for r in ROWS[:50]])  # to be corrected: files with deleted rows
    lake.compact(made["lake"])
    write(made["lake"], ROWS)
    lake.compact(made["lake"])
    write(made["both"], [r | {"num": r["num"] and r["num"] + 9} for r in ROWS[:500]])
    lake.compact(made["both"])
    write(made["both"], ROWS[:50] + ROWS[50:])
    return made


@pytest.fixture(scope="module", params=["duckdb", "duckdb-with-hot", "postgres", "sail", "spark"])
def asked(request: pytest.FixtureRequest, tenants: dict[str, int]) -> Iterator[Asked]:
    if request.param == "duckdb":
        yield Asked("duckdb", tenants["lake"], answering.Duck().answer)
    elif request.param == "duckdb-with-hot":
        yield Asked("duckdb", tenants["both"], lambda tenant, question: questions.ask(tenant, question).table)
    elif request.param == "postgres":
        yield Asked("postgres", tenants["hot"], answering.Postgres().answer)
    else:
        server = sail() if request.param == "sail" else apache_spark()
        try:
            place = next(server)
            from malha.history.engines import spark

            # the first questions wait until a cluster has started its executors
            yield Asked(request.param, tenants["lake"], partial(spark.at(place).answer, timeout_seconds=240))
        finally:
            server.close()


def free_port() -> int:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return int(made.getsockname()[1])


def wait_for(port: int, seconds: float, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if process.poll() is not None:
            pytest.fail(f"the server ended with {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.3)
    pytest.fail("the server does not listen")


def sail() -> Iterator[str]:
    pytest.importorskip("pysail", reason="falta o extra spark")
    pytest.importorskip("pyspark", reason="falta o extra spark")
    port = free_port()
    code = f"from pysail.spark import SparkConnectServer; SparkConnectServer('127.0.0.1', {port}).start(background=False)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port, 60, process)
        yield f"sc://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def apache_spark() -> Iterator[str]:
    home = os.environ.get("SPARK_HOME", "")
    if not home or not shutil.which("java"):
        pytest.skip("falta SPARK_HOME (a pasta de um Apache Spark 4) ou o Java")
    pytest.importorskip("pyspark", reason="falta o extra spark")
    master, connect = free_port(), free_port()
    where = {
        "env": os.environ | {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_HOME": home, "SPARK_NO_DAEMONIZE": "1"},
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.DEVNULL,
    }
    run = [str(Path(home) / "bin" / "spark-class")]
    started: list[subprocess.Popen[bytes]] = []
    try:
        started.append(
            subprocess.Popen([*run, "org.apache.spark.deploy.master.Master", "--host", "127.0.0.1", "--port", str(master), "--webui-port", "0"], **where)
        )  # type: ignore[call-overload]
        wait_for(master, 90, started[0])
        started.extend(
            subprocess.Popen(
                [*run, "org.apache.spark.deploy.worker.Worker", "--cores", "1", "--memory", "1g", "--webui-port", "0", f"spark://127.0.0.1:{master}"], **where
            )  # type: ignore[call-overload]
            for _ in range(2)
        )
        settings = {
            "spark.connect.grpc.binding.port": connect, "spark.connect.grpc.binding.address": "127.0.0.1", "spark.ui.enabled": "false",
            "spark.executor.memory": "600m", "spark.sql.shuffle.partitions": "2", "spark.cores.max": "2", "spark.executor.cores": "1",
        }  # fmt: skip
        options = [part for name, value in settings.items() for part in ("--conf", f"{name}={value}")]
        submit = [
            *run,
            "org.apache.spark.deploy.SparkSubmit",
            "--master",
            f"spark://127.0.0.1:{master}",
            *options,
            "--class",
            "org.apache.spark.sql.connect.service.SparkConnectServer",
        ]
        started.append(subprocess.Popen([*submit, "spark-internal"], **where))  # type: ignore[call-overload]
        wait_for(connect, 180, started[-1])
        yield f"sc://127.0.0.1:{connect}"
    finally:
        for process in reversed(started):
            process.kill()
            process.wait()


# what plain Python works out


def bucket_of(at: datetime, width: Width | None) -> Any:
    if width is None:
        return None
    if width in {Width.QUARTER, Width.HOUR}:
        return at.replace(minute=at.minute // 15 * 15 if width is Width.QUARTER else 0, second=0)
    local = at.astimezone(ZoneInfo(ZONE)).date()
    return local.replace(day=1) if width is Width.MONTH else local


def holds(row: Row, condition: Filter) -> bool:
    value, given = row[condition.column], condition.values
    return {
        Comparison.EQUAL: lambda: value == given[0],
        Comparison.MORE: lambda: value is not None and value > given[0],
        Comparison.AMONG: lambda: value in given,
        Comparison.CONTAINS: lambda: value is not None and given[0] in value,
        Comparison.MISSING: lambda: value is None,
        Comparison.PRESENT: lambda: value is not None,
    }[condition.comparison]()


def measured(measure: Measure, some: list[Row]) -> Any:
    found = sorted((r for r in some if all(holds(r, each) for each in measure.where)), key=lambda r: r["observed_at"])
    if not measure.column:
        return len(found)
    values = [r[measure.column] for r in found if r[measure.column] is not None]
    if measure.function is Function.COUNT:
        return len(values)
    if measure.function is Function.DISTINCT:
        return len(set(values))
    if not values or (measure.function is Function.DEVIATION and len(values) < 2):
        return None
    return {
        Function.SUM: lambda: sum(values), Function.AVERAGE: lambda: statistics.fmean(values), Function.MINIMUM: lambda: min(values),
        Function.MAXIMUM: lambda: max(values), Function.FIRST: lambda: values[0], Function.LAST: lambda: values[-1],
        Function.DEVIATION: lambda: statistics.stdev(values), Function.QUANTILE: lambda: between(sorted(values), measure.quantile),
    }[measure.function]()  # fmt: skip


def between(values: list[float], part: float) -> float:
    at = part * (len(values) - 1)
    low = math.floor(at)
    return values[low] + (values[min(low + 1, len(values) - 1)] - values[low]) * (at - low)


def by_hand(question: Question) -> list[dict[str, Any]]:
    measures = list(question.measures)
    if question.pivot:
        measures = [
            Measure(m.function, m.column, f"{m.title}_{value}", m.quantile, (*m.where, Filter(question.pivot.column, Comparison.EQUAL, (value,))))
            for m in question.measures
            for value in question.pivot.values
        ]
    groups: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in ROWS:
        inside = (question.start or FIRST) <= row["observed_at"] < (question.end or LAST)
        chosen = question.entities is None or row["entity_id"] in question.entities
        if inside and chosen and all(holds(row, each) for each in question.filters):
            groups[(bucket_of(row["observed_at"], question.bucket), *(row[name] for name in question.by))].append(row)
    answer = []
    for key, some in sorted(groups.items(), key=lambda pair: tuple(str(part) for part in pair[0])):
        shown = ({"bucket": key[0]} if question.bucket else {}) | dict(zip(question.by, key[1:], strict=True))
        answer.append(shown | {m.title: measured(m, some) for m in measures})
    return answer[: question.limit]


OBSERVED = Table.OBSERVATION
NUM = Filter("attribute", Comparison.EQUAL, ("nivel",))
ALL = (*(Measure(each, "num") for each in Function), Measure(Function.COUNT), Measure(Function.QUANTILE, "num", "p95", 0.95))
GOLDEN = {
    "everything": Question(OBSERVED, measures=ALL),
    "by_entity": Question(OBSERVED, by=("entity_id",), measures=ALL, filters=(NUM,)),
    "by_quarter": Question(OBSERVED, by=("entity_id",), measures=ALL, bucket=Width.QUARTER, filters=(NUM,)),
    "by_hour": Question(OBSERVED, measures=ALL, bucket=Width.HOUR, filters=(NUM,)),
    "by_day_of_the_azores": Question(OBSERVED, by=("attribute",), measures=ALL, bucket=Width.DAY, zone=ZONE),
    "by_month": Question(OBSERVED, measures=(Measure(Function.AVERAGE, "num"),), bucket=Width.MONTH, zone=ZONE),
    "pivot": Question(OBSERVED, measures=(Measure(Function.MAXIMUM, "num"), Measure(Function.COUNT)), bucket=Width.DAY, zone=ZONE, pivot=Pivot("entity_id", (1, 2, 9))),
    "period": Question(OBSERVED, measures=(Measure(Function.COUNT),), start=FIRST + timedelta(hours=5), end=FIRST + timedelta(hours=30)),
    "odd_text": Question(OBSERVED, by=("txt",), measures=(Measure(Function.COUNT),), filters=(Filter("txt", Comparison.EQUAL, (ODD,)),)),
    "contains": Question(OBSERVED, by=("txt",), measures=(Measure(Function.COUNT),), filters=(Filter("txt", Comparison.CONTAINS, ("ação",)),)),
    "missing": Question(OBSERVED, by=("attribute",), measures=(Measure(Function.COUNT),), filters=(Filter("num", Comparison.MISSING),)),
    "some": Question(OBSERVED, by=("entity_id",), measures=(Measure(Function.COUNT),), filters=(Filter("num", Comparison.MORE, (22.5,)), Filter("entity_id", Comparison.AMONG, (1, 3)))),
    "entities_of_a_place": Question(OBSERVED, by=("entity_id",), measures=(Measure(Function.SUM, "num"),), entities=(2, 3)),
    "nobody": Question(OBSERVED, by=("entity_id",), measures=(Measure(Function.COUNT),), entities=()),
    "only_where": Question(OBSERVED, measures=(Measure(Function.COUNT, "num", "hot", where=(Filter("num", Comparison.MORE, (25.0,)),)),), bucket=Width.HOUR),
}  # fmt: skip


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", GOLDEN)
def test_it_works(asked: Asked, name: str) -> None:
    question = GOLDEN[name]
    found = asked(question)
    expected = by_hand(question)
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert set(one) == set(other)
        for column, value in other.items():
            if isinstance(value, float):
                assert one[column] == pytest.approx(value, rel=1e-9), column
            else:
                assert one[column] == value, column


@pytest.mark.timeout(600)
def test_sums_say_what_observations_say(asked: Asked) -> None:
    question = Question(Table.DAY, by=("entity_id", "bucket"), measures=(Measure(Function.SUM, "count", "n"), Measure(Function.SUM, "sum", "total")))
    if asked.name == "postgres":
        with pytest.raises(NotImplementedThere):
            asked(question)
        return
    if (
        asked.name == "duckdb"
        and asked.tenant
        and len(asked(GOLDEN["everything"]))
        and asked(Question(Table.DAY, measures=(Measure(Function.SUM, "count", "n"),)))[0]["n"] != 900
    ):
        return  # half of it is hot, and sums hold what is compacted
    days: dict[tuple[int, date], list[float]] = defaultdict(list)
    for row in ROWS:
        if row["num"] is not None:
            days[row["entity_id"], row["observed_at"].astimezone(ZoneInfo(ZONE)).date()].append(row["num"])
    found = asked(question)
    assert [(row["entity_id"], row["n"], row["total"]) for row in found] == [(key[0], len(v), pytest.approx(sum(v))) for key, v in sorted(days.items())]


@pytest.mark.parametrize(
    "question",
    [
        Question(OBSERVED, by=("password",), measures=(Measure(Function.COUNT),)),
        Question(OBSERVED, columns=("num; DROP TABLE x",)),
        Question(OBSERVED, measures=(Measure(Function.SUM, "read_parquet('/etc')"),)),
        Question(OBSERVED),
        Question(OBSERVED, measures=(Measure(Function.COUNT),), order=("num",)),
        Question(OBSERVED, measures=(Measure(Function.COUNT),), bucket=Width.DAY, zone="Europe/Atlantis"),
        Question(OBSERVED, measures=(Measure(Function.COUNT),), start=datetime(2026, 1, 1)),  # noqa: DTZ001
        Question(Table.ENTITY, measures=(Measure(Function.COUNT),), bucket=Width.DAY),
        Question(OBSERVED, measures=(Measure(Function.COUNT),), filters=(Filter("num", Comparison.EQUAL),)),
    ],
)
def test_what_is_not_there_cannot_be_named(question: Question) -> None:
    with pytest.raises(UnusableQuestion):
        answering.Duck().answer(1, question)


def test_another_tenants_rows_are_not_seen(tenants: dict[str, int]) -> None:
    everything = GOLDEN["everything"]
    before = [pytest.approx(row, rel=1e-9) for row in answering.Duck().answer(tenants["lake"], everything).to_pylist()]  # threads add up in any order
    write(tenants["hot"], [ROWS[0] | {"observed_at": FIRST + timedelta(minutes=1, seconds=7), "num": 1e9}])
    assert answering.Duck().answer(tenants["lake"], everything).to_pylist() == before
    assert questions.ask(tenants["lake"], everything).table.to_pylist() == before


def test_an_answer_is_known_until_something_changes(tenants: dict[str, int]) -> None:
    count = Question(OBSERVED, measures=(Measure(Function.COUNT),))
    first = questions.ask(tenants["both"], count)
    again = questions.ask(tenants["both"], count)
    assert (first.known, again.known) == (False, True)
    write(tenants["both"], [ROWS[0] | {"observed_at": LAST + timedelta(days=1)}])
    fresh = questions.ask(tenants["both"], count)
    assert not fresh.known
    assert fresh.table.to_pylist()[0]["count"] == first.table.to_pylist()[0]["count"] + 1


def test_a_question_that_would_take_an_hour_is_stopped(tenants: dict[str, int], monkeypatch: pytest.MonkeyPatch) -> None:
    endless = "(SELECT o.* FROM lake.t{}.observation o, range(1000000) a, range(1000000) b WHERE a.range + b.range = -1)".format(tenants["lake"])
    from malha.history.engines import dialects

    real = dialects.compile_question
    monkeypatch.setattr(dialects, "compile_question", lambda question, dialect, _relation, tenant: real(question, dialect, endless, tenant))
    with pytest.raises(TooSlow, match="Peça um período menor"):
        answering.Duck().answer(tenants["lake"], GOLDEN["everything"], timeout_seconds=0.5)
    monkeypatch.undo()
    assert answering.Duck().answer(tenants["lake"], GOLDEN["everything"]).num_rows == 1  # the reader serves on
    assert engines.run([tenants["lake"]], lambda reader: reader.execute("SELECT 1").fetchone()) == (1,)
