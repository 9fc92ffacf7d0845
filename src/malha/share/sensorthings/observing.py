"""Observations written: values of attributes, in batches through the store, and what some say beside their value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from malha.context.broker import checking
from malha.context.store import service as store
from malha.context.store.contracts import Column, EntityDocument, EntityTable
from malha.kernel.text import msg
from malha.kernel.time import format_instant, now
from malha.share.sensorthings.contracts import BadRequest, Unacceptable
from malha.share.sensorthings.relations import View
from malha.vocabulary.models import policy
from malha.vocabulary.models.policy import Mode

#: observations of one request
MOST = 100_000
#: from so many values of one attribute on, columns are faster than documents
_MANY = 50
_NOTE = """INSERT INTO sensorthings_note (tenant_id, entity_id, attr_id, dataset_id, observed_at, feature_id, doc) VALUES (%s, %s, %s, %s, %s, %s, %s::jsonb)
ON CONFLICT (tenant_id, entity_id, attr_id, dataset_id, observed_at) DO UPDATE SET feature_id = excluded.feature_id, doc = excluded.doc"""


@dataclass(frozen=True, slots=True)
class Observation:
    """One value to be written: of which datastream (its row), when, and what it says besides."""

    stream: Mapping[str, Any]
    at: datetime
    value: Any
    feature: int | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Its id."""
        return f"{self.stream['id']}:{round((self.at - datetime.fromtimestamp(0, UTC)).total_seconds() * 1_000_000)}"


def instant(text: object, name: str) -> datetime:
    """An aware instant. Raises BadRequest."""
    try:
        found = datetime.fromisoformat(str(text))
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as reason:
        raise BadRequest(msg("“{name}” não é uma data e hora ISO 8601: {value}."), name=name, value=str(text)[:40]) from reason


def read(said: Mapping[str, Any], stream: Mapping[str, Any], feature: str) -> Observation:
    """An observation as it was sent; without phenomenonTime it is of now. Raises BadRequest, Unacceptable."""
    value = said.get("result")
    if value is None or (isinstance(value, str) and "\x00" in value):
        raise BadRequest(msg("Falta “{name}”."), name="result")
    more: dict[str, Any] = {}
    start, _, until = str(said["phenomenonTime"]).partition("/") if said.get("phenomenonTime") else ("", "", "")
    at = instant(start, "phenomenonTime") if start else now()
    if until:
        more["until"] = format_instant(instant(until, "phenomenonTime"))
    if said.get("resultTime") and (result_at := instant(said["resultTime"], "resultTime")) != at:
        more["resultTime"] = format_instant(result_at)
    if said.get("validTime") is not None:
        more["validTime"] = "/".join(format_instant(instant(part, "validTime")) for part in str(said["validTime"]).split("/")[:2])
    more |= {name: said[name] for name in ("resultQuality", "parameters") if said.get(name) is not None}
    own = f"e{stream['thing']}"
    if feature and feature != own and not feature.isdigit():
        raise Unacceptable(msg("O lugar de outra coisa não serve de FeatureOfInterest; crie um."))
    return Observation(stream, at, value, int(feature) if feature and feature != own else None, more)


def write(seen: View, observations: Sequence[Observation]) -> list[str]:
    """Write them, the oldest first. Returns their ids, in the order given. Raises Unacceptable with the store's reason."""
    ordered = sorted(observations, key=lambda one: one.at)
    by_column: dict[tuple[str, str, str], list[Observation]] = {}
    for one in ordered:
        by_column.setdefault((one.stream["type"], one.stream["attribute"], one.stream["unit"] or ""), []).append(one)
    rules = policy.of_tenant(seen.conn, seen.tenant_id)
    for (type_, attribute, unit), found in by_column.items():
        checked = rules.any and rules.of(type_).mode is not Mode.OFF
        plain = all(one.stream["dataset"] == 0 and isinstance(one.value, int | float | str) for one in found)
        if len(found) >= _MANY and plain and not checked and len({type(one.value) is bool for one in found}) == 1:
            column = Column(attribute, [one.value for one in found], unit=unit)
            table = EntityTable(type_, [one.stream["uri"] for one in found], [column], [one.at for one in found])
            refused = store.upsert_table(seen.conn, seen.tenant_id, table).refused
        else:
            refused = store.upsert_documents(seen.conn, seen.tenant_id, _documents(seen, found, checked)).refused
        for _, reason in refused:
            raise Unacceptable.of_kept(reason)
    _note(seen, observations)
    return [one.key for one in observations]


def _documents(seen: View, found: Sequence[Observation], checked: bool) -> list[EntityDocument]:
    stored = store.by_uris(seen.conn, seen.tenant_id, sorted({one.stream["uri"] for one in found}), lock=True)
    made = []
    for one in found:
        instance: dict[str, Any] = {"type": "Property", "value": one.value, "observedAt": format_instant(one.at)}
        if one.stream["unit"]:
            instance["unitCode"] = one.stream["unit"]
        if one.stream["instance"]:
            instance["datasetId"] = one.stream["instance"]
        entity = stored[one.stream["uri"]]
        doc = EntityDocument(entity.uri, entity.types, {one.stream["attribute"]: instance})
        if checked:
            checking.checked(seen.conn, seen.who, EntityDocument(entity.uri, entity.types, {**entity.attributes, one.stream["attribute"]: instance}))
        made.append(doc)
    return made


def _note(seen: View, observations: Sequence[Observation]) -> None:
    rows = [
        [seen.tenant_id, one.stream["thing"], one.stream["attr"], one.stream["dataset"], one.at, one.feature, msgspec.json.encode(one.more).decode()]
        for one in observations
        if one.more or one.feature is not None
    ]
    if rows:
        with seen.conn.cursor() as cursor:
            cursor.executemany(_NOTE, rows)
