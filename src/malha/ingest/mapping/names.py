"""Names out of headers: attributes, types, ids and units. Pure."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc

from malha.kernel import units
from malha.kernel.text import normalise, unaccent

_PLAIN = re.compile(r"^[A-Za-z][A-Za-z0-9_]*$")
#: names that NGSI-LD keeps for itself (GS CIM 009 §4.5, §4.6.2), and what they become
_RESERVED = {"id": "localId", "type": "localType", "scope": "localScope", "location": "locationText", "createdAt": "localCreatedAt", "modifiedAt": "localModifiedAt", "observedAt": "localObservedAt", "deletedAt": "localDeletedAt", "value": "localValue", "object": "localObject"}  # fmt: skip
_SAFE_KEY = r"^[A-Za-z0-9._~:\-]+$"
#: unit as written in headers → UN/CEFACT code
UNITS = {
    "°c": "CEL", "ºc": "CEL", "c": "CEL", "°f": "FAH", "k": "KEL", "%": "P1", "mm": "MMT", "cm": "CMT", "m": "MTR", "km": "KMT", "m2": "MTK", "m²": "MTK",
    "km2": "KMK", "km²": "KMK", "ha": "HAR", "m3": "MTQ", "m³": "MTQ", "l": "LTR", "litros": "LTR", "km/h": "KMH", "m/s": "MTS", "hpa": "A97", "mbar": "MBR",
    "pa": "PAL", "kpa": "KPA", "bar": "BAR", "g": "GRM", "kg": "KGM", "t": "TNE", "ton": "TNE", "µg/m3": "GQ", "μg/m3": "GQ", "ug/m3": "GQ", "µg/m³": "GQ",
    "μg/m³": "GQ", "mg/m3": "GP", "mg/m³": "GP", "mg/l": "M1", "ppm": "59", "ppb": "61", "db": "2N", "db(a)": "2N", "dba": "2N", "w": "WTT", "kw": "KWT",
    "kwh": "KWH", "mwh": "MWH", "wh": "WHR", "v": "VLT", "a": "AMP", "ma": "4K", "lux": "LUX", "lx": "LUX", "lm": "LUM", "hz": "HTZ", "s": "SEC", "min": "MIN",
    "h": "HUR", "dias": "DAY", "w/m2": "D54", "w/m²": "D54", "°": "DD", "m3/s": "MQS", "m³/s": "MQS", "m3/h": "MQH", "m³/h": "MQH", "l/s": "G51",
}  # fmt: skip


def attribute(header: str) -> str:
    """The name of an attribute for a column: the header itself where it can be one, else its words run together.

    "pass_trip_count" stays; "Nome" becomes "nome" and "Data de início" "dataDeInicio".
    """
    bare = without_unit(header)
    if _PLAIN.match(bare):
        name = bare[0].lower() + bare[1:] if re.match(r"^[A-Z][a-z]", bare) else bare
        return _RESERVED.get(name, name)
    words: list[str] = re.findall(r"[A-Za-z0-9]+", unaccent(bare))
    if not words:
        return "coluna"
    name = words[0][0].lower() + words[0][1:] if not words[0].isupper() else words[0].lower()
    name += "".join(word.capitalize() for word in words[1:])
    if name[0].isdigit():
        name = f"n{name}"
    return _RESERVED.get(name, name)


def once(names: list[str]) -> list[str]:
    """The same names, each once."""
    made: list[str] = []
    for name in names:
        candidate, again = name, 2
        while candidate in made:
            candidate, again = f"{name}{again}", again + 1
        made.append(candidate)
    return made


def type_of(title: str) -> str:
    """A type for a table called `title`: "escolas_2024.csv" becomes "Escolas2024"."""
    words = re.findall(r"[A-Za-z0-9]+", unaccent(re.sub(r"\.[A-Za-z0-9]{1,8}$", "", title)))
    name = "".join(word[0].upper() + word[1:] for word in words) or "Tabela"
    return name if name[0].isalpha() else f"Tabela{name}"


def unit_of(header: str) -> tuple[str, str]:
    """The UN/CEFACT code of the unit that a header names in brackets, and that text; ("", text) when nobody knows the unit."""
    found = re.search(r"[\[(]\s*([^\])]{1,12}(?:\([A-Za-z]\))?)\s*[\])]\s*$", header)
    if not found:
        return "", ""
    text = found.group(1).strip()
    code = UNITS.get(text.lower(), "")
    return (code if code and units.find(code) else ""), text


def without_unit(header: str) -> str:
    """The header without the unit in brackets at its end."""
    return re.sub(r"\s*[\[(][^\])]{1,12}(?:\([A-Za-z]\))?[\])]\s*$", "", header).strip() or header.strip()


def plain(header: str) -> str:
    """The form in which headers and labels are compared."""
    split = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", without_unit(header))
    return re.sub(r"[^a-z0-9]+", " ", normalise(split)).strip()


def uris(prefix: str, keys: list[Any]) -> Any:
    """One URI per row from the columns that name it; null where a part is null. Letters that URIs refuse are percent-encoded."""
    cleaned = [_safe(key) for key in keys]
    local = cleaned[0] if len(cleaned) == 1 else pc.binary_join_element_wise(*cleaned, ":", null_handling="emit_null")
    return pc.binary_join_element_wise(pa.scalar(prefix), local, "", null_handling="emit_null")


def _safe(column: Any) -> Any:
    fine = pc.match_substring_regex(column, _SAFE_KEY)
    if pc.all(fine).as_py() is not False:
        return column
    encoded = [None if text is None else quote(text, safe="-._~:") for text in column.to_pylist()]
    return pa.array(encoded, pa.string())
