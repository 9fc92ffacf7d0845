"""What an address asks for: the steps of its path, and the query options with those of what is expanded inside (OGC 18-088 §9)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from malha.kernel.text import msg
from malha.share.questions import odata
from malha.share.sensorthings import filters
from malha.share.sensorthings.contracts import SETS, BadRequest, EntitySet, Link, NoSuchThing, NotOffered, Options

MOST_STEPS = 8
MOST_EXPANDED = 4  # levels
MOST = 2**31
_SET = re.compile(r"([A-Za-z]+)(?:\((.*)\))?", re.DOTALL)
_KNOWN = frozenset({"$filter", "$orderby", "$top", "$skip", "$count", "$select", "$expand", "$resultFormat", "resultFormat"})


@dataclass(frozen=True, slots=True)
class Step:
    """One step: a collection (`kind`), one of it by `key`, a link from the step before, or a field of it."""

    kind: EntitySet
    key: str = ""
    link: Link | None = None


@dataclass(frozen=True, slots=True)
class Path:
    """The steps, then a field of the last of them (and what lies inside), and whether only its value or references are wanted."""

    steps: tuple[Step, ...]
    fields: tuple[str, ...] = ()
    value: bool = False
    ref: bool = False

    @property
    def last(self) -> Step:
        """The step that is answered."""
        return self.steps[-1]

    @property
    def is_collection(self) -> bool:
        """Whether it answers with many."""
        return not self.last.key and (self.last.link is None or self.last.link.many) and not self.fields


def key_of(text: str) -> str:
    """The id in parentheses, with or without quotes. Raises BadRequest."""
    text = text.strip()
    quoted = len(text) > 1 and text[0] == text[-1] == "'"
    found = text[1:-1].replace("''", "'") if quoted else text
    if not found or len(found) > 200 or (not quoted and not re.fullmatch(r"[\w.:-]+", found)):
        raise BadRequest(msg("“{text}” não é um identificador."), text=text[:60])
    return found


def _parts(path: str) -> list[str]:
    """The path cut at its slashes, those within quotes aside."""
    return [part for part in re.findall(r"(?:'(?:[^']|'')*'|[^/'])+", path.strip("/")) if part]


def path(text: str) -> Path:
    """The steps of a path below the service's root. Raises NoSuchThing, BadRequest."""
    parts = _parts(text)
    ref, value = parts[-1:] == ["$ref"], parts[-1:] == ["$value"]
    parts = parts[:-1] if ref or value else parts
    if not parts or len(parts) > MOST_STEPS:
        raise NoSuchThing(msg("Não há nada neste endereço."))
    steps: list[Step] = []
    for n, part in enumerate(parts):
        step = _step(part, steps[-1] if steps else None)
        if step is None:
            fields = tuple(parts[n:])
            if not steps or _many(steps[-1]) or steps[-1].kind.find(fields[0]) is None:
                raise NoSuchThing(msg("Não há nada neste endereço."))
            return Path(tuple(steps), fields, value, ref)
        steps.append(step)
    if value:
        raise BadRequest(msg("`$value` vem depois de um campo: Things(1)/name/$value."))
    return Path(tuple(steps), (), value, ref)


def _many(step: Step) -> bool:
    return not step.key and (step.link is None or step.link.many)


def _step(part: str, before: Step | None) -> Step | None:
    match = _SET.fullmatch(part)
    if match is None:
        return None
    name, key = match[1], key_of(match[2]) if match[2] is not None else ""
    if before is None:
        kind = SETS.get(name)
        if kind is None:
            raise NoSuchThing(msg("Não há nada neste endereço."))
        return Step(kind, key)
    link = before.kind.link(name)
    if link is None:
        return None
    if _many(before) or (key and not link.many):
        raise NoSuchThing(msg("Não há nada neste endereço."))
    return Step(SETS[link.target], key, link)


def options(kind: EntitySet, given: Iterable[tuple[str, str]], depth: int = 0) -> Options:
    """The options of one collection or entity. Raises BadRequest, BadFilter, NotSupported."""
    said: dict[str, str] = {}
    for name, text in given:
        if name not in _KNOWN:
            if name.startswith("$"):
                raise BadRequest(msg("`{name}` não é uma opção do SensorThings."), name=name[:40])
            continue
        if name in said:
            raise BadRequest(msg("`{name}` só se diz uma vez."), name=name)
        said[name] = text
    form = said.get("$resultFormat", said.get("resultFormat", ""))
    if form and form.lower() != "dataarray":
        raise NotOffered(msg("`$resultFormat` é `dataArray`."))
    if form and kind.name != "Observations":
        raise BadRequest(msg("`dataArray` é só para observações."))
    return Options(
        where=filters.parse(said["$filter"]) if said.get("$filter", "").strip() else None,
        order=_order(kind, said.get("$orderby", "")),
        top=_number(said["$top"], "$top") if "$top" in said else None,
        skip=_number(said["$skip"], "$skip") if "$skip" in said else 0,
        count=_flag(said.get("$count", "false")),
        select=_select(kind, said.get("$select", "")),
        expand=_expand(kind, said.get("$expand", ""), depth),
        as_array=bool(form),
        text=said,
    )


def _order(kind: EntitySet, text: str) -> tuple[tuple[str, bool], ...]:
    found = []
    for name, down in odata.parse_order(text.replace("@iot.id", "id")) if text.strip() else []:
        if kind.past and "/" in name and kind.link(name.partition("/")[0]) is not None:
            raise NotOffered(msg("As observações ordenam-se pelos seus campos."))
        found.append((name, down))
    return tuple(found)


def _number(text: str, name: str) -> int:
    if not text.strip().isascii() or not text.strip().isdigit() or int(text) > MOST:
        raise BadRequest(msg("`{name}` é um número inteiro, 0 ou mais: “{text}”."), name=name, text=text[:40])
    return int(text)


def _flag(text: str) -> bool:
    if text.strip().lower() not in {"true", "false"}:
        raise BadRequest(msg("`$count` é `true` ou `false`."))
    return text.strip().lower() == "true"


def _select(kind: EntitySet, text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys({"@iot.id": "id"}.get(name, name) for part in text.split(",") if (name := part.strip())))
    for name in names:
        if kind.find(name.partition("/")[0]) is None and kind.link(name) is None:
            raise BadRequest(msg("“{table}” não tem o campo “{name}”."), table=kind.name, name=name[:80])
    return names


def cut(text: str, at: str) -> list[str]:
    """The text cut at a character outside of parentheses and quotes. Raises BadRequest where they do not close."""
    parts, start, level, quoted = [], 0, 0, False
    for n, each in enumerate(text):
        if each == "'":
            quoted = not quoted
        elif not quoted:
            level += (each == "(") - (each == ")")
            if level < 0:
                break
            if each == at and level == 0:
                parts.append(text[start:n])
                start = n + 1
    if level or quoted:
        raise BadRequest(msg("Em `$expand` há parênteses ou plicas que não fecham."))
    return [part.strip() for part in [*parts, text[start:]] if part.strip()]


def _expand(kind: EntitySet, text: str, depth: int) -> Mapping[str, Options]:
    if text.strip() and depth >= MOST_EXPANDED:
        raise BadRequest(msg("`$expand` vai no máximo a {most} níveis."), most=MOST_EXPANDED)
    found: dict[str, list[tuple[str, str]]] = {}
    for part in cut(text, ","):
        head, _, inner = part.partition("(")
        names, given = head.strip().split("/"), [_option(one) for one in cut(inner.rstrip()[:-1], ";")] if inner else []
        if inner and not inner.rstrip().endswith(")"):
            raise BadRequest(msg("Em `$expand` há parênteses ou plicas que não fecham."))
        if kind.link(names[0]) is None:
            raise BadRequest(msg("“{table}” não leva a “{name}”."), table=kind.name, name=names[0][:60])
        into = found.setdefault(names[0], [])
        if len(names) == 1:
            into += given
        else:  # Datastreams/Observations is Datastreams($expand=Observations)
            rest = "/".join(names[1:]) + (f"({inner}" if inner else "")
            before = next((n for n, (name, _) in enumerate(into) if name == "$expand"), None)
            if before is None:
                into.append(("$expand", rest))
            else:
                into[before] = ("$expand", f"{into[before][1]},{rest}")
    links = {name: kind.link(name) for name in found}
    return {name: options(SETS[link.target], found[name], depth + 1) for name, link in links.items() if link is not None}


def _option(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise BadRequest(msg("Dentro de `$expand` cada opção é `$nome=valor`: “{text}”."), text=text[:60])
    return name.strip(), value.strip()
