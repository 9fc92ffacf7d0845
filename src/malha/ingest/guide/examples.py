"""National models shown by example: what one thing of each says, for who never heard of a data model."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext as _

from malha.ingest.guide.contracts import Table
from malha.ingest.mapping import suggest
from malha.ingest.mapping.contracts import RowKind
from malha.kernel import formats
from malha.vocabulary.models import service as models
from malha.vocabulary.models.contracts import DataModel

#: models offered by example, and what is shown of each
NEAREST, SHOWN = 3, 7
#: where the value stands in the forms that examples have
PARTS = ("value", "@value", "object", "addressLocality")
UNTOLD = {"id", "type", "@context", "location"}


@dataclass(frozen=True, slots=True)
class Example:
    """One thing of a model, in the reader's words: (what, its value)."""

    label: str
    type: str
    says: tuple[tuple[str, str], ...]


def of(table: Table) -> list[Example]:
    """The chosen model by example; before one is chosen, those that most headers speak of."""
    national = [model for model in table.models if model.source not in suggest.MADE_OF_FILES]
    if table.answers.kind is RowKind.MODEL:
        chosen = [model for model in national if model.type == table.answers.type]
    else:
        scored = sorted(((suggest.score(table.shape, model), model.type, model) for model in national), key=lambda one: (-one[0], one[1]))
        chosen = [model for score, _type, model in scored[:NEAREST] if score >= 2]
    return [shown for model in chosen if (shown := _shown(model, table.language)).says]


def _shown(model: DataModel, language: str) -> Example:
    says = []
    for name, value in models.example(model).items():
        prop, text = model.find(name), _words(value, language)
        if prop is not None and text and name not in UNTOLD:
            says.append((prop.label.in_language(language) or name, text))
    return Example(model.label.in_language(language) or model.type, model.type, tuple(says[:SHOWN]))


def _words(value: object, language: str) -> str:
    """A value as people write it; nothing for what has parts."""
    if isinstance(value, bool):
        return _("sim") if value else _("não")
    if isinstance(value, int | float):
        return formats.number(value, language=language)
    if isinstance(value, list):
        return ", ".join(text for one in value if (text := _words(one, language)))[:80]
    if isinstance(value, dict):
        return _words(next((value[key] for key in PARTS if key in value), ""), language)
    return str(value)[:80] if isinstance(value, str) else ""
