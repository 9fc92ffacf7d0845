"""What a card and a chart say of an indicator: pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from malha.foundation.tenancy.contracts import Tenant
from malha.insight.metrics.contracts import Direction, Metric, MetricValue, Window
from malha.kernel import formats
from malha.vocabulary.models.contracts import Aggregation

#: a value older than this is shown as old
STALE = timedelta(hours=6)
BEFORE = {
    Window.NOW: gettext_lazy("do que há 24 horas"),
    Window.HOUR: gettext_lazy("do que na hora anterior"),
    Window.DAY: gettext_lazy("do que nas 24 horas anteriores"),
    Window.WEEK: gettext_lazy("do que nos 7 dias anteriores"),
    Window.MONTH: gettext_lazy("do que nos 30 dias anteriores"),
}
SAME = {
    Window.NOW: gettext_lazy("igual a há 24 horas"),
    Window.HOUR: gettext_lazy("igual à hora anterior"),
    Window.DAY: gettext_lazy("igual às 24 horas anteriores"),
    Window.WEEK: gettext_lazy("igual aos 7 dias anteriores"),
    Window.MONTH: gettext_lazy("igual aos 30 dias anteriores"),
}
WINDOWS = {
    Window.NOW: gettext_lazy("o valor mais recente de cada um, das últimas 24 horas"),
    Window.HOUR: gettext_lazy("a hora de relógio que decorre"),
    Window.DAY: gettext_lazy("as últimas 24 horas de relógio"),
    Window.WEEK: gettext_lazy("os últimos 7 dias"),
    Window.MONTH: gettext_lazy("os últimos 30 dias"),
}
AGGREGATIONS = {
    Aggregation.AVERAGE: gettext_lazy("média"),
    Aggregation.SUM: gettext_lazy("soma"),
    Aggregation.MINIMUM: gettext_lazy("mínimo"),
    Aggregation.MAXIMUM: gettext_lazy("máximo"),
    Aggregation.COUNT: gettext_lazy("contagem"),
    Aggregation.LAST: gettext_lazy("último"),
}


def comparison(found: MetricValue, language: str) -> tuple[str, str]:
    """How the value stands to the one before, as a sentence, and whether that is good, bad or neither."""
    if found.value is None or found.previous is None:
        return "", "none"
    before = str(BEFORE[found.metric.window])
    change = found.value - found.previous
    if round(change, found.metric.decimals) == 0:
        return str(SAME[found.metric.window]), "none"
    amount = formats.quantity(abs(change), found.metric.unit, found.metric.decimals, language)
    if found.metric.unit == "P1":  # 27 % more than 31 % is not 58 %: these are points
        points = formats.number(abs(change), found.metric.decimals, language)
        amount = (_("%(number)s ponto") if points == "1" else _("%(number)s pontos")) % {"number": points}
    said = (_("mais %(amount)s %(before)s") if change > 0 else _("menos %(amount)s %(before)s")) % {"amount": amount, "before": before}
    better = found.metric.direction
    if better is Direction.NONE:
        return said, "none"
    return said, "good" if (change > 0) == (better is Direction.UP) else "bad"


def card(found: MetricValue, tenant: Tenant, language: str, href: str) -> dict[str, Any]:
    """The parameters of `ui/components/indicator.html`."""
    metric = found.metric
    text, direction = comparison(found, language)
    threshold = found.threshold
    severity = "nodata" if found.value is None else threshold.severity if threshold else ""
    stale = found.freshest is None or found.at - found.freshest > STALE
    return {
        "label": metric.label.in_language(language), "value": formats.number(found.value, metric.decimals, language), "unit": formats.unit(metric.unit) if found.value is not None else "",
        "points": [value for _at, value in found.trend], "comparison": text, "direction": direction, "at": found.freshest, "tenant": tenant, "severity": severity,
        "severity_text": _("Sem dados") if found.value is None else threshold.label.in_language(language) if threshold else "", "href": href, "stale": stale, "level": 3,
    }  # fmt: skip


def explanation(metric: Metric, language: str, property_label: str) -> str:
    """How an indicator is worked out, in one sentence."""
    if metric.count_if is not None:
        bound = formats.number(metric.count_if[1] * metric.scale, None, language)
        return _("Quantos têm %(property)s %(operator)s %(bound)s, contando %(window)s.") % {
            "property": property_label, "operator": metric.count_if[0], "bound": f"{bound} {formats.unit(metric.unit if metric.scale != 1 else '')}".strip(), "window": WINDOWS[metric.window],
        }  # fmt: skip
    return _("A %(aggregation)s de %(property)s, sobre %(window)s.") % {
        "aggregation": AGGREGATIONS[metric.aggregation],
        "property": property_label,
        "window": WINDOWS[metric.window],
    }


def chart(metric: Metric, points: Sequence[tuple[datetime, float | None, int]], tenant: Tenant, language: str) -> dict[str, Any]:
    """The specification that `<malha-chart>` draws."""
    label = metric.label.in_language(language)
    limits = [*(one.start for one in metric.thresholds[1:]), None]
    bands = [
        {"from": one.start if index else None, "to": end, "label": one.label.in_language(language), "severity": one.severity}
        for index, (one, end) in enumerate(zip(metric.thresholds, limits, strict=True))
        if index
    ]
    summed = metric.aggregation in {Aggregation.SUM, Aggregation.COUNT}
    updated = max((at for at, _value, _count in points), default=None)
    return {
        "kind": "bar" if summed and metric.count_if is None else "line", "title": label, "unit": formats.unit(metric.unit), "decimals": metric.decimals,
        "x": {"type": "time", "zone": tenant.zone.key}, "bands": bands, "updated": updated.isoformat() if updated else "", "source": metric.type,
        "series": [{"name": label, "points": [[int(at.timestamp() * 1000), value] for at, value, _count in points]}],
        "words": {"when": _("Quando"), "range": _("Escala:"), "none": _("sem valores")},
    }  # fmt: skip
