"""The query language of GS CIM 009 §4.9 (`q`): text in, a tree out. Pure.

any    = all *("|" all)
all    = term *(";" term)
term   = "(" any ")" / "!" path / path [operator values]
path   = name *("." name) "[" name *("." name) "]" / "{" [type ":"] path "}"]
values = value *("," value) / value ".." value
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from malha.context.store.contracts import UnusableQuery
from malha.kernel.text import msg

OPERATORS = ("!~=", "==", "!=", ">=", "<=", "~=", ">", "<")
LENGTH = 8192
DEPTH = 32
LINKS = 10
_NAME = re.compile(r"[^\s.;|()\[\]=<>!~,\"{}]+")
_LINKED_TYPE = re.compile(r"(?:<([^<>]+)>|([^\s.;|()\[\]=<>!~,\"{}:]+)):(?!//)")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d+)?|\.\d+)([eE][+-]?\d+)?")
_VALUE = re.compile(r"[^\s;|(),\"]+")
_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}([.,]\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?")

type Scalar = str | float | int | bool


@dataclass(frozen=True, slots=True)
class Range:
    """From `low` to `high`, both included."""

    low: Scalar
    high: Scalar


@dataclass(frozen=True, slots=True)
class Path:
    """An attribute, its sub-attributes, and a trailing path into the value or language tag (`[…]`).

    `linked` is the path to look at in the entities that a relationship leads to (`{…}`), those of `linked_type` if any.
    """

    names: tuple[str, ...]
    inside: tuple[str, ...] = ()
    linked: Path | None = None
    linked_type: str = ""


@dataclass(frozen=True, slots=True)
class Term:
    """`path operator values`; without operator the attribute has to exist, with `!` it must not. Several values mean any of them."""

    path: Path
    operator: str = ""
    values: tuple[Scalar | Range, ...] = ()


@dataclass(frozen=True, slots=True)
class Every:
    """All of `parts` hold."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Some:
    """One of `parts` holds."""

    parts: tuple[Node, ...]


type Node = Term | Every | Some


def parse(text: str) -> Node:
    """The tree of a `q` text. Raises UnusableQuery saying where it cannot be read."""
    if len(text) > LENGTH:
        raise UnusableQuery(msg("A pergunta q é demasiado longa (até {limit} carateres)."), limit=LENGTH)
    parser = _Parser(text)
    node = parser.some(0)
    if parser.at < len(text):
        raise parser.wrong()
    return node


class _Parser:
    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def wrong(self) -> UnusableQuery:
        if self.at >= len(self.text):
            return UnusableQuery(msg("A pergunta q acaba a meio: falta o que vem depois de “{text}”."), text=self.text[-30:])
        return UnusableQuery(msg("Não se percebe a pergunta q na posição {position}: “{rest}”."), position=self.at + 1, rest=self.text[self.at : self.at + 30])

    def take(self, word: str) -> bool:
        if self.text.startswith(word, self.at):
            self.at += len(word)
            return True
        return False

    def some(self, depth: int) -> Node:
        parts = [self.every(depth)]
        while self.take("|"):
            parts.append(self.every(depth))
        return parts[0] if len(parts) == 1 else Some(tuple(parts))

    def every(self, depth: int) -> Node:
        parts = [self.term(depth)]
        while self.take(";"):
            parts.append(self.term(depth))
        return parts[0] if len(parts) == 1 else Every(tuple(parts))

    def term(self, depth: int) -> Node:
        if depth > DEPTH:
            raise UnusableQuery(msg("A pergunta q tem demasiados parênteses."))
        if self.take("("):
            node = self.some(depth + 1)
            if not self.take(")"):
                raise self.wrong()
            return node
        if self.take("!"):
            return Term(self.path(), "!")
        path = self.path()
        operator = next((op for op in OPERATORS if self.take(op)), "")
        if not operator:
            return Term(path)
        if operator in {"~=", "!~="}:
            return Term(path, operator, (self.pattern(),))
        values = [self.value_or_range()]
        while operator in {"==", "!="} and self.take(","):
            values.append(self.value_or_range())
        if operator not in {"==", "!="} and isinstance(values[0], Range):
            raise self.wrong()
        return Term(path, operator, tuple(values))

    def path(self, links: int = 0) -> Path:
        names = self.names()
        inside: tuple[str, ...] = ()
        if self.take("["):
            inside = self.names()
            if not self.take("]"):
                raise self.wrong()
        elif self.take("{"):
            return self.linked(names, links)
        return Path(names, inside)

    def linked(self, names: tuple[str, ...], links: int) -> Path:
        """What follows `{`: a type that the linked entity is of, if it is named, and the path in it."""
        if links >= LINKS:
            raise UnusableQuery(msg("A pergunta q segue ligações a mais (até {limit})."), limit=LINKS)
        match = _LINKED_TYPE.match(self.text, self.at)
        kind = (match[1] or match[2]) if match else ""
        self.at = match.end() if match else self.at
        below = self.path(links + 1)
        if not self.take("}"):
            raise self.wrong()
        return Path(names, (), below, kind)

    def names(self) -> tuple[str, ...]:
        found = [self.name()]
        while self.take("."):
            found.append(self.name())
        return tuple(found)

    def name(self) -> str:
        if self.take("<"):
            iri, _, _ = self.text[self.at :].partition(">")
            if not iri or self.at + len(iri) >= len(self.text):
                raise self.wrong()
            self.at += len(iri) + 1
            return iri
        match = _NAME.match(self.text, self.at)
        if not match:
            raise self.wrong()
        self.at = match.end()
        return match.group()

    def value_or_range(self) -> Scalar | Range:
        low = self.value()
        if self.take(".."):
            return Range(low, self.value())
        return low

    def value(self) -> Scalar:
        if self.take('"'):
            return self.quoted()
        match = _VALUE.match(self.text, self.at)
        if not match:
            raise self.wrong()
        word = match.group().partition("..")[0]
        if not word:
            raise self.wrong()
        self.at += len(word)
        if word in {"true", "false"}:
            return word == "true"
        if _NUMBER.fullmatch(word):
            return float(word) if any(c in word for c in ".eE") else int(word)
        return word

    def quoted(self) -> str:
        """A text in quotes; a backslash before a quote or a backslash keeps it."""
        out: list[str] = []
        while self.at < len(self.text):
            c = self.text[self.at]
            self.at += 1
            if c == '"':
                return "".join(out)
            if c == "\\" and self.at < len(self.text) and self.text[self.at] in '"\\':
                c = self.text[self.at]
                self.at += 1
            out.append(c)
        raise self.wrong()

    def pattern(self) -> str:
        """What follows `~=`: in quotes, or up to the next `;`, `|` or closing parenthesis that it did not open."""
        if self.take('"'):
            return self.quoted()
        start, depth = self.at, 0
        while self.at < len(self.text):
            c = self.text[self.at]
            if c == ";" or (depth == 0 and c in "|)"):
                break
            depth += (c == "(") - (c == ")")
            self.at += 1
        if start == self.at:
            raise self.wrong()
        return self.text[start : self.at]


def renamed(node: Node, rename: Callable[[str], str], values: Callable[[Path, Scalar], Scalar] | None = None) -> Node:
    """The same question with the names of attributes, sub-attributes and linked types changed; `values` may change what is compared."""
    if not isinstance(node, Term):
        return type(node)(tuple(renamed(part, rename, values) for part in node.parts))
    compared = node.values
    if values is not None:
        compared = tuple(Range(values(node.path, v.low), values(node.path, v.high)) if isinstance(v, Range) else values(node.path, v) for v in node.values)
    return Term(_renamed_path(node.path, rename), node.operator, compared)


def _renamed_path(path: Path, rename: Callable[[str], str]) -> Path:
    linked = None if path.linked is None else _renamed_path(path.linked, rename)
    return Path(
        tuple(name if n and name in _MEMBERS else rename(name) for n, name in enumerate(path.names)),
        path.inside,
        linked,
        path.linked_type and rename(path.linked_type),
    )


#: members of attributes that a path may end with, which are nobody's words
_MEMBERS = frozenset({"observedAt", "unitCode", "datasetId", "createdAt", "modifiedAt", "objectType", "lang", "expiresAt", "instanceId"})


def depth(node: Node) -> int:
    """How many relationships a question follows one after the other."""
    if not isinstance(node, Term):
        return max(depth(part) for part in node.parts)
    links, path = 0, node.path
    while path.linked is not None:
        links, path = links + 1, path.linked
    return links


def names(node: Node) -> set[str]:
    """The attributes that a question names."""
    return {node.path.names[0]} if isinstance(node, Term) else {name for part in node.parts for name in names(part)}


def names_beyond(node: Node) -> set[str]:
    """The attributes that a question names of entities which relationships lead to."""
    if not isinstance(node, Term):
        return {name for part in node.parts for name in names_beyond(part)}
    found, path = set(), node.path
    while path.linked is not None:
        path = path.linked
        found.add(path.names[0])
    return found


def write(node: Node) -> str:
    """The text of a tree; `parse` reads it back as the same tree."""
    if isinstance(node, Some):
        return "(" + "|".join(map(write, node.parts)) + ")"
    if isinstance(node, Every):
        return "(" + ";".join(map(write, node.parts)) + ")"
    if node.operator == "!":
        return "!" + _path(node.path)
    pattern = node.operator in {"~=", "!~="}
    return _path(node.path) + node.operator + ",".join(_shown(str(value) if pattern else value) for value in node.values)


def _path(path: Path) -> str:
    inside = "[" + ".".join(map(_word, path.inside)) + "]" if path.inside else ""
    if path.linked is not None:
        inside = "{" + (f"<{path.linked_type}>:" if path.linked_type else "") + _path(path.linked) + "}"
    return ".".join(map(_word, path.names)) + inside


def _word(name: str) -> str:
    return name if _NAME.fullmatch(name) else f"<{name}>"


def _shown(value: Scalar | Range) -> str:
    if isinstance(value, Range):
        return f"{_shown(value.low)}..{_shown(value.high)}"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return repr(value)


def is_instant(value: object) -> bool:
    """Whether a value of `q` is a date or a date and time."""
    return isinstance(value, str) and bool(_INSTANT.fullmatch(value))
