"""Values as Observations of SensorThings over MQTT (OGC 18-088 §14): each new one on the topics of its Datastream and of all Observations.

A subscription asks for it with the pair `Malha-Form: SensorThings` of its notifierInfo; the path of its address comes before the topic.
Ids are those of the service `/sensorthings/v1.1`: `<entity>.<attribute>[.<instance>]`, and of a value `:<µs since 1970>` after it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import msgspec

from malha.context.store.contracts import MEMBER
from malha.context.subscriptions import notice
from malha.context.subscriptions.contracts import Change, Message, Operation, Reader
from malha.context.subscriptions.rules import Rule, instances
from malha.foundation.settings import service as settings
from malha.kernel.time import format_instant, parse_instant

KEY, FORM = "Malha-Form", "SensorThings"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

#: the numbers of attributes and of instances (datasetId) that are known, by name
type Numbers = Callable[[set[str], set[str]], tuple[Mapping[str, int], Mapping[str, int]]]


def wanted(rule: Rule) -> bool:
    """Whether a subscription is told in Observations."""
    pairs = rule.subscription.document["notification"]["endpoint"].get("notifierInfo", ())
    return any(one["key"] == KEY and one["value"] == FORM for one in pairs)


def message(rule: Rule, changes: Sequence[Change], reader: Reader, numbers: Numbers) -> Message | None:
    """The publications of changes, in order; None where nothing was observed that the reader may see."""
    found = [(change.entity.id, name, one) for change in changes for name, one in _new(rule, change, reader)]
    if not found:
        return None
    attributes, datasets = numbers({name for _, name, _ in found}, {str(one["datasetId"]) for _, _, one in found if one.get("datasetId")})
    base = f"{(settings.current().public_url or f'http://localhost:{settings.current().port}').rstrip('/')}/{reader.slug}/sensorthings/v1.1"
    parts: list[tuple[str, bytes]] = []
    for entity, name, one in found:
        dataset = datasets.get(str(one["datasetId"]), 0) if one.get("datasetId") else 0
        if name in attributes and (dataset or not one.get("datasetId")):
            parts += _published(f"{entity}.{attributes[name]}" + (f".{dataset}" if dataset else ""), one, base)
    return notice.addressed(rule, parts, reader) if parts else None


def _new(rule: Rule, change: Change, reader: Reader) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Instances that were observed and were not there before, within the reader's reach; nothing of what another source told."""
    if change.operation == Operation.DELETED or change.only is not None:
        return
    kept = notice.visible(rule, change.entity, reader)
    for name in rule.changed(change) if kept is not None else ():
        before = instances(change.before.get(name))
        for key, one in instances(kept.attributes.get(name)).items() if kept is not None else ():
            if one != before.get(key) and isinstance(one.get("observedAt"), str):
                yield name, one


def _published(stream: str, one: Mapping[str, Any], base: str) -> list[tuple[str, bytes]]:
    at = parse_instant(one["observedAt"])
    key = f"{stream}:{round((at - _EPOCH).total_seconds() * 1_000_000)}"
    value = one.get(MEMBER.get(str(one.get("type")), "value"))
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)  # as the service writes it
    body = msgspec.json.encode({
        "@iot.id": key, "@iot.selfLink": f"{base}/Observations({_quoted(key)})", "phenomenonTime": format_instant(at), "result": value,
        "resultTime": format_instant(at), "Datastream@iot.navigationLink": f"{base}/Observations({_quoted(key)})/Datastream",
        "FeatureOfInterest@iot.navigationLink": f"{base}/Observations({_quoted(key)})/FeatureOfInterest",
    })  # fmt: skip
    return [(f"v1.1/Datastreams('{stream}')/Observations", body), ("v1.1/Observations", body)]


def _quoted(key: str) -> str:
    return quote(f"'{key}'", safe="'.:")
