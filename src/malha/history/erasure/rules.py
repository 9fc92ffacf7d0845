"""How a person is searched and how the proof names what was searched: pure."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence

from malha.history.erasure.contracts import TooVague
from malha.kernel.text import msg

SHORTEST = 5
#: what takes the place of an identifier inside a text that stays
MARK = "▮"
#: a pattern for entities that are known by their number alone
NOTHING = "meets-nothing-1c7e0b52f9a84d36"
_APART = re.compile(r"[\s,;\"'|<>()\[\]{}]+")
_PARTS = re.compile(r"[\s,;\"'|<>()\[\]{}:/]+")


def usable(identifiers: Iterable[str]) -> list[str]:
    """The identifiers, trimmed, each once. Raises TooVague for none, or for one so short that it would meet others' data."""
    terms = list(dict.fromkeys(term.strip() for term in identifiers if term.strip()))
    short = [term for term in terms if len(term) < SHORTEST]
    if short or not terms:
        raise TooVague(msg("Diga identificadores com {shortest} ou mais carateres: mais curtos apanhariam dados de outras pessoas."), shortest=SHORTEST)
    return terms


def digest(key: bytes, term: str) -> str:
    """The keyed digest by which the proof, and a later restore, know an identifier."""
    return hmac.new(key, term.casefold().encode(), hashlib.sha256).hexdigest()


def candidates(text: str) -> set[str]:
    """What of a text may be an identifier: all of it, its words, and the parts of its addresses."""
    return {part for part in (text.strip(), *_APART.split(text), *_PARTS.split(text)) if len(part) >= SHORTEST}


def pattern(terms: Sequence[str]) -> str:
    """A regular expression (PostgreSQL and DuckDB agree on it) that any of the identifiers meets, in any case; none meets nothing."""
    return "|".join(re.sub(r"([^\w\s])", r"\\\1", term) for term in terms) or NOTHING


def recovered(key: bytes, digests: Iterable[str], texts: Iterable[str]) -> set[str]:
    """The identifiers behind keyed digests, where the texts of a copy still hold them."""
    wanted, seen, found = set(digests), set[str](), set[str]()
    for text in texts:
        for candidate in candidates(text):
            if candidate not in seen:
                seen.add(candidate)
                if digest(key, candidate) in wanted:
                    found.add(candidate)
    return found
