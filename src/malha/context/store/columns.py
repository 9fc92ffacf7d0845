"""Figures of a type's entities in the memory of the process that is asked about them: counted there without a look at the documents.

What took long to count more than once is kept: of all entities of the type the numbers of the attributes asked for, as of one snapshot of the
database. Each later question first takes over what changed since, by snapshot, so that its answer is as true as a walk over the documents. The
document itself is asked for what is not one plain number. Only for readers without limits, in a transaction that has written nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import psycopg

from malha.context.store import conditions, filterable, names, predicate, q, state, watching
from malha.context.store.binary import Ints
from malha.context.store.contracts import EntityQuery
from malha.context.store.q import Every, Node, Range, Term
from malha.context.store.watching import Figures, Key, Reading

type Held = np.ndarray[Any, np.dtype[np.bool_]]

#: a count that takes less is not worth keeping anything for
SLOW_SECONDS = 0.02
#: how often it has to have taken longer
OFTEN = 2
#: attributes kept of one type, and figures of all types together (8 bytes each)
MOST_NAMES = 16
MOST_FIGURES = 8_000_000
#: entities whose document is asked at most
MOST_ASKED = 5_000
#: for whom another reader renews or reads them
WAIT_SECONDS = 0.2
#: up to which doubles tell whole numbers apart
_EXACT = 2**53
_OPERATORS: dict[str, Callable[[Figures, float], Held]] = {
    "==": np.equal, ">": np.greater, "<": np.less, ">=": np.greater_equal, "<=": np.less_equal,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that figures answer: of which tenant and type, about which attributes."""

    key: Key
    names: frozenset[str]
    tree: Node


@dataclass(slots=True)
class Columns:
    """All entities of a type as of one snapshot, in the order of their ids: when each ends, and its figures."""

    since: str
    snapshot: str
    oldest: str
    moment: int
    ids: Ints
    ends: Ints
    figures: dict[str, Figures]
    asked: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, read: Reading) -> Columns:
        """What was read, in order."""
        order = np.argsort(read.ids)
        figures = {name: values[order] for name, values in read.figures.items()}
        return cls(read.since, read.snapshot, read.oldest, read.moment, read.ids[order], read.ends[order], figures)

    @property
    def size(self) -> int:
        """How many figures these are."""
        return len(self.ids) * (2 + len(self.figures))

    def take(self, read: Reading) -> None:
        """Take over what changed, is new or has gone."""
        self.snapshot, self.oldest, self.moment = read.snapshot, read.oldest, read.moment
        at = np.searchsorted(self.ids, read.ids)
        there = np.append(self.ids, -1)[at] == read.ids
        new, at = ~there, at[there]
        self.ends[at] = read.ends[there]
        for name, values in read.figures.items():
            self.figures[name][at] = values[there]
        if new.any():
            ids = np.append(self.ids, read.ids[new])
            order = np.argsort(ids, kind="stable")
            self.ids, self.ends = ids[order], np.append(self.ends, read.ends[new])[order]
            self.figures = {name: np.append(kept, read.figures[name][new])[order] for name, kept in self.figures.items()}


_lock = threading.Lock()
_kept: dict[Key, Columns] = {}
_locks: dict[Key, threading.Lock] = {}
#: how often what took long did
_slow: dict[tuple[Key, frozenset[str]], int] = {}


def forget() -> None:
    """Keep nothing any more."""
    with _lock:
        _kept.clear()
        _slow.clear()


def size() -> int:
    """How many figures this process keeps, of 8 bytes each."""
    return sum(columns.size for columns in list(_kept.values()))


def asked(conn: psycopg.Connection[Any], tenant_id: int, question: EntityQuery) -> Asked | None:
    """What a question asks of figures alone, None where it asks for anything else."""
    if not question.q or len(question.types) != 1 or question.datasets or filterable.more(question):
        return None
    tree = q.parse(question.q)
    about = _names(tree)
    numbers = names.existing(conn, "entity_type", question.types)
    if not about or not numbers or len(about) > MOST_NAMES:
        return None
    return Asked((tenant_id, numbers[question.types[0]]), about, tree)


def _names(node: Node) -> frozenset[str]:
    """The attributes whose figures a tree compares; none where it does anything else."""
    if not isinstance(node, Term):
        each = [_names(part) for part in node.parts]
        return frozenset().union(*each) if all(each) else frozenset()
    if node.operator not in _OPERATORS or not predicate.by_number(node):
        return frozenset()
    ends = [end for value in node.values for end in ((value.low, value.high) if isinstance(value, Range) else (value,))]
    exact = all(isinstance(end, float) or (isinstance(end, int) and abs(end) <= _EXACT) for end in ends)
    return frozenset({node.path.names[0]}) if exact else frozenset()


def note(question: Asked, seconds: float) -> None:
    """Remember that it took so long to count what is not kept."""
    if seconds < SLOW_SECONDS:
        return
    with _lock:
        if len(_slow) > 1_000:
            _slow.clear()
        _slow[question.key, question.names] = _slow.get((question.key, question.names), 0) + 1


def count(conn: psycopg.Connection[Any], question: Asked, condition: conditions.Condition) -> int | None:
    """How many entities answer; None where that is not kept, or not yet."""
    with _lock:
        columns = _kept.get(question.key)
        ready = columns is not None and question.names <= columns.figures.keys()
        if not ready and _slow.get((question.key, question.names), 0) < OFTEN:
            return None
        one = _locks.setdefault(question.key, threading.Lock())
    if not one.acquire(timeout=WAIT_SECONDS):
        return None
    try:
        found = _answered(columns, question) if (columns := _current(conn, question)) is not None else None
    finally:
        one.release()
    if found is None or not len(found[1]):
        return None if found is None else found[0]
    statement = f"SELECT count(*) FROM entities e WHERE {condition.text} AND e.id = ANY (%s::bigint[])"
    row = state.execute(conn, statement, [*condition.params, found[1].tolist()]).fetchone()
    return found[0] + (int(row[0]) if row else 0)


def _current(conn: psycopg.Connection[Any], question: Asked) -> Columns | None:
    """The figures as they are now: those kept, with what changed since, or all read anew."""
    columns = _kept.get(question.key)
    before = list(columns.figures) if columns is not None else []
    if columns is not None and question.names <= columns.figures.keys():
        read = watching.changed(conn, question.key, before, columns.snapshot, columns.oldest)
        if read is not None and read.since == columns.since:
            columns.take(read)
            return columns
    if not watching.watched(conn, question.key):
        return None
    about = sorted(question.names.union(before)) if len(question.names.union(before)) <= MOST_NAMES else sorted(question.names)
    read = watching.whole(conn, question.key, about)
    if read is None:
        return None
    columns = Columns.of(read)
    with _lock:
        _kept[question.key] = columns
        for key in sorted(_kept, key=lambda key: _kept[key].asked):
            if size() > MOST_FIGURES:
                del _kept[key]
    return columns


def _answered(columns: Columns, question: Asked) -> tuple[int, Ints] | None:
    """(how many answer by their figures, whose documents have to be asked); None where those are many."""
    columns.asked = time.monotonic()
    alive = columns.ends > columns.moment
    unclear = alive & np.logical_or.reduce([np.isneginf(columns.figures[name]) for name in question.names])
    odd = columns.ids[unclear]
    if len(odd) > MOST_ASKED:
        return None
    return int(np.count_nonzero(_holds(question.tree, columns.figures) & alive & ~unclear)), odd


def _holds(node: Node, figures: dict[str, Figures]) -> Held:
    """For which entities a tree holds; a figure that is not there answers no comparison."""
    if not isinstance(node, Term):
        join = np.logical_and if isinstance(node, Every) else np.logical_or
        whole: Held = join.reduce([_holds(part, figures) for part in node.parts])
        return whole
    values, found = figures[node.path.names[0]], np.zeros(len(figures[node.path.names[0]]), bool)
    for value in node.values:
        if isinstance(value, Range):
            found |= (values >= float(value.low)) & (values <= float(value.high))
        else:
            found |= _OPERATORS[node.operator](values, float(value))
    return found
