"""Layers from declarations, and layers as the browser draws them: pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from malha.insight.maps.contracts import Layer, LayerKind, Stop, UnusableLayer
from malha.kernel import formats
from malha.kernel.text import msg
from malha.vocabulary.models.contracts import AttributeKind, DataModel, Label, Role, ValueType

#: colours in turn for layers that declare none
PALETTE = tuple(f"--data-{number}" for number in range(1, 9))
NO_DATA = "--severity-nodata"
#: how the key of a layer begins that no pack drew
OF_TYPE = "type-"
#: mainland Portugal, where nothing better is known: west, south, east, north
COUNTRY = (-9.6, 36.9, -6.1, 42.2)


def label_of(given: object) -> Label:
    """A label from `{pt, en}` or from one text. Raises UnusableLayer."""
    if isinstance(given, str):
        return Label(given)
    if isinstance(given, Mapping) and isinstance(given.get("pt"), str):
        return Label(given["pt"], str(given.get("en", "")))
    raise UnusableLayer(msg("Falta o nome em português em {given}."), given=str(given)[:80])


def to_definition(layer: Layer) -> dict[str, Any]:
    """A layer as it is kept in a row."""
    return {name: value for name, value in asdict(layer).items() if name not in {"key", "pack", "enabled", "position"}}


def from_definition(key: str, given: Mapping[str, Any], *, pack: str = "", enabled: bool = True, position: int = 0) -> Layer:
    """A layer from a row or from a pack. Raises UnusableLayer naming what cannot be read."""
    try:
        stops = tuple(
            Stop(one["colour"], label_of(one["label"]), None if one.get("start") is None else float(one["start"]), str(one.get("value", "")))
            for one in given.get("stops", ())
        )
        return Layer(
            key=key, label=label_of(given["label"]), type=given["type"], kind=LayerKind(given.get("kind", "cluster")), attribute=given.get("attribute", ""),
            unit=given.get("unit", ""), decimals=int(given.get("decimals", 1)), scale=float(given.get("scale", 1)), stops=stops,
            popup=tuple(given.get("popup", ())), pack=pack, enabled=enabled, position=position,
        )  # fmt: skip
    except (KeyError, ValueError, TypeError) as reason:
        raise UnusableLayer(msg("A camada {key} não se consegue ler: {reason}."), key=key, reason=str(reason)) from reason


def of_type(entity_type: str, model: DataModel | None, position: int) -> Layer:
    """The layer of a type that no pack drew: one colour, its first measures in the click."""
    shown = (
        [p.name for p in model.properties if p.role in {Role.MEASURE, Role.DIMENSION} and p.type not in {ValueType.OBJECT, ValueType.LIST}][:4] if model else []
    )
    return Layer(f"{OF_TYPE}{entity_type}", model.label if model else Label(entity_type), entity_type, popup=tuple(shown), position=100 + position)


def to_spec(layer: Layer, model: DataModel | None, language: str, *, data: str = "", tiles: str = "", visible: bool = True) -> dict[str, Any]:
    """A layer as `<malha-map>` takes it."""
    own = PALETTE[layer.position % len(PALETTE)]
    numeric = [stop for stop in layer.stops if stop.start is not None]
    colour: dict[str, Any] = {"property": layer.attribute, "default": NO_DATA if layer.stops else own}
    if numeric:
        colour["stops"] = [[stop.start, stop.colour] for stop in numeric]
    elif layer.stops:
        colour["categories"] = {stop.value: stop.colour for stop in layer.stops}
    spec: dict[str, Any] = {
        "id": layer.key, "label": layer.label.in_language(language), "type": layer.type, "kind": layer.kind, "colour": colour,
        "legend": _legend(layer, numeric, language, own), "popup": [_field(layer, model, name, language) for name in _shown(layer)],
        "decimals": layer.decimals, "unit": formats.unit(layer.unit), "visible": visible,
    }  # fmt: skip
    return spec | ({"tiles": tiles, "source_layer": "entities"} if tiles else {"data": data})


def _shown(layer: Layer) -> list[str]:
    return list(dict.fromkeys([*([layer.attribute] if layer.attribute else []), *layer.popup]))


def _legend(layer: Layer, numeric: Sequence[Stop], language: str, own: str) -> list[dict[str, Any]]:
    shape = "circle" if layer.kind in {LayerKind.CIRCLE, LayerKind.CLUSTER} else "square" if layer.kind is LayerKind.FILL else "line"
    if numeric:
        ends: list[float | None] = [*(stop.start for stop in numeric[1:]), None]
        return [
            {"label": stop.label.in_language(language), "colour": stop.colour, "shape": shape, "range": [stop.start if index else None, end]}
            for index, (stop, end) in enumerate(zip(numeric, ends, strict=True))
        ]
    if layer.stops:
        return [{"label": stop.label.in_language(language), "colour": stop.colour, "shape": shape, "value": stop.value} for stop in layer.stops]
    return [{"label": layer.label.in_language(language), "colour": own, "shape": shape}]


def _field(layer: Layer, model: DataModel | None, name: str, language: str) -> dict[str, str]:
    found = model.find(name) if model else None
    unit = layer.unit if name == layer.attribute and layer.unit else found.unit if found else ""
    return {"property": name, "label": found.label.in_language(language) if found else name, "unit": formats.unit(unit)}


def drawable(model: DataModel | None, name: str) -> bool:
    """Whether a property may be on a map: not about people, and a plain value."""
    found = model.find(name) if model else None
    return found is None or (not found.personal and found.kind is not AttributeKind.GEO_PROPERTY)


def extent_of(boxes: Iterable[tuple[float, float, float, float]]) -> tuple[float, float, float, float] | None:
    """The box around boxes, with a margin of a tenth; None of nothing."""
    found = list(boxes)
    if not found:
        return None
    west, south = min(box[0] for box in found), min(box[1] for box in found)
    east, north = max(box[2] for box in found), max(box[3] for box in found)
    margin_x, margin_y = max((east - west) * 0.1, 0.005), max((north - south) * 0.1, 0.005)
    return west - margin_x, south - margin_y, east + margin_x, north + margin_y
