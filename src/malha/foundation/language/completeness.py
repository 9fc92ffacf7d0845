"""Find every sentence for people in the code and in the templates, and compare with the English catalogues."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from django.utils.translation.template import templatize

from malha.foundation.language import catalogue
from malha.foundation.language.contracts import Gap, GapKind

#: the functions whose first arguments are sentences, and how many of them are
FUNCTIONS = {
    "_": 1, "gettext": 1, "gettext_lazy": 1, "gettext_noop": 1, "msg": 1, "say": 1, "ngettext": 2, "ngettext_lazy": 2,
}  # fmt: skip
_TEMPLATE_CALL = re.compile(r"\b(n?gettext|_)\(\s*(?=u?['\"])")
_BRACES = re.compile(r"\{(\w*)[^{}]*\}")
_PERCENT = re.compile(r"%\((\w+)\)")

Sentence = str | tuple[str, str]


def in_python(path: Path) -> Iterator[tuple[Sentence, int]]:
    """The sentences of one module with their lines; a call with something else than plain text says nothing."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr if isinstance(node.func, ast.Attribute) else ""
        count = FUNCTIONS.get(name, 0)
        texts = [part.value for part in node.args[:count] if isinstance(part, ast.Constant) and isinstance(part.value, str)]
        if count and len(texts) == count and texts[0]:
            yield (texts[0] if count == 1 else (texts[0], texts[1])), node.lineno


def in_template(path: Path) -> Iterator[tuple[Sentence, int]]:
    """The sentences of one template."""
    text = templatize(path.read_text(encoding="utf-8"), origin=str(path))
    for call in _TEMPLATE_CALL.finditer(text):
        literals, rest = [], text[call.end() :]
        for _part in range(2 if call[1] == "ngettext" else 1):
            literal = _leading_literal(rest)
            if literal is None:
                break
            literals.append(ast.literal_eval(literal))
            rest = rest[len(literal) :].lstrip().removeprefix(",").lstrip()
        line = text.count("\n", 0, call.start()) + 1
        if len(literals) == 2:
            yield (literals[0], literals[1]), line
        elif literals:
            yield literals[0], line


def _leading_literal(text: str) -> str | None:
    found = re.match(r"""u?('''(?:[^\\]|\\.)*?'''|\"\"\"(?:[^\\]|\\.)*?\"\"\"|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""", text, re.DOTALL)
    return found[0] if found else None


def sentences(package: Path = catalogue.PACKAGE) -> dict[Sentence, str]:
    """Every sentence for people with the first place where it stands."""
    found: dict[Sentence, str] = {}
    for path in sorted(package.rglob("*.py")):
        if "tests" not in path.parts and "migrations" not in path.parts:
            _keep(found, in_python(path), path, package)
    for path in sorted(package.rglob("templates/**/*")):
        if path.suffix in {".html", ".txt", ".xml"}:
            _keep(found, in_template(path), path, package)
    return found


def _keep(found: dict[Sentence, str], more: Iterable[tuple[Sentence, int]], path: Path, package: Path) -> None:
    for sentence, line in more:
        found.setdefault(sentence, f"{path.relative_to(package.parent)}:{line}")


def _parameters(text: str) -> set[str]:
    return set(_BRACES.findall(text)) | set(_PERCENT.findall(text))


def gaps(package: Path = catalogue.PACKAGE, extra: Iterable[str] = ()) -> list[Gap]:
    """What is missing, fuzzy, unused or has other parameters than its sentence. `extra` are sentences found elsewhere (commands)."""
    wanted = sentences(package) | dict.fromkeys(extra, "commands")
    known: dict[str, str] = {}
    found: list[Gap] = []
    for path in catalogue.sources(package):
        place = str(path.relative_to(package.parent))
        for message in catalogue.read(path):
            if not message.id:
                continue
            key: Sentence = message.id if isinstance(message.id, str) else (message.id[0], message.id[1])
            first = key if isinstance(key, str) else key[0]
            strings = [message.string] if isinstance(message.string, str) else list(message.string or ())
            if message.fuzzy:
                found.append(Gap(GapKind.FUZZY, first, place))
            elif not all(strings):
                found.append(Gap(GapKind.MISSING, first, place))
            elif any(_parameters(text) - _parameters(first if isinstance(key, str) else "".join(key)) for text in strings):
                found.append(Gap(GapKind.PARAMETERS, first, place))
            if key not in wanted and first not in wanted:
                found.append(Gap(GapKind.UNUSED, first, place))
            known[first] = place
    found += [
        Gap(GapKind.MISSING, key if isinstance(key, str) else key[0], place)
        for key, place in wanted.items()
        if (key if isinstance(key, str) else key[0]) not in known
    ]
    return found
