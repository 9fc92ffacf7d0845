"""CQL2 (OGC 21-065r2), text and JSON, as trees of `expressions`: comparisons, arithmetic, text, time, and places by *and*."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any

import msgspec
import shapely

from malha.kernel.text import msg
from malha.share.questions.contracts import BadFilter
from malha.share.questions.expressions import Binary, Call, In, Literal, Name, Node, Not, Spatial, check_size
from malha.share.questions.reading import Conditions, Token, chain, either, every

RELATIONS = {
    "s_intersects": "intersects", "s_within": "within", "s_contains": "contains", "s_disjoint": "disjoint",
    "s_equals": "equals", "s_touches": "touches", "s_crosses": "crosses", "s_overlaps": "overlaps",
}  # fmt: skip
_FLIPPED = {"within": "contains", "contains": "within"}
_SHAPES = ("point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geometrycollection", "envelope", "bbox")
_PLACES = frozenset({"location", "geometry", "geom"})
_COMPARE = {"=": "eq", "<>": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}
_TIMED = {"t_after": "gt", "t_before": "lt", "t_equals": "eq"}
_MOST_COORDINATES = 10_000


class TextReader(Conditions):
    """Reads CQL2 text."""

    def compared(self) -> Node:
        """Operators are signs and words."""
        left = self._sum()
        sign = self.peek().text if self.peek().kind == "sign" else ""
        if sign in _COMPARE:
            self.at += 1
            return Binary(_COMPARE[sign], left, self._sum())
        if self.is_word("is"):
            self.at += 1
            refused = self._skip("not")
            if not self._skip("null"):
                raise self.wrong(msg("falta “{wanted}”"), wanted="NULL")
            return Binary("ne" if refused else "eq", left, Literal(None))
        refused = self._skip("not")
        node = self._like(left)
        if node is None:
            if refused:
                raise self.wrong(msg("falta “{wanted}”"), wanted="LIKE, IN, BETWEEN")
            return left
        return Not(node) if refused else node

    def _skip(self, word: str) -> bool:
        there = self.is_word(word)
        self.at += there
        return there

    def _like(self, left: Node) -> Node | None:
        if self._skip("like"):
            return Call("like", (left, self._sum()))
        if self._skip("between"):
            low = self._sum()
            if not self._skip("and"):
                raise self.wrong(msg("falta “{wanted}”"), wanted="AND")
            return every((Binary("ge", left, low), Binary("le", left, self._sum())))
        if self._skip("in"):
            return In(left, self.values())
        return None

    def _sum(self) -> Node:
        return chain(self, self._product, {"+": "add", "-": "sub"}, _sign)

    def _product(self) -> Node:
        return chain(self, self.signed, {"*": "mul", "/": "div", "%": "mod"}, _sign)

    def named(self, token: Token) -> Node | None:
        """A name, in quotes or not, or a call."""
        if token.kind == "quoted":
            return Name(token.text[1:-1].replace('""', '"'))
        if token.kind != "name":
            return None
        word = token.text.lower()
        if word in {"true", "false"}:
            return Literal(word == "true")
        if not self.is_sign("("):
            return Name(token.text)
        if word in RELATIONS:
            return self._spatial(RELATIONS[word])
        if word in {"timestamp", "date"}:
            return self._instant(word)
        if word in {*_TIMED, "t_during"}:
            return self.deeper(lambda: _timed(word, self._two()))
        return self.deeper(lambda: _function(word, self._arguments()))

    def _arguments(self) -> tuple[Node, ...]:
        self.expect("(")
        found: list[Node] = []
        while not self.is_sign(")"):
            found.append(self.condition())
            if not self.is_sign(","):
                break
            self.at += 1
        self.expect(")")
        return tuple(found)

    def _two(self) -> list[object]:
        """A field and an instant or interval."""
        self.expect("(")
        field = self._sum()
        self.expect(",")
        if self._skip("interval"):
            self.expect("(")
            ends = [self.take().text.strip("'")]
            self.expect(",")
            ends.append(self.take().text.strip("'"))
            self.expect(")")
            self.expect(")")
            return [field, ends]
        value = self._sum()
        self.expect(")")
        return [field, value]

    def _instant(self, word: str) -> Node:
        self.expect("(")
        token = self.take()
        self.expect(")")
        return instant(word, token.text.strip("'"))

    def _spatial(self, relation: str) -> Node:
        self.expect("(")
        if self.peek().text.lower() in _SHAPES:
            shape = self._shape()
            self.expect(",")
            _place(self.take().text)
            self.expect(")")
            return _related(_FLIPPED.get(relation, relation), shape)
        _place(self.take().text.strip('"'))
        self.expect(",")
        shape = self._shape()
        self.expect(")")
        return _related(relation, shape)

    def _shape(self) -> shapely.Geometry:
        """A geometry written as WKT, or BBOX(west, south, east, north)."""
        start = self.take()
        if start.text.lower() not in _SHAPES:
            self.at -= 1
            raise self.wrong(msg("falta uma geometria (WKT), por exemplo POINT(-8.6 41.1)"))
        depth, end = 0, start.at
        while True:
            token = self.take()
            if token.kind == "end":
                raise self.wrong(msg("falta “{wanted}”"), wanted=")")
            depth += {"(": 1, ")": -1}.get(token.text, 0)
            end = token.at + len(token.text)
            if depth <= 0:
                break
        text = self.text[start.at : end].strip()
        if start.text.lower() in {"bbox", "envelope"}:
            numbers = [float(part) for part in re.findall(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?", text)]
            return box(numbers)
        try:
            return shapely.from_wkt(text)
        except shapely.errors.ShapelyError as reason:
            raise BadFilter(msg("“{text}” não é uma geometria (WKT)."), text=text[:60]) from reason


def _sign(token: Token) -> str:
    return token.text if token.kind == "sign" else ""


def box(numbers: list[float]) -> shapely.Geometry:
    """A rectangle of four numbers (or six, whose heights are not looked at). Raises BadFilter."""
    if len(numbers) == 6:
        numbers = [numbers[0], numbers[1], numbers[3], numbers[4]]
    if len(numbers) != 4 or numbers[1] > numbers[3]:
        raise BadFilter(msg("`bbox` são quatro números: oeste, sul, este, norte."))
    west, south, east, north = numbers
    if west > east:  # across the antimeridian (RFC 7946 §5.2)
        return shapely.union(shapely.box(west, south, 180.0, north), shapely.box(-180.0, south, east, north))
    return shapely.box(west, south, east, north)


def _place(name: str) -> None:
    if name.lower() not in _PLACES:
        raise BadFilter(msg("“{name}” não é o lugar da coleção; chama-se `location`."), name=name[:40])


def _related(relation: str, shape: shapely.Geometry) -> Spatial:
    if shapely.get_num_coordinates(shape) > _MOST_COORDINATES:
        raise BadFilter(msg("A geometria do filtro tem mais de {limit} vértices; simplifique-a."), limit=_MOST_COORDINATES)
    if shape.is_empty or not shape.is_valid:
        raise BadFilter(msg("A geometria do filtro não é válida: cruza-se a si própria, ou está vazia."))
    return Spatial(relation, tuple(msgspec.json.decode(shapely.to_geojson(shape)).items()))


def instant(word: str, text: str) -> Literal:
    """`TIMESTAMP('…')` or `DATE('…')` as a value. Raises BadFilter."""
    try:
        if word == "date":
            return Literal(date.fromisoformat(text))
        found = datetime.fromisoformat(text)
        return Literal(found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC))
    except ValueError as reason:
        raise BadFilter(msg("“{text}” não é uma data que exista."), text=text[:40]) from reason


def _timed(word: str, arguments: list[object]) -> Node:
    field, other = arguments
    assert isinstance(field, Name | Call | Literal | Binary)
    if isinstance(other, list):
        start, end = (instant("timestamp" if "T" in end else "date", end) if end != ".." else None for end in other)
        parts = [Binary(operator, field, value) for operator, value in (("ge", start), ("le", end)) if value is not None]
        if word != "t_during" or not parts:
            raise BadFilter(msg("Um intervalo usa-se com T_DURING e tem de ter pelo menos um fim."))
        return every(tuple(parts)) if len(parts) > 1 else parts[0]
    if word == "t_during":
        raise BadFilter(msg("Um intervalo usa-se com T_DURING e tem de ter pelo menos um fim."))
    return Binary(_TIMED[word], field, other)  # type: ignore[arg-type]


def _function(word: str, arguments: tuple[Node, ...]) -> Node:
    return Call({"casei": "tolower", "accenti": "unaccent", "lower": "tolower", "upper": "toupper"}.get(word, word), arguments)


def parse(text: str) -> Node:
    """The tree of CQL2 text. Raises BadFilter."""
    return TextReader(text).read()


def parse_json(text: str) -> Node:
    """The tree of CQL2 JSON. Raises BadFilter."""
    check_size(text)
    try:
        return _node(msgspec.json.decode(text), 0)
    except (msgspec.DecodeError, TypeError, KeyError, ValueError, RecursionError) as reason:
        raise BadFilter(msg('O filtro não é CQL2 em JSON: `{"op": …, "args": […]}`.')) from reason


def _binary(name: str) -> Callable[[tuple[Node, ...]], Node]:
    return lambda args: Binary(name, args[0], args[1])


_OPERATORS: Mapping[str, Callable[[tuple[Node, ...]], Node]] = {
    **{sign: _binary(name) for sign, name in _COMPARE.items()},
    **{sign: _binary(name) for sign, name in (("+", "add"), ("-", "sub"), ("*", "mul"), ("/", "div"), ("%", "mod"))},
    "and": every, "or": either, "not": lambda args: Not(args[0]),
    "like": lambda args: Call("like", args[:2]), "isNull": lambda args: Binary("eq", args[0], Literal(None)),
    "between": lambda args: every((Binary("ge", args[0], args[1]), Binary("le", args[0], args[2]))),
}  # fmt: skip


def _node(said: Any, depth: int) -> Node:
    if depth > 60:
        raise BadFilter(msg("O filtro é demasiado complicado. Divida-o em vários pedidos."))
    if not isinstance(said, dict):
        return Literal(said)
    if "property" in said:
        return Name(str(said["property"]))
    for word in ("timestamp", "date"):
        if word in said:
            return instant(word, str(said[word]))
    operator, arguments = str(said["op"]), list(said["args"])
    if operator in RELATIONS:
        first, second = arguments
        flipped = not (isinstance(first, dict) and "property" in first)
        place, shape = (second, first) if flipped else (first, second)
        _place(str(place["property"]))
        relation = _FLIPPED.get(RELATIONS[operator], RELATIONS[operator]) if flipped else RELATIONS[operator]
        return _related(relation, box([float(n) for n in shape["bbox"]]) if "bbox" in shape else shapely.from_geojson(msgspec.json.encode(shape)))
    if operator in {*_TIMED, "t_during"}:
        other = arguments[1]
        return _timed(
            operator,
            [
                _node(arguments[0], depth + 1),
                [str(end) for end in other["interval"]] if isinstance(other, dict) and "interval" in other else _node(other, depth + 1),
            ],
        )
    if operator == "in":
        return In(_node(arguments[0], depth + 1), tuple(Literal(value) for value in arguments[1]))
    nodes = tuple(_node(one, depth + 1) for one in arguments)
    return _OPERATORS[operator](nodes) if operator in _OPERATORS else _function(operator.lower(), nodes)
