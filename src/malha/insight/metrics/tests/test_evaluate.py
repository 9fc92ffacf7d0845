from datetime import UTC, datetime, timedelta

import pytest

from malha.context.store import service as store
from malha.context.store.contracts import Column, EntityTable
from malha.foundation.database import service as database
from malha.insight.metrics import rules, service
from malha.insight.metrics.contracts import Metric, Threshold, UnknownMetric, UnusableMetric, Window
from malha.vocabulary.models.contracts import Aggregation, Label

NOON = datetime(2026, 3, 2, 12, 30, tzinfo=UTC)
PM10 = Metric("pm10", Label("PM10"), "AirQualityObserved", "pm10", Aggregation.AVERAGE, Window.DAY, "GQ", 1, thresholds=(Threshold(0, "info", Label("bom")), Threshold(45, "warning", Label("mau"))))  # fmt: skip
FULL = Metric("full", Label("Cheios"), "WasteContainer", "fillingLevel", Aggregation.COUNT, Window.NOW, count_if=(">=", 0.8))


@pytest.fixture
def town(new_tenant):
    tenant = new_tenant()
    with database.connect() as conn:
        yield tenant, conn


def write(conn, tenant, type_, attribute, rows):
    with database.tenant_transaction(conn, [tenant.id]):
        table = EntityTable(type_, [row[0] for row in rows], [Column(attribute, [row[2] for row in rows])], observed_at=[row[1] for row in rows])
        store.upsert_table(conn, tenant.id, table)
    conn.commit()


def evaluate(conn, tenant, metric, at=NOON):
    with database.tenant_transaction(conn, [tenant.id]):
        return service.evaluate(conn, tenant, metric, at)


def test_it_works(town):
    tenant, conn = town
    rows = [(f"urn:x:{station}", NOON - timedelta(minutes=10 * i), 10.0 + station + i % 7) for station in range(3) for i in range(400)]
    write(conn, tenant, "AirQualityObserved", "pm10", rows)
    found = evaluate(conn, tenant, PM10)
    start = datetime(2026, 3, 1, 13, tzinfo=UTC)
    inside = [value for _, at, value in rows if start <= at <= NOON]
    before = [value for _, at, value in rows if start - timedelta(hours=24) <= at < start]
    assert found.value == pytest.approx(sum(inside) / len(inside))
    assert found.count == len(inside)
    assert found.previous == pytest.approx(sum(before) / len(before))
    assert found.freshest == NOON
    assert len(found.trend) == 24
    assert found.threshold.severity == "info"


@pytest.mark.parametrize(("aggregation", "combine"), [("sum", sum), ("maximum", max), ("minimum", min)])
def test_other_ways_of_putting_together(town, aggregation, combine):
    tenant, conn = town
    rows = [("urn:x:1", NOON - timedelta(minutes=7 * i), float(i * 37 % 11)) for i in range(100)]
    write(conn, tenant, "WeatherObserved", "precipitation", rows)
    metric = Metric("x", Label("x"), "WeatherObserved", "precipitation", Aggregation(aggregation))
    assert evaluate(conn, tenant, metric).value == pytest.approx(combine(value for _, _, value in rows))


def test_counting_things_now(town):
    tenant, conn = town
    hours = [NOON - timedelta(hours=h) for h in (26, 20, 2)]
    rows = [("urn:c:1", hours[0], 0.9), ("urn:c:1", hours[2], 0.1), ("urn:c:2", hours[1], 0.85), ("urn:c:3", hours[0], 0.95)]
    write(conn, tenant, "WasteContainer", "fillingLevel", rows)
    found = evaluate(conn, tenant, FULL)
    assert (found.value, found.count) == (1.0, 2)  # the third has said nothing for more than a day
    assert found.previous == 2.0


def test_nothing_heard_is_not_zero(town):
    tenant, conn = town
    found = evaluate(conn, tenant, PM10)
    assert found.value is None
    assert found.threshold is None
    assert found.freshest is None


def test_a_recording_has_its_own_clock(new_tenant):
    tenant = new_tenant(theme={"clock": "2022-07-28T15:00:00Z"})
    assert service.moment(tenant) == datetime(2022, 7, 28, 15, tzinfo=UTC)


def test_kept_as_data(town, new_tenant):
    tenant, conn = town
    with database.tenant_transaction(conn, [tenant.id]):
        assert service.add(conn, tenant.id, [PM10, FULL]) == 2
        assert service.add(conn, tenant.id, [PM10]) == 0
        assert service.get(conn, tenant.id, "pm10") == PM10
        assert service.get(conn, tenant.id, "full") == FULL
        with pytest.raises(UnknownMetric):
            service.get(conn, tenant.id, "nada")
    other = new_tenant()
    with database.tenant_transaction(conn, [other.id]):
        assert service.all_metrics(conn, tenant.id) == []


@pytest.mark.parametrize("broken", [{}, {"label": {"en": "x"}, "type": "T", "attribute": "a"}, {"label": "x", "type": "T", "attribute": "a", "window": "2y"}, {"label": "x", "type": "T", "attribute": "a", "count_if": ["~", 1]}])  # fmt: skip
def test_a_declaration_that_cannot_be_read_is_refused(broken):
    with pytest.raises(UnusableMetric):
        rules.from_definition("x", broken)
