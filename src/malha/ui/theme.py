"""Colours: their contrast (WCAG 2.1 §1.4.3), and the accent that a tenant may choose."""

from __future__ import annotations

import re
from collections.abc import Mapping

_HEX = re.compile(r"#[0-9a-fA-F]{6}\Z")
TEXT_CONTRAST = 4.5
SHAPE_CONTRAST = 3.0


def luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb`, 0 to 1."""
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours, 1 to 21."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def usable_accent(colour: str) -> bool:
    """Whether `colour` is `#rrggbb` and can be read as text on white, and white on it."""
    return bool(_HEX.match(colour)) and contrast(colour, "#ffffff") >= TEXT_CONTRAST


def css(theme: Mapping[str, object]) -> str:
    """The rule that puts a tenant's accent in place of ours; empty without a usable one."""
    accent = theme.get("accent")
    if not isinstance(accent, str) or not usable_accent(accent):
        return ""
    return f":root{{--tenant:{accent}}}"
