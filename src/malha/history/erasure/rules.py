"""How a person is searched and how the proof names what was searched: pure."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator, Sequence

from malha.history.erasure.contracts import TooVague
from malha.kernel.text import msg

SHORTEST = 5
#: what takes the place of an identifier inside a text that stays
MARK = "▮"
#: a pattern for entities that are known by their number alone
NOTHING = "meets-nothing-1c7e0b52f9a84d36"
_APART = re.compile(r"[\s,;\"'|<>()\[\]{}]+")
_SEGMENTS = re.compile(r"[\n\t;\"|<>()\[\]{}]+")
#: names have no more words than this; runs of so many are tried
LONGEST_WORDS = 8
#: what was tried is not tried again, while memory lasts
MOST_REMEMBERED = 1_000_000
_PARTS = re.compile(r"[\s,;\"'|<>()\[\]{}:/]+")


def usable(identifiers: Iterable[str]) -> list[str]:
    """The identifiers, trimmed, each once. Raises TooVague for none, or for one so short that it would meet others' data."""
    terms = list(dict.fromkeys(" ".join(term.split()) for term in identifiers if term.strip()))
    short = [term for term in terms if len(term) < SHORTEST]
    if short or not terms:
        raise TooVague(msg("Diga identificadores com {shortest} ou mais carateres: mais curtos apanhariam dados de outras pessoas."), shortest=SHORTEST)
    return terms


def digest(key: bytes, term: str) -> str:
    """The keyed digest by which the proof, and a later restore, know an identifier."""
    return hmac.new(key, term.casefold().encode(), hashlib.sha256).hexdigest()


def candidates(text: str) -> Iterator[str]:
    """What of a text may be an identifier: its words, the parts of its addresses, and every run of words, as names are."""
    for parts in (_APART.split(text), _PARTS.split(text)):
        yield from parts
    for segment in _SEGMENTS.split(text):
        words = segment.split()
        for start in range(len(words)):
            for end in range(start + 1, min(start + LONGEST_WORDS, len(words)) + 1):
                run = " ".join(words[start:end])
                yield run
                if run[-1] in ".,:":
                    yield run[:-1]


def pattern(terms: Sequence[str]) -> str:
    """A regular expression (PostgreSQL and DuckDB agree on it) that any of the identifiers meets, in any case; none meets nothing."""
    return "|".join(re.sub(r"([^\w\s])", r"\\\1", term) for term in terms) or NOTHING


def recovered(key: bytes, digests: Iterable[str], texts: Iterable[str]) -> set[str]:
    """The identifiers behind keyed digests, where the texts of a copy still hold them."""
    wanted, seen, found = set(digests), set[str](), set[str]()
    for text in texts:
        if len(seen) > MOST_REMEMBERED:
            seen.clear()
        for candidate in candidates(text):
            if len(candidate) >= SHORTEST and candidate not in seen:
                seen.add(candidate)
                if digest(key, candidate) in wanted:
                    found.add(candidate)
    return found
