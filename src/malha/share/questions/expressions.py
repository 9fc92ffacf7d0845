"""Questions as trees, whatever language they came in: OData's `$filter` and CQL2 both become these."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from malha.kernel.text import msg
from malha.share.questions.contracts import BadFilter

#: what a question may weigh
MAX_CHARACTERS = 16_384
MAX_NODES = 2_000
MAX_DEPTH = 60

type Value = str | int | float | bool | datetime | date | None


@dataclass(frozen=True, slots=True)
class Literal:
    """A value."""

    value: Value


@dataclass(frozen=True, slots=True)
class Name:
    """A field of the table."""

    name: str


@dataclass(frozen=True, slots=True)
class Call:
    """A function of the table in `compiling`."""

    function: str
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Binary:
    """`left operator right`: eq ne gt ge lt le add sub mul div mod."""

    operator: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class In:
    """`item` is one of `values`."""

    item: Node
    values: tuple[Literal, ...]


@dataclass(frozen=True, slots=True)
class All:
    """Every part holds."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Any_:  # noqa: N801 -- `Any` is typing's
    """Some part holds."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The part does not hold."""

    part: Node


@dataclass(frozen=True, slots=True)
class Spatial:
    """The place of the row relates to `geometry` (GeoJSON, EPSG:4326): intersects, within, contains, disjoint, equals, touches, crosses, overlaps."""

    relation: str
    geometry: tuple[tuple[str, Any], ...]

    @property
    def geojson(self) -> dict[str, Any]:
        """The geometry as GeoJSON."""
        return dict(self.geometry)


type Node = Literal | Name | Call | Binary | In | All | Any_ | Not | Spatial


def together(*parts: Node | None) -> Node | None:
    """All of the parts that there are."""
    real = tuple(part for part in parts if part is not None)
    return All(real) if len(real) > 1 else real[0] if real else None


def check_size(text: str) -> None:
    """Raise BadFilter for a question that nobody would write by hand."""
    if len(text) > MAX_CHARACTERS:
        raise BadFilter(msg("O filtro tem {count} caracteres; o limite são {limit}."), count=len(text), limit=MAX_CHARACTERS)
    if "\x00" in text:
        raise BadFilter(msg("O filtro tem um carácter nulo, que nenhum texto guardado tem."))


def children(node: Node) -> tuple[Node, ...]:
    """What a node is made of."""
    if isinstance(node, Call):
        return node.arguments
    if isinstance(node, Binary):
        return (node.left, node.right)
    if isinstance(node, In):
        return (node.item, *node.values)
    if isinstance(node, All | Any_):
        return node.parts
    return (node.part,) if isinstance(node, Not) else ()


def walk(node: Node) -> Iterator[Node]:
    """The node and everything in it. Raises BadFilter where it is too deep or too large."""
    count, waiting = 0, [(node, 1)]
    while waiting:
        one, depth = waiting.pop()
        count += 1
        if count > MAX_NODES or depth > MAX_DEPTH:
            raise BadFilter(msg("O filtro é demasiado complicado. Divida-o em vários pedidos."))
        yield one
        waiting += [(child, depth + 1) for child in children(one)]


def places(node: Node | None) -> tuple[Node | None, tuple[Spatial, ...]]:
    """The question without its conditions on places, and those conditions. Raises BadFilter for a place under *or* or *not*."""
    if node is None:
        return None, ()
    parts = conjuncts(node)
    spatial = tuple(part for part in parts if isinstance(part, Spatial))
    rest = [part for part in parts if not isinstance(part, Spatial)]
    if any(isinstance(inner, Spatial) for part in rest for inner in walk(part)):
        raise BadFilter(msg("Uma condição de lugar só se junta às outras por “and”; faça um pedido por lugar."))
    return together(*rest), spatial


def conjuncts(node: Node) -> list[Node]:
    """The conditions that all have to hold."""
    if isinstance(node, All):
        return [inner for part in node.parts for inner in conjuncts(part)]
    return [node]
