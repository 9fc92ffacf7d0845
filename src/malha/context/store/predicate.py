"""The tree of `q` as SQL over the stored document: each term is one jsonpath predicate, given as a parameter.

A jsonpath that meets another type than it expects answers "unknown", never an error with somebody's value in it
(data-plane 1). Instants are compared as instants, texts by code point.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace

from malha.context.store.contracts import UnusableQuery
from malha.context.store.q import Every, Node, Path, Range, Scalar, Some, Term, is_instant
from malha.kernel.text import msg
from malha.kernel.time import format_instant, parse_instant
from malha.vocabulary.contexts import service as contexts

#: members that may hold a value, by what is asked for
_NUMBERS = ("value", "json", "valueList")
_TEXTS = ("value", "languageMap.*", "json", "valueList", 'value."@value"')
_URIS = ("object", "objectList", "objectList.object")
_META = frozenset({"observedAt", "unitCode", "datasetId", "createdAt", "modifiedAt", "objectType", "coordinateSystem"})
_COLUMNS = {"createdAt": "created_at", "modifiedAt": "modified_at", "expiresAt": "expires_at"}
_SQL_OPERATORS = {"==": "=", "!=": "<>", ">": ">", "<": "<", ">=": ">=", "<=": "<="}


@dataclass(frozen=True, slots=True)
class Look:
    """How a question is looked up: the row's alias, and the instances that count ("" is the default one; none: all).

    With the numbers of `tenants` and `types`, of which all rows are, numbers are looked for in `value` alone where they never lay elsewhere (`alone`).
    """

    alias: str = "e"
    datasets: tuple[str, ...] = ()
    tenants: tuple[int, ...] = ()
    types: tuple[int, ...] = ()
    alone: bool = False


#: the question as one jsonpath, chosen by the snapshot that the rows are of
_CHOSEN = (
    "(SELECT CASE WHEN EXISTS (SELECT FROM entity_json_attribute k WHERE k.tenant_id = ANY (%s::bigint[]) AND k.type_id = ANY (%s::int[]) AND k.name = ANY (%s::text[]))"
    " THEN %s ELSE %s END::jsonpath)"
)


def compile_node(node: Node, params: list[object], look: Look = Look()) -> str:
    """The condition on a row of `entities` that `node` is; its values go to `params`.

    As much as one jsonpath can say is one jsonpath, which walks the document once. A CASE is what the planner takes for "about half of the
    rows", so that a page is read along the index until it is full, not sorted out of everything.
    """
    if (path := _as_path(node, look)) is not None:
        chosen = "%s::jsonpath"
        if look.types and look.tenants and (measured := _measured(node)):
            params += [list(look.tenants), list(look.types), sorted(measured), path]
            chosen, path = _CHOSEN, _as_path(node, replace(look, alone=True))
        params.append(path)
        return f"CASE WHEN {look.alias}.doc @@ {chosen} THEN true ELSE false END"
    if isinstance(node, Every):
        together = tuple(part for part in node.parts if _as_path(part, look) is not None)
        apart = [part for part in node.parts if part not in together]
        return "(" + " AND ".join(compile_node(part, params, look) for part in ([Every(together)] if together else []) + apart) + ")"
    if isinstance(node, Some):
        return "(" + " OR ".join(compile_node(part, params, look) for part in node.parts) + ")"
    if node.operator == "!":
        return f"NOT ({compile_node(Term(node.path), params, look)})"
    if node.path.linked is not None:
        return _linked(node, params, look)
    if node.path.names[0] in _COLUMNS and len(node.path.names) == 1:
        return _column(node, params, look)
    if node.path.names[0] in {"id", "type"} and len(node.path.names) == 1:
        raise UnusableQuery(msg("“{name}” pergunta-se com o seu próprio parâmetro, não em q."), name=node.path.names[0])
    if _stamped(node):
        return _stamp(node, params, look)
    params.append(_term(node, look))
    return f"jsonb_path_match_tz({look.alias}.doc, %s::jsonpath, '{{}}', true)"


def _as_path(node: Node, look: Look) -> str | None:
    """The node as one jsonpath over the document, None where something of it lies elsewhere or needs a time zone."""
    if isinstance(node, Term):
        if not of_attribute(node) or _timed(node):
            return None
        if node.operator not in {"", "!"}:
            return _term(node, look)
        return f"{node.operator}exists({_root(node.path, look, exists=True)})"
    parts = [_as_path(part, look) for part in node.parts]
    if None in parts:
        return None
    return (" && " if isinstance(node, Every) else " || ").join(f"({part})" for part in parts)


def _stamped(term: Term) -> bool:
    """Whether a term asks when an attribute was made or changed."""
    return len(term.path.names) == 2 and term.path.names[1] in {"createdAt", "modifiedAt"} and term.operator not in {"", "!"}


def ends(term: Term) -> list[Scalar]:
    """What a term compares with, of ranges both ends."""
    return [end for value in term.values for end in ((value.low, value.high) if isinstance(value, Range) else (value,))]


def of_attribute(term: Term) -> bool:
    """Whether nothing but the attribute that a term names says whether it holds."""
    names = term.path.names
    return term.path.linked is None and not (len(names) == 1 and names[0] in {*_COLUMNS, "id", "type"}) and not _stamped(term)


def numeric(term: Term) -> bool:
    """Whether a term compares with numbers alone, by size."""
    return term.operator in _SQL_OPERATORS and all(isinstance(end, int | float) and not isinstance(end, bool) for end in ends(term))


def _timed(term: Term) -> bool:
    return any(map(is_instant, ends(term)))


def plain(term: Term) -> bool:
    """Whether a term compares an attribute itself with numbers, or for equality with texts that are no instants."""
    if len(term.path.names) > 1 or term.path.inside or term.path.linked is not None or term.operator not in {*_SQL_OPERATORS}:
        return False
    if numeric(term):
        return True
    by_equality = term.operator in {"==", "!="} and not any(isinstance(value, Range) for value in term.values)
    return by_equality and all(isinstance(end, str) and not is_instant(end) for end in ends(term))


def _measured(node: Node) -> set[str]:
    """The attributes of which a question plainly compares numbers."""
    if not isinstance(node, Term):
        return set().union(*map(_measured, node.parts))
    return {node.path.names[0]} if plain(node) and numeric(node) else set()


def _plainly(term: Term, at: str, *, alone: bool) -> str:
    """A plain term about the attribute at `at`; members that only other kinds than Property have are looked for only there, or not at all."""
    first: list[str] = []
    others: list[str] = []
    for value in term.values:
        if isinstance(value, Range):
            test = f"? (@ >= {_scalar(value.low)} && @ <= {_scalar(value.high)})"
            first.append(f"exists({at}.value {test})")
            others += [f"exists({at}.{member} {test})" for member in _NUMBERS[1:]]
            continue
        operator = "==" if term.operator == "!=" else term.operator
        text = isinstance(value, str)
        first += [f"{at}.{member} {operator} {_scalar(value)}" for member in (("value", 'value."@value"') if text else ("value",))]
        members = ("languageMap.*", "json", "valueList", *_URIS) if text else _NUMBERS[1:]
        others += [f"{at}.{member} {operator} {_scalar(value)}" for member in members]
        if isinstance(value, str) and ":" in value:  # a word of a vocabulary is compared as the IRI that it stands for (expandValues)
            others.append(f"{at}.vocab == {_quoted(contexts.internal(value))}")
    if alone and numeric(term):
        return " || ".join(first)
    return f'{" || ".join(first)} || ({at}.type != "Property" && ({" || ".join(others)}))'


def _linked(term: Term, params: list[object], look: Look) -> str:
    """The condition that an entity which a relationship leads to answers the rest of the question (§4.9, linked entities)."""
    assert term.path.linked is not None
    below = Look(f"l{len(look.alias)}{look.alias}"[:40])
    root = _root(term.path, look)
    params.append(f"{root}.object[*]")
    params.append(f"{root}.objectList[*].object")
    kind = ""
    if term.path.linked_type:
        params.append(term.path.linked_type)
        kind = f" AND (SELECT id FROM entity_type WHERE name = %s) = ANY ({below.alias}.types)"
    inner = compile_node(Term(term.path.linked, term.operator, term.values), params, below)
    alive = f"({below.alias}.expires_at IS NULL OR {below.alias}.expires_at > now())"
    return (
        f"EXISTS (SELECT FROM entities {below.alias} WHERE {below.alias}.tenant_id = {look.alias}.tenant_id AND {below.alias}.uri = ANY (ARRAY("
        f"SELECT v #>> '{{}}' FROM jsonb_path_query({look.alias}.doc, %s::jsonpath) v UNION ALL SELECT v #>> '{{}}' FROM jsonb_path_query({look.alias}.doc, %s::jsonpath) v))"
        f"{kind} AND {alive} AND {inner})"
    )


def _stamp(term: Term, params: list[object], look: Look) -> str:
    """When an attribute was made or changed; what was never changed since the entity began carries no stamp of its own."""
    name, member = term.path.names
    has = f"{look.alias}.doc ? %s"
    column = f"coalesce(({look.alias}.doc #>> %s::text[])::timestamptz, ({look.alias}.doc #>> %s::text[])::timestamptz, {look.alias}.created_at)"
    parts: list[str] = []
    bound: list[object] = []
    paths: list[object] = [[name, member], [name, "createdAt"]]
    for value in term.values:
        bound += paths
        if isinstance(value, Range):
            parts.append(f"{column} BETWEEN %s::timestamptz AND %s::timestamptz")
            bound += [_instant(value.low), _instant(value.high)]
        elif term.operator in _SQL_OPERATORS:
            parts.append(f"{column} {'=' if term.operator == '!=' else _SQL_OPERATORS[term.operator]} %s::timestamptz")
            bound.append(_instant(value))
        else:
            raise UnusableQuery(msg("“{name}” é um instante; não se compara com um padrão."), name=member)
    params += [name, *bound]
    either = "(" + " OR ".join(parts) + ")"
    return f"({has} AND {'NOT ' if term.operator == '!=' else ''}{either})"


def _column(term: Term, params: list[object], look: Look) -> str:
    column = f"{look.alias}.{_COLUMNS[term.path.names[0]]}"
    if not term.operator:
        return f"{column} IS NOT NULL"
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


def _root(path: Path, look: Look, *, exists: bool = False) -> str:
    """The attribute, or the sub-attribute, that a path names, its instances narrowed to those that count."""
    first, *rest = path.names
    root = f"$.{_quoted(first)}"
    if look.datasets:
        tests = ["!exists(@.datasetId)" if not each else f"@.datasetId == {_quoted(each)}" for each in look.datasets]
        root = f"{root}[*] ? ({' || '.join(tests)})"
    root += "".join(f".{_quoted(name)}" for name in rest)
    if not exists or not path.inside:
        return root
    inside = "".join(f".{_quoted(name)}" for name in path.inside if name != "*")
    return f"{root}.{'*' if path.inside == ('*',) else '*' + inside}"


def _accessors(path: Path, members: tuple[str, ...], look: Look) -> list[str]:
    root = _root(path, look)
    if path.inside:
        inside = "".join(f".{_quoted(name)}" for name in path.inside)
        if path.inside == ("*",):
            return [f"{root}.languageMap.*"]
        return [f"{root}.{member}{inside}" for member in ("value", "json", "languageMap", "value.languageMap")]
    found = [f"{root}.{member}" for member in members]
    if len(path.names) > 1 and path.names[-1] in _META:
        found.append(root)
    return found


def _term(term: Term, look: Look) -> str:
    """A jsonpath that is true where the term holds."""
    path, operator = term.path, term.operator
    if plain(term):
        if operator != "!=":
            return _plainly(
                term, _root(path, look), alone=look.alone
            )  # each member named from the root: looking the attribute up again is quicker than a filter on it
        return f"exists({_root(path, look)}) && !(exists({_root(path, look)} ? ({_plainly(term, '@', alone=look.alone)})))"
    positive = " || ".join(_comparison(path, "==" if operator == "!=" else operator.removeprefix("!"), value, look) for value in term.values)
    if operator not in {"!=", "!~="}:
        return positive
    return f"exists({_root(path, look)}) && (!({positive}) || ({positive}) is unknown)"


def _comparison(path: Path, operator: str, value: Scalar | Range, look: Look) -> str:
    if isinstance(value, Range):
        if isinstance(value.low, bool) or isinstance(value.low, str) != isinstance(value.high, str):
            raise UnusableQuery(msg("Os dois lados de um intervalo têm de ser do mesmo tipo."))
        return " || ".join(
            f"exists({a} ? (@{_method(value.low)} >= {_scalar(value.low)} && @{_method(value.high)} <= {_scalar(value.high)}))"
            for a in _accessors(path, _members(value.low), look)
        )
    if operator == "~=":
        pattern = str(value)
        try:
            re.compile(pattern)
        except re.error as reason:
            raise UnusableQuery(msg("O padrão “{pattern}” não é uma expressão regular."), pattern=pattern[:80]) from reason
        return " || ".join(f"{a} like_regex {_quoted(pattern)}" for a in _accessors(path, (*_TEXTS, *_URIS), look))
    accessors = _accessors(path, _members(value), look)
    parts = [f"{a}{_method(value)} {operator} {_scalar(value)}" for a in accessors]
    if isinstance(value, str) and operator == "==" and not path.inside:
        parts += [f"{a} == {_quoted(value)}" for a in _accessors(path, _URIS, look)]
        if ":" in value:  # a word of a vocabulary is compared as the IRI that it stands for (expandValues)
            parts += [f"{a} == {_quoted(contexts.internal(value))}" for a in _accessors(path, ("vocab",), look)]
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
