"""What goes with a row (OData 4.01 part 1 §11.2.5.2): the history of a thing, the thing of a value. `$expand` and `Set(key)/name`.

Those are the relationships that every tenant's tables have for certain. A relationship between two types is the URI in its
field: no model says which type that names, so none is declared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

import psycopg

from malha.kernel.text import msg
from malha.share.datahub import past, rows
from malha.share.datahub.contracts import Reader, Table, TableKind
from malha.share.datahub.odata import options
from malha.share.datahub.odata.options import Asked
from malha.share.questions.contracts import BadFilter, NotSupported
from malha.share.questions.expressions import Binary, In, Literal, Name, Node, together

#: rows of a page that asks for what goes with each, several or one
PARENTS, PARENTS_OF_ONE = 100, 1_000
#: rows for each of them where the question names no `$top`, and at most; the rest follows by its own link
EACH, MOST_EACH = 100, 1_000
MOST_DEPTH = 2
_PAST = {"hourly": TableKind.HOURLY, "daily": TableKind.DAILY, "series": TableKind.SERIES}
_NESTED = frozenset({"select", "filter", "orderby", "top", "count", "expand"})
type Kinds = Mapping[TableKind, Table]


@dataclass(frozen=True, slots=True)
class Navigation:
    """One navigation property: from a thing to the rows of its past, or from such a row to the thing."""

    name: str
    target: TableKind
    many: bool


@dataclass(frozen=True, slots=True)
class Expanded:
    """One navigation property that `$expand` names, with what is asked of its rows."""

    navigation: Navigation
    asked: Asked
    inner: tuple[Expanded, ...]
    options: str  # as they were written, but for `$top` and `$count`: the link to the rest carries them


def of(table: Table) -> tuple[Navigation, ...]:
    """What goes with a row of a table. A field of the data's own that is called so comes first."""
    found = (
        [Navigation(name, kind, True) for name, kind in _PAST.items()] if table.kind is TableKind.CURRENT else [Navigation("current", TableKind.CURRENT, False)]
    )
    return tuple(one for one in found if table.find(one.name) is None)


def find(table: Table, name: str) -> Navigation:
    """The navigation property called `name`. Raises BadFilter."""
    found = next((one for one in of(table) if one.name == name), None)
    if found is None:
        raise BadFilter(msg("“{table}” não tem a ligação “{name}”."), table=table.name, name=name[:80])
    return found


def read(text: str, table: Table, kinds: Kinds, tenant_id: int, *, depth: int = 1) -> tuple[Expanded, ...]:
    """The `$expand` of a question (URL Conventions §5.1.3). Raises BadFilter, NotSupported."""
    if depth > MOST_DEPTH:
        raise BadFilter(msg("`$expand` vai no máximo a {most} níveis."), most=MOST_DEPTH)
    found: dict[str, Expanded] = {}
    for part in _split(text, ","):
        name, _, rest = part.strip().partition("(")
        if "/" in name or (rest and not rest.endswith(")")):
            raise NotSupported(msg("Em `$expand` escreve-se `ligação` ou `ligação($select=…;$filter=…)`."))
        for navigation in of(table) if name.strip() == "*" else (find(table, name.strip()),):
            if navigation.name in found:
                raise BadFilter(msg("`$expand` nomeia “{name}” duas vezes."), name=navigation.name)
            found[navigation.name] = _expanded(navigation, rest[:-1], kinds, tenant_id, depth)
    if not found:
        raise BadFilter(msg("`$expand` não nomeia nenhuma ligação."))
    return tuple(found.values())


def _expanded(navigation: Navigation, text: str, kinds: Kinds, tenant_id: int, depth: int) -> Expanded:
    given = {}
    for option in _split(text, ";") if text.strip() else ():
        name, equals, value = option.strip().partition("=")
        bare = name.strip().removeprefix("$").lower()
        if bare not in _NESTED or not equals:
            raise NotSupported(
                msg("Dentro de `$expand` usam-se `$select`, `$filter`, `$orderby`, `$top`, `$count` e `$expand`, e não “{name}”."), name=name[:40]
            )
        given[bare] = value
    if not navigation.many and set(given) - {"select", "expand"}:
        raise BadFilter(msg("“{name}” é uma só linha: aceita `$select` e `$expand`."), name=navigation.name)
    target = kinds[navigation.target]
    inner = read(given.pop("expand"), target, kinds, tenant_id, depth=depth + 1) if "expand" in given else ()
    asked, _ = options.read(target, given, "", tenant_id)
    if asked.top is not None and asked.top > MOST_EACH:
        raise BadFilter(msg("Dentro de `$expand`, `$top` vai até {most}."), most=MOST_EACH)
    kept = "".join(f"&${name}={quote(given[name], safe='')}" for name in ("select", "filter", "orderby") if name in given)
    return Expanded(navigation, asked, inner, kept)


def _split(text: str, sign: str) -> Iterator[str]:
    """Parts between signs that lie in no parentheses and in no text. Raises BadFilter."""
    depth, quoted, begun = 0, False, 0
    if len(text) > 16_384:
        raise BadFilter(msg("O pedido é demasiado comprido."))
    for at, letter in enumerate(text):
        if letter == "'":
            quoted = not quoted
        elif not quoted and letter in "()":
            depth += 1 if letter == "(" else -1
            if depth < 0:
                break
        elif letter == sign and not quoted and not depth:
            yield text[begun:at]
            begun = at + 1
    if depth or quoted:
        raise BadFilter(msg("Há parênteses ou plicas por fechar em `$expand`."))
    yield text[begun:]


def page_size(wanted: Sequence[Expanded]) -> int:
    """Rows a page at most of a question that asks for these."""
    several = any(one.navigation.many or any(deep.navigation.many for deep in one.inner) for one in wanted)
    return PARENTS if several else PARENTS_OF_ONE


def link_field(table: Table) -> str:
    """The field by which rows of a table go together with others."""
    return "id" if table.kind is TableKind.CURRENT else "entity"


def condition(navigation: Navigation, values: Sequence[str]) -> Node:
    """The condition on rows that go with these things."""
    field = "entity" if navigation.many else "id"
    return In(Name(field), tuple(Literal(value) for value in values)) if len(values) != 1 else Binary("eq", Name(field), Literal(values[0]))


def attach(
    conn: psycopg.Connection[Any], reader: Reader, kinds: Kinds, found: Sequence[tuple[str, dict[str, Any]]], wanted: Sequence[Expanded], root: str
) -> None:
    """Put into each row (the thing that it is of, its fields) what goes with it."""
    things = list(dict.fromkeys(thing for thing, _ in found))
    for one in wanted if things else ():
        put = _many if one.navigation.many else _one
        put(conn, reader, kinds, found, things, one, root)


def _one(
    conn: psycopg.Connection[Any], reader: Reader, kinds: Kinds, found: Sequence[tuple[str, dict[str, Any]]], things: list[str], one: Expanded, root: str
) -> None:
    target = kinds[one.navigation.target]
    fields = (target.fields[0], *one.asked.fields)  # the first field of a thing is its id
    got, _ = rows.page(conn, reader, target, condition(one.navigation, things), (), limit=len(things), fields=fields)
    names = [field.name for field in one.asked.fields]
    each = {str(row[0]): dict(zip(names, row[1:], strict=True)) for row in got}
    attach(conn, reader, kinds, list(each.items()), one.inner, root)
    for thing, row in found:
        row[one.navigation.name] = each.get(thing)


def _many(
    conn: psycopg.Connection[Any], reader: Reader, kinds: Kinds, found: Sequence[tuple[str, dict[str, Any]]], things: list[str], one: Expanded, root: str
) -> None:
    target, asked = kinds[one.navigation.target], one.asked
    most = EACH if asked.top is None else asked.top
    where = together(condition(one.navigation, things), asked.where)
    got = past.each(conn, reader, replace(target), where, rows.whole_order(target, asked.order), most=most, fields=asked.fields)
    names = [field.name for field in asked.fields]
    children = [(thing, dict(zip(names, row, strict=True))) for thing, _, row in got]
    attach(conn, reader, kinds, children, one.inner, root)
    counts = {thing: count for thing, count, _ in got}
    grouped: dict[str, list[dict[str, Any]]] = {}
    for thing, row in children:
        grouped.setdefault(thing, []).append(row)
    name = one.navigation.name
    for thing, row in found:
        if asked.count:
            row[f"{name}@odata.count"] = counts.get(thing, 0)
        row[name] = grouped.get(thing, [])
        if asked.top is None and counts.get(thing, 0) > most:
            key = quote("'" + thing.replace("'", "''") + "'", safe="'")
            row[f"{name}@odata.nextLink"] = f"{root}/{kinds[TableKind.CURRENT].name}({key})/{name}?$skip={most}{one.options}"
