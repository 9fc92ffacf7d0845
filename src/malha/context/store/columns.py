"""What a type's entities say, in the memory of the process that is asked about them: counted there without a look at the documents.

What took long to count more than once is kept: of all entities of the type the attributes asked for, each as a column of numbers and words, as of one
snapshot of the database. Each later question first takes over what changed since, by snapshot, so that its answer is as true as a walk over the
documents. The document itself is asked for what is long or of several instances. Only for readers without limits, in a transaction that has written nothing.
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
from malha.context.store.q import Every, Node, Path, Range, Term
from malha.context.store.watching import Key, Reading
from malha.context.store.words import NUMBER, ODD, Codes, Figures, Held, Said, Words

#: a count that takes less is not worth keeping anything for
SLOW_SECONDS = 0.02
#: how often it has to have taken longer
OFTEN = 2
#: attributes kept of one type, and what all types take together
MOST_PATHS = 16
MOST_BYTES = 64_000_000
#: entities whose document is asked at most
MOST_ASKED = 5_000
#: for whom another reader renews or reads them
WAIT_SECONDS = 0.2
#: up to which doubles tell whole numbers apart
_EXACT = 2**53
_OPERATORS: dict[str, Callable[[Figures, float], Held]] = {
    "==": np.equal, "!=": np.equal, ">": np.greater, "<": np.less, ">=": np.greater_equal, "<=": np.less_equal,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that columns answer: of which tenant and type, about which attributes."""

    key: Key
    paths: frozenset[Path]
    tree: Node


@dataclass(frozen=True, slots=True)
class Counted:
    """How many answer a question, and among which entities they are, where those are few."""

    total: int
    among: list[int] | None


@dataclass(slots=True)
class Column:
    """One attribute of all entities of a type: the code of its word, and its figure where it is a number."""

    words: Words
    codes: Codes
    figures: Figures

    @classmethod
    def of(cls, path: Path, said: Said) -> Column:
        words = Words(path)
        return cls(words, *words.read(said))

    def holds(self, conn: psycopg.Connection[Any], term: Term) -> Held | None:
        """For which entities a term holds; None where a walk takes no longer."""
        by_word = self.words.holds(conn, term)
        if by_word is None:
            return None
        found = by_word[self.codes]
        if not predicate.numeric(term):
            return found
        values, like = self.figures, np.zeros(len(self.figures), bool)
        for value in term.values:
            if isinstance(value, Range):
                like |= (values >= float(value.low)) & (values <= float(value.high))
            else:
                like |= _OPERATORS[term.operator](values, float(value))
        return np.where(self.codes == NUMBER, ~like if term.operator == "!=" else like, found)


@dataclass(slots=True)
class Columns:
    """All entities of a type as of one snapshot, in the order of their ids: when each ends, and what it says."""

    since: str
    snapshot: str
    oldest: str
    moment: int
    ids: Ints
    ends: Ints
    said: dict[Path, Column]
    asked: float = field(default_factory=time.monotonic)

    @classmethod
    def of(cls, read: Reading) -> Columns:
        """What was read, in order."""
        order = np.argsort(read.ids)
        said = {path: Column.of(path, words[order]) for path, words in read.said.items()}
        return cls(read.since, read.snapshot, read.oldest, read.moment, read.ids[order], read.ends[order], said)

    @property
    def size_bytes(self) -> int:
        """How much memory these take."""
        return len(self.ids) * (16 + 12 * len(self.said)) + sum(column.words.size_bytes for column in self.said.values())

    def full(self) -> bool:
        """Whether more words are known than there can be of use: they changed so often that all should be read anew."""
        return any(len(column.words) > 2 * len(self.ids) + 1_000 for column in self.said.values())

    def take(self, read: Reading) -> None:
        """Take over what changed, is new or has gone."""
        self.snapshot, self.oldest, self.moment = read.snapshot, read.oldest, read.moment
        at = np.searchsorted(self.ids, read.ids)
        there = np.append(self.ids, -1)[at] == read.ids
        new, at = ~there, at[there]
        self.ends[at] = read.ends[there]
        more = {path: column.words.read(read.said[path]) for path, column in self.said.items()}
        for path, (codes, figures) in more.items():
            self.said[path].codes[at], self.said[path].figures[at] = codes[there], figures[there]
        if new.any():
            ids = np.append(self.ids, read.ids[new])
            order = np.argsort(ids, kind="stable")
            self.ids, self.ends = ids[order], np.append(self.ends, read.ends[new])[order]
            for path, (codes, figures) in more.items():
                column = self.said[path]
                column.codes, column.figures = np.append(column.codes, codes[new])[order], np.append(column.figures, figures[new])[order]


_lock = threading.Lock()
_kept: dict[Key, Columns] = {}
_locks: dict[Key, threading.Lock] = {}
#: how often what took long did
_slow: dict[tuple[Key, frozenset[Path]], int] = {}


def forget() -> None:
    """Keep nothing any more."""
    with _lock:
        _kept.clear()
        _slow.clear()


def size_bytes() -> int:
    """How much memory this process keeps to count by."""
    return sum(columns.size_bytes for columns in list(_kept.values()))


def asked(conn: psycopg.Connection[Any], tenant_id: int, question: EntityQuery) -> Asked | None:
    """What a question asks of columns alone, None where it asks for anything else."""
    if not question.q or len(question.types) != 1 or question.datasets or filterable.more(question):
        return None
    tree = q.parse(question.q)
    about = _paths(tree)
    numbers = names.existing(conn, "entity_type", question.types)
    if not about or not numbers or len(about) > MOST_PATHS:
        return None
    return Asked((tenant_id, numbers[question.types[0]]), about, tree)


def _paths(node: Node) -> frozenset[Path]:
    """The attributes that a tree asks about; none where it asks for anything else."""
    if not isinstance(node, Term):
        each = [_paths(part) for part in node.parts]
        return frozenset().union(*each) if all(each) else frozenset()
    if not predicate.of_attribute(node) or len(node.path.names) > 2 or node.path.inside:
        return frozenset()
    numbers = [end for end in predicate.ends(node) if isinstance(end, int | float) and not isinstance(end, bool)]
    exact = all(isinstance(end, float) or abs(end) <= _EXACT for end in numbers)
    return frozenset({node.path}) if exact and (not numbers or predicate.numeric(node)) else frozenset()


def note(question: Asked, seconds: float) -> None:
    """Remember that it took so long to count what is not kept."""
    if seconds < SLOW_SECONDS:
        return
    with _lock:
        if len(_slow) > 1_000:
            _slow.clear()
        _slow[question.key, question.paths] = _slow.get((question.key, question.paths), 0) + 1


def count(conn: psycopg.Connection[Any], question: Asked, condition: conditions.Condition) -> Counted | None:
    """How many entities answer; None where that is not kept, or not yet."""
    with _lock:
        columns = _kept.get(question.key)
        ready = columns is not None and question.paths <= columns.said.keys()
        if not ready and _slow.get((question.key, question.paths), 0) < OFTEN:
            return None
        one = _locks.setdefault(question.key, threading.Lock())
    if not one.acquire(timeout=WAIT_SECONDS):
        return None
    try:
        found = _answered(conn, columns, question) if (columns := _current(conn, question)) is not None else None
    finally:
        one.release()
    if found is None:
        return None
    holding, odd = found
    among = [*holding.tolist(), *odd.tolist()] if len(holding) + len(odd) <= MOST_ASKED else None
    if not len(odd):
        return Counted(len(holding), among)
    statement = f"SELECT count(*) FROM entities e WHERE {condition.text} AND e.id = ANY (%s::bigint[])"
    row = state.execute(conn, statement, [*condition.params, odd.tolist()]).fetchone()
    return Counted(len(holding) + (int(row[0]) if row else 0), among)


def _current(conn: psycopg.Connection[Any], question: Asked) -> Columns | None:
    """What is said now: what is kept, with what changed since, or all read anew."""
    columns = _kept.get(question.key)
    before = list(columns.said) if columns is not None else []
    if columns is not None and question.paths <= columns.said.keys() and not columns.full():
        read = watching.changed(conn, question.key, before, columns.snapshot, columns.oldest)
        if read is not None and read.since == columns.since:
            columns.take(read)
            return columns
    if not watching.watched(conn, question.key):
        return None
    about = list(question.paths.union(before)) if len(question.paths.union(before)) <= MOST_PATHS else list(question.paths)
    read = watching.whole(conn, question.key, about)
    if read is None:
        return None
    columns = Columns.of(read)
    with _lock:
        _kept[question.key] = columns
        for key in sorted(_kept, key=lambda key: _kept[key].asked):
            if size_bytes() > MOST_BYTES:
                del _kept[key]
    return columns


def _answered(conn: psycopg.Connection[Any], columns: Columns, question: Asked) -> tuple[Ints, Ints] | None:
    """(which answer, whose documents have to be asked); None where those are many, or a walk takes no longer."""
    columns.asked = time.monotonic()
    alive = columns.ends > columns.moment
    unclear = alive & np.logical_or.reduce([columns.said[path].codes == ODD for path in question.paths])
    odd = columns.ids[unclear]
    if len(odd) > MOST_ASKED or (held := _holds(conn, question.tree, columns.said)) is None:
        return None
    return columns.ids[held & alive & ~unclear], odd


def _holds(conn: psycopg.Connection[Any], node: Node, said: dict[Path, Column]) -> Held | None:
    """For which entities a tree holds; None where a walk takes no longer."""
    if isinstance(node, Term):
        return said[node.path].holds(conn, node)
    each = [held for part in node.parts if (held := _holds(conn, part, said)) is not None]
    if len(each) < len(node.parts):
        return None
    join = np.logical_and if isinstance(node, Every) else np.logical_or
    whole: Held = join.reduce(each)
    return whole
