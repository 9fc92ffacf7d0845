"""`$filter` and `$orderby` of OData 4.01 (URL Conventions §5.1) as trees of `expressions`."""

from __future__ import annotations

from malha.kernel.text import msg
from malha.share.questions.contracts import BadFilter, NotSupported
from malha.share.questions.expressions import Binary, Call, In, Literal, Name, Node
from malha.share.questions.reading import Conditions, Token, chain

_COMPARISONS = {"eq": "eq", "ne": "ne", "gt": "gt", "ge": "ge", "lt": "lt", "le": "le"}
_SUMS = {"add": "add", "sub": "sub"}
_PRODUCTS = {"mul": "mul", "div": "div", "divby": "div", "mod": "mod"}
_WORDS = {"true": True, "false": False, "null": None}
_RESERVED = frozenset({"and", "or", "not", "in", *_COMPARISONS, *_SUMS, *_PRODUCTS})
_LATER = frozenset({"any", "all", "has", "isof", "cast", "geo.distance", "geo.intersects", "geo.length", "$it", "$root"})


class FilterReader(Conditions):
    """Reads one `$filter`."""

    def compared(self) -> Node:
        """Operators are words."""
        left = self._sum()
        while self.peek().kind == "name":
            word = self.peek().text.lower()
            if word == "in":
                self.at += 1
                left = In(left, self.values())
            elif word in _COMPARISONS:
                self.at += 1
                left = Binary(_COMPARISONS[word], left, self._sum())
            else:
                break
        if self.peek().kind == "name" and self.peek().text.lower() in _LATER:
            raise NotSupported(msg("“{name}” não se usa aqui."), name=self.peek().text)
        return left

    def _sum(self) -> Node:
        return chain(self, self._product, _SUMS, _word)

    def _product(self) -> Node:
        return chain(self, self.signed, _PRODUCTS, _word)

    def named(self, token: Token) -> Node | None:
        """A field, a word with a meaning, or a call."""
        if token.kind != "name":
            return None
        lowered = token.text.lower()
        if lowered in _WORDS and not self.is_sign("("):
            return Literal(_WORDS[lowered])
        if lowered in _LATER or "/" in token.text or token.text.startswith(("$", "@")):
            raise NotSupported(msg("“{name}” não se usa aqui."), name=token.text[:60])
        if self.is_sign("("):
            return self.deeper(lambda: self._call(lowered))
        if lowered in _RESERVED:
            self.at -= 1
            raise self.wrong(msg("falta um campo ou um valor"))
        return Name(token.text)

    def _call(self, name: str) -> Node:
        self.expect("(")
        arguments: list[Node] = []
        while not self.is_sign(")"):
            arguments.append(self.condition())
            if not self.is_sign(","):
                break
            self.at += 1
        self.expect(")")
        return Call(name, tuple(arguments))


def _word(token: Token) -> str:
    return token.text.lower() if token.kind == "name" else ""


def parse(text: str) -> Node:
    """The tree of a `$filter`. Raises BadFilter and NotSupported."""
    return FilterReader(text).read()


def parse_order(text: str) -> list[tuple[str, bool]]:
    """(field, descending) of an `$orderby`."""
    found: list[tuple[str, bool]] = []
    for part in text.split(","):
        words = part.split()
        if not words or len(words) > 2 or (len(words) == 2 and words[1].lower() not in {"asc", "desc"}):
            raise BadFilter(msg("`$orderby` são nomes de campos, cada um com `asc` ou `desc`: “{text}”."), text=part.strip()[:80])
        if words[0] not in [name for name, _ in found]:
            found.append((words[0], len(words) == 2 and words[1].lower() == "desc"))
    return found
