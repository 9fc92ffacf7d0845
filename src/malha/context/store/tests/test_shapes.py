"""Points looked at in one go stand where they stand one by one."""

import random
from datetime import UTC, datetime

import pytest

from malha.context.store import shapes
from malha.context.store.contracts import GeoRelation, StoredEntity

RING = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0.2], [1, 1], [0.4, 0.6], [0, 1], [0, 0]]]}
LINE = {"type": "LineString", "coordinates": [[0, 0], [1, 1]]}
HERE = {"type": "Point", "coordinates": [0.5, 0.5]}


def things():
    chance = random.Random(3)
    values = [{"type": "Point", "coordinates": [round(chance.uniform(-0.2, 1.2), 1), round(chance.uniform(-0.2, 1.2), 1)]} for _ in range(200)]
    values += [RING, LINE, {"type": "Point", "coordinates": [0.5, 0.5, 12.0]}]
    attributes = [{"location": {"type": "GeoProperty", "value": value}} for value in values]
    attributes += [{}, {"location": [{"type": "GeoProperty", "value": HERE}, {"type": "GeoProperty", "value": LINE, "datasetId": "urn:x:a"}]}]
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    return [
        StoredEntity(id=n, tenant_id=1, uri=f"urn:x:{n}", types=("T",), attributes=each, location=None, created_at=moment, modified_at=moment)
        for n, each in enumerate(attributes)
    ]


@pytest.mark.parametrize(
    "relation",
    [
        *(GeoRelation(name, RING) for name in sorted(shapes.RELATIONS - {"near"})),
        *(GeoRelation(name, LINE) for name in ("intersects", "within")),
        GeoRelation("near", HERE, max_distance_m=40_000),
        GeoRelation("near", HERE, min_distance_m=40_000),
        GeoRelation("near", HERE, min_distance_m=10_000, max_distance_m=60_000),
        GeoRelation("near", RING, max_distance_m=5_000),
    ],
)
def test_it_works(relation):
    found, one = things(), shapes.GeoFilter(relation)
    together = [entity.id for entity in shapes.all_holding(found, [one])]
    assert together == [entity.id for entity in found if shapes.all_hold(entity, [one])]
