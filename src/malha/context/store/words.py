"""What the entities of a type say of one attribute, in short: each distinct value is a word, and a question is decided once for each word.

The database decides, with the condition that it would put to the documents, on a document made of the word: so that each comparison, pattern and instant
means what it means in a walk. Of texts that a term does not tell apart, one is asked for all. What was decided is remembered; new words are decided alone.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import psycopg

from malha.context.store import predicate, q, state
from malha.context.store.q import Path, Range, Scalar, Term

type Held = np.ndarray[Any, np.dtype[np.bool_]]
type Codes = np.ndarray[Any, np.dtype[np.int32]]
type Said = np.ndarray[Any, np.dtype[np.object_]]
type Figures = np.ndarray[Any, np.dtype[np.float64]]

#: codes of what is no word of its own: there is none, a number (its figure tells), and what the document has to be asked of
NONE, NUMBER, ODD = range(3)
#: words by their first character (sql/migrations/0016_words.sql); texts and relationships, of which a term tells only some apart
_FIRST = {"": NONE, "#0": NUMBER, "?": ODD}
_PLAIN = '">'
#: words that the database decides at most for one question: a walk over the documents takes no longer
MOST_DECIDED = 20_000
#: decisions remembered, of one byte for each word
MOST_REMEMBERED = 16
#: of a dictionary for each of its keys, about
_KEY_BYTES = 60

_DECIDE = """
SELECT ARRAY(SELECT u.n FROM unnest(%s::text[]) WITH ORDINALITY AS u (word, n)
    CROSS JOIN LATERAL (SELECT CASE u.word WHEN '' THEN '{{}}' ELSE {doc} END AS doc) AS e WHERE {condition})
"""


class Words:
    """The distinct values of one attribute, each with a code."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._codes = dict(_FIRST)
        self._list = list(_FIRST)
        self._kinds = bytearray(b"\0\0\0")  # by code: 0 is decided by itself
        self._decided: dict[str, Held] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._list)

    @property
    def size_bytes(self) -> int:
        """How much memory this takes."""
        return self._bytes + len(self) * (1 + len(self._decided))

    def read(self, said: Said) -> tuple[Codes, Figures]:
        """(codes, figures) of words as the database says them; NaN for what is no number."""
        codes, figures = np.zeros(len(said), np.int32), np.full(len(said), np.nan)
        known = self._codes
        for at, word in enumerate(said):
            if word[:1] == "#":
                codes[at], figures[at] = NUMBER, float(word[1:])
            elif (code := known.get(word)) is not None:
                codes[at] = code
            else:
                codes[at] = self._new(word)
        return codes, figures

    def _new(self, word: str) -> int:
        code = self._codes[word] = len(self._list)
        self._list.append(word)
        self._kinds.append(1 + _PLAIN.find(word[0]))
        self._bytes += sys.getsizeof(word) + _KEY_BYTES
        return code

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
        """What was decided, and what is decided now on the words since."""
        first = len(before)
        kinds = np.frombuffer(bytes(self._kinds), np.uint8)[first:].astype(np.int64)
        own = np.arange(len(kinds)) + 8  # who is decided by itself is a group of one
        told = self._told(term, first)
        group = own
        if told is not None:
            group = np.where(kinds > 0, kinds * 2, own)
            hit = np.zeros(len(kinds), bool)
            hit[np.array(told, np.int64) - first] = True
            group += hit & (kinds > 0)
        _, one, which = np.unique(group, return_index=True, return_inverse=True)
        if len(one) > MOST_DECIDED:
            return None
        answers = np.zeros(len(one), bool)
        answers[np.array(self._decide(conn, term, [self._list[first + at] for at in one.tolist()]), np.int64) - 1] = True
        held = np.concatenate([before, answers[which]])
        held[ODD] = False
        return held

    def _decide(self, conn: psycopg.Connection[Any], term: Term, asked: list[str]) -> list[int]:
        """Which of these words answer, counted from one."""
        params: list[object] = []
        condition = predicate.compile_node(term, params)
        doc, names = "entity_of_word(u.word)", list(self.path.names)
        for _ in names:
            doc = f"jsonb_build_object(%s::text, {doc})"
        row = state.execute(conn, _DECIDE.format(doc=doc, condition=condition), [asked, *names, *params]).fetchone()
        return list(row[0]) if row else []

    def _told(self, term: Term, first: int) -> list[int] | None:
        """Codes from `first` on of the texts that a term may tell from all others; None where only the database can say."""
        ends = [end for end in predicate.ends(term) if isinstance(end, str)]
        if not ends:
            return []
        if term.operator in {"~=", "!~="}:
            like = pattern(ends[0])
            return None if like is None else [code for code, text in self._texts(first) if like(text)]
        if any(map(q.is_instant, ends)):
            return None
        if term.operator in {"==", "!="} and not any(isinstance(value, Range) for value in term.values):
            return [code for end in ends for kind in _PLAIN if (code := self._codes.get(kind + end, -1)) >= first]
        within = [_within(term.operator, value) for value in term.values if not isinstance(value, bool)]
        return [code for code, text in self._texts(first) if any(each(text) for each in within)]

    def _texts(self, first: int) -> Iterator[tuple[int, str]]:
        return ((code, word[1:]) for code, word in enumerate(islice(self._list, first, None), first) if self._kinds[code])


def _within(operator: str, value: Scalar | Range) -> Callable[[str], bool]:
    """Whether a text is where a comparison wants it; texts are compared by code point."""
    if isinstance(value, Range):
        low, high = str(value.low), str(value.high)
        return lambda text: low <= text <= high
    than = str(value)
    return {
        "==": than.__eq__, "!=": than.__eq__, ">": than.__lt__, ">=": than.__le__, "<": than.__gt__, "<=": than.__ge__,
    }[operator]  # fmt: skip


_LITERAL = r"(?:[^\\.\[\]{}()*+?|^$]|\\[^\w\s])*"
_PART = re.compile(rf"(\^?)({_LITERAL}(?:\.\*{_LITERAL})*)(\$?)")


def pattern(text: str) -> Callable[[str], bool] | None:
    """Whether a text of one line is like a pattern of literals, `.*`, `^`, `$` and `|`; None for any other pattern.

    Each such text takes time by its length alone, whatever the pattern.
    """
    if "\\\\" in text:
        return None
    parts = [_PART.fullmatch(part) for part in re.split(r"(?<!\\)\|", text)]
    found = [_like(*part.groups()) for part in parts if part is not None and part[0]]
    if len(found) < len(parts):
        return None
    return found[0] if len(found) == 1 else lambda said: any(like(said) for like in found)


def _like(start: str, between: str, end: str) -> Callable[[str], bool]:
    pieces = [re.sub(r"\\(.)", r"\1", piece) for piece in between.split(".*")]
    first, last = pieces[0], pieces[-1]
    if len(pieces) == 1 and start and end:
        return first.__eq__
    if len(pieces) == 1 and not start and not end:
        return lambda text: first in text

    def like(text: str) -> bool:
        at, to = 0, len(text)
        if start:
            if not text.startswith(first):
                return False
            at = len(first)
        if end:
            if not text.endswith(last):
                return False
            to -= len(last)
        if at > to:
            return False
        for piece in pieces[bool(start) : len(pieces) - bool(end)]:
            at = text.find(piece, at, to)
            if at < 0:
                return False
            at += len(piece)
        return True

    return like
