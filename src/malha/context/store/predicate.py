"""The tree of `q` as SQL over the stored document: each term is one jsonpath predicate, given as a parameter.

A jsonpath that meets another type than it expects answers "unknown", never an error with somebody's value in it
(data-plane 1). Instants are compared as instants, texts by code point.
"""

from __future__ import annotations

import json
import re

from malha.context.store.contracts import UnusableQuery
from malha.context.store.q import Every, Node, Path, Range, Scalar, Some, Term, is_instant
from malha.kernel.text import msg
from malha.kernel.time import format_instant, parse_instant

#: members that may hold a value, by what is asked for
_NUMBERS = ("value", "json", "valueList")
_TEXTS = ("value", "object", "vocab", "languageMap.*", "json", "valueList", "objectList", "objectList.object", 'value."@value"')
_META = frozenset({"observedAt", "unitCode", "datasetId", "createdAt", "modifiedAt", "objectType", "coordinateSystem"})
_COLUMNS = {"createdAt": "e.created_at", "modifiedAt": "e.modified_at"}
_SQL_OPERATORS = {"==": "=", "!=": "<>", ">": ">", "<": "<", ">=": ">=", "<=": "<="}


def compile_node(node: Node, params: list[object]) -> str:
    """The condition on `e` (a row of `entities`) that `node` is; its values go to `params`."""
    if isinstance(node, Every):
        return "(" + " AND ".join(compile_node(part, params) for part in node.parts) + ")"
    if isinstance(node, Some):
        return "(" + " OR ".join(compile_node(part, params) for part in node.parts) + ")"
    if node.path.names[0] in _COLUMNS and len(node.path.names) == 1:
        return _column(node, params)
    if not node.operator:
        params.append(_root(node.path, exists=True))
        return "e.doc @? %s::jsonpath"
    timed = any(is_instant(v) for value in node.values for v in ((value.low, value.high) if isinstance(value, Range) else (value,)))
    params.append(_term(node))
    return "jsonb_path_match_tz(e.doc, %s::jsonpath, '{}', true)" if timed else "e.doc @@ %s::jsonpath"


def _column(term: Term, params: list[object]) -> str:
    column = _COLUMNS[term.path.names[0]]
    if not term.operator:
        return "true"
    parts: list[str] = []
    for value in term.values:
        if isinstance(value, Range):
            parts.append(f"{column} BETWEEN %s::timestamptz AND %s::timestamptz")
            params += [_instant(value.low), _instant(value.high)]
        elif term.operator in _SQL_OPERATORS:
            parts.append(f"{column} {'=' if term.operator == '!=' else _SQL_OPERATORS[term.operator]} %s::timestamptz")
            params.append(_instant(value))
        else:
            raise UnusableQuery(msg("“{name}” é um instante; não se compara com um padrão."), name=term.path.names[0])
    either = "(" + " OR ".join(parts) + ")"
    return f"NOT {either}" if term.operator == "!=" else either


def _instant(value: Scalar) -> str:
    try:
        return format_instant(parse_instant(str(value)))
    except ValueError as reason:
        raise UnusableQuery(msg("“{value}” não é uma data e hora (ISO 8601)."), value=value) from reason


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _root(path: Path, *, exists: bool = False) -> str:
    """The attribute, or the sub-attribute, that a path names."""
    root = "$" + "".join(f".{_quoted(name)}" for name in path.names)
    return f"{root}.**.{_quoted(path.inside[-1])}" if exists and path.inside else root


def _accessors(path: Path, members: tuple[str, ...]) -> list[str]:
    root = _root(path)
    if path.inside:
        inside = "".join(f".{_quoted(name)}" for name in path.inside)
        if path.inside == ("*",):
            return [f"{root}.languageMap.*"]
        return [f"{root}.{member}{inside}" for member in ("value", "json", "languageMap", "value.languageMap")]
    found = [f"{root}.{member}" for member in members]
    if len(path.names) > 1 and path.names[-1] in _META:
        found.append(root)
    return found


def _term(term: Term) -> str:
    """A jsonpath that is true where the term holds."""
    path, operator = term.path, term.operator
    positive = " || ".join(_comparison(path, "==" if operator == "!=" else operator.removeprefix("!"), value) for value in term.values)
    if operator not in {"!=", "!~="}:
        return positive
    return f"exists({_root(path)}) && (!({positive}) || ({positive}) is unknown)"


def _comparison(path: Path, operator: str, value: Scalar | Range) -> str:
    if isinstance(value, Range):
        if isinstance(value.low, bool) or isinstance(value.low, str) != isinstance(value.high, str):
            raise UnusableQuery(msg("Os dois lados de um intervalo têm de ser do mesmo tipo."))
        return " || ".join(
            f"exists({a} ? (@{_method(value.low)} >= {_scalar(value.low)} && @{_method(value.high)} <= {_scalar(value.high)}))"
            for a in _accessors(path, _members(value.low))
        )
    if operator == "~=":
        pattern = str(value)
        try:
            re.compile(pattern)
        except re.error as reason:
            raise UnusableQuery(msg("O padrão “{pattern}” não é uma expressão regular."), pattern=pattern[:80]) from reason
        return " || ".join(f"{a} like_regex {_quoted(pattern)}" for a in _accessors(path, _TEXTS))
    accessors = _accessors(path, _members(value))
    parts = [f"{a}{_method(value)} {operator} {_scalar(value)}" for a in accessors]
    if operator == "==" and is_instant(value):
        parts += [f"{a} == {_quoted(str(value))}" for a in accessors]
    return " || ".join(parts)


def _members(value: Scalar) -> tuple[str, ...]:
    return _TEXTS if isinstance(value, str) else _NUMBERS


def _method(value: Scalar) -> str:
    return ".timestamp_tz()" if is_instant(value) else ""


def _scalar(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"{_quoted(_instant(value))}.timestamp_tz()" if is_instant(value) else _quoted(value)
    return repr(value)
