"""Read questions that are text: one tokeniser and one climb over precedences, for OData's `$filter` and for CQL2."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime

from malha.kernel.text import msg
from malha.share.questions.contracts import BadFilter
from malha.share.questions.expressions import MAX_DEPTH, All, Any_, Binary, Call, Literal, Node, Not, check_size

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<instant>\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,12})?)?(?:Z|[+-]\d{2}:\d{2}))(?![\w.-])
    | (?P<date>\d{4}-\d{2}-\d{2})(?![\w-])
    | (?P<guid>[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})(?!\w)
    | (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(?!\w)
    | (?P<text>'(?:[^']|'')*')
    | (?P<quoted>"(?:[^"]|"")*")
    | (?P<name>[$@]?[^\W\d]\w*(?:[./][^\W\d]\w*)*)
    | (?P<sign><>|<=|>=|[-+*/%^=<>(),:])
    )""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Token:
    """One word of a question, and where it stands."""

    kind: str
    text: str
    at: int


def tokens(text: str) -> list[Token]:
    """The words of a question. Raises BadFilter at the first character that belongs to none."""
    check_size(text)
    found, at = [], 0
    end = len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:
            raise BadFilter(msg("Não se percebe o filtro a partir do carácter {at}: “{text}”."), at=at + 1, text=text[at : at + 20].strip())
        found.append(Token(str(match.lastgroup), match[str(match.lastgroup)], at))
        at = match.end()
    return found


class Climb:
    """A reader over tokens; languages add their own words. Raises BadFilter with the place of what is wrong."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokens(text)
        self.at = 0
        self.depth = 0

    def peek(self) -> Token:
        """The next token; one of kind `end` after the last."""
        return self.tokens[self.at] if self.at < len(self.tokens) else Token("end", "", len(self.text))

    def take(self) -> Token:
        """The next token, passed."""
        token = self.peek()
        self.at += 1
        return token

    def is_sign(self, text: str) -> bool:
        """Whether the next token is that sign."""
        return self.peek().kind == "sign" and self.peek().text == text

    def expect(self, text: str) -> None:
        """Pass a sign that has to be there."""
        if not self.is_sign(text):
            raise self.wrong(msg("falta “{wanted}”"), wanted=text)
        self.at += 1

    def wrong(self, reason: str, **params: object) -> BadFilter:
        """What to raise at the next token."""
        near = self.text[self.peek().at : self.peek().at + 20].strip()
        message = msg("Não se percebe o filtro no carácter {at} (“{near}”): {reason}.")
        return BadFilter(message, at=self.peek().at + 1, near=near, reason=reason.format(**params))

    def deeper[T](self, read: Callable[[], T]) -> T:
        """`read` one level further in. Raises BadFilter where it is too deep."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise BadFilter(msg("O filtro é demasiado complicado. Divida-o em vários pedidos."))
        try:
            return read()
        finally:
            self.depth -= 1

    def joined(self, read: Callable[[], Node], is_joint: Callable[[], bool], make: Callable[[tuple[Node, ...]], Node]) -> Node:
        """Parts with a word between them."""
        parts = [read()]
        while is_joint():
            self.at += 1
            parts.append(read())
        return parts[0] if len(parts) == 1 else make(tuple(parts))

    def finished(self, node: Node) -> Node:
        """The node, when nothing is left over."""
        if self.peek().kind != "end":
            raise self.wrong(msg("isto está a mais"))
        return node

    def literal(self, token: Token) -> Literal | None:
        """The value that a token is, None where it is none."""
        if token.kind == "number":
            return Literal(float(token.text) if any(mark in token.text for mark in ".eE") else int(token.text))
        if token.kind == "text":
            return Literal(token.text[1:-1].replace("''", "'"))
        if token.kind == "guid":
            return Literal(token.text)
        try:
            if token.kind == "instant":
                return Literal(datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", token.text)).astimezone(UTC))
            if token.kind == "date":
                return Literal(date.fromisoformat(token.text))
        except (ValueError, OverflowError) as reason:
            raise BadFilter(msg("“{text}” não é uma data que exista."), text=token.text) from reason
        return None


class Conditions(Climb):
    """What OData's `$filter` and CQL2 have in common: `or`, `and`, `not`, lists; a language adds `compared` and `named`."""

    def read(self) -> Node:
        """The whole of it."""
        return self.finished(self.condition())

    def condition(self) -> Node:
        """`or` binds least."""
        return self.deeper(lambda: self.joined(self._and, lambda: self.is_word("or"), either))

    def _and(self) -> Node:
        return self.joined(self._not, lambda: self.is_word("and"), every)

    def _not(self) -> Node:
        if self.is_word("not"):
            self.at += 1
            return Not(self.deeper(self._not))
        return self.compared()

    def compared(self) -> Node:
        """A comparison, or what stands in the place of one."""
        raise NotImplementedError

    def signed(self) -> Node:
        """A value with its sign, a name, a call or what is in parentheses."""
        if self.is_sign("-"):
            self.at += 1
            return self.negated()
        if self.is_sign("("):
            self.at += 1
            inner = self.condition()
            self.expect(")")
            return inner
        token = self.take()
        value = self.literal(token)
        if value is not None:
            return value
        named = self.named(token)
        if named is None:
            self.at -= 1
            raise self.wrong(msg("falta um campo ou um valor"))
        return named

    def named(self, token: Token) -> Node | None:
        """A field or a call that begins with this token, if one does."""
        raise NotImplementedError

    def is_word(self, word: str) -> bool:
        """Whether the next token is that word."""
        return self.peek().kind == "name" and self.peek().text.lower() == word

    def negated(self) -> Node:
        """What follows a minus that was passed."""
        inner = self.deeper(self.signed)
        return Literal(-inner.value) if isinstance(inner, Literal) and isinstance(inner.value, int | float) else Call("negate", (inner,))

    def values(self) -> tuple[Literal, ...]:
        """The list of `in`."""
        self.expect("(")
        found: list[Literal] = []
        while not self.is_sign(")"):
            value = self.signed()
            if not isinstance(value, Literal):
                raise self.wrong(msg("uma lista de `in` só tem valores"))
            found.append(value)
            if not self.is_sign(","):
                break
            self.at += 1
        self.expect(")")
        return tuple(found)


def either(parts: tuple[Node, ...]) -> Node:
    """Some part holds."""
    return Any_(parts)


def every(parts: tuple[Node, ...]) -> Node:
    """Every part holds."""
    return All(parts)


def chain(climb: Climb, read: Callable[[], Node], operators: dict[str, str], word: Callable[[Token], str]) -> Node:
    """Operators of one precedence, from left to right."""
    left = read()
    while (operator := operators.get(word(climb.peek()))) is not None:
        climb.at += 1
        left = Binary(operator, left, read())
    return left
