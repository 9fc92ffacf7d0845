"""The catalogue of models as a page shows it: found by words, grouped by theme, one property a line."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from malha.foundation.language import service as tongue
from malha.kernel import units
from malha.kernel.text import msg, normalise, sort_key
from malha.vocabulary.codelists import service as codelists
from malha.vocabulary.models import guesses, service
from malha.vocabulary.models.contracts import DataModel, ModelError, ModelProperty, Role, Severity, UnusableModel, ValueType

MOST_ENTITIES = 200

#: what a property is, in words for a reader
TYPE_WORDS: dict[ValueType, tuple[str, str]] = {
    ValueType.NUMBER: ("número", "number"),
    ValueType.INTEGER: ("número inteiro", "whole number"),
    ValueType.BOOLEAN: ("sim ou não", "yes or no"),
    ValueType.TEXT: ("texto", "text"),
    ValueType.URI: ("endereço ou ligação", "address or link"),
    ValueType.INSTANT: ("data e hora", "date and time"),
    ValueType.DATE: ("data", "date"),
    ValueType.DURATION: ("duração", "duration"),
    ValueType.OBJECT: ("conjunto de valores", "set of values"),
    ValueType.LIST: ("lista", "list"),
    ValueType.GEOMETRY: ("lugar no mapa", "place on the map"),
}
ROLE_WORDS: dict[Role, tuple[str, str]] = {
    Role.MEASURE: ("mede-se", "measured"),
    Role.DIMENSION: ("agrupa", "groups"),
    Role.IDENTIFIER: ("identifica", "identifies"),
    Role.TIME: ("diz quando", "says when"),
    Role.PLACE: ("diz onde", "says where"),
    Role.TEXT: ("", ""),
}


@dataclass(frozen=True, slots=True)
class PropertyLine:
    """One property as the page of a model shows it."""

    name: str
    label: str
    description: str
    kind: str
    type: str
    role: str
    unit: str
    required: bool
    personal: bool
    choices: tuple[tuple[str, str], ...]
    members: tuple[PropertyLine, ...]


@dataclass(frozen=True, slots=True)
class Trial:
    """One entity that somebody tried: its id, its model, and what is wrong, in the reader's language."""

    uri: str
    type: str
    is_accepted: bool
    findings: tuple[dict[str, str], ...]
    reason: str = ""


def theme_label(theme: str, language: str) -> str:
    """The name of a theme; one that nobody named is its own words."""
    known = codelists.get("theme").find(theme)
    return known.in_language(language) if known else guesses.words(theme.replace("-", "_")) or "—"


def themes(models: Iterable[DataModel], language: str) -> list[tuple[str, str]]:
    """The themes that have models: (theme, name), in order of name."""
    return sorted({(model.theme, theme_label(model.theme, language)) for model in models if model.theme}, key=lambda pair: sort_key(pair[1]))


def found(models: Iterable[DataModel], text: str, theme: str) -> list[DataModel]:
    """The models of a theme whose name, words or properties hold every word of `text`, without accents."""
    wanted = normalise(text).split()
    kept = [model for model in models if (not theme or model.theme == theme) and all(word in _searched(model) for word in wanted)]
    return sorted(kept, key=lambda model: sort_key(model.label.pt))


def _searched(model: DataModel) -> str:
    said = [model.type, model.label.pt, model.label.en, model.description.pt, model.description.en]
    for prop in model.properties:
        said += [prop.name, prop.label.pt, prop.label.en]
    return normalise(" ".join(said))


def lines(properties: Iterable[ModelProperty], language: str) -> tuple[PropertyLine, ...]:
    """The properties as lines, mandatory ones first."""
    made = [_line(prop, language) for prop in properties]
    return tuple(sorted(made, key=lambda line: not line.required))


def _line(prop: ModelProperty, language: str) -> PropertyLine:
    at = 1 if language.startswith("en") else 0
    unit = units.find(prop.unit) if prop.unit else None
    description = prop.description.in_language(language)
    label = prop.label.in_language(language)
    item = f" ({TYPE_WORDS[prop.item_type][at]})" if prop.item_type else ""
    return PropertyLine(
        name=prop.name,
        label=label,
        description="" if description == label else description,
        kind=prop.kind.value,
        type=TYPE_WORDS[prop.type][at] + item,
        role=ROLE_WORDS[prop.role][at],
        unit=f"{unit.symbol or unit.in_language(language)} ({prop.unit})" if unit else "",
        required=prop.required,
        personal=prop.personal,
        choices=tuple((value, label.in_language(language)) for value, label in zip(prop.choices, prop.choice_labels, strict=True)),
        members=lines(prop.members, language),
    )


def try_text(text: str, entity_type: str, tenant_id: int, language: str) -> list[Trial]:
    """Try the entities of a JSON text, one or an array, on their models. Raises UnusableModel where the text is no JSON."""
    try:
        loaded = json.loads(text)
    except ValueError as reason:
        where = f"{reason.lineno}:{reason.colno}" if isinstance(reason, json.JSONDecodeError) else ""
        raise UnusableModel(msg("O texto não é JSON: há um erro na linha e coluna {where}."), where=where) from reason
    entities = loaded if isinstance(loaded, list) else [loaded]
    if len(entities) > MOST_ENTITIES:
        raise UnusableModel(msg("São {count} entidades; aqui experimentam-se até {most} de cada vez."), count=len(entities), most=MOST_ENTITIES)
    return [_trial(entity, entity_type, tenant_id, language) for entity in entities]


def _trial(entity: Any, entity_type: str, tenant_id: int, language: str) -> Trial:
    named = entity.get("type", "") if isinstance(entity, dict) else ""
    wanted = entity_type or (named[0] if isinstance(named, list) and named else str(named))
    uri = str(entity.get("id", "")) if isinstance(entity, dict) else ""
    try:
        model = service.get(wanted, tenant_id)
    except ModelError as reason:
        return Trial(uri, wanted, is_accepted=False, findings=(), reason=tongue.explain(reason, language))
    findings = service.validate(entity, model)
    said = []
    for each in findings:
        message, mend = service.in_language(each, language)
        said.append({"path": each.path, "code": each.code, "severity": each.severity.value, "message": message, "mend": mend})
    return Trial(uri, wanted, not any(each.severity is Severity.ERROR for each in findings), tuple(said))
