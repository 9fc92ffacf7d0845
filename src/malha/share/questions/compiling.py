"""Trees of `expressions` as SQL for PostgreSQL and DuckDB. Every value is a parameter; names and functions come from tables of ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from enum import StrEnum

from malha.kernel.text import msg
from malha.kernel.time import parse_instant
from malha.share.questions.contracts import BadFilter, Field, Fields, FieldType
from malha.share.questions.expressions import All, Any_, Binary, Call, In, Literal, Name, Node, Spatial, Value, walk

_T = FieldType
_NUMERIC = frozenset({_T.NUMBER, _T.INTEGER})
_COMPARE = {"eq": "=", "ne": "IS DISTINCT FROM", "gt": ">", "ge": ">=", "lt": "<", "le": "<="}
_ARITHMETIC = {"add": "+", "sub": "-", "mul": "*", "div": "/", "mod": "%"}
_CASTS = {_T.TEXT: "text", _T.NUMBER: "float8", _T.INTEGER: "float8", _T.BOOLEAN: "boolean", _T.INSTANT: "timestamptz", _T.DATE: "date"}


class Dialect(StrEnum):
    """The engines that the hub asks."""

    POSTGRES = "postgres"
    DUCKDB = "duckdb"


@dataclass(slots=True)
class Statement:
    """SQL in the making for one engine: `columns` says what each field is there, `given` are the parameters."""

    dialect: Dialect
    table: Fields
    columns: Callable[[Field], str]
    given: dict[str, object] = field(default_factory=dict)

    def parameter(self, value: object, kind: FieldType) -> str:
        """A place for a value, with its type said."""
        name = f"h{len(self.given)}"
        self.given[name] = value
        cast = _CASTS[kind]
        return f"%({name})s::{cast}" if self.dialect is Dialect.POSTGRES else f"${name}::{_DUCK.get(cast, cast)}"

    def column(self, name: str) -> tuple[str, FieldType]:
        """The SQL of a field, and its type. Raises BadFilter for a field that the table does not have."""
        found = self.table.find(name)
        if found is None:
            raise BadFilter(msg("“{table}” não tem o campo “{name}”."), table=self.table.name, name=name[:80])
        if found.type is _T.GEOMETRY:
            raise BadFilter(msg("“{name}” é um lugar: use longitude e latitude, ou a porta OGC API."), name=name)
        return self.columns(found), found.type

    def condition(self, node: Node) -> str:
        """The SQL of a question that is true or false. Raises BadFilter."""
        for _ in walk(node):
            pass
        text, kind = self.compile(node)
        if kind is not _T.BOOLEAN:
            raise BadFilter(msg("O filtro tem de ser uma condição, por exemplo `temperature gt 25`."))
        return text

    def compile(self, node: Node) -> tuple[str, FieldType]:
        """SQL and type of a node."""
        if isinstance(node, Literal):
            return self._literal(node.value)
        if isinstance(node, Name):
            return self.column(node.name)
        if isinstance(node, Binary):
            return self._comparison(node) if node.operator in _COMPARE else self._arithmetic(node)
        if isinstance(node, In):
            return self._in(node), _T.BOOLEAN
        if isinstance(node, Call):
            return self._call(node)
        if isinstance(node, All | Any_):
            joint = " AND " if isinstance(node, All) else " OR "
            return "(" + joint.join(self._condition_part(part) for part in node.parts) + ")", _T.BOOLEAN
        if isinstance(node, Spatial):
            raise BadFilter(msg("Aqui não se pergunta por lugares; use a porta OGC API."))
        return f"(NOT {self._condition_part(node.part)})", _T.BOOLEAN

    def _condition_part(self, node: Node) -> str:
        text, kind = self.compile(node)
        if kind is not _T.BOOLEAN:
            raise BadFilter(msg("`and`, `or` e `not` juntam condições, não valores."))
        return text

    def _literal(self, value: Value) -> tuple[str, FieldType]:
        if value is None:
            return "NULL", _T.TEXT
        kind = type_of(value)
        return self.parameter(float(value) if kind in _NUMERIC else value, kind), kind  # type: ignore[arg-type]

    def _sides(self, left: Node, right: Node) -> tuple[str, str, FieldType]:
        """Both sides in one type; a text written where an instant or date is expected is read as one."""
        kinds = [self._kind(left), self._kind(right)]
        wanted = _meeting(kinds[0], kinds[1])
        if wanted is None:
            raise BadFilter(msg("Não se compara {left} com {right}."), left=kinds[0], right=kinds[1])
        return self._in_type(left, wanted), self._in_type(right, wanted), wanted

    def _kind(self, node: Node) -> FieldType | None:
        if isinstance(node, Literal):
            return None if node.value is None else _T.TEXT if isinstance(node.value, str) else type_of(node.value)
        return replace(self, given={}).compile(node)[1]

    def _in_type(self, node: Node, wanted: FieldType) -> str:
        if isinstance(node, Literal):
            return self.compile(Literal(turned(node.value, wanted)))[0]
        text, kind = self.compile(node)
        if kind is _T.DATE and wanted is _T.INSTANT:
            return f"({text})::timestamp AT TIME ZONE 'UTC'"
        return text

    def _comparison(self, node: Binary) -> tuple[str, FieldType]:
        nulls = [side for side in (node.left, node.right) if isinstance(side, Literal) and side.value is None]
        if nulls:
            other = node.right if isinstance(node.left, Literal) and node.left.value is None else node.left
            text = self.compile(other)[0]
            if node.operator in {"eq", "ne"}:
                return f"({text} IS {'NOT ' if node.operator == 'ne' else ''}NULL)", _T.BOOLEAN
            return "false", _T.BOOLEAN
        left, right, kind = self._sides(node.left, node.right)
        if kind is _T.BOOLEAN and node.operator not in {"eq", "ne"}:
            raise BadFilter(msg("Verdadeiro e falso só se comparam com `eq` e `ne`."))
        return f"({left} {_COMPARE[node.operator]} {right})", _T.BOOLEAN

    def _arithmetic(self, node: Binary) -> tuple[str, FieldType]:
        sides = [self.compile(side) for side in (node.left, node.right)]
        if any(kind not in _NUMERIC for _, kind in sides):
            raise BadFilter(msg("Só se fazem contas com números."))
        left, right = (text for text, _ in sides)
        if node.operator == "div":
            return f"({left} / nullif({right}, 0))", _T.NUMBER
        if node.operator == "mod":
            postgres = f"(({left})::numeric %% nullif(({right})::numeric, 0))::float8"
            return postgres if self.dialect is Dialect.POSTGRES else f"fmod({left}, nullif({right}, 0))", _T.NUMBER
        return f"({left} {_ARITHMETIC[node.operator]} {right})", _T.NUMBER

    def _in(self, node: In) -> str:
        kind = self._kind(node.item)
        item = self.compile(node.item)[0]
        if not node.values:
            return "false"
        assert kind is not None
        return f"({item} IN ({', '.join(self._in_type(value, self._agreed(kind, value)) for value in node.values)}))"

    def _agreed(self, kind: FieldType, value: Literal) -> FieldType:
        wanted = _meeting(kind, self._kind(value))
        if wanted is None:
            raise BadFilter(msg("Não se compara {left} com {right}."), left=kind, right=self._kind(value))
        return wanted

    def _call(self, node: Call) -> tuple[str, FieldType]:
        known = FUNCTIONS.get((node.function, len(node.arguments)))
        if known is None:
            raise BadFilter(msg("A função “{name}” com {count} argumentos não existe aqui."), name=node.function[:40], count=len(node.arguments))
        wanted, gives, templates = known
        texts = []
        for argument, kind in zip(node.arguments, wanted, strict=True):
            value = Literal(turned(argument.value, kind)) if isinstance(argument, Literal) and kind is _T.INSTANT else argument
            text, found = self.compile(value)
            if found is not kind and not (found in _NUMERIC and kind in _NUMERIC) and not (kind is _T.INSTANT and found is _T.DATE):
                raise BadFilter(msg("“{name}” espera {wanted} e recebeu {found}."), name=node.function, wanted=kind, found=found)
            texts.append(text)
        template = templates if isinstance(templates, str) else templates[self.dialect]
        return template.format(*texts), gives

    def order(self, wanted: Sequence[tuple[str, bool]]) -> str:
        """ORDER BY for (field, descending); a missing value is the lowest (OData 4.01 §11.2.6.2)."""
        return ", ".join(f"{self.column(name)[0]} {'DESC NULLS LAST' if down else 'ASC NULLS FIRST'}" for name, down in wanted)

    def after(self, wanted: Sequence[tuple[str, bool]], last: Sequence[object]) -> str:
        """The condition on rows that come after the one with these values, in that order."""
        either: list[str] = []
        equal: list[str] = []
        for (name, down), value in zip(wanted, last, strict=True):
            column, kind = self.column(name)
            if value is None:
                beyond = "false" if down else f"{column} IS NOT NULL"
                same = f"{column} IS NULL"
            else:
                place = self.parameter(value, kind)
                beyond = f"({column} < {place} OR {column} IS NULL)" if down else f"{column} > {place}"
                same = f"{column} = {place}"
            either.append("(" + " AND ".join([*equal, beyond]) + ")")
            equal.append(same)
        return "(" + " OR ".join(either) + ")"


_DUCK = {"float8": "DOUBLE", "text": "VARCHAR", "timestamptz": "TIMESTAMPTZ"}


def type_of(value: object) -> FieldType:
    """The type of a value."""
    if isinstance(value, bool):
        return _T.BOOLEAN
    if isinstance(value, int | float):
        return _T.NUMBER
    if isinstance(value, datetime):
        return _T.INSTANT
    return _T.DATE if isinstance(value, date) else _T.TEXT


def _meeting(left: FieldType | None, right: FieldType | None) -> FieldType | None:
    if left is None or right is None:
        return left or right or _T.TEXT
    if left == right:
        return left
    pair = {left, right}
    if pair <= _NUMERIC:
        return _T.NUMBER
    if pair == {_T.INSTANT, _T.DATE}:
        return _T.INSTANT
    if _T.TEXT in pair and pair & {_T.INSTANT, _T.DATE}:
        return _T.INSTANT if _T.INSTANT in pair else _T.DATE
    return None


def turned(value: Value, wanted: FieldType) -> Value:
    """A text as the date or instant that is wanted; other values as they are. Raises BadFilter."""
    if wanted is _T.INSTANT and isinstance(value, date) and not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    if isinstance(value, str) and wanted in {_T.INSTANT, _T.DATE}:
        try:
            return date.fromisoformat(value) if wanted is _T.DATE else parse_instant(value)
        except ValueError as reason:
            raise BadFilter(msg("“{value}” não é uma data (AAAA-MM-DD) nem um instante (ISO 8601)."), value=value[:40]) from reason
    return value


def _same(text: str, *wanted: FieldType, gives: FieldType) -> tuple[tuple[FieldType, ...], FieldType, str]:
    return wanted, gives, text


_POSTGRES_CASE = 'COLLATE "pg_c_utf8"'
#: function and number of arguments → types that it takes, type that it gives, its SQL (one for both engines, or by engine)
FUNCTIONS: dict[tuple[str, int], tuple[tuple[FieldType, ...], FieldType, str | dict[Dialect, str]]] = {
    ("contains", 2): _same("(strpos({0}, {1}) > 0)", _T.TEXT, _T.TEXT, gives=_T.BOOLEAN),
    ("startswith", 2): _same("starts_with({0}, {1})", _T.TEXT, _T.TEXT, gives=_T.BOOLEAN),
    ("endswith", 2): _same("(right({0}, length({1})::int) = {1})", _T.TEXT, _T.TEXT, gives=_T.BOOLEAN),
    ("length", 1): _same("length({0})", _T.TEXT, gives=_T.NUMBER),
    ("indexof", 2): _same("(strpos({0}, {1}) - 1)", _T.TEXT, _T.TEXT, gives=_T.NUMBER),
    ("substring", 2): _same("substr({0}, greatest(({1})::int, 0) + 1)", _T.TEXT, _T.NUMBER, gives=_T.TEXT),
    ("substring", 3): _same("substr({0}, greatest(({1})::int, 0) + 1, greatest(({2})::int, 0))", _T.TEXT, _T.NUMBER, _T.NUMBER, gives=_T.TEXT),
    ("tolower", 1): ((_T.TEXT,), _T.TEXT, {Dialect.POSTGRES: f"lower(({{0}}) {_POSTGRES_CASE})", Dialect.DUCKDB: "lower({0})"}),
    ("toupper", 1): ((_T.TEXT,), _T.TEXT, {Dialect.POSTGRES: f"upper(({{0}}) {_POSTGRES_CASE})", Dialect.DUCKDB: "upper({0})"}),
    ("unaccent", 1): ((_T.TEXT,), _T.TEXT, {Dialect.POSTGRES: "unaccent({0})", Dialect.DUCKDB: "strip_accents({0})"}),
    ("trim", 1): _same("trim({0})", _T.TEXT, gives=_T.TEXT),
    ("concat", 2): _same("({0} || {1})", _T.TEXT, _T.TEXT, gives=_T.TEXT),
    ("like", 2): _same("({0} LIKE {1} ESCAPE '\\')", _T.TEXT, _T.TEXT, gives=_T.BOOLEAN),
    ("round", 1): _same("round({0})", _T.NUMBER, gives=_T.NUMBER),
    ("floor", 1): _same("floor({0})", _T.NUMBER, gives=_T.NUMBER),
    ("ceiling", 1): _same("ceil({0})", _T.NUMBER, gives=_T.NUMBER),
    ("negate", 1): _same("(- {0})", _T.NUMBER, gives=_T.NUMBER),
    ("fractionalseconds", 1): _same("(date_part('second', {0}) - floor(date_part('second', {0})))", _T.INSTANT, gives=_T.NUMBER),
    ("totaloffsetminutes", 1): _same("(CASE WHEN {0} IS NOT NULL THEN 0.0::float8 END)", _T.INSTANT, gives=_T.NUMBER),  # kept in UTC
    ("mindatetime", 0): _same("'0001-01-01T00:00:00Z'::timestamptz", gives=_T.INSTANT),
    ("maxdatetime", 0): _same("'9999-12-31T23:59:59Z'::timestamptz", gives=_T.INSTANT),
    ("now", 0): _same("now()", gives=_T.INSTANT),
    ("date", 1): _same("(({0}) AT TIME ZONE 'UTC')::date", _T.INSTANT, gives=_T.DATE),
    **{
        (name, 1): _same(f"date_part('{name}', ({{0}}) AT TIME ZONE 'UTC')", _T.INSTANT, gives=_T.NUMBER)
        for name in ("year", "month", "day", "hour", "minute", "second")
    },
}
