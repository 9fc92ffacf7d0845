"""The fast road: a batch of one type as columns becomes state, history and one event in a handful of round trips."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import psycopg

from malha.context.store import announce, names, state
from malha.context.store.cells import Cells, array_of, canonical, instant_text
from malha.context.store.contracts import EntityTable, Past, UnusableEntity, WriteMode, WriteOptions, WriteOutcome
from malha.kernel.text import msg, normalise
from malha.kernel.time import now

URI = re.compile(r'[A-Za-z][A-Za-z0-9+.\-]*:[^\s\x00-\x1f<>"{}|\\^`]+')
URI_BYTES = 2048
#: characters that nobody sees or that turn text around: two names that look alike would be two things
UNSEEN = re.compile(
    "[\u00a0\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u2028-\u202f\u205f-\u206f\u2800\u3000\u3164\ud800-\udfff\ufdd0-\ufdef\ufe00-\ufe0f\ufeff\uffa0"
    "\ufff0-\uffff\U000e0000-\U000e0fff" + "".join(chr(plane * 0x10000 + last) for plane in range(1, 17) for last in (0xFFFE, 0xFFFF)) + "]"
)
#: attributes whose text a search finds
NAMES = ("name", "title", "alternateName")


def upsert_table(conn: psycopg.Connection[Any], tenant_id: int, table: EntityTable, options: WriteOptions) -> WriteOutcome:
    """Write a batch; see `service.upsert_table`."""
    if options.mode is WriteMode.REPLACE:
        raise UnusableEntity(msg("Um lote em colunas só acrescenta e altera; para substituir entidades envie documentos."))
    return Batch(conn, tenant_id, table, options).write()


class Batch:
    """One call: rows are positions 0…n-1, entities are numbers 0…k-1 in order of first mention."""

    def __init__(self, conn: psycopg.Connection[Any], tenant_id: int, table: EntityTable, options: WriteOptions) -> None:
        self.conn, self.tenant_id, self.table, self.options = conn, tenant_id, table, options
        self.moment = now()
        self.cells = [Cells(column) for column in table.columns]
        self.refused: dict[tuple[str, str], None] = {}
        self._check_lengths()
        self._number_entities()
        self._order_rows()

    def _check_lengths(self) -> None:
        rows = len(self.table.uris)
        for sequence in (*(column.values for column in self.table.columns), self.table.observed_at, self.table.row_numbers):
            if sequence is not None and len(sequence) != rows:
                raise UnusableEntity(msg("As colunas do lote não têm todas o mesmo número de linhas."))

    def _number_entities(self) -> None:
        index: dict[str, int] = {}
        self.entity = [index.setdefault(uri, len(index)) for uri in self.table.uris]
        self.uris = list(index)
        self.bad = {n for n, uri in enumerate(self.uris) if not usable_uri(uri)}
        for n in self.bad:
            self.refused[self.uris[n], msg("O identificador não é um URI (até 2048 octetos, sem espaços).")] = None
        for cells in self.cells:
            for i, reason in cells.refused.items():
                self.refused[self.table.uris[i], reason.kept()] = None

    def _order_rows(self) -> None:
        rows = range(len(self.entity))
        given = self.table.observed_at
        self.timed = given is not None and any(at is not None for at in given)
        if given is None or not self.timed:
            self.instants: list[datetime] = []
            self.texts = [instant_text(self.moment)] * len(self.entity)
            self.order: Sequence[int] = rows
        else:
            moment = self.moment
            self.instants = [at if at is not None else moment for at in given]
            self.texts = list(map(instant_text, self.instants))
            ordered = all(a <= b for a, b in zip(self.instants, self.instants[1:], strict=False))
            self.order = rows if ordered else sorted(rows, key=self.instants.__getitem__)
        if self.bad:
            self.order = [i for i in self.order if self.entity[i] not in self.bad]

    def write(self) -> WriteOutcome:
        """Decide what is new, write it, announce it."""
        if not self.order or not self.cells:
            return WriteOutcome(refused=tuple(self.refused))
        self.type_id = names.numbers(self.conn, "entity_type", [self.table.type])[self.table.type]
        self.attr_ids = names.numbers(self.conn, "attribute", [cells.name for cells in self.cells])
        self.last = [self._last_rows(cells) for cells in self.cells]
        self.current = state.lock(self.conn, self.tenant_id, [uri for n, uri in enumerate(self.uris) if n not in self.bad], self._columns())
        self.ids = [found.id if (found := self.current.get(uri)) else 0 for uri in self.uris]
        self._drop_overtaken()
        self._compare()
        created = self._insert()
        updated = self._update() + self.merged
        observations = self._observe() if created or updated or self._has_past() else 0
        if self.corrections and self.options.run_id is None:
            state.sign(
                self.conn, self.tenant_id, [(self.ids[self.entity[i]], self.attr_ids[self.cells[c].name], 0, self.texts[i]) for c, i in self.corrections]
            )
        if created or updated or observations:
            self._announce()
        return WriteOutcome(created, updated, len(self.uris) - len(self.bad) - created - updated, observations, tuple(self.refused))

    def _has_past(self) -> bool:
        """Whether there is anything for history that leaves the present as it is."""
        return self.late

    def _columns(self) -> str:
        """The instant that each attribute of the batch has now, else its presence."""
        return ", ".join(f"coalesce(e.doc -> {_literal(c.name)} ->> 'observedAt', CASE WHEN e.doc ? {_literal(c.name)} THEN '-' END)" for c in self.cells)

    def _last_rows(self, cells: Cells) -> dict[int, int]:
        """For each entity, the row that says what the attribute is after the batch."""
        entity = self.entity
        if cells.full:
            return {entity[i]: i for i in self.order}
        values = cells.values
        return {entity[i]: i for i in self.order if values[i] is not None}

    def _drop_overtaken(self) -> None:
        """Of several values of one entity at one instant, the last of the batch counts."""
        if self.timed:
            places: Sequence[object] = list(zip(self.entity, self.texts, strict=True))
        else:
            places = self.entity
        if len(set(places)) == len(places):
            return
        for cells in self.cells:
            seen: set[object] = set()
            for i in reversed(self.order):
                if cells.values[i] is None:
                    continue
                if places[i] in seen:
                    cells.drop(i)
                seen.add(places[i])

    def _compare(self) -> None:
        """Leave out what an existing entity says already; find values that come late."""
        self.late = False
        #: (column, row) of values that correct one of the same instant, or are so old that only colder history could know one
        self.corrections: list[tuple[int, int]] = []
        #: entities whose attribute (by column) stays as it is
        self.kept: list[set[int]] = [set() for _ in self.cells]
        if not self.current:
            return
        doubtful: list[tuple[int, int, int]] = []
        for n, rows in self._maybe_known().items():
            extra = self.current[self.uris[n]].extra
            for c, cells in enumerate(self.cells):
                at = extra[c]
                if at is None or (self.timed and at == "-"):
                    continue
                doubtful += [(n, c, i) for i in rows if cells.text[i] is not None and (not self.timed or _not_after(self.texts[i], at))]
        if doubtful:
            self._settle(doubtful)

    def _maybe_known(self) -> dict[int, list[int]]:
        """The rows of entities that exist, but for those whose first row is later than all that they have: the usual case costs little."""
        first = {self.entity[i]: i for i in reversed(self.order)}
        doubted: dict[int, list[int]] = {}
        for n, i in first.items():
            if not self.ids[n]:
                continue
            newest = max((at for at in self.current[self.uris[n]].extra if at is not None), default="")
            if not self.timed or _not_after(self.texts[i], newest) or len(newest) not in {0, 1, len(self.texts[i])}:
                doubted[n] = []
        if doubted:
            for i in self.order:
                if self.entity[i] in doubted:
                    doubted[self.entity[i]].append(i)
        return doubted

    def _settle(self, doubtful: list[tuple[int, int, int]]) -> None:
        documents = state.documents(self.conn, self.tenant_id, list({self.ids[n] for n, _, _ in doubtful}))
        late: list[tuple[int, int, int]] = []
        for n, c, i in doubtful:
            cells = self.cells[c]
            now_ = documents[self.ids[n]].get(cells.name)
            current = now_ if isinstance(now_, dict) else {}
            at = current.get("observedAt")
            if self.timed and at is not None and at != self.texts[i]:
                late.append((n, c, i))
                if self.last[c].get(n) == i:
                    self.kept[c].add(n)
            elif same(current.get(cells.member), cells.values[i]) and current.get("unitCode", "") == cells.unit:
                cells.drop(i)
                if self.last[c].get(n) == i:
                    self.kept[c].add(n)
            elif self.timed and at is not None:
                self.corrections.append((c, i))
        if late:
            self._settle_late(late)

    def _settle_late(self, late: list[tuple[int, int, int]]) -> None:
        """A value older than the present one is history only, unless history has it already."""
        keys = [(self.ids[n], self.attr_ids[self.cells[c].name], 0, self.texts[i]) for n, c, i in late]
        found = state.known(self.conn, self.tenant_id, keys)
        if self.options.past is not None and len(found) < len(late):
            found = self._known_in_the_past(self.options.past, late) | found
        for position, (_, c, i) in enumerate(late):
            cells = self.cells[c]
            row = found.get(position)
            if row is not None and (float(cells.text[i] or 0) == row[0] if cells.numeric else cells.text[i] == row[1]):
                cells.drop(i)
            else:
                self.late = True
                if row is not None or self.instants[i] < self.moment - state.HOT:
                    self.corrections.append((c, i))

    def _known_in_the_past(self, past: Past, late: list[tuple[int, int, int]]) -> dict[int, tuple[Any, ...]]:
        """What colder history holds of the late values, by position, as `state.known` gives it."""
        found: dict[int, tuple[Any, ...]] = {}
        for c in {c for _, c, _ in late}:
            of_column = [(position, self.ids[n], self.instants[i]) for position, (n, one, i) in enumerate(late) if one == c]
            moments = [at for _, _, at in of_column]
            table = past(self.tenant_id, self.cells[c].name, sorted({entity for _, entity, _ in of_column}), min(moments), max(moments))
            held = {(row["entity_id"], row["observed_at"]): (row["num"], row["txt"]) for row in sorted(table.to_pylist(), key=lambda row: row["seq"])}
            found |= {position: held[entity, at] for position, entity, at in of_column if (entity, at) in held}
        return found

    def _change(self, n: int) -> state.Change | None:
        """What entity `n` becomes, None when nothing of it changes."""
        parts: list[str] = []
        change = state.Change(self.uris[n], "")
        for c, cells in enumerate(self.cells):
            i = self.last[c].get(n)
            if i is None or n in self.kept[c]:
                continue
            at = f',"observedAt":"{self.texts[i]}"' if self.timed and self.table.observed_at and self.table.observed_at[i] is not None else ""
            value = cells.json[i]
            if cells.name == "location":
                change.placed, change.shape = True, cells.shapes.get(i)
                if change.shape and change.shape.wkb:
                    value = None
            elif cells.name in NAMES:
                change.named = True
            parts.append(f"{self.heads[c]}{value}{self.tails[c]}{at}}}" if value is not None else f'"{cells.name}":{{"type":"GeoProperty"{at}}}')
        if not parts:
            return None
        change.doc = "{" + ",".join(parts) + "}"
        if change.named:
            change.name_key = self._name_key(n)
        return change

    def _name_key(self, n: int) -> str | None:
        words = [cells.values[i] for c, cells in enumerate(self.cells) if cells.name in NAMES and (i := self.last[c].get(n)) is not None]
        return normalise(" ".join(text_of(word) for word in words)) or None

    def _insert(self) -> int:
        self.heads = [cells.head() for cells in self.cells]
        self.tails = [cells.tail() for cells in self.cells]
        new: list[state.Change] = []
        numbers: dict[str, int] = {}
        for n, uri in enumerate(self.uris):
            if self.ids[n] or n in self.bad:
                continue
            change = self._change(n) or state.Change(uri, "{}")
            change.type_ids = [self.type_id]
            new.append(change)
            numbers[uri] = n
        fresh = 0
        if new:
            for uri, id_, made in state.insert(self.conn, self.tenant_id, self.options.run_id, new):
                self.ids[numbers[uri]] = id_
                fresh += made
        self.changed = [self.ids[n] for n in numbers.values()]
        self.created = set(numbers)
        self.merged = len(new) - fresh
        return fresh

    def _update(self) -> int:
        changes: list[state.Change] = []
        for n, uri in enumerate(self.uris):
            if not self.ids[n] or uri in self.created:
                continue
            change = self._change(n)
            current = self.current[uri]
            if change is None:
                continue
            change.id = current.id
            if self.type_id not in current.types:
                change.type_ids = [*current.types, self.type_id]
            changes.append(change)
        if changes:
            state.update(self.conn, self.tenant_id, self.options.run_id, changes, [cells.name for cells in self.cells])
        self.changed += [change.id for change in changes]
        return len(changes)

    def _observe(self) -> int:
        """One row of history per new value, all columns in one statement."""
        whole = len(self.order) == len(self.entity)
        rows = None if whole else self.order
        pick = range(len(self.entity)) if rows is None else rows
        units = names.numbers(self.conn, "unit", {cells.unit for cells in self.cells if cells.unit})
        columns: list[str] = []
        parts: list[str] = []
        params: dict[str, object] = {}
        for c, cells in enumerate(self.cells):
            columns.append(f"%(v{c})s::{'float8' if cells.numeric else 'text'}[]")
            value = f"n.v{c}, NULL::text" if cells.numeric else f"NULL::float8, n.v{c}"
            unit = units.get(cells.unit)
            parts.append(f"({self.attr_ids[cells.name]}, {int(cells.obs_kind)}::smallint, {value}, {unit or 'NULL::int'})")
            params[f"v{c}"] = cells.array(rows)
        numbers = self.table.row_numbers
        params |= {
            "entities": array_of([self.ids[self.entity[i]] for i in pick]),
            "instants": "{" + ",".join([self.texts[i] for i in pick]) + "}",
            "rows": array_of([numbers[i] for i in pick]) if numbers is not None else None,
            "tenant": self.tenant_id, "type": self.type_id, "run": self.options.run_id,
        }  # fmt: skip
        statement = f"""
        INSERT INTO observation_hot (tenant_id, type_id, run_id, entity_id, observed_at, row_no, attr_id, kind, num, txt, unit_id)
        SELECT %(tenant)s::bigint, %(type)s::int, %(run)s::bigint, n.entity_id, n.observed_at, n.row_no, o.attr_id, o.kind, o.num, o.txt, o.unit_id
        FROM unnest(%(entities)s::bigint[], %(instants)s::timestamptz[], %(rows)s::int[], {", ".join(columns)})
            AS n (entity_id, observed_at, row_no, {", ".join(f"v{c}" for c in range(len(self.cells)))})
        CROSS JOIN LATERAL (VALUES {", ".join(parts)}) AS o (attr_id, kind, num, txt, unit_id)
        WHERE o.num IS NOT NULL OR o.txt IS NOT NULL"""
        return state.execute(self.conn, statement, params).rowcount

    def _announce(self) -> None:
        attributes = [cells.name for cells in self.cells]
        announce.changed(self.conn, self.tenant_id, self.table.type, self.changed, attributes, *self._span(), self.options)

    def _span(self) -> tuple[datetime, datetime]:
        """The first and the last instant of the batch."""
        instants = [self.instants[i] for i in self.order] if self.timed else [self.moment]
        return min(instants), max(instants)


@lru_cache(maxsize=20_000)
def usable_uri(uri: str) -> bool:
    """Whether `uri` can name an entity."""
    if not URI.fullmatch(uri) or len(uri) > URI_BYTES:
        return False
    return uri.isascii() or (len(uri.encode(errors="replace")) <= URI_BYTES and not UNSEEN.search(uri))


def same(a: object, b: object) -> bool:
    """Whether two values are the same for history: 21 is 21.0, but true is not 1."""
    if isinstance(a, bool) != isinstance(b, bool):
        return False
    return a == b or (isinstance(a, dict | list) and canonical(a) == canonical(b))


def text_of(value: object) -> str:
    """The words of a name, in every language it has."""
    if isinstance(value, dict):
        return " ".join(text_of(v) for v in value.values())
    return value if isinstance(value, str) else ""


def _not_after(text: str, current: str) -> bool:
    """Whether instant `text` is not later than `current`, both ISO 8601 in UTC."""
    if len(text) == len(current):
        return text <= current
    if len(current) < 2:
        return False
    return datetime.fromisoformat(text).astimezone(UTC) <= datetime.fromisoformat(current).astimezone(UTC)


def _literal(name: str) -> str:
    return "'" + name.replace("'", "''").replace("%", "%%") + "'"
