"""History in the forms of GS CIM 009 §4.5.6 to §4.5.9 and §4.5.19, and as the JSON that a chart draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from malha.context.store.contracts import ObservationKind
from malha.history.rollups import rules
from malha.history.temporal.contracts import Grain, Instance, Series, SeriesQuery
from malha.kernel import units
from malha.kernel.time import format_instant

_MEMBERS = {
    ObservationKind.URI: ("Relationship", "object", "objects"),
    ObservationKind.GEOMETRY: ("GeoProperty", "value", "values"),
    ObservationKind.LANGUAGE_MAP: ("LanguageProperty", "languageMap", "languageMaps"),
    ObservationKind.VOCABULARY: ("VocabProperty", "vocab", "vocabs"),
}


def value_of(instance: Instance) -> Any:
    """The value as it was sent."""
    kind = ObservationKind(instance.kind)
    if kind is ObservationKind.NUMBER:
        number = instance.number
        return int(number) if number is not None and number.is_integer() else number
    if kind is ObservationKind.BOOLEAN:
        return bool(instance.number)
    if kind is ObservationKind.INSTANT:
        return {"@type": "DateTime", "@value": instance.text}
    if kind in {ObservationKind.JSON, ObservationKind.LANGUAGE_MAP, ObservationKind.GEOMETRY} and instance.text:
        return msgspec.json.decode(instance.text)
    return instance.text


def instances(found: Sequence[Instance], compact: Callable[[str], str], tenant_id: int) -> dict[str, Any]:
    """Each attribute as an array of its instances (§4.5.7); their ids are derived from the store's numbers."""
    out: dict[str, Any] = {}
    for one in found:
        type_, member, _ = _MEMBERS.get(ObservationKind(one.kind), ("Property", "value", "values"))
        shown = {"type": type_, member: value_of(one), "observedAt": format_instant(one.at), "instanceId": f"urn:malha:{tenant_id}:{one.seq}"}
        if one.unit:
            shown["unitCode"] = one.unit
        out.setdefault(compact(one.attribute), []).append(shown)
    return out


def temporal_values(found: Sequence[Instance], compact: Callable[[str], str]) -> dict[str, Any]:
    """The simplified form (§4.5.9): pairs of value and instant."""
    out: dict[str, Any] = {}
    for one in found:
        type_, _, members = _MEMBERS.get(ObservationKind(one.kind), ("Property", "value", "values"))
        shown = out.setdefault(compact(one.attribute), {"type": type_, members: []})
        shown.setdefault(members, []).append([value_of(one), format_instant(one.at)])
    return out


def aggregated(found: Mapping[str, Mapping[str, Series]], grain: Grain, zone: ZoneInfo, compact: Callable[[str], str]) -> dict[str, Any]:
    """The aggregated form (§4.5.19): for each method triples of value, start and end of the bucket."""
    out: dict[str, Any] = {}
    for attribute, by_method in found.items():
        shown: dict[str, Any] = {"type": "Property"}
        for method, series in by_method.items():
            shown[method] = [[value, format_instant(at), format_instant(bucket_end(at, grain, zone))] for at, value, _ in series.points]
        out[compact(attribute)] = shown
    return out


def bucket_end(start: datetime, grain: Grain, zone: ZoneInfo) -> datetime:
    """The end of the bucket that starts at `start`."""
    if grain in {Grain.DAY, Grain.MONTH}:
        return (rules.local_days if grain is Grain.DAY else rules.local_months)(start, start, zone)[0][1]
    return start + (timedelta(minutes=15) if grain is Grain.QUARTER else timedelta(hours=1))


def chart(query: SeriesQuery, found: Sequence[Series], names: Mapping[str, str], *, title: str, unit: str, zone: ZoneInfo, source: str) -> dict[str, Any]:
    """The JSON that `<malha-chart>` draws and its table reads."""
    symbol = units.find(unit)
    series = [
        {
            "name": names.get(one.uri, one.uri) or title,
            "points": [[round(at.timestamp() * 1000), value] for at, value, _ in one.points if not isinstance(value, str)],
        }
        for one in found
    ]
    newest = max((one.points[-1][0] for one in found if one.points), default=None)
    return {
        "kind": "line",
        "title": title,
        "unit": symbol.symbol if symbol else "",
        "x": {"type": "time", "zone": str(zone)},
        "grain": query.grain.value,
        "series": series,
        "source": source,
        "updated": format_instant(newest) if newest else None,
        "bands": [],
    }
