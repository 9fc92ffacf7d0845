"""Names and IRIs: which IRI a short name stands for, and back."""

from __future__ import annotations

DEFAULT_VOCABULARY = "https://uri.etsi.org/ngsi-ld/default-context/"


def iri_of(name: str) -> str:
    """The IRI that the internal `name` of a type or attribute stands for (GS CIM 009 §4.6.2, default vocabulary)."""
    return name if ":" in name else DEFAULT_VOCABULARY + name
