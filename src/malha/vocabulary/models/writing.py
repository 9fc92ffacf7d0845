"""A data model as JSON and back: the form in which models are kept in tables and travel in files."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec

from malha.kernel.text import msg
from malha.vocabulary.models.contracts import DataModel, UnusableModel

#: has msgspec look at the class now: several threads that are the first to ask at once would end the process
_LOOKED_AT = msgspec.json.Decoder(DataModel)


def to_json(model: DataModel) -> dict[str, Any]:
    """`model` as plain JSON values, without what it leaves at its default."""
    slim = _slim(model)
    assert isinstance(slim, dict)
    plain: dict[str, Any] = msgspec.to_builtins(slim)
    return plain


def from_json(document: dict[str, Any]) -> DataModel:
    """The model that `to_json` wrote. Raises UnusableModel."""
    try:
        return msgspec.convert(document, DataModel, strict=False)
    except msgspec.ValidationError as reason:
        raise UnusableModel(msg("O modelo de dados guardado não se entende: {reason}."), reason=str(reason)) from reason


def _slim(thing: Any) -> Any:
    if dataclasses.is_dataclass(thing) and not isinstance(thing, type):
        kept: dict[str, Any] = {}
        for field in dataclasses.fields(thing):
            value = getattr(thing, field.name)
            default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
            if value != default or default is dataclasses.MISSING:
                kept[field.name] = _slim(value)
        return kept
    if isinstance(thing, tuple | list):
        return [_slim(each) for each in thing]
    return thing
