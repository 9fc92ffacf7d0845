"""Every pair of colours that meets on a page is readable in both themes (WCAG 2.1 §1.4.3, §1.4.11)."""

import itertools
import math
import re
from pathlib import Path

import pytest

from malha.ui import theme

TOKENS = Path(__file__).resolve().parents[4] / "web" / "styles" / "tokens.css"
THEMES = ("light", "dark")
BACKGROUNDS = ("page", "surface", "raised")
TEXTS = ("text", "text-2", "link", "link-hover", "danger", "success", "warning", "info")
SHAPES = ("line-input", "severity-info", "severity-attention-line", "severity-warning", "severity-critical", "severity-nodata")
PAIRS = [
    ("on-accent", "accent"),
    ("on-accent", "accent-hover"),
    ("on-bar", "bar"),
    ("on-bar-2", "bar"),
    ("on-danger", "danger"),
    ("text", "pressed"),
    ("link", "pressed"),
]
PAIRS += [(kind, f"{kind}-soft") for kind in ("success", "danger", "info", "warning")] + [
    ("text", f"{kind}-soft") for kind in ("success", "danger", "info", "warning")
]
#: how the three cone types of people who see colours differently mix red, green and blue (Machado, Oliveira, Fernandes 2009)
VISION = {
    "usual": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}


def tokens(kind: str) -> dict[str, str]:
    text = re.sub(r"var\(--[a-z]+, (#[0-9a-f]{6})\)", r"\1", TOKENS.read_text(encoding="utf-8"))
    found = {}
    for name, value in re.findall(r"--([a-z0-9-]+): ([^;]+);", text):
        both = re.fullmatch(r"light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)", value)
        if both:
            found[name] = both[1 if kind == "light" else 2]
        elif re.fullmatch(r"#[0-9a-f]{6}", value):
            found[name] = value
    return found


def test_it_works() -> None:
    assert theme.contrast("#000000", "#ffffff") == pytest.approx(21)
    assert theme.contrast("#034ad8", "#ffffff") == pytest.approx(7.3, abs=0.3)
    assert len(tokens("light")) == len(tokens("dark")) > 40


@pytest.mark.parametrize("kind", THEMES)
@pytest.mark.parametrize(("front", "back"), [*itertools.product(TEXTS, BACKGROUNDS), *PAIRS])
def test_text_is_readable(kind: str, front: str, back: str) -> None:
    known = tokens(kind)
    assert theme.contrast(known[front], known[back]) >= theme.TEXT_CONTRAST, (known[front], known[back])


@pytest.mark.parametrize("kind", THEMES)
@pytest.mark.parametrize(("front", "back"), [*itertools.product([*SHAPES, *(f"data-{n}" for n in range(1, 9))], ("page", "surface"))])
def test_shapes_are_seen(kind: str, front: str, back: str) -> None:
    known = tokens(kind)
    assert theme.contrast(known[front], known[back]) >= theme.SHAPE_CONTRAST, (known[front], known[back])


@pytest.mark.parametrize("kind", THEMES)
def test_the_focus_ring_is_seen(kind: str) -> None:
    known = tokens(kind)
    for back in (*BACKGROUNDS, "bar"):
        assert theme.contrast(known["focus"], known[back]) >= theme.SHAPE_CONTRAST, back


def seen(colour: str, vision: str) -> tuple[float, float, float]:
    """The colour in CIE L*a*b* as somebody with this vision sees it."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))]
    r, g, b = (min(1.0, max(0.0, sum(k * c for k, c in zip(row, linear, strict=True)))) for row in VISION[vision])
    xyz = ((0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.95047, 0.2126 * r + 0.7152 * g + 0.0722 * b, (0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.08883)
    x, y, z = (v ** (1 / 3) if v > 0.008856 else 7.787 * v + 16 / 116 for v in xyz)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


@pytest.mark.parametrize("kind", THEMES)
@pytest.mark.parametrize("vision", VISION)
def test_categories_are_told_apart(kind: str, vision: str) -> None:
    known = tokens(kind)
    for one, other in itertools.combinations(range(1, 9), 2):
        distance = math.dist(seen(known[f"data-{one}"], vision), seen(known[f"data-{other}"], vision))
        assert distance >= 10, (one, other, round(distance, 1))
