"""History in the forms of GS CIM 009 §4.5.6 to §4.5.9 and §4.5.19, and as the JSON that a chart draws."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from malha.context.broker.reading import rename_attribute
from malha.context.broker.rendering import in_language
from malha.context.store.contracts import ENDED_AS_OBSERVED, ObservationKind, Operation
from malha.history.temporal.contracts import Bucket, Correction, Instance, Series, SeriesQuery, TimeProperty
from malha.kernel import units
from malha.kernel.time import format_instant
from malha.vocabulary.contexts.service import Context

#: type, member of the value, and member of the pairs of the simplified form (§4.5.9), by kind of observation
_MEMBERS = {
    ObservationKind.URI: ("Relationship", "object", "objects"),
    ObservationKind.GEOMETRY: ("GeoProperty", "value", "values"),
    ObservationKind.LANGUAGE_MAP: ("LanguageProperty", "languageMap", "languageMaps"),
    ObservationKind.VOCABULARY: ("VocabProperty", "vocab", "vocabs"),
    ObservationKind.RAW_JSON: ("JsonProperty", "json", "jsons"),
    ObservationKind.LIST: ("ListProperty", "valueList", "valueLists"),
    ObservationKind.OBJECT_LIST: ("ListRelationship", "objectList", "objectLists"),
}
_WHOLE = frozenset({
    ObservationKind.JSON, ObservationKind.LANGUAGE_MAP, ObservationKind.GEOMETRY, ObservationKind.RAW_JSON, ObservationKind.LIST, ObservationKind.OBJECT_LIST,
})  # fmt: skip
_PLAIN = ("Property", "value", "values")
NULL = "urn:ngsi-ld:null"
SCOPE = "scope"
#: the simplified form puts these under their own member again (§4.5.9)
_WRAPPED = {"languageMaps": "languageMap", "vocabs": "vocab", "jsons": "json"}


@dataclass(frozen=True, slots=True)
class Look:
    """How an evolution is written: in which words, of which tenant, and what its numbers of datasets stand for."""

    context: Context
    tenant_id: int
    by: TimeProperty = TimeProperty.OBSERVED
    system: bool = False
    language: str = ""
    datasets: Mapping[int, str] = field(default_factory=dict)


def value_of(instance: Instance) -> Any:
    """The value as it was sent; an instance that ended the attribute has the value that stands for nothing (§4.5.7, §4.18)."""
    kind = ObservationKind(instance.kind)
    if instance.operation != Operation.VALUE:
        return [] if instance.attribute == SCOPE else {"@none": NULL} if kind is ObservationKind.LANGUAGE_MAP else NULL
    if kind is ObservationKind.NUMBER:
        number = instance.number
        return int(number) if number is not None and number.is_integer() and abs(number) < 2**53 else number
    if kind is ObservationKind.BOOLEAN:
        return bool(instance.number)
    if kind is ObservationKind.INSTANT:
        return {"@type": "DateTime", "@value": instance.text}
    if kind is ObservationKind.VOCABULARY and instance.text and instance.text.startswith("["):
        return msgspec.json.decode(instance.text)
    return msgspec.json.decode(instance.text) if kind in _WHOLE and instance.text else instance.text


def instance_id(one: Instance, tenant_id: int) -> str:
    """The URI of an instance: it stays the same when the value is corrected."""
    return f"urn:malha:{tenant_id}:{one.entity_id}:{zlib.crc32(one.attribute.encode()):x}:{one.dataset_id}:{micros(one.at)}"


def micros(at: datetime) -> int:
    """Microseconds since 1970 in UTC."""
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def as_attribute(one: Instance, datasets: Mapping[int, str]) -> dict[str, Any]:
    """An instance as the normalized attribute that it was, under internal names."""
    type_, member, _ = _MEMBERS.get(ObservationKind(one.kind), _PLAIN)
    shown: dict[str, Any] = {"type": type_, member: value_of(one)}
    if one.operation != Operation.VALUE:
        shown["deletedAt"] = format_instant(one.at)
        if one.text == ENDED_AS_OBSERVED:
            shown["observedAt"] = shown["deletedAt"]
    elif one.at != one.received_at or one.attribute == SCOPE:
        shown["observedAt"] = format_instant(one.at)
    if one.unit:
        shown["unitCode"] = one.unit
    if one.dataset_id:
        shown["datasetId"] = datasets[one.dataset_id]
    return shown


def instances(found: Mapping[str, Sequence[Instance]], look: Look) -> dict[str, Any]:
    """Each attribute as an array of its instances (§4.5.7); their ids are derived from what tells them apart."""
    return {look.context.compact(name): [_instance(one, look) for one in these] for name, these in found.items()}


def _instance(one: Instance, look: Look) -> dict[str, Any]:
    shown: dict[str, Any] = rename_attribute(as_attribute(one, look.datasets), look.context)
    if look.language and "languageMap" in shown and one.operation == Operation.VALUE:
        tag, text = in_language(shown.pop("languageMap"), look.language)
        shown = {**shown, "type": "Property", "value": text, "lang": tag}
    shown["instanceId"] = instance_id(one, look.tenant_id)
    if look.system and one.operation == Operation.VALUE:
        shown["createdAt"] = shown["modifiedAt"] = format_instant(one.received_at)
    elif look.by in {TimeProperty.CREATED, TimeProperty.MODIFIED}:
        shown[look.by.value] = format_instant(one.received_at)
    return shown


def temporal_values(found: Mapping[str, Sequence[Instance]], look: Look) -> dict[str, Any]:
    """The simplified form (§4.5.9): pairs of value and instant; an array of them where there are several datasets."""
    out: dict[str, Any] = {}
    for name, these in found.items():
        by_dataset: dict[int, dict[str, Any]] = {}
        for one in these:
            type_, member, members = _MEMBERS.get(ObservationKind(one.kind), _PLAIN)
            value = rename_attribute({"type": type_, member: value_of(one)}, look.context)[member]
            at = one.received_at if look.by in {TimeProperty.CREATED, TimeProperty.MODIFIED} else one.at
            if members == "languageMaps" and look.language and one.operation == Operation.VALUE:
                type_, members, value = "Property", "values", in_language(value, look.language)[1]
            elif members in _WRAPPED and (one.operation == Operation.VALUE or members == "languageMaps"):
                value = {_WRAPPED[members]: value}
            elif members == "objectLists" and isinstance(value, list):
                value = [each["object"] if isinstance(each, dict) and "object" in each else each for each in value]
            named = {"datasetId": look.datasets[one.dataset_id]} if one.dataset_id else {}
            shown = by_dataset.setdefault(one.dataset_id, {"type": type_, **named, members: []})
            shown.setdefault(members, []).append([value, format_instant(at)])
        shown_all = list(by_dataset.values())
        out[look.context.compact(name)] = shown_all[0] if len(shown_all) == 1 else shown_all
    return out


def aggregated(found: Mapping[str, Sequence[Bucket]], methods: Sequence[str], context: Context) -> dict[str, Any]:
    """The aggregated form (§4.5.19) of each attribute."""
    return {context.compact(attribute): sums(buckets, methods) for attribute, buckets in found.items()}


def sums(buckets: Sequence[Bucket], methods: Sequence[str]) -> dict[str, Any]:
    """One attribute in the aggregated form: for each method triples of value, start and end of the bucket."""
    shown: dict[str, Any] = {"type": "Property"}
    for method in methods:
        triples = [[one.results[method], format_instant(one.start), format_instant(one.end)] for one in buckets if method in one.results]
        if triples:
            shown[method] = triples
    return shown


def marks(found: Sequence[Series], corrected: Mapping[tuple[str, datetime], Correction]) -> list[dict[str, Any]]:
    """Where the points of a chart are corrected values: the series, the instant, what it was, and when it was corrected."""
    return [
        {"series": index, "at": micros(at) // 1000, "value": value, "from": one.value, "when": micros(one.replaced_at) // 1000}
        for index, line in enumerate(found)
        for at, value, _ in line.points
        if not isinstance(value, str) and (one := corrected.get((line.uri, at))) is not None
    ]  # fmt: skip


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
