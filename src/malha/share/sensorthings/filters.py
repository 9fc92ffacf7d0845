"""`$filter` and `$orderby` of SensorThings (OGC 18-088 §9.3.3): OData with paths through links, geometries, durations and relations of places."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import shapely
from shapely.errors import ShapelyError

from malha.kernel.text import msg
from malha.share.questions.compiling import Statement
from malha.share.questions.contracts import BadFilter, FieldType, NotSupported
from malha.share.questions.expressions import All, Any_, Binary, Call, In, Literal, Name, Node, Not, Value, walk
from malha.share.questions.odata import FilterReader
from malha.share.questions.reading import Token
from malha.share.sensorthings.contracts import SETS, EntitySet, Link

_T = FieldType
#: functions that are true or false of a place and a geometry, as shapely calls them
RELATIONS = {
    "st_equals": "equals", "st_disjoint": "disjoint", "st_touches": "touches", "st_within": "within", "st_overlaps": "overlaps", "st_crosses": "crosses",
    "st_intersects": "intersects", "st_contains": "contains", "geo.intersects": "intersects", "st_relate": "relate",
}  # fmt: skip
MEASURES = frozenset({"geo.distance", "geo.length"})
_QUOTED = re.compile(r"('(?:[^']|'')*')")
_DURATION = re.compile(r"(-?)P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")
_MOST_VERTICES = 10_000


class Reader(FilterReader):
    """Reads one `$filter`; links, geometries and durations are known here."""

    def named(self, token: Token) -> Node | None:
        """A field, a link, a geometry, a duration or a call."""
        if token.kind != "name":
            return None
        word = token.text.lower()
        if word in {"geography", "geometry", "duration"} and self.peek().kind == "text":
            text = self.take().text[1:-1].replace("''", "'")
            return _special(word, text)
        if (word in RELATIONS or word in MEASURES) and self.is_sign("("):
            return self.deeper(lambda: self._call(word))
        if "/" in token.text and not token.text.startswith(("$", "@")):
            return Name(token.text)
        found = super().named(token)
        if isinstance(found, Call) and found.function == "substringof" and len(found.arguments) == 2:
            return Call("contains", found.arguments[::-1])
        return found


def _special(word: str, text: str) -> Node:
    if word == "duration":
        return Call("duration", (Literal(seconds(text)),))
    shape(text)
    return Call(word, (Literal(text),))


def seconds(text: str) -> float:
    """The length of an ISO 8601 duration of days and less. Raises BadFilter."""
    found = _DURATION.fullmatch(text.strip())
    if found is None or not any(found.groups()[1:]):
        raise BadFilter(msg("“{text}” não é uma duração ISO 8601 de dias, horas, minutos e segundos (por exemplo PT1H)."), text=text[:40])
    days, hours, minutes, rest = (float(part or 0) for part in found.groups()[1:])
    return (-1 if found[1] else 1) * (((days * 24 + hours) * 60 + minutes) * 60 + rest)


def shape(text: str) -> shapely.Geometry:
    """The geometry of WKT, with or without SRID=4326. Raises BadFilter."""
    try:
        found = shapely.from_wkt(re.sub(r"^SRID=4326;", "", text.strip(), flags=re.IGNORECASE))
    except (ShapelyError, ValueError, TypeError) as reason:
        raise BadFilter(msg("“{text}” não é uma geometria em WKT (por exemplo POINT(-8.6 41.1))."), text=text[:60]) from reason
    if found is None or found.is_empty or shapely.get_num_coordinates(found) > _MOST_VERTICES or not found.is_valid:
        raise BadFilter(msg("A geometria do filtro não é válida: cruza-se a si própria, está vazia, ou tem vértices a mais."))
    return found


def parse(text: str) -> Node:
    """The tree of a `$filter`. Raises BadFilter and NotSupported."""
    outside = _QUOTED.split(text)
    outside[::2] = [part.replace("@iot.id", "id") for part in outside[::2]]
    return Reader("".join(outside)).read()


#: (the kind, the condition on it) → SQL of the ids for which it holds; for kinds that lie in the other engine
type Elsewhere = Callable[[EntitySet, Link, Node], list[str]]
#: (the function, the geometry, in metres or degrees, operator, number) → SQL condition on the kind's place
type Places = Callable[[Statement, EntitySet, str, str, bool, str, float], str]


@dataclass(slots=True)
class Asking(Statement):
    """A condition on rows of one kind, called `alias` in the SQL that it becomes."""

    kind: EntitySet = field(default_factory=lambda: SETS["Things"])
    alias: str = "r"
    relations: dict[str, str] = field(default_factory=dict)
    elsewhere: Elsewhere | None = None
    places: Places | None = None

    def column(self, name: str) -> tuple[str, FieldType]:
        """The SQL of a field, or of what lies in a document; `~` and a type say as what."""
        path, _, wanted = name.partition("~")
        first, _, rest = path.partition("/")
        link = self.kind.link(first) if rest else None
        if link is not None and not link.many and not self.kind.past and not SETS[link.target].past:
            inner = self._of(link)
            text, kind = inner.column(f"{rest}~{wanted}" if wanted else rest)
            return (
                f'(SELECT {text} FROM ({self.relations[link.target]}) {inner.alias} WHERE {inner.alias}."{link.there}" = {self.alias}."{link.here}" LIMIT 1)',
                kind,
            )
        found = self.kind.find(first)
        if found is None or (rest and first not in self.kind.documents):
            raise BadFilter(msg("“{table}” não tem o campo “{name}”."), table=self.kind.name, name=path[:80])
        if first == "result":
            return (f"{self.alias}.txt", _T.TEXT) if wanted == "text" else (f"{self.alias}.num", _T.NUMBER)
        if found.type is _T.GEOMETRY:
            raise BadFilter(msg("“{name}” é um lugar: use geo.distance ou st_within, st_intersects e as outras."), name=first)
        text = f'{self.alias}."{first}"'
        return self._inside(text, rest.split("/"), wanted) if rest else (text if first not in self.kind.documents else f"{text}::text", found.type)

    def _inside(self, text: str, steps: list[str], wanted: str) -> tuple[str, FieldType]:
        if self.dialect.value == "duckdb":
            place = self.parameter("$." + ".".join(f'"{step}"' for step in steps), _T.TEXT)
            taken = f"json_extract_string({text}, {place})"
            return (f"try_cast({taken} AS DOUBLE)", _T.NUMBER) if wanted == "number" else (taken, _T.TEXT)
        place = self.parameter("{" + ",".join('"' + step.replace("\\", "").replace('"', "") + '"' for step in steps) + "}", _T.TEXT) + "::text[]"
        taken = f"({text} #> {place})"
        if wanted == "number":
            return f"(CASE WHEN jsonb_typeof{taken} = 'number' THEN {taken}::text::float8 END)", _T.NUMBER
        if wanted == "boolean":
            return f"(CASE WHEN jsonb_typeof{taken} = 'boolean' THEN {taken}::text::boolean END)", _T.BOOLEAN
        return f"({taken} #>> '{{}}')", _T.TEXT

    def compile(self, node: Node) -> tuple[str, FieldType]:
        """SQL and type of a node; conditions along links and on places become conditions on ids."""
        if isinstance(node, Binary | In | Call) and not isinstance(node, All | Any_ | Not):
            placed = self._placed(node)
            if placed is not None:
                return placed, _T.BOOLEAN
            link = self._linked(node)
            if link is not None:
                return self._along(link, stripped(node, f"{link.name}/")), _T.BOOLEAN
            node = typed(node, self.kind)
        return super(Asking, self).compile(node)

    def _linked(self, node: Node) -> Link | None:
        """The link that every name of a condition goes along, None where none does. Raises NotSupported for a mixture."""
        names = [one.name for one in walk(node) if isinstance(one, Name)]
        found = {self.kind.link(name.partition("/")[0]) if "/" in name else None for name in names}
        if len(found) > 1 and not any(link.many or SETS[link.target].past for link in found if link is not None) and not self.kind.past:
            return None  # each of them is one, and is compared as it is
        if len(found) > 1:
            raise NotSupported(msg("Uma comparação usa campos de uma só coisa; compare cada uma com um valor."))
        return next(iter(found), None)

    def _along(self, link: Link, node: Node) -> str:
        target = SETS[link.target]
        here = f'{self.alias}."{link.here}"'
        if target.past or self.kind.past:
            assert self.elsewhere is not None
            ids = self.elsewhere(target, link, node)
            if self.dialect.value == "duckdb":
                name = f"h{len(self.given)}"
                self.given[name] = ids
                return f"list_contains(${name}::VARCHAR[], {here}::VARCHAR)"
            name = f"h{len(self.given)}"
            self.given[name] = ids
            return f"({here}::text = ANY (%({name})s::text[]))"
        inner = self._of(link)
        condition = inner.condition(node)
        return f'EXISTS (SELECT FROM ({self.relations[target.name]}) {inner.alias} WHERE {inner.alias}."{link.there}" = {here} AND {condition})'

    def _of(self, link: Link) -> Asking:
        """The same question about what a link leads to."""
        target = SETS[link.target]
        return Asking(self.dialect, target, self.columns, self.given, target, f"{self.alias}x", self.relations, self.elsewhere, self.places)

    def _placed(self, node: Node) -> str | None:
        """The SQL of a condition on this kind's own place, None where the node is none."""
        call, operator, number = _of_place(node)
        if call is None:
            return None
        names = [one for one in call.arguments if isinstance(one, Name)]
        shapes = [one for one in call.arguments if isinstance(one, Call) and one.function in {"geography", "geometry"}]
        patterns = [str(one.value) for one in call.arguments if isinstance(one, Literal)]
        if len(names) != 1 or len(shapes) != (0 if call.function == "geo.length" else 1):
            raise BadFilter(msg("“{name}” junta um lugar e uma geometria: geography'POINT(-8.6 41.1)'."), name=call.function)
        if "/" in names[0].name:
            return None  # along a link first
        if names[0].name not in self.kind.places:
            raise BadFilter(msg("“{table}” não tem o lugar “{name}”."), table=self.kind.name, name=names[0].name[:80])
        assert self.places is not None
        text = str(shapes[0].arguments[0].value) if shapes and isinstance(shapes[0].arguments[0], Literal) else ""
        metres = not shapes or shapes[0].function == "geography"
        flipped = bool(shapes) and call.arguments.index(shapes[0]) == 0
        function = (
            {"within": "contains", "contains": "within"}.get(RELATIONS.get(call.function, ""), RELATIONS.get(call.function, call.function))
            if flipped
            else RELATIONS.get(call.function, call.function)
        )
        if function == "relate":
            operator = patterns[0] if patterns else ""
        return self.places(self, self.kind, function, text, metres, operator, number)

    def _arithmetic(self, node: Binary) -> tuple[str, FieldType]:
        if isinstance(node.right, Call) and node.right.function == "duration" and node.operator in {"add", "sub"}:
            left, kind = self.compile(node.left if not isinstance(node.left, Literal) else Literal(node.left.value))
            length = node.right.arguments[0]
            assert isinstance(length, Literal)
            assert isinstance(length.value, int | float)
            if kind is not _T.INSTANT:
                raise BadFilter(msg("Uma duração só se junta a um instante, ou se tira dele."))
            sign = "+" if node.operator == "add" else "-"
            place = self.parameter(float(length.value), _T.NUMBER)
            width = f"make_interval(secs => {place})" if self.dialect.value == "postgres" else f"to_microseconds(({place} * 1000000)::BIGINT)"
            return f"({left} {sign} {width})", _T.INSTANT
        return super(Asking, self)._arithmetic(node)


def _of_place(node: Node) -> tuple[Call | None, str, float]:
    """(the function on a place, the operator and number that it is compared with)."""
    if isinstance(node, Call) and node.function in RELATIONS:
        return node, "", 0.0
    if isinstance(node, Binary):
        for side, other, flip in ((node.left, node.right, False), (node.right, node.left, True)):
            if isinstance(side, Call) and side.function in MEASURES and isinstance(other, Literal) and isinstance(other.value, int | float):
                return side, {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le"}.get(node.operator, node.operator) if flip else node.operator, float(other.value)
            if (
                isinstance(side, Call)
                and side.function in RELATIONS
                and isinstance(other, Literal)
                and isinstance(other.value, bool)
                and node.operator in {"eq", "ne"}
            ):
                return (side, "", 0.0) if other.value is (node.operator == "eq") else (None, "", 0.0)
    return None, "", 0.0


def stripped(node: Node, prefix: str) -> Node:
    """The node with its names one step nearer."""
    if isinstance(node, Name):
        return Name(node.name.removeprefix(prefix))
    return _rebuilt(node, lambda one: stripped(one, prefix))


def typed(node: Node, kind: EntitySet) -> Node:
    """The node with what has no type of its own (`result`, what lies in documents, ids) read as what it is compared with."""
    if isinstance(node, Binary):
        pair = (node.left, node.right)
        return Binary(node.operator, *(_as(side, other, kind) for side, other in (pair, pair[::-1])))
    if isinstance(node, In) and node.values:
        return In(_as(node.item, node.values[0], kind), tuple(_plain(one, node.item) for one in node.values))
    if isinstance(node, Call) and node.function not in {"round", "floor", "ceiling", "negate"}:
        return Call(node.function, tuple(Name(f"{one.name}~text") if isinstance(one, Name) and one.name == "result" else one for one in node.arguments))
    return node


def _plain(one: Literal, item: Node) -> Literal:
    is_id = isinstance(item, Name) and item.name.rpartition("/")[2] == "id"
    return Literal(str(one.value)) if is_id and isinstance(one.value, int) and not isinstance(one.value, bool) else one


def _as(side: Node, other: Node, kind: EntitySet) -> Node:
    if isinstance(side, Literal):
        if isinstance(other, Name) and other.name == "result" and isinstance(side.value, bool):
            return Literal(1.0 if side.value else 0.0)
        return _plain(side, other)
    if not isinstance(side, Name):
        return side
    value: Value | None = other.value if isinstance(other, Literal) else None
    text = isinstance(value, str)
    if side.name == "result":
        return Name("result~text") if text else side
    if "/" not in side.name or side.name.partition("/")[0] not in kind.documents:
        return side
    number = (isinstance(value, int | float) and not isinstance(value, bool)) or isinstance(other, Binary)
    return Name(f"{side.name}~{'boolean' if isinstance(value, bool) else 'number' if number else 'text'}")


def _rebuilt(node: Node, change: Callable[[Node], Node]) -> Node:
    if isinstance(node, Binary):
        return Binary(node.operator, change(node.left), change(node.right))
    if isinstance(node, Call):
        return Call(node.function, tuple(change(one) for one in node.arguments))
    if isinstance(node, In):
        return In(change(node.item), node.values)
    if isinstance(node, All | Any_):
        return type(node)(tuple(change(one) for one in node.parts))
    return Not(change(node.part)) if isinstance(node, Not) else node


def conjuncts(node: Node | None) -> list[Node]:
    """The parts that all have to hold."""
    if isinstance(node, All):
        return [inner for part in node.parts for inner in conjuncts(part)]
    return [] if node is None else [node]
