"""A column of a batch made ready for PostgreSQL: the JSON of each value for the document, its text for the observation."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from json.encoder import encode_basestring as json_string
from typing import Any

import msgspec

from malha.context.store import geometry
from malha.context.store.contracts import MEMBER, Column, ObservationKind, UnusableEntity
from malha.kernel.text import msg
from malha.kernel.time import format_instant

_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})")
#: characters of an instant
_SHORTEST = 20
_canonical = msgspec.json.Encoder(order="sorted")
_NUMBERS = frozenset({int, float, type(None)})
_TEXTS = frozenset({str, type(None)})
_BOOLEANS = frozenset({bool, type(None)})


def canonical(value: object) -> str:
    """The one JSON text of a value: members in order, no spaces."""
    return _canonical.encode(value).decode()


#: kinds of attribute whose value is kept whole, as JSON
_WHOLE = {"JsonProperty": ObservationKind.RAW_JSON, "ListProperty": ObservationKind.LIST, "ListRelationship": ObservationKind.OBJECT_LIST}


def observed(kind: str, value: Any) -> tuple[ObservationKind, float | None, str | None]:
    """How history keeps `value` of an attribute of `kind`: (kind, number, text)."""
    if kind == "Property":
        return _property(value)
    if kind == "Relationship":
        return (ObservationKind.URI, None, value) if isinstance(value, str) else (ObservationKind.JSON, None, canonical(value))
    if kind == "GeoProperty":
        return ObservationKind.GEOMETRY, None, canonical(geometry.rounded(value))
    if kind == "LanguageProperty":
        return ObservationKind.LANGUAGE_MAP, None, canonical(value)
    if kind == "VocabProperty":
        return ObservationKind.VOCABULARY, None, value if isinstance(value, str) else canonical(value)
    if kind in _WHOLE:
        return _WHOLE[kind], None, canonical(value)
    return _property(value)


def _property(value: Any) -> tuple[ObservationKind, float | None, str | None]:
    if isinstance(value, bool):
        return ObservationKind.BOOLEAN, float(value), None
    if isinstance(value, int | float):
        return ObservationKind.NUMBER, float(value), None
    if isinstance(value, str):
        return (ObservationKind.INSTANT if len(value) >= _SHORTEST and _INSTANT.fullmatch(value) else ObservationKind.TEXT), None, value
    return ObservationKind.JSON, None, canonical(value)


class Cells:
    """One column: `json[i]` for the document, `text[i]` for the observation; None where the row has no value."""

    __slots__ = ("_special", "full", "json", "kind", "member", "name", "numeric", "obs_kind", "refused", "shapes", "text", "type", "unit", "values")

    def __init__(self, column: Column) -> None:
        self.name = column.name
        self.type = column.kind
        self.unit = column.unit
        if column.kind not in MEMBER:
            raise UnusableEntity(msg("O atributo “{name}” tem um tipo que não existe: {kind}."), name=column.name, kind=column.kind)
        self.member = MEMBER[column.kind]
        self.values: list[Any] = list(column.values)
        self.refused: dict[int, UnusableEntity] = {}
        self.shapes: dict[int, geometry.Shape] = {}
        self.numeric = False
        self._special = True
        self.obs_kind = ObservationKind.TEXT
        self.json: list[str | None]
        self.text: list[str | None]
        self._prepare()
        self.full = not self.refused and None not in self.values

    def _prepare(self) -> None:
        kinds = set(map(type, self.values))
        if self.type == "Property" and kinds <= _NUMBERS:
            self._numbers()
        elif self.type == "Property" and kinds <= _BOOLEANS:
            self._booleans()
        elif self.type in {"Property", "Relationship", "VocabProperty"} and kinds <= _TEXTS:
            self._texts()
        else:
            self._any()

    def _numbers(self) -> None:
        values = self.values
        if not _finite(values):
            for i, value in enumerate(values):
                if not _finite([value]):
                    self._refuse(i, msg("O valor de “{name}” não é um número finito."))
        self.numeric, self.obs_kind = True, ObservationKind.NUMBER
        self.json = self.text = [None if v is None else repr(v) for v in values]

    def _booleans(self) -> None:
        self.numeric, self.obs_kind = True, ObservationKind.BOOLEAN
        self.json = [None if v is None else "true" if v else "false" for v in self.values]
        self.text = [None if v is None else "1" if v else "0" for v in self.values]

    def _texts(self) -> None:
        values = self.values
        joined = "".join(v for v in values if v)
        if "\x00" in joined or not _encodable(joined):
            for i, value in enumerate(values):
                if value and ("\x00" in value or not _encodable(value)):
                    self._refuse(i, msg("O texto de “{name}” tem caracteres que não existem em Unicode."))
        if self.type == "Relationship":
            self.obs_kind = ObservationKind.URI
        elif self.type == "VocabProperty":
            self.obs_kind = ObservationKind.VOCABULARY
        self.json = [None if v is None else json_string(v) for v in values]
        self.text = values
        self._special = '"' in joined or "\\" in joined

    def _any(self) -> None:
        """Mixed or nested values: one at a time. A column whose values are not of one kind is kept as JSON text."""
        self.json, self.text = [None] * len(self.values), [None] * len(self.values)
        found: dict[int, tuple[ObservationKind, float | None, str | None]] = {}
        for i, value in enumerate(self.values):
            if value is None:
                continue
            try:
                plain = self._plain(i, value)
                self.json[i] = self._json(plain)
                self.values[i] = plain
                found[i] = observed(self.type, plain)
            except UnusableEntity as reason:
                self._drop(i, reason)
            except (TypeError, ValueError, OverflowError):
                self._refuse(i, msg("O valor de “{name}” não se pode guardar."))
        kinds = {kind for kind, _, _ in found.values()}
        self.obs_kind = kinds.pop() if len(kinds) == 1 else ObservationKind.JSON
        self.numeric = self.obs_kind in {ObservationKind.NUMBER, ObservationKind.BOOLEAN}
        for i, (kind, num, txt) in found.items():
            self.text[i] = repr(num) if self.numeric else txt if kind is self.obs_kind and txt is not None else self.json[i]

    def _plain(self, i: int, value: Any) -> Any:
        if self.type == "GeoProperty":
            self.shapes[i] = shape = geometry.parse(value)
            return shape.geojson
        if isinstance(value, datetime):
            if value.tzinfo is None:
                raise UnusableEntity(msg("O instante de “{name}” não diz o fuso horário."), name=self.name)
            return format_instant(value)
        if isinstance(value, float) and not math.isfinite(value):
            raise UnusableEntity(msg("O valor de “{name}” não é um número finito."), name=self.name)
        return value

    def _json(self, value: Any) -> str:
        text = canonical(value)
        if "\\u0000" in text:
            raise UnusableEntity(msg("O texto de “{name}” tem caracteres que não existem em Unicode."), name=self.name)
        return text

    def _refuse(self, i: int, message: str) -> None:
        self._drop(i, UnusableEntity(message, name=self.name))

    def _drop(self, i: int, reason: UnusableEntity) -> None:
        self.refused[i] = reason
        self.values[i] = None

    def drop(self, i: int) -> None:
        """Leave row `i` out of the observations (unchanged, or overtaken in the same batch)."""
        if self.text is self.json or self.text is self.values:
            self.text = list(self.text)
        self.text[i] = None
        self.full = False

    def head(self) -> str:
        """The attribute's JSON up to its value."""
        return f'{json_string(self.name)}:{{"type":"{self.type}","{self.member}":'

    def tail(self) -> str:
        """The attribute's JSON after its value, without observedAt."""
        return f',"unitCode":{json_string(self.unit)}' if self.unit else ""

    def array(self, rows: Sequence[int] | None) -> str:
        """The observations' values of `rows` (None: all) as a PostgreSQL array literal."""
        texts = self.text if rows is None else [self.text[i] for i in rows]
        if self.numeric:
            return "{" + ",".join(["NULL" if t is None else t for t in texts]) + "}"
        if self._special:
            return array_of_text(texts)
        return "{" + ",".join(["NULL" if t is None else f'"{t}"' for t in texts]) + "}"


def _finite(values: Sequence[Any]) -> bool:
    try:
        return math.isfinite(math.fsum([v for v in values if v is not None]))
    except (OverflowError, ValueError):
        return False


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def array_of_text(texts: Sequence[str | None]) -> str:
    """A PostgreSQL array literal of texts."""
    return "{" + ",".join(["NULL" if t is None else '"' + t.replace("\\", "\\\\").replace('"', '\\"') + '"' for t in texts]) + "}"


def array_of(values: Sequence[object], show: Callable[[Any], str] = str, between: str = ",") -> str:
    """A PostgreSQL array literal of numbers, or of texts without quotes, spaces and braces."""
    return "{" + between.join(["NULL" if v is None else show(v) for v in values]) + "}"


def instant_text(value: datetime) -> str:
    """`format_instant`, faster for what is in UTC already."""
    if value.tzinfo is UTC and not value.microsecond:
        return value.isoformat()[:19] + "Z"
    return format_instant(value)
