"""What limits of somebody's reach can be chosen from: types, themes and places, which rooms above know. Given by the composition root."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

#: (tenant id, language) → (type, what people call it), those with data first
type TypesOf = Callable[[int, str], list[tuple[str, str]]]

_types_of: TypesOf | None = None
#: (tenant id, language) → (theme of data models, what people call it)
type ThemesOf = Callable[[int, str], list[tuple[str, str]]]
#: tenant id → (code of a boundary, its name): the municipality and its parishes
type PlacesOf = Callable[[int], list[tuple[str, str]]]
#: (tenant id, codes) → the boundaries together, as a GeoJSON (Multi)Polygon in EPSG:4326
type AreaOf = Callable[[int, list[str]], dict[str, Any] | None]

#: tenant id → (slug of a dataset that is, was or will be open, its title)
type DatasetsOf = Callable[[int], list[tuple[str, str]]]

_places: tuple[PlacesOf, AreaOf] | None = None
_datasets_of: DatasetsOf | None = None
_themes_of: ThemesOf | None = None


def provide_types(provider: TypesOf) -> None:
    """Say where the types of a tenant's data are known."""
    global _types_of  # noqa: PLW0603 -- set once, at the start of a process
    _types_of = provider


def types_of(tenant_id: int, language: str) -> list[tuple[str, str]]:
    """The types that a tenant has, or may come to have, data of."""
    return _types_of(tenant_id, language) if _types_of else []


def provide_themes(provider: ThemesOf) -> None:
    """Say where the themes of a tenant's data models are known."""
    global _themes_of  # noqa: PLW0603 -- set once, at the start of a process
    _themes_of = provider


def themes_of(tenant_id: int, language: str) -> list[tuple[str, str]]:
    """The themes of the data models that a tenant has data of: (key, name)."""
    return _themes_of(tenant_id, language) if _themes_of else []


def provide_datasets(provider: DatasetsOf) -> None:
    """Say where the datasets of a tenant are known."""
    global _datasets_of  # noqa: PLW0603 -- set once, at the start of a process
    _datasets_of = provider


def datasets_of(tenant_id: int) -> list[tuple[str, str]]:
    """The datasets that a tenant prepares or has published: (slug, title)."""
    return _datasets_of(tenant_id) if _datasets_of else []


def provide_places(places: PlacesOf, area: AreaOf) -> None:
    """Say where the boundaries of a tenant are known."""
    global _places  # noqa: PLW0603 -- set once, at the start of a process
    _places = (places, area)


def places_of(tenant_id: int) -> list[tuple[str, str]]:
    """The municipality and the parishes whose boundaries are imported: (code, name)."""
    return _places[0](tenant_id) if _places else []


def area_of(tenant_id: int, codes: list[str]) -> dict[str, Any] | None:
    """These boundaries together; None without any."""
    return _places[1](tenant_id, codes) if _places and codes else None
