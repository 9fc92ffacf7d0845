"""A batch of one type against its model, column by column: the fast road of files and connectors.

Numbers, booleans and instants are checked by Arrow; texts once per distinct value; only what nothing else can check
(objects, lists) goes value by value. No value in a row (null) is an omitted property, refused only where mandatory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from malha.kernel import units as registry
from malha.kernel.text import msg
from malha.vocabulary.models import checks, validation
from malha.vocabulary.models.contracts import ColumnFinding, ColumnFindings, DataModel, Finding, ModelProperty, ValueType
from malha.vocabulary.models.sentences import finding, show

type Values = Sequence[object] | pa.Array | pa.ChunkedArray
type Rows = npt.NDArray[np.int64]

_NUMBERS = frozenset({ValueType.NUMBER, ValueType.INTEGER})
_TIMES = frozenset({ValueType.INSTANT, ValueType.DATE})


def validate_columns(
    model: DataModel, columns: Mapping[str, Values], row_count: int, units: Mapping[str, str], stored: Sequence[Mapping[str, Any]] = ()
) -> ColumnFindings:
    """What is wrong with `columns` of `row_count` rows each; `units` holds the unit code of the columns that have one.

    `stored` has for each row the plain values that its entity has already: rules between properties see them too.
    """
    validator = validation.of(model)
    groups = [ColumnFinding(finding("missing", name), range(row_count)) for name in validator.required if name not in columns]
    for name, values in columns.items():
        known = validator.properties.get(name)
        if known is not None:
            groups.extend(_Column(known[0], known[1], values, units.get(name, "")).findings())
    if validator.rules is not None:
        groups.extend(_rule_groups(validator, columns, row_count, stored))
    return ColumnFindings(row_count, tuple(groups))


class _Column:
    """One column and the property that it fills."""

    def __init__(self, prop: ModelProperty, check: checks.Check, values: Values, unit: str) -> None:
        self.prop, self.check, self.values, self.unit = prop, check, values, unit
        self.groups: dict[str, tuple[Finding, list[Rows]]] = {}

    def findings(self) -> list[ColumnFinding]:
        """The findings of the column, one group for each thing wrong."""
        bounds = self._bounds()
        array = _arrow(self.values) if self.prop.type is not ValueType.GEOMETRY else None
        if self.prop.type is ValueType.GEOMETRY:
            self._geometries()
        elif array is None:
            self._one_by_one(list(self.values))
        else:
            self._array(array, bounds)
        return [ColumnFinding(found, np.concatenate(rows).tolist()) for found, rows in self.groups.values()]

    def _add(self, found: Finding, rows: Rows | Sequence[int]) -> None:
        if len(rows):
            sentence = str(found.params.get("sentence", found.code)) + found.path
            self.groups.setdefault(sentence, (found, []))[1].append(np.asarray(rows, dtype=np.int64))

    def _bounds(self) -> tuple[float | None, float | None]:
        """The range of the property, said in the unit of the column; the unit is checked on the way."""
        low, high, report = self.prop.minimum, self.prop.maximum, list[Finding]()
        if self.unit and validation.check_unit(self.prop.name, self.prop.unit, self.unit, report) and registry.compatible(self.unit, self.prop.unit):
            low, high = (None if bound is None else registry.convert(bound, self.prop.unit, self.unit) for bound in (low, high))
        for found in report:
            self._add(found, np.arange(len(self.values)))
        return low, high

    def _array(self, array: pa.Array, bounds: tuple[float | None, float | None]) -> None:
        self._nulls(array)
        kind = array.type
        if pa.types.is_dictionary(kind):
            self._distinct(array)
        elif self.prop.type in _NUMBERS and (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
            self._numbers(array, *bounds)
        elif self.prop.type in _TIMES and (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
            if self.prop.type is ValueType.INSTANT and pa.types.is_timestamp(kind) and kind.tz is None and array.null_count < len(array):
                first = array.drop_null()[0].as_py()
                self._add(finding("instant-zone", self.prop.name, value=show(first)), _rows(pc.is_valid(array)))
        elif self.prop.type is ValueType.BOOLEAN and pa.types.is_boolean(kind):
            return
        elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
            if self._is_free_text():
                self._blanks(array)
            elif self.prop.type is ValueType.URI:
                self._addresses(array)
            else:
                self._distinct(pc.dictionary_encode(array))
        else:
            self._one_by_one(array.to_pylist())

    def _is_free_text(self) -> bool:
        return self.prop.type in {ValueType.TEXT, ValueType.DURATION} and not self.prop.choices and not self.prop.pattern

    def _nulls(self, array: pa.Array) -> None:
        if self.prop.required and array.null_count:
            self._add(finding("missing", self.prop.name), _rows(pc.is_null(array)))

    def _blanks(self, array: pa.Array) -> None:
        if self.prop.required:
            blank = pc.is_in(pc.utf8_trim_whitespace(array), pa.array(["", "-"], array.type))
            self._add(finding("empty", self.prop.name, value=show("")), _rows(blank))

    def _addresses(self, array: pa.Array) -> None:
        """Only texts that do not look like a URI are looked at one by one."""
        odd = _rows(pc.invert(pc.match_substring_regex(array, checks.URI_PATTERN)))
        for row in odd.tolist():
            for found in self._value(array[row].as_py()):
                self._add(found, [row])

    def _numbers(self, array: pa.Array, low: float | None, high: float | None) -> None:
        name, unit = self.prop.name, f" ({self.prop.unit})" if self.prop.unit else ""
        if pa.types.is_floating(array.type):
            self._where(pc.invert(pc.is_finite(array)), array, lambda value: finding("number", name, value=show(value)))
            if self.prop.type is ValueType.INTEGER:
                broken = pc.and_(pc.is_finite(array), pc.not_equal(pc.floor(array), array))
                self._where(broken, array, lambda value: finding("integer", name, value=show(value)))
        if low is not None:
            self._where(
                (pc.less_equal if self.prop.open_minimum else pc.less)(array, low),
                array,
                lambda value: finding("low", name, minimum=f"{low:g}", value=show(value), unit=unit),
            )
        if high is not None:
            self._where(
                (pc.greater_equal if self.prop.open_maximum else pc.greater)(array, high),
                array,
                lambda value: finding("high", name, maximum=f"{high:g}", value=show(value), unit=unit),
            )

    def _where(self, mask: pa.Array, array: pa.Array, found: Callable[[object], Finding]) -> None:
        rows = _rows(mask)
        if len(rows):
            self._add(found(array[int(rows[0])].as_py()), rows)

    def _distinct(self, array: pa.DictionaryArray) -> None:
        """Check each distinct value once and give its findings to all of its rows."""
        bad: dict[int, list[Finding]] = {}
        for code, value in enumerate(array.dictionary.to_pylist()):
            report = self._value(value)
            if report:
                bad[code] = report
        if not bad:
            return
        indices = array.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        order = np.argsort(indices, kind="stable")
        ordered = indices[order]
        for code, report in bad.items():
            rows = order[np.searchsorted(ordered, code, "left") : np.searchsorted(ordered, code, "right")]
            for found in report:
                self._add(found, rows)

    def _value(self, value: Any) -> list[Finding]:
        """The findings of one value; blank text is no value, and a bare text will do where a list of texts is meant."""
        name = self.prop.name
        if checks.is_empty(value):
            return [finding("empty", name, value=show(value))] if self.prop.required and value is not None else []
        report: list[Finding] = []
        if self.prop.type is ValueType.LIST and not isinstance(value, list | tuple | Mapping):
            value = [value]
        self.check(value, name, report)
        return report

    def _one_by_one(self, values: Iterable[Any]) -> None:
        seen: dict[int, list[Finding]] = {}  # the same object in many rows (an address) is checked once
        missing: list[int] = []
        for row, value in enumerate(values):
            if value is None:
                missing.append(row)
                continue
            report = seen.get(id(value))
            if report is None:
                report = seen[id(value)] = self._value(value)
            for found in report:
                self._add(found, [row])
        if self.prop.required:
            self._add(finding("missing", self.prop.name), missing)

    def _geometries(self) -> None:
        """WKB columns are checked by GEOS at once; GeoJSON objects one by one."""
        values = self.values.to_pylist() if isinstance(self.values, pa.Array | pa.ChunkedArray) else list(self.values)
        if not all(value is None or isinstance(value, bytes) for value in values):
            self._one_by_one(values)
            return
        name = self.prop.name
        absent = np.fromiter((value is None for value in values), dtype=bool, count=len(values))
        shapes = shapely.from_wkb(values, on_invalid="ignore")
        if self.prop.required:
            self._add(finding("missing", name), np.flatnonzero(absent))
        self._add(finding("geometry", name, reason=msg("não é WKB")), np.flatnonzero(shapely.is_missing(shapes) & ~absent))
        bounds = shapely.bounds(shapes)
        with np.errstate(invalid="ignore"):
            far = (np.abs(bounds) > np.array([180, 90, 180, 90])).any(axis=1)
            swapped = (bounds[:, 0] >= 30) & (bounds[:, 0] <= 43) & (bounds[:, 1] >= -32) & (bounds[:, 1] <= -6)
        for mask, sentence in ((far, "metres"), (swapped, "swapped")):
            rows = np.flatnonzero(mask)
            if len(rows):
                self._add(finding(sentence, name, value=show([float(bound) for bound in bounds[rows[0]][:2]])), rows)


def _arrow(values: Values) -> pa.Array | None:
    """The column as one Arrow array; None where its values are of no single type."""
    if isinstance(values, pa.ChunkedArray):
        return values.combine_chunks() if values.num_chunks != 1 else values.chunk(0)
    if isinstance(values, pa.Array):
        return values
    first = next((value for value in values if value is not None), None)
    if isinstance(first, Mapping | list | tuple):
        return None
    try:
        return pa.array(values, from_pandas=False)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
        return None


def _rows(mask: pa.Array) -> Rows:
    """The rows where `mask` is true."""
    return np.flatnonzero(mask.fill_null(False).to_numpy(zero_copy_only=False))


def _rule_groups(validator: validation.Validator, columns: Mapping[str, Values], row_count: int, stored: Sequence[Mapping[str, Any]]) -> list[ColumnFinding]:
    """Rules between properties, row by row: only imported models have any."""
    assert validator.rules is not None
    plain = {name: values.to_pylist() if isinstance(values, pa.Array | pa.ChunkedArray) else values for name, values in columns.items()}
    found: dict[tuple[str, str], tuple[Finding, list[int]]] = {}
    for row in range(row_count):
        before = stored[row] if stored else {}
        for each in validator.rules({**before, **{name: values[row] for name, values in plain.items() if values[row] is not None}}):
            found.setdefault((each.path, each.message), (each, []))[1].append(row)
    return [ColumnFinding(each, rows) for each, rows in found.values()]
