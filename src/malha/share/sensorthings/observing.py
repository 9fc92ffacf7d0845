"""Observations written: values of attributes, in batches through the store, and what some say beside their value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from malha.context.broker import checking
from malha.context.store import service as store
from malha.context.store.contracts import Column, EntityDocument, EntityTable, ObservationKind
from malha.context.store.evolution import NULL
from malha.kernel.text import msg
from malha.kernel.time import AHEAD, format_instant, now
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
#: an observation at the instant of another stands for it, and so does what it says besides, be it nothing
_FORGET = """DELETE FROM sensorthings_note n USING unnest(%s::bigint[], %s::int[], %s::int[], %s::timestamptz[]) AS w (entity_id, attr_id, dataset_id, observed_at)
WHERE n.tenant_id = %s AND n.entity_id = w.entity_id AND n.attr_id = w.attr_id AND n.dataset_id = w.dataset_id AND n.observed_at = w.observed_at"""


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

    @property
    def row(self) -> dict[str, Any]:
        """As the history would give it back, for what is said of it the moment that it is written."""
        number = float(self.value) if isinstance(self.value, int | float) else None
        text = None if number is not None else self.value if isinstance(self.value, str) else msgspec.json.encode(self.value).decode()
        kind = ObservationKind.BOOLEAN if isinstance(self.value, bool) else ObservationKind.TEXT if isinstance(self.value, str) else ObservationKind.JSON
        said = {name: datetime.fromisoformat(self.more[name]) if name in self.more else None for name in ("resultTime", "until")}
        return {
            "id": self.key, "datastream": self.stream["id"], "thing": self.stream["thing"], "phenomenonTime": self.at, "resultTime": said["resultTime"] or self.at,
            "until": said["until"], "kind": kind, "num": number, "txt": text, "feature": str(self.feature) if self.feature is not None else f"e{self.stream['thing']}",
            "validTime": self.more.get("validTime"),
            **{name: msgspec.json.encode(self.more[name]).decode() if name in self.more else None for name in ("resultQuality", "parameters")},
        }  # fmt: skip


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
    if value is None or value == NULL or (isinstance(value, str) and "\x00" in value):
        raise BadRequest(msg("Falta “{name}”."), name="result")
    more: dict[str, Any] = {}
    start, _, until = str(said["phenomenonTime"]).partition("/") if said.get("phenomenonTime") else ("", "", "")
    at = instant(start, "phenomenonTime") if start else now()
    if at > now() + AHEAD:
        raise BadRequest(
            msg("“{name}” está mais de um ano à frente do relógio desta instalação: {text}. Acerte o relógio de quem envia."),
            name="phenomenonTime",
            text=start[:40],
        )
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
            outcome = store.upsert_table(seen.conn, seen.tenant_id, table)
        else:
            outcome = store.upsert_documents(seen.conn, seen.tenant_id, _documents(seen, found, checked))
        for _, reason in outcome.refused:
            raise Unacceptable.of_kept(reason)
        if outcome.created:  # it was deleted since its datastream was found: nothing of it comes back
            raise BadRequest(msg("Não há nenhum {kind} com o id “{id}”."), kind="Datastream", id=str(found[0].stream["id"]))
    if observations:
        _note(seen, observations)
    return [one.key for one in observations]


def _documents(seen: View, found: Sequence[Observation], checked: bool) -> list[EntityDocument]:
    stored = store.by_uris(seen.conn, seen.tenant_id, sorted({one.stream["uri"] for one in found}), lock=True) if checked else {}
    made = []
    for one in found:
        instance: dict[str, Any] = {"type": "Property", "value": one.value, "observedAt": format_instant(one.at)}
        if one.stream["unit"]:
            instance["unitCode"] = one.stream["unit"]
        if one.stream["instance"]:
            instance["datasetId"] = one.stream["instance"]
        doc = EntityDocument(one.stream["uri"], (one.stream["type"],), {one.stream["attribute"]: instance})
        if checked:
            entity = stored[doc.uri]
            checking.checked(seen.conn, seen.who, EntityDocument(entity.uri, entity.types, {**entity.attributes, one.stream["attribute"]: instance}))
        made.append(doc)
    return made


def _note(seen: View, observations: Sequence[Observation]) -> None:
    where = [(one.stream["thing"], one.stream["attr"], one.stream["dataset"], one.at) for one in observations]
    seen.conn.execute(_FORGET, [*(list(column) for column in zip(*where, strict=True)), seen.tenant_id])
    rows = [
        [seen.tenant_id, one.stream["thing"], one.stream["attr"], one.stream["dataset"], one.at, one.feature, msgspec.json.encode(one.more).decode()]
        for one in observations
        if one.more or one.feature is not None
    ]
    if rows:
        with seen.conn.cursor() as cursor:
            cursor.executemany(_NOTE, rows)
