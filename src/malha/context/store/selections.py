"""Selections of types and of scopes (GS CIM 009 §4.17, §4.19): `A,(B;C)` or `/a/+|/b/#` as a tree, and as SQL. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from malha.context.store.contracts import UnusableQuery
from malha.kernel.text import msg

DEPTH = 32
LENGTH = 8192
_ATOM = re.compile(r"[^,;|()\s]+")
_SCOPE = re.compile(r"/(?:#|(?:(?:\+|[^\W\d_]\w*)(?:/(?:\+|[^\W\d_]\w*))*(?:/#)?))")


@dataclass(frozen=True, slots=True)
class All:
    """Every part holds."""

    parts: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Any:
    """One of the parts holds."""

    parts: tuple[Tree, ...]


type Tree = str | All | Any


def parse(text: str) -> Tree:
    """The tree of a selection: `,` and `|` mean or, `;` means and and binds closer. Raises UnusableQuery."""
    if len(text) > LENGTH:
        raise UnusableQuery(msg("A seleção é demasiado longa."))
    tree, at = _any(text, 0, 0)
    if at < len(text):
        raise _wrong(text, at)
    return tree


def _wrong(text: str, at: int) -> UnusableQuery:
    return UnusableQuery(msg("Não se percebe a seleção na posição {position}: “{rest}”."), position=at + 1, rest=text[at : at + 30])


def _any(text: str, at: int, depth: int) -> tuple[Tree, int]:
    parts: list[Tree] = []
    while True:
        part, at = _all(text, at, depth)
        parts.append(part)
        if at >= len(text) or text[at] not in ",|":
            return (parts[0] if len(parts) == 1 else Any(tuple(parts))), at
        at += 1


def _all(text: str, at: int, depth: int) -> tuple[Tree, int]:
    parts: list[Tree] = []
    while True:
        part, at = _one(text, at, depth)
        parts.append(part)
        if at >= len(text) or text[at] != ";":
            return (parts[0] if len(parts) == 1 else All(tuple(parts))), at
        at += 1


def _one(text: str, at: int, depth: int) -> tuple[Tree, int]:
    while at < len(text) and text[at] == " ":
        at += 1
    if depth > DEPTH:
        raise UnusableQuery(msg("A seleção tem demasiados parênteses."))
    if at < len(text) and text[at] == "(":
        tree, at = _any(text, at + 1, depth + 1)
        if at >= len(text) or text[at] != ")":
            raise _wrong(text, at)
        return tree, at + 1
    match = _ATOM.match(text, at)
    if not match:
        raise _wrong(text, at)
    at = match.end()
    while at < len(text) and text[at] == " ":
        at += 1
    return match.group(), at


def renamed(tree: Tree, rename: Callable[[str], str]) -> Tree:
    """The same selection with other names."""
    return rename(tree) if isinstance(tree, str) else type(tree)(tuple(renamed(part, rename) for part in tree.parts))


def names(tree: Tree) -> set[str]:
    """The names in a selection."""
    return {tree} if isinstance(tree, str) else {name for part in tree.parts for name in names(part)}


def write(tree: Tree) -> str:
    """The text of a selection; `parse` reads it back as the same tree."""
    if isinstance(tree, str):
        return tree
    return "(" + (";" if isinstance(tree, All) else "|").join(write(part) for part in tree.parts) + ")"


def holds(tree: Tree, test: Callable[[str], bool]) -> bool:
    """Whether a selection holds where `test` says so of a name."""
    if isinstance(tree, str):
        return test(tree)
    return (all if isinstance(tree, All) else any)(holds(part, test) for part in tree.parts)


def plain(tree: Tree) -> tuple[str, ...]:
    """The names of a selection that means any of them; () where it says more."""
    parts = (tree,) if isinstance(tree, str) else tree.parts if isinstance(tree, Any) else ()
    found = tuple(part for part in parts if isinstance(part, str))
    return tuple(dict.fromkeys(found)) if len(found) == len(parts) else ()


def condition(tree: Tree, one: Callable[[str], str]) -> str:
    """The selection as SQL, `one` giving the condition of a name."""
    if isinstance(tree, str):
        return one(tree)
    return "(" + (" AND " if isinstance(tree, All) else " OR ").join(condition(part, one) for part in tree.parts) + ")"


def scopes(text: str) -> Callable[[Iterable[str]], bool]:
    """Whether an entity of some scopes is of a selection of scopes. Raises UnusableQuery."""
    tree = parse(text)
    patterns = {name: re.compile(scope_pattern(name)) for name in names(tree)}
    return lambda given: holds(tree, lambda name: any(map(patterns[name].search, given)))


def scope_pattern(scope: str) -> str:
    """The regular expression that a scope with wildcards is: `+` one level, `#` all below and the level itself. Raises UnusableQuery."""
    if not _SCOPE.fullmatch(scope):
        raise UnusableQuery(msg("“{scope}” não é um âmbito: níveis separados por /, com + e # como substitutos."), scope=scope[:80])
    if scope == "/#":
        return "^/"
    deep = scope.endswith("/#")
    levels = scope.removesuffix("/#").strip("/").split("/")
    return "^" + "".join("/[^/]+" if level == "+" else f"/{re.escape(level)}" for level in levels) + ("(/.*)?$" if deep else "$")
