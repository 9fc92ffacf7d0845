"""Type selection (§4.17) and scope queries (§4.19) as predicates. Pure.

type  = all *(("|" / ",") all)        all = part *(";" part)        part = name / "(" type ")"
scope = the same, with "/a/b", "/a/+", "/a/#" for names
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

from malha.context.subscriptions.contracts import Unusable
from malha.kernel.text import msg

LENGTH, DEPTH = 4096, 16
_WORD = re.compile(r"[^()|;,\s]+")
_SCOPE = re.compile(r"/?[^/()|;,#+\s]+(/[^/()|;,#+\s]+)*(/[#+])?|/?[#+]|(/([^/()|;,#+\s]+|\+))+(/#)?")

type Test = Callable[[Collection[str]], bool]


def types(text: str) -> tuple[Test, frozenset[str]]:
    """Whether a set of types is selected, and the names that the expression holds. Raises Unusable."""
    names: set[str] = set()

    def leaf(word: str) -> Test:
        names.add(word)
        return lambda found: word in found

    return _Parser(text, leaf, "type").parse(), frozenset(names)


def rename(text: str, change: Callable[[str], str]) -> str:
    """The expression with its names changed."""
    return _WORD.sub(lambda match: change(match[0]), text)


def scopes(text: str) -> Test:
    """Whether one of an entity's scopes is selected. Raises Unusable."""
    return _Parser(text, _scope, "scopeQ").parse()


def _scope(word: str) -> Test:
    if not _SCOPE.fullmatch(word):
        raise Unusable(msg("“{text}” não é um scopeQ."), text=word[:80])
    parts = word.strip("/").split("/")
    pattern = "/" + "/".join("[^/]+" if part == "+" else re.escape(part) for part in parts if part != "#")
    found = re.compile(pattern.rstrip("/") + "(/.*)?" if parts[-1] == "#" else pattern)
    return lambda given: any(found.fullmatch(one) for one in given)


class _Parser:
    def __init__(self, text: str, leaf: Callable[[str], Test], member: str) -> None:
        self.text, self.leaf, self.member, self.at = text, leaf, member, 0

    def wrong(self) -> Unusable:
        return Unusable(msg("Não se percebe “{member}” na posição {position}."), member=self.member, position=self.at + 1)

    def parse(self) -> Test:
        if not self.text or len(self.text) > LENGTH:
            raise self.wrong()
        test = self.some(0)
        if self.at < len(self.text):
            raise self.wrong()
        return test

    def take(self, words: str) -> bool:
        if self.at < len(self.text) and self.text[self.at] in words:
            self.at += 1
            return True
        return False

    def some(self, depth: int) -> Test:
        parts = [self.every(depth)]
        while self.take("|,"):
            parts.append(self.every(depth))
        return parts[0] if len(parts) == 1 else lambda found: any(part(found) for part in parts)

    def every(self, depth: int) -> Test:
        parts = [self.part(depth)]
        while self.take(";"):
            parts.append(self.part(depth))
        return parts[0] if len(parts) == 1 else lambda found: all(part(found) for part in parts)

    def part(self, depth: int) -> Test:
        if depth > DEPTH:
            raise self.wrong()
        if self.take("("):
            test = self.some(depth + 1)
            if not self.take(")"):
                raise self.wrong()
            return test
        match = _WORD.match(self.text, self.at)
        if match is None:
            raise self.wrong()
        self.at = match.end()
        return self.leaf(match[0])
