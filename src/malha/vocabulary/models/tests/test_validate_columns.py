import random
import time
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
import shapely

from malha.vocabulary.models import service
from malha.vocabulary.models.contracts import Severity

ADDRESS = {"addressLocality": "Coimbra", "addressRegion": "Centro", "district": "Coimbra"}


def found(columns, entity_type="WasteContainer", units=None):
    """(path, code) of the findings about these columns, with their rows."""
    rows = len(next(iter(columns.values())))
    outcome: dict[tuple[str, str], list[int]] = {}
    for group in service.validate_columns(service.get(entity_type), columns, row_count=rows, units=units).groups:
        if group.finding.path.split(".")[0].split("[")[0] in columns:
            outcome.setdefault((group.finding.path, group.finding.code), []).extend(group.rows)
    return {key: sorted(rows) for key, rows in outcome.items()}


def test_it_works():
    columns = {
        "fillingLevel": [0.2, 1.4, None, -0.1],
        "status": ["ok", "OK", "moved", None],
        "binLoggedTime": ["2026-01-01T10:00:00Z", "2025-01-2T10:00:00Z", None, ""],
        "binCapacity": [60, 60, 60, 60],
    }
    assert found(columns) == {
        ("fillingLevel", "range"): [1, 3],
        ("status", "choice"): [1],
        ("status", "missing"): [3],
        ("binLoggedTime", "format"): [1],
    }


@pytest.mark.parametrize("as_arrow", [False, True])
def test_ranges_low_and_high_are_told_apart(as_arrow):
    values = [0.2, 1.4, None, -0.1, 7]
    outcome = service.validate_columns(service.get("WasteContainer"), {"fillingLevel": pa.array(values) if as_arrow else values}, row_count=5)
    groups = {group.finding.params["sentence"]: list(group.rows) for group in outcome.groups if group.finding.path == "fillingLevel"}
    assert groups == {"low": [3], "high": [1, 4]}


def test_a_mandatory_column_that_is_not_there_is_missing_in_every_row():
    outcome = service.validate_columns(service.get("WasteObserved"), {"weight": [1.0, 2.0]}, row_count=2)
    assert outcome.refused == {0, 1}
    assert {each.path for each in outcome.by_row()[0]} == {"address", "dateObserved", "location"}


def test_units_move_the_range():
    assert found({"relativeHumidity": [70, 170]}, "WeatherObserved", {"relativeHumidity": "P1"}) == {("relativeHumidity", "range"): [1]}
    assert found({"temperature": [20.0]}, "WeatherObserved", {"temperature": "KGM"}) == {("temperature", "unit"): [0]}


def test_geometry_comes_as_wkb_or_geojson():
    points = [shapely.to_wkb(shapely.Point(x, y)) for x, y in ((-8.4, 40.2), (40.2, -8.4), (-25000, 99000))]
    groups = service.validate_columns(service.get("Streetlight"), {"location": [*points, b"nothing", None], "status": ["ok"] * 5}, row_count=5).groups
    assert {(group.finding.params["sentence"], tuple(group.rows)) for group in groups} == {
        ("swapped", (1,)),
        ("metres", (2,)),
        ("geometry", (3,)),
        ("missing", (4,)),
    }
    assert found({"location": [{"type": "Point", "coordinates": [-8, 40]}, {"type": "Point"}]}, "Streetlight") == {("location", "geometry"): [1]}


def test_objects_and_lists_are_checked_too():
    assert found({"address": [ADDRESS, {"addressLocality": "x"}], "category": [["fixed"], ["big"]]}) == {
        ("address.addressRegion", "missing"): [1],
        ("address.district", "missing"): [1],
        ("category[0]", "choice"): [1],
    }


def test_columns_and_entities_are_refused_for_the_same_reasons():
    """Row by row and column by column have to agree, or a file and the API would take different things."""
    rng = random.Random(7)
    model = service.get("WasteContainer")
    pools = {
        "fillingLevel": [0.5, 2.0, -1, None],
        "status": ["ok", "bad", None],
        "binCapacity": [100, None],
        "binColor": ["verde", None],
        "binFullnessThreshold": [80, None],
        "binLoggedTime": ["2026-01-01T00:00:00Z", "hoje", None],
        "refWasteContainerIsle": ["urn:a:b:c", None],
        "address": [ADDRESS, {"addressLocality": "x"}, None],
        "location": [{"type": "Point", "coordinates": [-8, 40]}, {"type": "Point", "coordinates": []}, None],
    }
    rows = [{name: rng.choice(pool) for name, pool in pools.items()} for _ in range(300)]
    by_column = service.validate_columns(model, {name: [row[name] for row in rows] for name in pools}, row_count=300).by_row()
    for number, row in enumerate(rows):
        entity = {"id": "urn:a:WasteContainer:1", "type": "WasteContainer"} | {name: value for name, value in row.items() if value is not None}
        one = {(each.path, each.code) for each in service.validate(entity, model) if each.severity is Severity.ERROR}
        assert {(each.path, each.code) for each in by_column.get(number, []) if each.severity is Severity.ERROR} == one


@pytest.mark.slow
def test_a_million_rows_take_a_small_part_of_the_ingest_budget():
    """66 µs a row are the whole budget of an ingest; validation of ten columns took 5 µs alone, and may take 10."""
    count = 200_000
    start = datetime(2026, 1, 1, tzinfo=UTC)
    points = shapely.to_wkb(shapely.points([(-8.4, 40.2)] * count)).tolist()
    columns = {
        "dateObserved": [start + timedelta(seconds=n) for n in range(count)],
        "pm10": [float(n % 90) for n in range(count)],
        "no2": [float(n % 70) for n in range(count)],
        "temperature": [float(n % 40) for n in range(count)],
        "name": [f"Estação {n}" for n in range(count)],
        "airQualityLevel": ["good"] * count,
        "refPointOfInterest": [f"urn:vila:PointOfInterest:{n}" for n in range(count)],
        "address": [ADDRESS] * count,
        "location": points,
        "dataProvider": ["Vila"] * count,
    }
    began = time.process_time()
    outcome = service.validate_columns(service.get("AirQualityObserved"), columns, row_count=count)
    took = time.process_time() - began
    assert outcome.groups == ()
    assert took / count < 10e-6
