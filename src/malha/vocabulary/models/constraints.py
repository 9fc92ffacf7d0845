"""Rules between properties of an imported model: JSON Schema fragments over the simplified entity."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from malha.vocabulary.models.contracts import DataModel, Finding
from malha.vocabulary.models.sentences import finding

_SHOWN = 160


def compile_rules(model: DataModel) -> Callable[[Mapping[str, Any]], Iterator[Finding]] | None:
    """The function that reports which rules of `model` a simplified entity breaks; None where there are none."""
    if not model.constraints:
        return None
    validators = [Draft202012Validator(fragment) for fragment in model.constraints]

    def check(simple: Mapping[str, Any]) -> Iterator[Finding]:
        for validator in validators:
            for error in validator.iter_errors(simple):
                yield _finding(error)

    return check


def _finding(error: ValidationError) -> Finding:
    path = ".".join(str(step) for step in error.absolute_path) or ", ".join(sorted(_named(error.schema)))
    said = json.dumps(error.validator_value, ensure_ascii=False, default=str)
    return finding("rule", path, rule=f"{error.validator}: {said[:_SHOWN]}{'…' if len(said) > _SHOWN else ''}")


def _named(schema: Any) -> set[str]:
    """The properties that a fragment speaks of."""
    if isinstance(schema, Mapping):
        own = set(schema.get("required", ())) | set(schema.get("properties", ()))
        return own.union(*(_named(inner) for key, inner in schema.items() if key in {"if", "then", "else", "not", "anyOf", "oneOf", "allOf"}))
    if isinstance(schema, list):
        return set().union(*(_named(inner) for inner in schema))
    return set()
