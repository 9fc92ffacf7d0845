"""Cells: from what people type to values, a column at a time. Pure; Arrow in, Arrow and numpy out."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

#: what people write where there is no value; only for whole cells
NOTHING = pa.array(["n.d.", "n/d", "n.d", "nd", "N.D.", "N/D", "ND", "s/d", "S/D", "n/a", "N/A", "#N/A", "#N/D", "NULL", "null", "NaN", "nan", "None", "-", "--", "---", "—", "–", "...", "…"])  # fmt: skip
NOTHING_IN_FIGURES = pa.array(["x", "X", "*", "º", ".", "..", ":"])
TRUE = pa.array(["sim", "s", "true", "verdadeiro", "v", "1", "yes", "y", "x"])
FALSE = pa.array(["não", "nao", "n", "false", "falso", "f", "0", "no"])
NUMBER = r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$"
COMMA_NUMBER = r"^[+-]?(\d{1,3}([. \x{00a0}\x{202f}]\d{3})+|\d+)?(,\d+)?$"
POINT_NUMBER = r"^[+-]?(\d{1,3}([, \x{00a0}\x{202f}]\d{3})+|\d+)?(\.\d+)?([eE][+-]?\d+)?$"
#: a figure with the sign of money or of parts in a hundred beside it
MONEY = r"^(?:€[ \x{00a0}\x{202f}]*)?([+-]?\d[\d., \x{00a0}\x{202f}]*?)[ \x{00a0}\x{202f}]*(?:€|%|(?i:euros?|eur))?$"
INSTANT = (
    r"^(?:(?P<y>\d{4})(?:-|/|\.|)(?P<m>\d{2})(?:-|/|\.|)(?P<d>\d{2})|(?P<a>\d{1,2})[/.\-](?P<b>\d{1,2})[/.\-](?P<c>\d{4}|\d{2}))"
    r"(?:(?:T| +|, *)(?P<h>\d{1,2})[:h](?P<i>\d{2})(?::(?P<s>\d{2})(?:[.,](?P<f>\d{1,9}))?)?)?\s*(?P<z>Z|[+-]\d{2}:?\d{2})?$"
)
MONTH_DAYS = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])


def clean(column: Any) -> Any:
    """Text without spaces around it; blanks and “n.d.” null; our own formula guard and Excel's `="0105"` undone.

    A text that itself begins with `=` (`=+351 …`) stays as it is: it is a telephone, not a formula, and nobody runs it here.
    """
    column = pc.utf8_trim_whitespace(column)
    if pc.any(pc.starts_with(column, "'")).as_py():
        column = pc.replace_substring_regex(column, r"^'([=+\-@\t\r])", r"\1")
        column = pc.replace_substring_regex(column, r"^'(\d[\d., ]*)$", r"\1")  # how a sheet marks a number kept as text
    if pc.any(pc.starts_with(column, '="')).as_py():
        column = pc.replace_substring_regex(column, r'^="([^"]*)"$', r"\1")
    blank = pc.or_(pc.equal(column, ""), pc.is_in(column, value_set=NOTHING))
    return pc.if_else(blank, pa.scalar(None, pa.string()), column)


def without(column: Any, missing: tuple[str, ...]) -> Any:
    """`column` with the texts that mean "no value" (for example -99.0) null."""
    if not missing:
        return column
    return pc.if_else(pc.is_in(column, value_set=pa.array(list(missing))), pa.scalar(None, pa.string()), column)


def numbers(column: Any, decimal: str = ".") -> tuple[Any, np.ndarray[Any, Any]]:
    """Numbers from text, and which rows hold something that is none. With decimal "," a point groups thousands."""
    column = pc.if_else(pc.is_in(column, value_set=NOTHING_IN_FIGURES), pa.scalar(None, pa.string()), column)
    plain = pc.match_substring_regex(column, NUMBER)
    usual = pc.all(plain).as_py() is not False
    if not usual and pc.any(pc.match_substring_regex(column, r"[€%]|(?i:eur)")).as_py():
        column = pc.replace_substring_regex(column, MONEY, r"\1")
        plain = pc.match_substring_regex(column, NUMBER)
    if decimal == "," or not usual:
        shape = COMMA_NUMBER if decimal == "," else POINT_NUMBER
        group, point = (r"[. \x{00a0}\x{202f}]", ",") if decimal == "," else (r"[, \x{00a0}\x{202f}]", "")
        fits = pc.match_substring_regex(column, shape)
        mended = pc.replace_substring_regex(column, group, "")
        column = pc.if_else(fits, pc.replace_substring(mended, point, ".") if point else mended, column)
        plain = pc.match_substring_regex(column, NUMBER)
    bad = _flags(pc.invert(plain))
    values = pc.cast(pc.if_else(plain, column, pa.scalar(None, pa.string())), pa.float64())
    return values, bad


def integers(column: Any, decimal: str = ".") -> tuple[Any, np.ndarray[Any, Any]]:
    """Whole numbers from text, and which rows hold something else."""
    values, bad = numbers(column, decimal)
    whole = pc.equal(pc.floor(values), values)
    fits = pc.and_(whole, pc.less(pc.abs(values), 2.0**63))
    bad = bad | _flags(pc.invert(fits))
    return pc.cast(pc.if_else(fits, values, pa.scalar(None, pa.float64())), pa.int64(), safe=False), bad


def booleans(column: Any) -> tuple[Any, np.ndarray[Any, Any]]:
    """Yes or no from “sim”, “não”, 1, 0, and which rows hold something else."""
    lowered = pc.utf8_lower(column)
    yes, no = pc.is_in(lowered, value_set=TRUE), pc.is_in(lowered, value_set=FALSE)
    values = pc.if_else(yes, True, pc.if_else(no, False, pa.scalar(None, pa.bool_())))
    bad = _flags(pc.and_(pc.is_valid(column), pc.invert(pc.or_(yes, no))))
    return values, bad


def instants(column: Any, zone: ZoneInfo, *, day_first: bool = True) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """UTC instants (datetime64[us], NaT for none), rows that are no date at all, and rows whose date does not exist.

    A text without offset is in `zone`; in the doubled hour of October it is the first of the two; the hour that
    March skips does not exist. 24:00 is the next midnight. A day cut short (`2025-01-2T…`) is no date: the missing digit may be any.
    """
    found = pc.extract_regex(column, INSTANT)
    valid = _flags(pc.is_valid(column))
    unread = valid & _flags(pc.is_null(found))
    part = {name: _part(found, name) for name in "ymdabchis"}
    year = np.where(part["y"] >= 0, part["y"], np.where((part["c"] >= 0) & (part["c"] < 100), part["c"] + 2000, part["c"]))
    first, second = (part["b"], part["a"]) if day_first else (part["a"], part["b"])
    month = np.where(part["y"] >= 0, part["m"], first)
    day = np.where(part["y"] >= 0, part["d"], second)
    hour, minute, second_ = (np.maximum(part[name], 0) for name in "his")
    read = valid & ~unread
    leap = ((year % 4 == 0) & (year % 100 != 0)) | (year % 400 == 0)
    longest = MONTH_DAYS[np.clip(month, 1, 12) - 1] + ((month == 2) & leap)
    exists = (year >= 1000) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= longest)
    exists &= ((hour <= 23) | ((hour == 24) & (minute == 0) & (second_ == 0))) & (minute <= 59) & (second_ <= 60)
    good = read & exists
    months = ((np.where(good, year, 1970) - 1970) * 12 + np.where(good, month, 1) - 1).astype("datetime64[M]")
    local = (months.astype("datetime64[D]") + (np.where(good, day, 1) - 1).astype("timedelta64[D]")).astype("datetime64[us]")
    local = local + hour * np.timedelta64(3_600_000_000, "us") + minute * np.timedelta64(60_000_000, "us") + second_ * np.timedelta64(1_000_000, "us")
    local = local + _microseconds(found)
    offset, skipped = _offsets(found, local, good, zone)
    utc = np.where(good & ~skipped, local - offset, np.datetime64("NaT", "us"))
    return utc, unread, (read & ~exists) | (good & skipped)


def _part(found: Any, name: str) -> np.ndarray[Any, Any]:
    text = pc.struct_field(found, name)
    text = pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
    return np.asarray(pc.fill_null(pc.cast(text, pa.int64()), -1).to_numpy(zero_copy_only=False))


def _microseconds(found: Any) -> np.ndarray[Any, Any]:
    text = pc.fill_null(pc.struct_field(found, "f"), "")
    if not pc.any(pc.not_equal(text, "")).as_py():
        return np.zeros(len(found), "timedelta64[us]")
    digits = pc.utf8_slice_codeunits(pc.utf8_rpad(text, width=6, padding="0"), 0, 6)
    return np.asarray(pc.cast(digits, pa.int64()).to_numpy(zero_copy_only=False)).astype("timedelta64[us]")


def _offsets(found: Any, local: np.ndarray[Any, Any], good: np.ndarray[Any, Any], zone: ZoneInfo) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """How far each local time is ahead of UTC, and which times the zone skips."""
    offset = np.zeros(len(local), "timedelta64[us]")
    skipped = np.zeros(len(local), bool)
    suffix = pc.fill_null(pc.struct_field(found, "z"), "")
    kinds, which = np.unique(np.asarray(suffix.to_numpy(zero_copy_only=False), dtype=str), return_inverse=True)
    for position, kind in enumerate(kinds):
        chosen = (which == position) & good
        if kind == "Z" or not chosen.any():
            continue
        if kind:
            digits = kind.replace(":", "")
            minutes = (int(digits[1:3]) * 60 + int(digits[3:5])) * (-1 if digits[0] == "-" else 1)
            offset[chosen] = np.timedelta64(minutes * 60_000_000, "us")
            continue
        hours, back = np.unique(local[chosen].astype("datetime64[h]"), return_inverse=True)
        pairs = [_zone_offset(hour.item(), zone) for hour in hours]
        offset[chosen] = np.array([pair[0] for pair in pairs], "timedelta64[us]")[back]
        skipped[chosen] = np.array([pair[1] for pair in pairs], bool)[back]
    return offset, skipped


def _zone_offset(hour: datetime, zone: ZoneInfo) -> tuple[int, bool]:
    aware = hour.replace(tzinfo=zone)
    ahead = aware.utcoffset()
    seconds = ahead.total_seconds() if ahead else 0.0
    exists = aware.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == hour
    return int(seconds * 1_000_000), not exists


def _flags(mask: Any) -> np.ndarray[Any, Any]:
    return np.asarray(pc.fill_null(mask, False).to_numpy(zero_copy_only=False), dtype=bool)


def share(mask: np.ndarray[Any, Any], column: Any) -> float:
    """Which part of the filled rows `mask` marks."""
    filled = len(column) - column.null_count
    return float(mask.sum()) / filled if filled else 0.0
