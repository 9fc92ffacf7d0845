"""Write entities given as documents: any mix of types, attributes with sub-attributes and several instances."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import nullcontext
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec
import psycopg

from malha.context.store import announce, geometry, names, state, undo
from malha.context.store.cells import canonical, observed
from malha.context.store.contracts import MEMBER, EntityDocument, ObservationKind, Operation, UnusableEntity, WriteMode, WriteOptions, WriteOutcome
from malha.context.store.state import Change, Current, Observation
from malha.context.store.table import NAMES, same, text_of, usable_uri
from malha.kernel.text import msg, normalise
from malha.kernel.time import format_instant, now

#: what kind of value an attribute had that was taken away
ENDED = {
    "Relationship": ObservationKind.URI, "GeoProperty": ObservationKind.GEOMETRY, "LanguageProperty": ObservationKind.LANGUAGE_MAP,
    "VocabProperty": ObservationKind.VOCABULARY, "JsonProperty": ObservationKind.RAW_JSON, "ListProperty": ObservationKind.LIST,
    "ListRelationship": ObservationKind.OBJECT_LIST,
}  # fmt: skip
_encode = msgspec.json.Encoder().encode
#: entities that are written together: as much as lies ready for PostgreSQL in a socket, so that it works on them while the next are worked out
PART = 100
type Made = psycopg.Cursor[tuple[Any, ...]]
#: what PostgreSQL says of new entities, and the history of all that were sent
type Sent = tuple[Made | None, Sequence[tuple[str, Observation]]]
#: what the store itself says about an instance
STAMPS = frozenset({"createdAt", "modifiedAt"})


def upsert_documents(conn: psycopg.Connection[Any], tenant_id: int, docs: Sequence[EntityDocument], options: WriteOptions) -> WriteOutcome:
    """Write entities; see `service.upsert_documents`. The same URI twice is applied in order."""
    total = WriteOutcome()
    for part in _rounds(docs):
        outcome = Round(conn, tenant_id, options).write(part)
        total = WriteOutcome(
            total.created + outcome.created, total.updated + outcome.updated, total.unchanged + outcome.unchanged,
            total.observations + outcome.observations, total.refused + outcome.refused,
        )  # fmt: skip
    return total


def _rounds(docs: Sequence[EntityDocument]) -> Iterable[list[EntityDocument]]:
    """Split so that no URI is twice in one part, order kept."""
    part: list[EntityDocument] = []
    seen: set[str] = set()
    for doc in docs:
        if doc.uri in seen:
            yield part
            part, seen = [], set()
        part.append(doc)
        seen.add(doc.uri)
    if part:
        yield part


class Round:
    """One pass over entities that are all different."""

    def __init__(self, conn: psycopg.Connection[Any], tenant_id: int, options: WriteOptions) -> None:
        self.conn, self.tenant_id, self.options = conn, tenant_id, options
        self.moment = now()
        self.now = format_instant(self.moment)
        self.refused: list[tuple[str, str]] = []
        #: rows of history; the entity is named by URI until it has an id
        self.rows: list[tuple[str, Observation]] = []
        self.late: list[tuple[str, Observation]] = []
        self.changed: dict[str, list[int]] = {}
        self.stamp = ""
        self.current: dict[str, Current] = {}
        self.ids: dict[str, int] = {}

    def write(self, docs: Sequence[EntityDocument]) -> WriteOutcome:
        good = [doc for doc in docs if self._usable(doc)]
        self._name(good)
        self.current = self._lock([doc.uri for doc in good])
        self.ids = {uri: found.id for uri, found in self.current.items()}
        changed: set[str] = set()
        fresh = 0
        ordered = sorted(good, key=lambda doc: doc.uri)  # of all parts alike, so that two writers of the same new entities wait for each other one way
        sent: Sent = None, []
        with self.conn.pipeline() if len(good) > PART else nullcontext():
            for start in range(0, len(ordered), PART):
                part, first = ordered[start : start + PART], len(self.rows)
                new, old = self._changes(part)
                changed |= {change.uri for change in (*new, *old)}
                fresh += self._settle(*sent)
                sent = self._send(new, old, {name for doc in part for name in doc.attributes}), self.rows[first:]
            fresh += self._settle(*sent)
        count = len(self.rows) + self._observe_late()
        self._announce(good, changed, self.ids)
        return WriteOutcome(fresh, len(changed) - fresh, len(good) - len(changed), count, tuple(self.refused))

    def _changes(self, docs: Iterable[EntityDocument]) -> tuple[list[Change], list[Change]]:
        """What is new of these, and what changes."""
        new: list[Change] = []
        old: list[Change] = []
        for doc in docs:
            current = self.current.get(doc.uri)
            change = self.change(doc, current)
            if current is None:
                new.append(change or Change(doc.uri, "{}", [self.types[t] for t in doc.types]))
            elif change is not None:
                old.append(change)
        return new, old

    def _send(self, new: Sequence[Change], old: Sequence[Change], names_: Iterable[str]) -> Made | None:
        """Write entities, many without waiting for PostgreSQL; what it will say of the new ones."""
        made = state.insert(self.conn, self.tenant_id, self.options.run_id, new) if new else None
        if old:
            keys = sorted({*names_, *(name for change in old for name in change.gone)})
            state.update(self.conn, self.tenant_id, self.options.run_id, old, keys)
        return made

    def _settle(self, made: Made | None, rows: Sequence[tuple[str, Observation]]) -> int:
        """Write the history of entities that were sent, now that the new ones have ids; how many are new."""
        fresh = 0
        for uri, id_, is_new in made or ():
            self.ids[uri] = id_
            fresh += is_new
        for uri, row in rows:
            row.entity_id = self.ids[uri]
        state.observe(self.conn, self.tenant_id, self.options.run_id, [row for _, row in rows])
        return fresh

    def _lock(self, uris: list[str]) -> dict[str, Current]:
        """The entities that exist, locked; those that have ended and wait for the job go now."""
        found = state.lock(
            self.conn, self.tenant_id, uris, "e.doc::text, e.geom, e.scopes, e.expires_at, e.next_expiry, coalesce(e.expires_at <= now(), false)"
        )
        if ended := [uri for uri, current in found.items() if current.extra[5]]:
            undo.delete(self.conn, self.tenant_id, ended)
            for uri in ended:
                del found[uri]
        return found

    def _usable(self, doc: EntityDocument) -> bool:
        try:
            _check_document(doc)
        except UnusableEntity as reason:
            self.refused.append((doc.uri, reason.kept()))
            return False
        return True

    def _name(self, docs: Sequence[EntityDocument]) -> None:
        units: set[str] = set()
        datasets: set[str] = set()
        named: set[str] = set()
        for doc in docs:
            named.update(doc.attributes)
            for attribute in doc.attributes.values():
                for instance in instances(attribute):
                    if unit := instance.get("unitCode"):
                        units.add(str(unit))
                    if dataset := instance.get("datasetId"):
                        datasets.add(str(dataset))
        self.types = names.numbers(self.conn, "entity_type", {t for doc in docs for t in doc.types})
        self.attributes = names.numbers(self.conn, "attribute", named)
        self.units = names.numbers(self.conn, "unit", units)
        self.datasets = names.numbers(self.conn, "attribute_dataset", datasets)

    def read(self, doc: EntityDocument) -> None:
        """Prepare for one document. Raises UnusableEntity."""
        _check_document(doc)
        self._name([doc])

    def change(self, doc: EntityDocument, current: Current | None) -> Change | None:
        """What the entity becomes, None where nothing of it changes; rows of history are gathered."""
        before = state.whole(current.extra[0], current.extra[1]) if current else {}
        self.stamp = self.now if current else ""
        after: dict[str, Any] = {}
        gone: list[str] = []
        for name, attribute in doc.attributes.items():
            if attribute is None:
                if name in before:
                    gone.append(name)
                continue
            merged = self._attribute(doc, name, attribute, before.get(name))
            if merged == []:
                gone.append(name)
            elif merged is not None:
                after[name] = merged
        replace = self.options.mode is WriteMode.REPLACE
        if replace:
            gone = [name for name in before if doc.attributes.get(name) is None]
        type_ids = self._types(doc, current)
        scopes = self._scopes(doc, current, replace)
        expiry = self._expiry(doc, current, before, after, gone, replace)
        if current is not None and not after and not gone and type_ids is None and scopes is None and expiry is None:
            return None
        if scopes is not None:
            said = {"type": "Property", "value": scopes[0] if len(scopes) == 1 else scopes}
            if doc.scopes_at is not None:
                said["observedAt"] = format_instant(doc.scopes_at)
            self.rows.append((doc.uri, self._row(doc, "scope", said, said["value"]) if scopes else self._ending(doc, "scope", said)))
        for name in gone:
            if doc.attributes.get(name) is None:
                was = instances(before[name])
                self.rows.append((doc.uri, self._ending(doc, name, {"type": was[0].get("type")} if was else {})))
        change = self._as_change(doc, current, before, after, gone, type_ids, scopes)
        if expiry is not None:
            change.expiring, change.expires, change.next_expiry = True, *expiry
        return change

    @staticmethod
    def _scopes(doc: EntityDocument, current: Current | None, replace: bool) -> list[str] | None:
        """The scopes that the entity gets, [] for none, None where they stay."""
        has = list(current.extra[2] or []) if current else []
        if "scope" in doc.gone or (replace and not doc.scopes):
            return [] if has else None
        return list(doc.scopes) if doc.scopes and list(doc.scopes) != has else None

    @staticmethod
    def _expiry(
        doc: EntityDocument, current: Current | None, before: dict[str, Any], after: dict[str, Any], gone: list[str], replace: bool
    ) -> tuple[str | None, str | None] | None:
        """(when the entity ends, when the first of it ends), None where neither changes; both None for never."""
        has, first = (current.extra[3], current.extra[4]) if current else (None, None)
        ends = None if "expiresAt" in doc.gone else doc.expires_at or (None if replace else has)
        left = after if replace or not before else {**{name: each for name, each in before.items() if name not in gone}, **after}
        moments = [text for each in left.values() for i in instances(each) if isinstance(text := i.get("expiresAt"), str)]
        if not moments and ends is None and first is None:
            return None
        soonest = min([*(datetime.fromisoformat(text) for text in moments), *([ends] if ends else [])], default=None)
        return (None, None) if soonest is None else (format_instant(ends) if ends else None, format_instant(soonest))

    def _types(self, doc: EntityDocument, current: Current | None) -> list[int] | None:
        ids = [self.types[t] for t in doc.types]
        if current is None:
            return ids
        more = [id_ for id_ in ids if id_ not in current.types]
        return [*current.types, *more] if more else None

    def _as_change(
        self, doc: EntityDocument, current: Current | None, before: dict[str, Any], after: dict[str, Any], gone: list[str],
        type_ids: list[int] | None, scopes: list[str] | None,
    ) -> Change:  # fmt: skip
        change = Change(doc.uri, "", type_ids, id=current.id if current else 0, gone=gone, scopes=scopes)
        if "location" in gone:
            change.placed = True
        if "location" in after:
            change.placed, place = True, after["location"]
            first = place if isinstance(place, dict) else None
            if first and first.get("type") == "GeoProperty" and first.get("value") is not None:
                change.shape = geometry.parse(first["value"])
                kept = {key: value for key, value in first.items() if key != "value"}
                after["location"] = kept if change.shape.wkb else kept | {"value": change.shape.geojson}
        if any(name in after or name in gone for name in NAMES):
            whole = {**before, **after}
            words = [text_of(_value(instances(whole[name])[0])) for name in NAMES if name in whole and name not in gone]
            change.named, change.name_key = True, normalise(" ".join(words)) or None
        change.doc = canonical(after)
        return change

    def _attribute(self, doc: EntityDocument, name: str, attribute: object, before: object) -> Any:
        """What the attribute becomes: None when nothing of it changes, [] when its last instance goes. Each change makes a row of history."""
        if before is None and (new := self._new(doc, name, attribute)) is not None:
            return new
        old = {str(i.get("datasetId", "")): i for i in instances(before)}
        merged = dict(old) if self.options.mode is WriteMode.UPDATE else {}
        changed = False
        if self.options.mode is not WriteMode.UPDATE:
            named = {str(i.get("datasetId", "")) for i in instances(attribute)}
            for left in [i for key, i in old.items() if key not in named]:
                changed = True
                self.datasets |= names.numbers(self.conn, "attribute_dataset", [str(left["datasetId"])]) if left.get("datasetId") else {}
                self.rows.append((doc.uri, self._ending(doc, name, {"type": left.get("type"), "datasetId": left.get("datasetId", "")})))
        for given in instances(attribute):
            instance = given
            key = str(instance.get("datasetId", ""))
            was = old.get(key)
            if _value(instance) is None:
                if merged.pop(key, None) is not None:
                    self.rows.append((doc.uri, self._ending(doc, name, instance)))
                    changed = True
                continue
            if was is not None and _equal(was, instance):
                merged[key] = was
                continue
            instance = self._stamped(instance, was)
            if was is not None and _older(instance.get("observedAt"), was.get("observedAt")):
                self.late.append((doc.uri, self._row(doc, name, instance, _value(instance))))
                merged[key] = was
                continue
            if was is None or not _same_observation(was, instance):
                row = self._row(doc, name, instance, _value(instance))
                row.corrects = was is not None and not row.untimed and row.observed_at == _instant(was.get("observedAt"))
                self.rows.append((doc.uri, row))
            merged[key] = instance
            changed = True
        if not changed:
            return None
        kept = list(merged.values())
        return kept[0] if len(kept) == 1 else kept

    def _new(self, doc: EntityDocument, name: str, attribute: object) -> Any:
        """What an attribute becomes that was not there, which is most of what comes: all its instances; None where that is not so plain."""
        if isinstance(attribute, dict):
            if (value := _value(attribute)) is None:
                return None
            self.rows.append((doc.uri, self._row(doc, name, attribute, value)))
            return self._stamped(attribute, None)
        told = [(each, _value(each)) for each in instances(attribute)]
        if len(told) < 2 or any(value is None for _, value in told) or len({each.get("datasetId", "") for each, _ in told}) < len(told):
            return None
        self.rows += [(doc.uri, self._row(doc, name, each, value)) for each, value in told]
        return [self._stamped(each, None) for each, _ in told]

    def _stamped(self, instance: dict[str, Any], was: dict[str, Any] | None) -> dict[str, Any]:
        """The instance with createdAt and modifiedAt, as far as they differ from the entity's createdAt (§4.8)."""
        if not self.stamp:
            return instance
        if was is None:
            return {**instance, "createdAt": self.stamp}
        return {**instance, **({"createdAt": was["createdAt"]} if "createdAt" in was else {}), "modifiedAt": self.stamp}

    def _row(self, doc: EntityDocument, name: str, instance: dict[str, Any], value: Any) -> Observation:
        """The row of history that says `value`, which `instance` has."""
        kind, num, txt = observed(instance["type"], value)
        at, unit, dataset = instance.get("observedAt"), instance.get("unitCode"), instance.get("datasetId")
        return Observation(
            self.types[doc.types[0]], 0, self.attributes.get(name) or self._attribute_id(name), self.now if at is None else _as_kept(str(at)), kind, num, txt,
            self.units.get(str(unit)) if unit else None, self.datasets.get(str(dataset), 0) if dataset else 0, None, Operation.VALUE, at is None,
        )  # fmt: skip

    def _ending(self, doc: EntityDocument, name: str, instance: dict[str, Any]) -> Observation:
        """The row of history that says that there is no value any more."""
        row = self._row(doc, name, instance | {"type": "Property"}, 0)
        row.kind, row.num, row.op = ENDED.get(str(instance.get("type")), ObservationKind.NUMBER), None, Operation.DELETED
        return row

    def _attribute_id(self, name: str) -> int:
        self.attributes |= names.numbers(self.conn, "attribute", [name])
        return self.attributes[name]

    def _observe_late(self) -> int:
        """Write what came late and is not known yet; how many rows."""
        if not self.late:
            return 0
        for uri, row in self.late:
            row.entity_id = self.ids[uri]
        keys = [(row.entity_id, row.attr_id, row.dataset_id, row.observed_at) for _, row in self.late]
        found = state.known(self.conn, self.tenant_id, keys)
        self.late = [(uri, row) for n, (uri, row) in enumerate(self.late) if found.get(n) != (row.num, row.txt, row.unit_id, row.op)]
        late = [row for _, row in self.late]
        mark_corrections(late, {keys[n] for n in found}, self.moment)
        state.observe(self.conn, self.tenant_id, self.options.run_id, late)
        return len(late)

    def _announce(self, docs: Sequence[EntityDocument], changed: set[str], ids: dict[str, int]) -> None:
        touched = changed | {uri for uri, _ in self.late}
        by_type: dict[str, list[EntityDocument]] = {}
        for doc in docs:
            if doc.uri in touched:
                by_type.setdefault(doc.types[0], []).append(doc)
        instants: dict[int, set[str]] = {}
        for _, row in (*self.rows, *self.late):
            instants.setdefault(row.type_id, set()).add(row.observed_at)
        for type_, group in by_type.items():
            attributes = sorted({name for doc in group for name in doc.attributes})
            first, last = self.period(instants.get(self.types[type_], set()))
            announce.changed(self.conn, self.tenant_id, type_, [ids[doc.uri] for doc in group], attributes, first, last, self.options)

    def period(self, instants: Collection[str]) -> tuple[datetime, datetime]:
        """From when to when these instants (ISO 8601) are; the moment of writing where there are none."""
        moments = [datetime.fromisoformat(instant) for instant in set(instants)] or [self.moment]
        return min(moments), max(moments)


def mark_corrections(rows: Sequence[Observation], hot: AbstractSet[tuple[int, int, int, str]], moment: datetime) -> None:
    """Say of late rows which correct a value: those that hot history knows another of, and those so old that only colder history could know one."""
    oldest = format_instant(moment - state.HOT)
    for row in rows:
        row.corrects = (row.entity_id, row.attr_id, row.dataset_id, row.observed_at) in hot or row.observed_at < oldest


def instances(attribute: object) -> list[dict[str, Any]]:
    """The instances of an attribute: one, or several by datasetId."""
    if isinstance(attribute, dict):
        return [attribute]
    return [instance for instance in attribute if isinstance(instance, dict)] if isinstance(attribute, list) else []


def emptied(instance: dict[str, Any]) -> dict[str, Any]:
    """The instance as a writer says that it goes."""
    return {key: value for key, value in instance.items() if key in {"type", "datasetId"}} | {MEMBER[str(instance["type"])]: None}


def _value(instance: dict[str, Any]) -> Any:
    return instance.get(MEMBER.get(instance.get("type", ""), "value"))


def _check_document(doc: EntityDocument) -> None:
    if not usable_uri(doc.uri):
        raise UnusableEntity(msg("O identificador não é um URI (até 2048 octetos, sem espaços)."))
    if not doc.types:
        raise UnusableEntity(msg("Falta o tipo da entidade."))
    for name, attribute in doc.attributes.items():
        for instance in instances(attribute):
            _check_members(name, instance)
    if b"\\u0000" in _encode(doc.attributes):  # all at once: of a thousand documents, none has one
        for name, attribute in doc.attributes.items():
            for instance in instances(attribute):
                check_instance(name, instance)


def check_instance(name: str, instance: dict[str, Any]) -> None:
    """Raise UnusableEntity where an instance of an attribute cannot be stored."""
    _check_members(name, instance)
    if b"\\u0000" in _encode(instance):
        raise UnusableEntity(msg("O texto de “{name}” tem caracteres que não existem em Unicode."), name=name)


def _check_members(name: str, instance: dict[str, Any]) -> None:
    kind = str(instance.get("type"))
    if kind not in MEMBER:
        raise UnusableEntity(msg("O atributo “{name}” tem um tipo que não existe: {kind}."), name=name, kind=kind[:40])
    if MEMBER[kind] not in instance:
        raise UnusableEntity(msg("Ao atributo “{name}” falta “{member}”."), name=name, member=MEMBER[kind])
    if kind == "GeoProperty" and instance["value"] is not None:
        geometry.parse(instance["value"])
    if instance.get("observedAt") is not None:
        try:
            _instant(instance["observedAt"])
        except (ValueError, TypeError) as reason:
            raise UnusableEntity(msg("O observedAt de “{name}” não é uma data e hora: {value}."), name=name, value=str(instance["observedAt"])[:40]) from reason


def _instant(value: object) -> str | None:
    return None if value is None else _as_kept(str(value))


@lru_cache(maxsize=10_000)
def _as_kept(text: str) -> str:
    """An instant as history keeps it; the readings of a batch share few. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return format_instant(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _equal(a: dict[str, Any], b: dict[str, Any]) -> bool:
    """Whether two instances say the same, all members considered."""
    return a.keys() - STAMPS == b.keys() - STAMPS and all(same(a[key], b[key]) for key in a if key not in STAMPS)


def _same_observation(a: dict[str, Any], b: dict[str, Any]) -> bool:
    """Whether history would say the same of both: only sub-attributes differ."""
    return same(_value(a), _value(b)) and a.get("unitCode") == b.get("unitCode") and _instant(a.get("observedAt")) == _instant(b.get("observedAt"))


def _older(a: object, b: object) -> bool:
    first, second = _instant(a), _instant(b)
    return first is not None and second is not None and datetime.fromisoformat(first) < datetime.fromisoformat(second)
