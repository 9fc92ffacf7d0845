"""The line that a PDF draws: the first measure of a type over the last thirty days, by day."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from malha.foundation.tenancy.contracts import Tenant
from malha.history.temporal import service as temporal
from malha.history.temporal.contracts import Grain, SeriesQuery
from malha.insight.exports.contracts import Export
from malha.kernel import time
from malha.vocabulary.models import service as models
from malha.vocabulary.models.contracts import Aggregation

DAYS = 30


def with_chart(export: Export, tenant: Tenant, entity_type: str, language: str = "pt-pt") -> Export:
    """`export` with the daily values of the type's first measure, where history has at least two of them."""
    model = models.find(entity_type, tenant.id)
    present = {column.name for column in export.columns}
    measure = next((one for one in model.measures if one.name in present), None) if model else None
    if measure is None:
        return export
    now = time.now()
    aggregation = measure.aggregation or Aggregation.AVERAGE
    query = SeriesQuery(entity_type, measure.name, now - timedelta(days=DAYS), now, grain=Grain.DAY, aggregation=aggregation)
    points = [(at, float(value)) for one in temporal.series(tenant.id, query) for at, value, _ in one.points if isinstance(value, int | float)]
    name = measure.label.in_language(language) or measure.name
    return replace(export, chart=((f"{name} ({measure.unit})" if measure.unit else name, points),)) if len(points) > 1 else export
