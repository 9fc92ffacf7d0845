"""Questions as SQL, written for each dialect from one table of functions.

Text of one dialect translated to another is known to fail on time buckets, quantiles and pivots; so every function is said
per dialect, and what a dialect lacks raises NotImplementedThere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import sqlglot
from sqlglot import exp

from malha.history.engines.specification import (
    COLUMNS,
    TIME,
    Comparison,
    Filter,
    Function,
    Measure,
    NotImplementedThere,
    Question,
    Table,
    UnusableQuestion,
    Value,
    Width,
)
from malha.kernel.text import msg

MOST_ROWS = 1_000_000
MOST_COLUMNS = 200
_SECONDS = {Width.QUARTER: 900, Width.HOUR: 3600}


class Dialect(StrEnum):
    """The SQL that an engine speaks; the names are sqlglot's."""

    DUCKDB = "duckdb"
    POSTGRES = "postgres"
    SPARK = "spark"


type Expression = exp.Expr
type Writer = Callable[..., Expression]


def _call(name: str, *arguments: Expression | None) -> Expression:
    return exp.Anonymous(this=name, expressions=[argument for argument in arguments if argument is not None])


def _number(value: float) -> Expression:
    return exp.Literal.number(repr(value))


def _text(value: str) -> Expression:
    return exp.Literal.string(value)


def _cast(value: Expression, kind: str) -> Expression:
    return exp.cast(value, kind)


def _in_zone(instant: Expression, zone: str) -> Expression:
    return exp.AtTimeZone(this=instant, zone=_text(zone))


def _ordered_first(value: Expression, time: Expression, *, desc: bool) -> Expression:
    ordered = exp.Order(this=value, expressions=[exp.Ordered(this=time, desc=desc, nulls_first=False)])
    picked = exp.Filter(this=_call("array_agg", ordered), expression=exp.Where(this=exp.Not(this=exp.Is(this=value.copy(), expression=exp.Null()))))
    return exp.Bracket(this=exp.Paren(this=picked), expressions=[_number(1)], offset=1)


def _within_group(value: Expression, quantile: float) -> Expression:
    return exp.WithinGroup(this=_call("percentile_cont", _number(quantile)), expression=exp.Order(expressions=[exp.Ordered(this=value)]))


def _duck_bucket(instant: Expression, seconds: int) -> Expression:
    width = _number(seconds * 1_000_000)
    return _call("make_timestamptz", exp.Mul(this=exp.IntDiv(this=_call("epoch_us", instant), expression=width), expression=width.copy()))


def _postgres_bucket(instant: Expression, seconds: int) -> Expression:
    epoch = exp.Extract(this=exp.Var(this="epoch"), expression=instant)
    return _call("to_timestamp", exp.Mul(this=_call("floor", exp.Div(this=epoch, expression=_number(seconds))), expression=_number(seconds)))


def _spark_bucket(instant: Expression, seconds: int) -> Expression:
    epoch = _call("unix_timestamp", instant)
    return _call("timestamp_seconds", exp.Mul(this=_call("floor", exp.Div(this=epoch, expression=_number(seconds))), expression=_number(seconds)))


def _local_date(instant: Expression, zone: str) -> Expression:
    return _cast(_in_zone(instant, zone), "date")


def _local_month(instant: Expression, zone: str) -> Expression:
    return _cast(_call("date_trunc", _text("month"), _in_zone(instant, zone)), "date")


def _spark_local(instant: Expression, zone: str) -> Expression:
    return _call("to_date", _call("from_utc_timestamp", instant, _text(zone)))


#: what each dialect says for what all must say alike
FUNCTIONS: Mapping[str, Mapping[Dialect, Writer]] = {
    "bucket": {Dialect.DUCKDB: _duck_bucket, Dialect.POSTGRES: _postgres_bucket, Dialect.SPARK: _spark_bucket},
    "local_day": {Dialect.DUCKDB: _local_date, Dialect.POSTGRES: _local_date, Dialect.SPARK: _spark_local},
    "local_month": {
        Dialect.DUCKDB: _local_month, Dialect.POSTGRES: _local_month, Dialect.SPARK: lambda at, zone: _call("trunc", _spark_local(at, zone), _text("MM")),
    },
    "quantile": {
        Dialect.DUCKDB: lambda value, part: _call("quantile_cont", value, _number(part)),
        Dialect.POSTGRES: _within_group,
        Dialect.SPARK: lambda value, part: _call("percentile", value, _number(part)),
    },
    "first": {
        Dialect.DUCKDB: lambda value, time: _call("arg_min", value, time),
        Dialect.POSTGRES: lambda value, time: _ordered_first(value, time, desc=False),
        Dialect.SPARK: lambda value, time: _call("min_by", value, _only_with(value, time)),
    },
    "last": {
        Dialect.DUCKDB: lambda value, time: _call("arg_max", value, time),
        Dialect.POSTGRES: lambda value, time: _ordered_first(value, time, desc=True),
        Dialect.SPARK: lambda value, time: _call("max_by", value, _only_with(value, time)),
    },
    "contains": {
        Dialect.DUCKDB: lambda column, text: _call("contains", column, text),
        Dialect.POSTGRES: lambda column, text: exp.GT(this=_call("strpos", column, text), expression=_number(0)),
        Dialect.SPARK: lambda column, text: exp.GT(this=_call("instr", column, text), expression=_number(0)),
    },
    "instant": {
        Dialect.DUCKDB: lambda at: _cast(_text(at.isoformat()), "timestamptz"),
        Dialect.POSTGRES: lambda at: _cast(_text(at.isoformat()), "timestamptz"),
        Dialect.SPARK: lambda at: _call("to_timestamp", _text(at.isoformat())),
    },
}  # fmt: skip


def _only_with(value: Expression, time: Expression) -> Expression:
    """The time of rows that have the value: Spark would take the first row even where it has none."""
    return exp.Case(ifs=[exp.If(this=exp.Not(this=exp.Is(this=value.copy(), expression=exp.Null())), true=time)])


def function(name: str, dialect: Dialect, *arguments: object) -> Expression:
    """One function of the table. Raises NotImplementedThere."""
    writer = FUNCTIONS[name].get(dialect)
    if writer is None:
        raise NotImplementedThere(msg("O motor {engine} não sabe responder a “{what}”."), engine=dialect.value, what=name)
    return writer(*arguments)


@lru_cache(maxsize=256)
def compile_question(question: Question, dialect: Dialect, relation: str, tenant_id: int) -> str:
    """The SQL of a question of one tenant over `relation`, a name or sub-query of ours. Raises UnusableQuestion, NotImplementedThere."""
    return _Compiler(question, dialect).select(relation, tenant_id).sql(dialect=dialect.value)


@dataclass(frozen=True, slots=True)
class _Compiler:
    question: Question
    dialect: Dialect

    def select(self, relation: str, tenant_id: int) -> exp.Select:
        """The whole statement; the tenant's filter is on it whatever was asked."""
        self._check()
        asked = self.question
        source = sqlglot.parse_one(f"SELECT * FROM {relation} AS t", dialect=self.dialect.value).args["from_"].this
        query = exp.Select(expressions=self._columns()).from_(source)
        conditions = [exp.EQ(this=_column("tenant_id"), expression=_number(tenant_id)), *self._period(), *(self._condition(each) for each in asked.filters)]
        if asked.entities is not None:
            conditions.append(exp.In(this=_column("entity_id"), expressions=[_number(int(id_)) for id_ in asked.entities] or [exp.Null()]))
        query = query.where(*conditions, *self._hidden())
        if asked.measures:
            query = query.group_by(*(each.this.copy() if isinstance(each, exp.Alias) else each.copy() for each in self._keys()))
        names = asked.order or tuple(key.alias_or_name for key in self._keys())
        for name in names:
            query = query.order_by(exp.Ordered(this=exp.to_identifier(name, quoted=True), desc=asked.descending, nulls_first=False))
        return query.limit(min(asked.limit, MOST_ROWS))

    def _columns(self) -> list[Expression]:
        if not self.question.measures:
            return [_column(name) for name in self.question.columns]
        return [*self._keys(), *(self._measure(each) for each in self._pivoted())]

    def _keys(self) -> list[Expression]:
        asked = self.question
        keys: list[Expression] = [_column(name) for name in asked.by]
        if asked.bucket:
            keys.insert(0, exp.alias_(self._bucket(asked.bucket), "bucket", quoted=True))
        return keys if asked.measures else []

    def _bucket(self, width: Width) -> Expression:
        time = _column(TIME[self.question.table])
        if width in _SECONDS:
            return function("bucket", self.dialect, time, _SECONDS[width])
        return function("local_day" if width is Width.DAY else "local_month", self.dialect, time, self.question.zone)

    def _pivoted(self) -> list[Measure]:
        pivot = self.question.pivot
        if pivot is None:
            return list(self.question.measures)
        return [
            replace(measure, name=f"{measure.title}_{value}", where=(*measure.where, Filter(pivot.column, Comparison.EQUAL, (value,))))
            for measure in self.question.measures
            for value in pivot.values
        ]

    def _measure(self, measure: Measure) -> Expression:
        value = _column(measure.column) if measure.column else _number(1)
        if measure.where:
            value = exp.Case(ifs=[exp.If(this=exp.and_(*(self._condition(each) for each in measure.where)), true=value)])
        return exp.alias_(self._aggregate(measure, value), measure.title, quoted=True)

    def _aggregate(self, measure: Measure, value: Expression) -> Expression:
        match measure.function:
            case Function.COUNT:
                return exp.Count(this=value)
            case Function.SUM:
                return exp.Sum(this=value)
            case Function.AVERAGE:
                return exp.Avg(this=value)
            case Function.MINIMUM:
                return exp.Min(this=value)
            case Function.MAXIMUM:
                return exp.Max(this=value)
            case Function.DISTINCT:
                return exp.Count(this=exp.Distinct(expressions=[value]))
            case Function.DEVIATION:
                return _call("stddev_samp", value)
            case Function.QUANTILE:
                return function("quantile", self.dialect, value, measure.quantile)
            case Function.FIRST | Function.LAST:
                return function(measure.function.value, self.dialect, value, _column(TIME[self.question.table]))

    def _period(self) -> list[Expression]:
        asked, found = self.question, list[Expression]()
        if asked.start:
            found.append(exp.GTE(this=_column(TIME[asked.table]), expression=self._value(asked.start)))
        if asked.end:
            found.append(exp.LT(this=_column(TIME[asked.table]), expression=self._value(asked.end)))
        return found

    def _hidden(self) -> list[Expression]:
        asked, found = self.question, list[Expression]()
        if asked.without_entities:
            found.append(exp.Not(this=exp.In(this=_column("entity_id"), expressions=[_number(int(id_)) for id_ in asked.without_entities])))
        if asked.without_runs and asked.table is Table.OBSERVATION:
            mine = exp.In(this=_column("run_id"), expressions=[_number(int(id_)) for id_ in asked.without_runs])
            found.append(exp.or_(exp.Is(this=_column("run_id"), expression=exp.Null()), exp.Not(this=mine)))
        return found

    def _condition(self, each: Filter) -> Expression:
        column = _column(each.column)
        simple: dict[Comparison, type[exp.Binary]] = {
            Comparison.EQUAL: exp.EQ, Comparison.DIFFERENT: exp.NEQ, Comparison.LESS: exp.LT,
            Comparison.AT_MOST: exp.LTE, Comparison.MORE: exp.GT, Comparison.AT_LEAST: exp.GTE,
        }  # fmt: skip
        if each.comparison in simple:
            return simple[each.comparison](this=column, expression=self._value(each.values[0]))
        if each.comparison is Comparison.AMONG:
            return exp.In(this=column, expressions=[self._value(value) for value in each.values] or [exp.Null()])
        if each.comparison is Comparison.CONTAINS:
            return function("contains", self.dialect, column, self._value(each.values[0]))
        missing = exp.Is(this=column, expression=exp.Null())
        return missing if each.comparison is Comparison.MISSING else exp.Not(this=missing)

    def _value(self, value: Value) -> Expression:
        if isinstance(value, bool):
            return exp.Boolean(this=value)
        if isinstance(value, datetime):
            return function("instant", self.dialect, value.astimezone(UTC))
        return _number(value) if isinstance(value, (int, float)) else _text(value)

    def _check(self) -> None:
        """Everything that is named is there. Raises UnusableQuestion."""
        asked = self.question
        named = [*asked.by, *asked.columns, *(each.column for each in asked.filters), *(each.column for each in asked.measures if each.column)]
        named += [each.column for measure in asked.measures for each in measure.where] + ([asked.pivot.column] if asked.pivot else [])
        unknown = sorted(set(named) - COLUMNS[asked.table])
        if unknown:
            raise UnusableQuestion(msg("Não há nenhuma coluna “{name}” em {table}. Há: {known}."), name=unknown[0], table=asked.table.value, known=", ".join(sorted(COLUMNS[asked.table])))  # fmt: skip
        if not asked.measures and not asked.columns:
            raise UnusableQuestion(msg("Diga que medidas ou que colunas quer."))
        if (asked.start or asked.end or asked.bucket) and asked.table not in TIME:
            raise UnusableQuestion(msg("A tabela {table} não tem tempo."), table=asked.table.value)
        if len(self._pivoted()) > MOST_COLUMNS:
            raise UnusableQuestion(msg("A resposta teria mais de {most} colunas."), most=MOST_COLUMNS)
        answered = {key.alias_or_name for key in self._keys()} | {each.title for each in self._pivoted()} | set(asked.columns)
        if strange := sorted(set(asked.order) - answered):
            raise UnusableQuestion(msg("Não se pode ordenar por “{name}”: não está na resposta."), name=strange[0])
        self._check_values()

    def _check_values(self) -> None:
        asked = self.question
        for each in (*asked.filters, *(one for measure in asked.measures for one in measure.where)):
            if each.comparison not in {Comparison.AMONG, Comparison.MISSING, Comparison.PRESENT} and len(each.values) != 1:
                raise UnusableQuestion(msg("A condição sobre “{name}” leva um valor."), name=each.column)
        if any(instant is not None and instant.tzinfo is None for instant in (asked.start, asked.end)):
            raise UnusableQuestion(msg("O período precisa da sua zona horária."))
        if any(not 0 <= measure.quantile <= 1 for measure in asked.measures):
            raise UnusableQuestion(msg("Um quantil vai de 0 a 1."))
        try:
            ZoneInfo(asked.zone)
        except (ZoneInfoNotFoundError, ValueError) as reason:
            raise UnusableQuestion(msg("Não há nenhuma zona horária “{name}”."), name=asked.zone) from reason


def _column(name: str) -> Expression:
    return exp.column(exp.to_identifier(name, quoted=True), table=exp.to_identifier("t", quoted=True))
