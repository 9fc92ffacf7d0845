"""The door of the room: history of one record as a chart."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from malha.foundation.tenancy.contracts import Tenant
from malha.history.temporal import service as temporal
from malha.history.temporal.contracts import Grain, SeriesQuery
from malha.kernel import formats
from malha.vocabulary.models.contracts import Aggregation, ModelProperty

POINTS = 5000


def series(
    tenant: Tenant, entity_type: str, uri: str, attribute: str, days: int, now: datetime, aggregation: Aggregation
) -> list[tuple[datetime, float | None]]:
    """The values of one measure of one record over the last `days`: each value up to 7 days, else by hour or day."""
    grain = Grain.RAW if days <= 7 else Grain.HOUR if days <= 60 else Grain.DAY
    query = SeriesQuery(
        entity_type, attribute, now - timedelta(days=days), now + timedelta(seconds=1), (uri,), grain, aggregation, group_by_entity=True, limit=POINTS
    )
    return [(at, value) for one in temporal.series(tenant.id, query) for at, value, _ in one.points if isinstance(value, (int, float))]


def chart(
    tenant: Tenant, title: str, found: ModelProperty | None, points: Sequence[tuple[datetime, float | None]], words: dict[str, str], language: str
) -> dict[str, Any]:
    """The specification that `<malha-chart>` draws."""
    label = found.label.in_language(language) if found else title
    updated = max((at for at, _ in points), default=None)
    return {
        "kind": "line", "title": title, "unit": formats.unit(found.unit) if found else "", "x": {"type": "time", "zone": tenant.zone.key},
        "series": [{"name": label, "points": [[int(at.timestamp() * 1000), value] for at, value in points]}],
        "updated": updated.isoformat() if updated else "", "words": words,
    }  # fmt: skip
