"""`$apply` (OData Data Aggregation 4.0 §3): filter, groupby with aggregate, aggregate alone; at most one grouping."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from malha.kernel.text import msg
from malha.share.datahub.contracts import Table
from malha.share.questions import odata as filters
from malha.share.questions.compiling import Statement
from malha.share.questions.contracts import BadFilter, Field, FieldType, NotSupported
from malha.share.questions.expressions import Node, check_size, together

METHODS = {"sum": "sum({})", "average": "avg({})", "min": "min({})", "max": "max({})", "countdistinct": "count(DISTINCT {})"}
_NAME = re.compile(r"^[^\W\d]\w{0,127}$")


@dataclass(frozen=True, slots=True)
class Aggregate:
    """`method` of `field` under a name; `count` has no field."""

    alias: str
    method: str
    field: str = ""


@dataclass(frozen=True, slots=True)
class Transformed:
    """What `$apply` asks for: rows before, groups, sums, and a condition on the result."""

    before: Node | None = None
    groups: tuple[str, ...] = ()
    aggregates: tuple[Aggregate, ...] = ()
    after: Node | None = None
    grouped: bool = False


def parse(text: str) -> Transformed:
    """Read `$apply`. Raises BadFilter and NotSupported."""
    check_size(text)
    before: Node | None = None
    after: Node | None = None
    groups: tuple[str, ...] = ()
    aggregates: tuple[Aggregate, ...] = ()
    grouped = False
    for part in _split(text, "/"):
        name, inside = _call(part)
        if name == "filter":
            node = filters.parse(inside)
            before, after = (before, together(after, node)) if grouped else (together(before, node), after)
        elif grouped:
            raise NotSupported(msg("`$apply` agrupa uma vez só; depois disso só `filter`."))
        elif name == "aggregate":
            grouped, aggregates = True, _aggregates(inside)
        elif name == "groupby":
            grouped = True
            groups, aggregates = _groups(inside)
        else:
            raise NotSupported(msg("`$apply` faz `filter`, `groupby` e `aggregate`; “{name}” não."), name=name[:40])
    return Transformed(before, groups, aggregates, after, grouped)


def _groups(inside: str) -> tuple[tuple[str, ...], tuple[Aggregate, ...]]:
    parts = _split(inside, ",")
    names = parts[0].strip()
    if not (names.startswith("(") and names.endswith(")")):
        raise BadFilter(msg("`groupby` começa pelos campos entre parênteses: `groupby((campo),aggregate(…))`."))
    groups = tuple(dict.fromkeys(name.strip() for name in names[1:-1].split(",") if name.strip()))
    if len(parts) == 1:
        return groups, ()
    name, rest = _call(",".join(parts[1:]))
    if name != "aggregate":
        raise NotSupported(msg("Dentro de `groupby` só se usa `aggregate`."))
    return groups, _aggregates(rest)


def _aggregates(inside: str) -> tuple[Aggregate, ...]:
    found = []
    for part in _split(inside, ","):
        words = part.split()
        match words:
            case ["$count", "as", alias]:
                found.append(Aggregate(alias, "count"))
            case [field, "with", method, "as", alias] if method.lower() in METHODS:
                found.append(Aggregate(alias, method.lower(), field))
            case _:
                raise BadFilter(
                    msg("Escreva `campo with sum as nome` (sum, average, min, max, countdistinct) ou `$count as nome`: “{text}”."), text=part.strip()[:80]
                )
    for one in found:
        if not _NAME.match(one.alias):
            raise BadFilter(msg("“{name}” não serve para nome."), name=one.alias[:40])
    return tuple(found)


def _call(text: str) -> tuple[str, str]:
    name, _, rest = text.strip().partition("(")
    if not rest.endswith(")"):
        raise BadFilter(msg("Não se percebe “{text}” em `$apply`."), text=text.strip()[:80])
    return name.strip().lower(), rest[:-1]


def _split(text: str, sign: str) -> list[str]:
    """The parts of a text between signs that stand outside parentheses and quotes."""
    parts, depth, quoted, start = [], 0, False, 0
    for at, character in enumerate(text):
        if character == "'":
            quoted = not quoted
        elif not quoted:
            depth += {"(": 1, ")": -1}.get(character, 0)
            if depth < 0:
                break
            if character == sign and depth == 0:
                parts.append(text[start:at])
                start = at + 1
    if depth or quoted:
        raise BadFilter(msg("Há parênteses ou plicas por fechar em `$apply`."))
    return [*parts, text[start:]]


def result(table: Table, asked: Transformed) -> Table:
    """The table that the answer is: its groups, then its sums. Raises BadFilter for fields that are not there."""
    fields: list[Field] = []
    for name in asked.groups:
        found = table.find(name)
        if found is None:
            raise BadFilter(msg("“{table}” não tem o campo “{name}”."), table=table.name, name=name[:80])
        fields.append(found)
    for one in asked.aggregates:
        source = table.find(one.field)
        if one.method != "count" and source is None:
            raise BadFilter(msg("“{table}” não tem o campo “{name}”."), table=table.name, name=one.field[:80])
        kind = FieldType.INTEGER if one.method in {"count", "countdistinct"} else source.type if source and one.method in {"min", "max"} else FieldType.NUMBER
        fields.append(Field(one.alias, kind))
    if len({field.name for field in fields}) != len(fields):
        raise BadFilter(msg("Dois campos do resultado têm o mesmo nome."))
    return Table(table.name, table.kind, table.entity_type, tuple(fields), tuple(asked.groups), table.label, table.description, table.hidden)


def select(statement: Statement, asked: Transformed, source: Callable[[], str]) -> str:
    """The inner SELECT that groups `source` (a FROM … WHERE …), with the result's names as columns."""
    shown = [f'{statement.column(name)[0]} AS "{name}"' for name in asked.groups]
    shown += [f'{_aggregate(statement, one)} AS "{one.alias}"' for one in asked.aggregates]
    condition = f" AND {statement.condition(asked.before)}" if asked.before is not None else ""
    grouping = f" GROUP BY {', '.join(str(n + 1) for n in range(len(asked.groups)))}" if asked.groups else ""
    return f"SELECT {', '.join(shown)} {source()}{condition}{grouping}"


def _aggregate(statement: Statement, one: Aggregate) -> str:
    if one.method == "count":
        return "count(*)"
    column, kind = statement.column(one.field)
    if one.method in {"sum", "average"} and kind not in {FieldType.NUMBER, FieldType.INTEGER}:
        raise BadFilter(msg("Só se somam números, e “{name}” não é um."), name=one.field)
    return METHODS[one.method].format(column)
