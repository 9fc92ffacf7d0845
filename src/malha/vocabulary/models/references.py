"""A JSON Schema with every `$ref` put in place, its own and those to shared schemas, and nothing fetched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from malha.kernel.text import msg
from malha.vocabulary.models.contracts import UnusableModel
from malha.vocabulary.models.definitions import DEFINITIONS

#: members that say something to people and nothing to a validator
_WORDS = frozenset({"title", "$comment", "examples", "default", "deprecated", "readOnly", "writeOnly", "$id", "$schema", "$anchor"})
_MOST_STEPS = 40


def resolve(schema: Mapping[str, Any]) -> dict[str, Any]:
    """`schema` without references. Raises UnusableModel where one leads nowhere or goes round in a circle."""
    resolved = _resolve(schema, schema, 0)
    assert isinstance(resolved, dict)
    resolved.pop("$defs", None)
    resolved.pop("definitions", None)
    return resolved


def _resolve(node: Any, root: Mapping[str, Any], steps: int) -> Any:
    if steps > _MOST_STEPS:
        raise UnusableModel(msg("As referências do esquema andam em círculo."))
    if isinstance(node, list):
        return [_resolve(each, root, steps + 1) for each in node]
    if not isinstance(node, Mapping):
        return node
    own = {key: _resolve(value, root, steps + 1) for key, value in node.items() if key not in _WORDS | {"$ref", "$defs", "definitions"} or key == "title"}
    if _is_link(node):
        own = {key: value for key, value in own.items() if key != "anyOf"} | {"type": "string", "minLength": 1, "x-link": True}
    if "$ref" not in node:
        return own
    target = _target(str(node["$ref"]), root, steps)
    return {**target, **own}


def _is_link(node: Mapping[str, Any]) -> bool:
    """Whether this is the pair "identifier or URI", which Smart Data Models writes out wherever an entity is named."""
    options = node.get("anyOf")
    if not isinstance(options, list) or len(options) != 2:
        return False
    texts = [option for option in options if isinstance(option, Mapping) and option.get("type") == "string"]
    return len(texts) == 2 and {"pattern" in text for text in texts} == {True, False} and any(text.get("format") == "uri" for text in texts)


def _target(reference: str, root: Mapping[str, Any], steps: int) -> dict[str, Any]:
    address, _, fragment = reference.partition("#")
    path = [unquote(step).replace("~1", "/").replace("~0", "~") for step in fragment.split("/") if step]
    if not address:
        found: Any = root
        for step in path:
            found = found.get(step) if isinstance(found, Mapping) else None
        if not isinstance(found, Mapping):
            raise UnusableModel(msg("O esquema refere “{reference}”, que não existe nele."), reference=reference)
        resolved = _resolve(found, root, steps + 1)
    else:
        resolved = _shared(address, path, reference)
    assert isinstance(resolved, dict)
    return resolved


def _shared(address: str, path: list[str], reference: str) -> dict[str, Any]:
    definitions = DEFINITIONS.get(urlsplit(address).path.rsplit("/", 1)[-1], {})
    name = path[1] if len(path) > 1 and path[0] in {"definitions", "$defs"} else None
    found: Any = definitions.get(name)
    for step in path[2:]:
        found = found.get(step) if isinstance(found, Mapping) else None
    if not isinstance(found, Mapping):
        raise UnusableModel(msg("O esquema refere “{reference}”, que a Malha não conhece e não vai buscar à rede."), reference=reference)
    return dict(found)
