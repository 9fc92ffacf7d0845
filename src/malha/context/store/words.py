"""What the entities of a type say of one attribute, in short: each distinct value is a word, and a question is decided once for each word.

The database decides, with the condition that it would put to the documents, on a document made of the word: so that each comparison, pattern and instant
means what it means in a walk. Of texts that a term does not tell apart, one is asked for all. What was decided is remembered; new words are decided alone.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import psycopg

from malha.context.store import binary, predicate, q, state
from malha.context.store.q import Path, Range, Term

type Held = np.ndarray[Any, np.dtype[np.bool_]]
type Codes = np.ndarray[Any, np.dtype[np.int32]]
type Said = np.ndarray[Any, np.dtype[np.object_]]
type Figures = np.ndarray[Any, np.dtype[np.float64]]

#: codes of what is no word of its own: there is none, a number (its figure tells), and what the document has to be asked of
NONE, NUMBER, ODD = range(3)
#: words by their first character (sql/migrations/0016_words.sql); texts and relationships, of which a term tells only some apart
_FIRST = ("", "#0", "?")
_PLAIN, _OTHER = ('"', ">"), "="
#: words that the database decides at most for one question: a walk over the documents takes no longer
MOST_DECIDED = 20_000
#: decisions remembered, of one byte for each word
MOST_REMEMBERED = 16
#: of a dictionary for each of its keys, about
_KEY_BYTES = 60

_DECIDE = """
SELECT ARRAY(SELECT u.n - 1 FROM unnest(%s::text[]) WITH ORDINALITY AS u (word, n)
    CROSS JOIN LATERAL (SELECT CASE u.word WHEN '' THEN '{{}}' ELSE {doc} END AS doc) AS e WHERE {condition})
"""


class Words:
    """The distinct values of one attribute, each with a code."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._codes: dict[str, dict[str, int]] = {kind: {} for kind in (*_PLAIN, _OTHER)}
        self._said = [""] * len(_FIRST)  # by code, without its first character
        self._kinds = bytearray(len(_FIRST))  # by code: 0 is decided by itself, others by their place in _PLAIN, from 1
        self._decided: dict[str, Held] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._said)

    @property
    def size_bytes(self) -> int:
        """How much memory this takes."""
        return self._bytes + len(self) * (1 + len(self._decided))

    def read(self, said: Said) -> tuple[Codes, Figures]:
        """(codes, figures) of words as the database says them; NaN for what is no number."""
        codes, figures = np.zeros(len(said), np.int32), np.full(len(said), np.nan)
        for at, word in enumerate(said):
            kind = word[:1]
            if kind == "#":
                codes[at], figures[at] = NUMBER, float(word[1:])
            elif kind in self._codes:
                known, text = self._codes[kind], word[1:]
                codes[at] = known[text] if text in known else self._new(kind, text)
            else:
                codes[at] = ODD if kind else NONE
        return codes, figures

    def _new(self, kind: str, text: str) -> int:
        code = self._codes[kind][text] = len(self._said)
        self._said.append(text)
        self._kinds.append((_OTHER, *_PLAIN).index(kind))
        self._bytes += sys.getsizeof(text) + _KEY_BYTES
        return code

    def _word(self, code: int) -> str:
        if code < len(_FIRST):
            return _FIRST[code]
        return (_OTHER, *_PLAIN)[self._kinds[code]] + self._said[code]

    def holds(self, conn: psycopg.Connection[Any], term: Term) -> Held | None:
        """By code, whether a term holds (a number's figure tells more); None where a walk takes no longer."""
        key = q.write(term)
        before = self._decided.pop(key, np.zeros(0, bool))
        held = before if len(before) == len(self) else self._extended(conn, term, before)
        if held is not None:
            self._decided[key] = held
            for oldest in list(islice(self._decided, max(0, len(self._decided) - MOST_REMEMBERED))):
                del self._decided[oldest]
        return held

    def _extended(self, conn: psycopg.Connection[Any], term: Term, before: Held) -> Held | None:
        """What was decided, and what is decided now on the words since: of texts that are not told apart on the first of them."""
        first = len(before)
        kinds = np.frombuffer(bytes(self._kinds), np.uint8)[first:]
        told = self._told(conn, term, first)
        alone, shared = np.arange(len(kinds)), []
        if told is not None:
            alone = np.flatnonzero(kinds == 0)
            each = [np.flatnonzero((kinds == kind) & (told == like)) for kind in (1, 2) for like in (True, False)]
            shared = [texts for texts in each if len(texts)]
        if len(alone) > MOST_DECIDED:
            return None
        held = np.concatenate([before, np.zeros(len(kinds), bool)])
        asked = [*alone.tolist(), *(int(texts[0]) for texts in shared)]
        for at in self._decide(conn, term, [self._word(first + one) for one in asked]):
            held[first + (alone[at] if at < len(alone) else shared[at - len(alone)])] = True
        held[ODD] = False
        return held

    def _decide(self, conn: psycopg.Connection[Any], term: Term, asked: list[str]) -> list[int]:
        """Which of these words answer, by place."""
        params: list[object] = []
        condition = predicate.compile_node(term, params)
        doc, names = "entity_of_word(u.word)", list(self.path.names)
        for _ in names:
            doc = f"jsonb_build_object(%s::text, {doc})"
        row = state.execute(conn, _DECIDE.format(doc=doc, condition=condition), [asked, *names, *params]).fetchone()
        return list(row[0]) if row else []

    def _told(self, conn: psycopg.Connection[Any], term: Term, first: int) -> Held | None:
        """For each word from `first` on, whether it is a text that the term may tell from all others; None where only the database can say."""
        ends = [end for end in predicate.ends(term) if isinstance(end, str)]
        said = self._said[first:] if first else self._said
        found = np.zeros(len(said), bool)
        if term.operator in {"~=", "!~="} and ends:
            return _alike(conn, ends[0], said)
        if any(map(q.is_instant, ends)):
            return None
        for value in term.values:
            if isinstance(value, Range) and isinstance(value.low, str):
                found |= _each(value.low.__le__, said) & _each(str(value.high).__ge__, said)
            elif isinstance(value, str) and term.operator in _ORDER:
                found |= _each(getattr(value, _ORDER[term.operator]), said)
            elif isinstance(value, str):
                at = [code - first for known in self._codes.values() if (code := known.get(value, -1)) >= first]
                found[at] = True
        return found


#: how a value stands to a text that a comparison with it wants; by code point, as in a walk
_ORDER = {">": "__lt__", ">=": "__le__", "<": "__gt__", "<=": "__ge__"}


def _each(holds: Callable[[str], bool], said: Sequence[str]) -> Held:
    return np.fromiter(map(holds, said), bool, len(said))


def _alike(conn: psycopg.Connection[Any], text: str, said: Sequence[str]) -> Held:
    """Which texts of one line are like a pattern: by what is easy to see, or by the database, for which patterns of one line mean the same everywhere."""
    parts = pattern(text)
    if parts is not None:
        whole: Held = np.logical_or.reduce([part.among(said) for part in parts])
        return whole
    statement = "SELECT ARRAY(SELECT u.n - 1 FROM unnest(%s::text[]) WITH ORDINALITY AS u (text, n) WHERE u.text ~ %s)"
    row = binary.cursor(conn).execute(statement.encode(), [binary.texts(said), text]).fetchone()
    found = np.zeros(len(said), bool)
    found[np.array(row[0] if row else [], np.int64)] = True
    return found


_LITERAL = r"(?:[^\\.\[\]{}()*+?|^$]|\\[^\w\s])*"
_PART = re.compile(rf"(\^?)({_LITERAL}(?:\.\*{_LITERAL})*)(\$?)")


@dataclass(frozen=True, slots=True)
class Like:
    """Texts that hold these pieces one after the other, the first at their start or the last at their end where that is said."""

    pieces: tuple[str, ...]
    start: bool
    end: bool

    def among(self, said: Sequence[str]) -> Held:
        """Which texts of one line these are. Takes time by their length alone, whatever the pieces."""
        longest, first, last = max(self.pieces, key=len), self.pieces[0], self.pieces[-1]
        at = [n for n, text in enumerate(said) if longest in text]
        if self.start:
            at = [n for n in at if said[n].startswith(first)]
        if self.end:
            at = [n for n in at if said[n].endswith(last)]
        if len(self.pieces) > 1 or (self.start and self.end):
            at = [n for n in at if self._in_order(said[n])]
        found = np.zeros(len(said), bool)
        found[at] = True
        return found

    def _in_order(self, text: str) -> bool:
        """Whether the pieces follow each other in a text that starts and ends as it should."""
        if len(self.pieces) == 1:
            return text == self.pieces[0]
        at, to = len(self.pieces[0]) * self.start, len(text) - len(self.pieces[-1]) * self.end
        for piece in self.pieces[self.start : len(self.pieces) - self.end]:
            at = text.find(piece, at, to)
            if at < 0:
                return False
            at += len(piece)
        return at <= to


def pattern(text: str) -> list[Like] | None:
    """A pattern of literals, `.*`, `^`, `$` and `|` by its parts; None for any other pattern."""
    parts = [_PART.fullmatch(part) for part in re.split(r"(?<!\\)\|", text)]
    if "\\\\" in text or not all(part is not None and part[0] for part in parts):
        return None
    return [Like(tuple(re.sub(r"\\(.)", r"\1", piece) for piece in part[2].split(".*")), bool(part[1]), bool(part[3])) for part in parts if part is not None]
